"""The root of `redress …`: sub-commands, and how an error reaches the user."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import orjson
import typer
from typer.exceptions import TyperException

from redress.api.errors import ServeError
from redress.cli import clock, dead_letters, local, programme, projections, relay, shard, topics, wave
from redress.cli import run as run_processes
from redress.cli.api import token_command
from redress.cli.demo import demo
from redress.cli.figures import liability_command, roll_forward_command
from redress.cli.migrate import migrate_command
from redress.cli.output import NotFoundError, WrongUseError
from redress.cli.people import beneficiary_command, redemption_command, voucher_command
from redress.cli.publish import publish_command
from redress.cli.recover import recover_command
from redress.cli.start import EXIT_INTERRUPTED
from redress.cli.status import status_command
from redress.cli.verify import verify_command
from redress.ledger.migrate import IdentityError
from redress.runtime.demo.run import DemoError
from redress.runtime.local import StackError
from redress.runtime.logging import configure_logging
from redress.runtime.publish.programme_file import ProgrammeFileError
from redress.runtime.settings import SettingsError
from redress.runtime.topics import TopicsError
from redress.runtime.wiring import NotMigratedError

EXIT_FOUND = 1
EXIT_WRONG_USE_OR_UNREACHABLE = 2

# Errors a user can do something about: one clear line (a server's log may follow), never a stack trace.
EXPECTED: tuple[type[Exception], ...] = (
    SettingsError,
    StackError,
    TopicsError,
    NotMigratedError,
    IdentityError,
    WrongUseError,
    ProgrammeFileError,
    DemoError,
    ServeError,
)

app = typer.Typer(
    name="redress",
    pretty_exceptions_enable=False,
    help="The ledger for mass compensation. Exit status: 0 done, 1 a check failed, 2 wrong use or unreachable server.",
)
app.command("demo")(demo)
app.add_typer(local.app, name="local")
app.command("migrate", epilog="Example: REDRESS_SHARDS=64 redress migrate")(migrate_command)
app.add_typer(topics.app, name="topics")
app.command("publish", epilog="Example: redress publish events.ndjson")(publish_command)
app.add_typer(run_processes.app, name="run")
app.command("token", epilog="Example: redress token --scope read --scope redeem --sub checkout-travel")(token_command)
app.add_typer(clock.app, name="clock")
app.add_typer(programme.app, name="programme")
app.add_typer(wave.app, name="wave")
app.command("liability", epilog="Example: redress liability --as-of 2026-02-01 --by wave,benefit")(liability_command)
app.command("roll-forward", epilog="Example: redress roll-forward --from 2026-01-01 --to 2026-02-01")(
    roll_forward_command
)
app.command("verify", epilog="Example: redress verify --all")(verify_command)
app.add_typer(projections.app, name="projections")
app.command("status", epilog="Example: redress status --json")(status_command)
app.add_typer(shard.app, name="shard")
app.add_typer(relay.app, name="relay")
app.add_typer(dead_letters.app, name="dead-letters")
app.command("recover", epilog="Example: redress recover --from postgresql://redress:…@old-server/redress --execute")(
    recover_command
)
app.command("voucher", epilog="Example: redress voucher 3f6c1d2e-8a4b-8f6e-9c1d-0a2b3c4d5e6f")(voucher_command)
app.command("beneficiary", epilog="Example: redress beneficiary 3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f")(
    beneficiary_command
)
app.command(
    "redemption", epilog="Example: redress redemption r-7f3a91 --beneficiary 3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f"
)(redemption_command)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"redress {version('redress')}\n")
        raise typer.Exit


@app.callback()
def root(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Nothing before the sub-command: each reads its settings itself."""


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit status of `redress ARGUMENTS…`."""
    in_json = "--json" in arguments
    configure_logging(level=logging.CRITICAL)  # a command says itself what went wrong; `run` has a log
    try:
        status = int(app(args=list(arguments) or ["--help"], prog_name="redress", standalone_mode=False) or 0)
    except TyperException as error:
        return _fail(error.format_message(), in_json=in_json)
    except NotFoundError as error:
        return _fail(str(error), in_json=in_json, status=EXIT_FOUND)
    except EXPECTED as error:
        return _fail(str(error), in_json=in_json)
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        status = EXIT_INTERRUPTED
    if status == EXIT_INTERRUPTED:  # Typer turns Ctrl-C into this status by itself
        sys.stderr.write("redress: interrupted\n")
    return status


def _fail(message: str, *, in_json: bool, status: int = EXIT_WRONG_USE_OR_UNREACHABLE) -> int:
    if in_json:
        sys.stdout.write(orjson.dumps({"error": message}).decode() + "\n")
    else:
        sys.stderr.write(f"redress: {message}\n")
    return status


if __name__ == "__main__":
    main()
