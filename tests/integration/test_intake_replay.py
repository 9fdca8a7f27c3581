"""A ledger replayed along its batch log is the same to the byte: entries, digests, state."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from uuid import uuid4

import asyncpg
import pytest

from redress.intake.batch_log import DatabaseLog
from redress.intake.replay import Replay
from redress.ledger.connection import connect
from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, with_database
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import Scenario

SAME = {
    "batch": "select * from redress.batch order by shard, batch",
    "journal": "select v.*, j.fingerprint from finance.journal v join redress.journal j using (shard, seq) "
    "order by shard, seq, line",
    "state": "select * from redress.state order by shard, beneficiary",
    "redemption": "select * from redress.redemption order by shard, beneficiary, programme, redemption",
    "lot": "select * from redress.lot order by shard, no",
    "rollup": "select * from redress.rollup order by shard, lot, posting, effective_day, recorded_day",
    "parked": "select * from redress.parked order by shard, arrival",
    "dead letters": "select * from redress.dead_letter order by shard, topic, record_offset",
}


@pytest.fixture
async def target(stack: Stack) -> AsyncIterator[str]:
    """Another ledger of the same name, empty."""
    name = f"redress_test_{uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres)
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        dsn = with_database(stack.postgres, name)
        await asyncio.to_thread(migrate, dsn, TEST_LEDGER)
        yield dsn
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


async def _content(dsn: str) -> dict[str, list[str]]:
    connection = await connect(dsn, application_name="test")
    try:
        return {name: [str(tuple(row)) for row in await connection.fetch(sql)] for name, sql in SAME.items()}
    finally:
        await connection.close()


async def test_a_replay_along_the_batch_log_gives_the_same_bytes(
    stack: Stack, database: str, target: str, topic_prefix: str
) -> None:
    events = list(Scenario(Random(6), events=600, beneficiaries=15))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=2) as ledger:
        for records in chunks(events, 100):
            await ledger.send_all(records)
            await ledger.settled()
        await ledger.send_raw("redress.redemption", 2, b"nobody", b"{")
        await ledger.settled()
        assert len(await ledger.batch_log(1)) > 6

    await Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER).run()

    origin, replayed = await _content(database), await _content(target)
    for name, rows in origin.items():
        assert rows, name
        assert replayed[name] == rows, name
    await assert_ledger_sound(target)
