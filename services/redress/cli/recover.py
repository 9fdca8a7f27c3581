"""`redress recover`: a lost ledger made again along its batch log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from redress.cli.output import AsJson, WrongUseError, note, plain_table, write, write_json, write_table
from redress.cli.session import Session, open_session
from redress.intake.batch_log import BatchLog, DatabaseLog, ReplayError
from redress.intake.marker_log import MarkerLog
from redress.intake.replay import Progressed, Replay, ShardPlan
from redress.ledger.shard_ledger import DigestError, LoggedBatch

EXIT_FOUND = 1
TOPIC = "topic"

From = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="URL|topic",
        envvar="REDRESS_RECOVER_FROM",
        help="Whose batch log: a Postgres URL of the ledger, or the markers in redress.ledger.",
    ),
]
Execute = Annotated[bool, typer.Option("--execute", help="Do it. Without this, only the plan is shown.")]
Shards = Annotated[
    list[int] | None,
    typer.Option("--shard", help="Only this shard; may be repeated. So several processes can share the work."),
]


@dataclass(slots=True)
class _Done:
    """What a run has replayed so far."""

    batches: int = 0
    by_shard: dict[int, int] = field(default_factory=dict)


def recover_command(
    *, source: From = TOPIC, execute: Execute = False, shard: Shards = None, json: AsJson = False
) -> None:
    """Replay the topics along the batch log into the ledger of REDRESS_POSTGRES, and compare each batch's digest.

    The target is migrated and empty, or was recovered in part: the same command goes on where it was interrupted. No
    worker may serve it. Exit status 1: records are missing, or a batch comes out otherwise than it was logged.
    """
    session = open_session()
    batches = _log_of(session, source)
    replay = Replay(
        session.servers.kafka,
        session.servers.topic_prefix,
        batches,
        session.servers.postgres,
        session.identity,
        _chosen(session, shard),
    )
    begun_at, done = time.monotonic(), _Done()
    try:
        plans = session.run(_plan(session, replay))
        broken = [plan for plan in plans if plan.problem]
        if not json:
            _show(plans)
        if execute and not broken:
            _execute(session, replay, plans, done, quiet=json)
    except ReplayError as error:
        raise WrongUseError(str(error)) from error
    except DigestError as error:
        _tell(str(error), json=json)
        raise typer.Exit(EXIT_FOUND) from None
    executed = execute and not broken
    if json:
        write_json(
            {
                "ledger": session.identity.name,
                "from": TOPIC if isinstance(batches, MarkerLog) else "database",
                "executed": executed,
                "batches": done.batches,
                "seconds": round(time.monotonic() - begun_at, 3),
                "missing": sum(plan.missing for plan in plans),
                "shards": [asdict(plan) | {"done": done.by_shard.get(plan.shard, plan.done)} for plan in plans],
            }
        )
    elif executed:
        write(f"replayed {done.batches:,} batches, all with the digests of the log; check with `redress verify`")
    elif not broken:
        write("nothing was done: this is the plan; do it with --execute")
    if broken:
        raise typer.Exit(EXIT_FOUND)


def _log_of(session: Session, source: str) -> BatchLog:
    if source == TOPIC:
        return MarkerLog(session.servers.kafka, session.servers.topic_prefix, session.identity)
    if urlsplit(source).scheme not in {"postgresql", "postgres"}:
        raise WrongUseError("--from: neither `topic` nor postgresql://user:password@host:port/database")
    if source == session.servers.postgres:
        raise WrongUseError("--from: that is the target itself; REDRESS_POSTGRES names the ledger to recover into")
    return DatabaseLog(source)


def _chosen(session: Session, shards: list[int] | None) -> list[int] | None:
    outside = [shard for shard in shards or () if not 0 <= shard < session.identity.shards]
    if outside:
        raise WrongUseError(f"--shard: the ledger has no shard {outside[0]}")
    return sorted(set(shards)) if shards else None


async def _plan(session: Session, replay: Replay) -> list[ShardPlan]:
    await session.check()
    return await replay.plan()


def _execute(session: Session, replay: Replay, plans: list[ShardPlan], done: _Done, *, quiet: bool) -> None:
    with _progress(sum(plan.records for plan in plans), quiet=quiet) as moved:

        def progressed(shard: int, logged: LoggedBatch) -> None:
            done.batches += 1
            done.by_shard[shard] = logged.batch
            moved(shard, logged)

        try:
            session.run(replay.run(progressed))
        except BaseException:
            note(f"replayed {done.batches:,} batches; the same command goes on there")
            raise


@contextmanager
def _progress(records: int, *, quiet: bool) -> Iterator[Progressed]:
    """A bar on standard error, where a terminal is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    disabled = quiet or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task("records", total=records)

        def moved(shard: int, logged: LoggedBatch) -> None:
            bar.update(task, description=f"shard {shard} batch {logged.batch:,}", advance=logged.records)

        yield moved


def _show(plans: list[ShardPlan]) -> None:
    numbers = ("shard", "batches done", "batches logged", "records to read", "missing")
    table = plain_table(*numbers, "what is missing", numbers=numbers)
    for plan in plans:
        counts = (plan.shard, plan.done, plan.logged, plan.records, plan.missing)
        table.add_row(*(f"{count:,}" for count in counts), plan.problem or "")
    write_table(table)


def _tell(message: str, *, json: bool) -> None:
    if json:
        write_json({"error": message})
    else:
        note(message)
