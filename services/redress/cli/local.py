"""`redress local`: the Kafka and the Postgres of this machine."""

import sys
from typing import Annotated

import orjson
import typer

from redress.runtime.local import External, Stack, down, status, up
from redress.runtime.local.keys import ensure_key_pair
from redress.runtime.local.stack import as_json
from redress.runtime.settings import load_settings

EXIT_DOWN = 1

app = typer.Typer(help="The local Kafka and Postgres: start, stop, look.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command("up", epilog="Example: redress local up --json")
def up_command(*, json: AsJson = False) -> None:
    """Start Kafka and Postgres, or say where they run already.

    With a Docker engine they run as containers, without one as plain processes. If REDRESS_KAFKA and REDRESS_POSTGRES
    are set, those servers are checked and used. A key pair for the API's tokens is made too: see `redress token`.
    """
    settings = load_settings()
    stack = up(settings.state, External.of(settings))
    ensure_key_pair(settings.state)
    _show(stack, as_json_object=json)


@app.command("down", epilog="Example: redress local down")
def down_command(*, json: AsJson = False) -> None:
    """Stop both and wait until they are gone. Their data stay for the next `redress local up`."""
    settings = load_settings()
    stopped = down(settings.state, External.of(settings))
    _show(stopped, as_json_object=json)
    if stopped.provider == "external" and not json:
        sys.stdout.write("REDRESS_KAFKA and REDRESS_POSTGRES name servers that are not ours to stop: nothing done.\n")


@app.command("status", epilog="Example: redress local status --json")
def status_command(*, json: AsJson = False) -> None:
    """Say whether both answer. Exit status 1 if one does not."""
    settings = load_settings()
    now = status(settings.state, External.of(settings))
    _show(now, as_json_object=json)
    if now.state == "down":
        raise typer.Exit(EXIT_DOWN)


def _show(stack: Stack, *, as_json_object: bool) -> None:
    if as_json_object:
        sys.stdout.write(orjson.dumps(as_json(stack)).decode() + "\n")
        return
    lines = {
        "state": f"{stack.state} ({stack.provider})",
        "kafka": f"{stack.kafka or '-'} ({stack.kafka_state})",
        "postgres": f"{stack.postgres or '-'} ({stack.postgres_state})",
        "folder": stack.folder,
    }
    sys.stdout.write("".join(f"{name:<9} {value}\n" for name, value in lines.items()))
