"""Who serves which shard: shares, hand-over, and the fence against a writer that was left behind."""

import asyncio
import time
from random import Random

from redress.runtime.local import Stack
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import Scenario

WAIT_SECONDS_MAX = 20
HAND_OVER_SECONDS_MAX = 6
"""Well below a lease: nobody waits for one to run out."""

OWNERS = (
    "select owner, count(*) as shards from redress.lease where lease_until > now() and owner is not null group by owner"
)


async def _until_shares_are(ledger: RunningLedger, shares: dict[str, int]) -> float:
    """Seconds until each worker serves so many shards."""
    begun = time.monotonic()
    while (found := {row["owner"]: row["shards"] for row in await ledger.database.fetch(OWNERS)}) != shares:
        if time.monotonic() - begun > WAIT_SECONDS_MAX:
            raise TimeoutError(f"shares are {found}, not {shares}")
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


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
        assert await _until_shares_are(ledger, {first.worker.name: 2, second.worker.name: 2}) < HAND_OVER_SECONDS_MAX
        await ledger.settled()

        # The first stops: its shards are free at once, and the second takes them.
        await first.stop()
        ledger.workers.remove(first)
        await ledger.send_all(parts[2])
        assert await _until_shares_are(ledger, {second.worker.name: 4}) < HAND_OVER_SECONDS_MAX
        await ledger.settled()

        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_a_writer_that_lost_its_shard_writes_nothing_more(stack: Stack, database: str, topic_prefix: str) -> None:
    # given a worker that believes it owns shards which another one has taken meanwhile
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
