"""`redress clock`: the clock of a ledger that is moved by hand."""

from typing import Annotated

import typer

from redress.cli.instants import read_instant, read_step
from redress.cli.output import AsJson, WrongUseError, json_instant, note, write, write_json
from redress.cli.session import Session, open_session
from redress.domain.ids import Instant
from redress.intake.clock import tick_record
from redress.ledger.connection import connect
from redress.ledger.queries import query
from redress.runtime.publish.barrier import LedgerProgress
from redress.runtime.publish.control import refusals, send_controls
from redress.runtime.topics import check_topics

app = typer.Typer(help="The clock of a ledger with REDRESS_CLOCK=manual.", no_args_is_help=True)

To = Annotated[str, typer.Argument(metavar="T", help="2026-01-15T10:00:00+09:00, or a step: +1d, +6h, +30m, +15s.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every shard has reached it.")]


@app.callback()
def root() -> None:
    """The clock of a ledger with REDRESS_CLOCK=manual."""


@app.command(
    "advance",
    epilog="Example: REDRESS_CLOCK=manual redress clock advance 2026-01-15T10:00:00+09:00 && redress clock advance +1d",
)
def advance_command(to: To, *, wait: Wait = True, json: AsJson = False) -> None:
    """Move the clock to T. What falls due by it happens: lots lapse, holds time out, parking ends, waves are issued.

    A ledger begins with its first tick. The clock never goes back.
    """
    session = open_session()
    if session.identity.clock == "system":
        raise WrongUseError("REDRESS_CLOCK is system: this ledger's clock is moved by `redress run clock`")
    reached = session.run(_advance(session, to, wait=wait))
    if json:
        write_json({"now": json_instant(reached), "reached": wait})
    else:
        write(f"{'now' if wait else 'sent'} {json_instant(reached)}")


async def _advance(session: Session, to: str, *, wait: bool) -> Instant:
    step = read_step(to)
    instant = read_instant(to, "T") if step is None else None
    await session.check()
    await check_topics(session.servers.kafka, session.servers.topic_prefix, session.identity.shards)
    before = await _now(session)
    wanted = _wanted(instant, step or 0, before)
    if before is not None and wanted < before:
        raise WrongUseError(f"the ledger's clock stands at {json_instant(before)} and never goes back")
    (sent,) = await send_controls(session.servers, [tick_record(session.identity.name, wanted)])
    if wait:
        await _wait(session, wanted, sent.offset)
    return wanted


def _wanted(instant: Instant | None, step: int, before: Instant | None) -> Instant:
    if instant is not None:
        return instant
    if before is None:
        raise WrongUseError("the ledger has not begun: give its first time, such as 2026-01-05T09:00:00+09:00")
    return Instant(before + step)


async def _wait(session: Session, wanted: Instant, offset: int) -> None:
    progress = LedgerProgress(session.servers, session.identity.shards, note)
    try:
        await progress.wait_for_control(offset)
        connection = await connect(session.servers.postgres, application_name="redress-cli")
        try:
            for why in (await refusals(connection, [offset])).values():
                raise WrongUseError(f"the ledger refused this time: {why}")
        finally:
            await connection.close()
        await progress.wait_for_clock(wanted)
    finally:
        await progress.stop()


async def _now(session: Session) -> Instant | None:
    connection = await connect(session.servers.postgres, application_name="redress-cli")
    try:
        rows = await connection.fetch(query("shard_positions"))
    finally:
        await connection.close()
    return max((Instant(row["now"]) for row in rows if row["now"] is not None), default=None)
