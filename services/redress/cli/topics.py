"""`redress topics`: the topics of the ledger on the Kafka server."""

import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, NoReturn

import orjson
import typer

from redress.cli.session import open_session
from redress.runtime.topics import TopicsError, TopicsReport, apply_topics
from redress.runtime.wiring import NotMigratedError

EXIT_REFUSED = 1

app = typer.Typer(help="The topics of the ledger.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
ReplicationFactor = Annotated[
    int | None,
    typer.Option(min=1, help="Replicas of new topics. By default three, or as many as there are brokers."),
]


@app.command("apply", epilog="Example: REDRESS_SHARDS=64 redress topics apply --json")
def apply_command(*, replication_factor: ReplicationFactor = None, json: AsJson = False) -> None:
    """Create missing topics and set what differs from the declared settings.

    REDRESS_SHARDS says how many partitions the ledger has; where a ledger began with another number, this is an error.
    The count of an existing topic is never changed: if it differs, nothing is done and the exit status is 1.
    """
    session = open_session()

    async def work() -> TopicsReport:
        with suppress(NotMigratedError):  # topics may come before the ledger
            await session.check()
        servers = session.servers
        return await apply_topics(servers.kafka, servers.topic_prefix, session.identity.shards, replication_factor)

    try:
        report = session.run(work())
    except TopicsError as error:
        _refuse(str(error), as_json_object=json)
    _show(report, as_json_object=json)


def _refuse(message: str, *, as_json_object: bool) -> NoReturn:
    if as_json_object:
        sys.stdout.write(orjson.dumps({"error": message}).decode() + "\n")
    else:
        sys.stderr.write(f"redress: {message}\n")
    raise typer.Exit(EXIT_REFUSED)


def _show(report: TopicsReport, *, as_json_object: bool) -> None:
    if as_json_object:
        sys.stdout.write(orjson.dumps(asdict(report)).decode() + "\n")
        return
    lines = [f"created    {name}" for name in report.created]
    lines += [f"updated    {c.topic} {c.setting}: {c.was} -> {c.now}" for c in report.updated]
    lines += [f"unchanged  {name}" for name in report.unchanged]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
