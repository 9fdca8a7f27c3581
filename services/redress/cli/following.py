"""Control events of the command line: sent, and followed into the ledger where somebody is there to take them."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from redress.cli.output import note
from redress.cli.session import Session
from redress.domain.event import Data, WaveOpened
from redress.domain.ids import Instant
from redress.ledger.connection import connect
from redress.ledger.queries import query
from redress.runtime.publish.barrier import LedgerProgress
from redress.runtime.publish.control import Sent, control_record, refusals, send_controls
from redress.runtime.topics import check_topics

EXIT_REFUSED = 1


async def send_and_follow(
    session: Session, events: Sequence[Data], *, at: Instant | None, wait: bool
) -> list[dict[str, Any]]:
    """What was sent, each with `taken` (None: not known yet) and, where the ledger refused it, `refused`.

    `at`: when it was decided; None: now.
    """
    await session.check()
    await check_topics(session.servers.kafka, session.servers.topic_prefix, session.identity.shards)
    at = at if at is not None else await _decided_at(session, events)
    records = [control_record(event, session.identity.name, at) for event in events]
    sent = await send_controls(session.servers, records)
    if wait and await _follow(session, sent):
        refused = await _refused(session, sent)
        return [
            {**asdict(each), "taken": each.offset not in refused, "refused": refused.get(each.offset)} for each in sent
        ]
    return [{**asdict(each), "taken": None, "refused": None} for each in sent]


async def _follow(session: Session, sent: Sequence[Sent]) -> bool:
    """Wait for the ledger if a worker is there; whether one was."""
    progress = LedgerProgress(session.servers, session.identity.shards, note)
    try:
        if await progress.live_workers() == 0:
            note("no worker is alive: the ledger takes this once one runs (`redress run worker`)")
            return False
        await progress.wait_for_control(max(each.offset for each in sent))
    finally:
        await progress.stop()
    return True


async def _refused(session: Session, sent: Sequence[Sent]) -> dict[int, str]:
    connection = await connect(session.servers.postgres, application_name="redress-cli")
    try:
        return await refusals(connection, [each.offset for each in sent])
    finally:
        await connection.close()


async def _decided_at(session: Session, events: Sequence[Data]) -> Instant:
    """When the operator decides: this machine's time, or, where the clock is moved by hand, the ledger's.

    One that is moved by hand and has not begun may be meant to begin in the past: before its first wave in any case.
    """
    this_machine = Instant(time.time_ns() // 1_000)
    if session.identity.clock == "manual":
        connection = await connect(session.servers.postgres, application_name="redress-cli")
        try:
            rows = await connection.fetch(query("shard_positions"))
        finally:
            await connection.close()
        clocks = [Instant(row["now"]) for row in rows if row["now"] is not None]
        if clocks:
            return max(clocks)
        return min([this_machine, *(event.valid_from for event in events if isinstance(event, WaveOpened))])
    return this_machine
