"""Who serves which shard: shares, hand-over, and the fence against a writer that was left behind."""

import asyncio
import time
from random import Random

import asyncpg
import pytest

from redress.ledger import batch, lease
from redress.ledger.connection import connect
from redress.runtime.local import Stack
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import Scenario

WAIT_SECONDS_MAX = 20

OWNERS = (
    "select owner, count(*) as shards from redress.lease where lease_until > now() and owner is not null group by owner"
)
RUN_OUT = "select count(*) from redress.lease where lease_until < now() and lease_until > '-infinity'"
"""Leases that ended by themselves; what was given back ended at once."""


async def _until_shares_are(ledger: RunningLedger, shares: dict[str, int]) -> None:
    """Wait until each worker serves so many shards; no lease runs out meanwhile."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while (found := {row["owner"]: row["shards"] for row in await ledger.database.fetch(OWNERS)}) != shares:
        assert time.monotonic() < deadline, f"shares are {found}, not {shares}"
        assert await ledger.database.fetchval(RUN_OUT) == 0
        await asyncio.sleep(0.05)


async def test_shards_are_shared_handed_over_and_given_back(stack: Stack, database: str, topic_prefix: str) -> None:
    events = list(Scenario(Random(31), events=600, beneficiaries=20))
    parts = list(chunks(events, 200))
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        first = ledger.workers[0]
        await ledger.send_all(parts[0])
        await _until_shares_are(ledger, {first.worker.name: 4})

        # A second worker joins: the first hands half of its shards over, while both work.
        second = ledger.start_worker()
        await ledger.send_all(parts[1])
        await _until_shares_are(ledger, {first.worker.name: 2, second.worker.name: 2})
        await ledger.settled()

        # The first stops: its shards are free at once, and the second takes them.
        await first.stop()
        assert first.worker.name not in {row["owner"] for row in await ledger.database.fetch(OWNERS)}
        assert await ledger.database.fetchval(RUN_OUT) == 0
        ledger.workers.remove(first)
        await ledger.send_all(parts[2])
        await _until_shares_are(ledger, {second.worker.name: 4})
        await ledger.settled()

        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_a_writer_that_lost_its_shard_writes_nothing_more(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a worker that believes it owns shards which another one has taken meanwhile; each of its batches
    # goes the way of large ones, also one without entries, as small ones have a fence of their own
    monkeypatch.setattr(batch, "FEW_ENTRIES_MAX", -1)
    events = list(Scenario(Random(32), events=400, beneficiaries=20))
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(events[:150])
        await ledger.settled()
        before = {row["shard"]: row["epoch"] for row in await ledger.database.fetch("select * from redress.head")}

        # when its epoch has passed
        await ledger.database.execute("update redress.head set epoch = epoch + 1")
        await ledger.send_all(events[150:])
        await ledger.settled()

        # then it was fenced, took the shards anew, and each record counted once
        after = {row["shard"]: row["epoch"] for row in await ledger.database.fetch("select * from redress.head")}
        assert all(after[shard] >= before[shard] + 2 for shard in before)
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_a_backend_that_got_the_pid_of_an_owner_before_is_left_alone(database: str) -> None:
    # given a shard that was last written with a backend of this pid, which began at another time
    worker = await connect(database, application_name="test")
    innocent = await connect(database, application_name="test")
    try:
        await worker.execute(WROTE_ONCE, innocent.get_server_pid())

        assert await lease.take(worker, "next", 1) == 1
        assert await innocent.fetchval("select 1") == 1

        # while one that is the very same is ended
        await worker.execute(WRITES, innocent.get_server_pid())
        assert await lease.take(worker, "last", 1) == 2
        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError, OSError)):
            await innocent.fetchval("select 1")
    finally:
        innocent.terminate()
        await worker.close()


WROTE_ONCE = "update redress.lease set backend_pid = $1, backend_start = now() - interval '1 hour' where shard = 1"
WRITES = """
update redress.lease set lease_until = '-infinity', backend_pid = pid, backend_start = activity.backend_start
from pg_stat_activity as activity where pid = $1 and shard = 1
"""
