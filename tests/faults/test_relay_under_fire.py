"""What consumers see while workers die, hang and wake up, and Kafka restarts: all of it, in order, once.

Minutes: `make faults`. The few kills of `tests/integration/test_relay.py` are the short form.
"""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from redress.contracts.registry import OutTopic
from redress.ledger.migrate import migrate
from tests.conftest import TEST_LEDGER, OwnStack, kafka_admin
from tests.faults.test_matrix import ALL_POINTS, FAULT_SECONDS_MAX, LEASES_RUN_OUT, stopped
from tests.harness.faulty_worker import RELAY_POINTS, Fault, start_faulty_worker
from tests.harness.follower import Follower, following
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.published import published
from tests.harness.relayed import ENTRY, assert_published, relayed
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger, chunks
from tests.oracle.scenario import Scenario

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

KILLS: Final = 20
ZOMBIES_AFTER: Final = (6, 13)
KAFKA_KILLED_AFTER: Final = 9
KAFKA_STOPPED_AFTER: Final = 16
HITS_MAX: Final = 40
RARE: Final = {"opened": 4, "relay_opened": 4, "before_hint": 4, "relay_hinted": 4}
"""Points that a worker passes once for each shard, or every few seconds."""
EVENTS_MAX: Final = 20_000
EVENTS_AT_ONCE: Final = 8
COMPACTED_SECONDS_MAX: Final = 90
COMPACT_SOON: Final = {
    "cleanup.policy": "compact",
    "segment.ms": "500",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": "1000",
}
"""The last segment is never cleaned: short ones, so that there is something to clean."""


async def test_consumers_miss_nothing_while_workers_die_and_wake_and_kafka_restarts(own_stack: OwnStack) -> None:
    # given a ledger under load, consumers of both kinds, and a balance topic that is compacted every few seconds
    migrate(own_stack.postgres, TEST_LEDGER)
    random = Random(20)
    async with (
        RunningLedger(own_stack.kafka, own_stack.postgres, "own.", workers_at_start=0, relays=True) as ledger,
        following(ledger, OutTopic.LEDGER, "read_committed") as committed,
        following(ledger, OutTopic.LEDGER, "read_uncommitted") as uncommitted,
        following(ledger, OutTopic.BALANCE, "read_committed") as balances,
    ):
        await _compact_soon(ledger)
        async with _load(ledger):
            # when workers are killed at random points, some hang and wake up later, and Kafka goes and comes back
            for kill in range(1, KILLS + 1):
                point = random.choice(ALL_POINTS)
                await _killed(ledger, point, random.randint(1, RARE.get(point, HITS_MAX)))
                if kill in ZOMBIES_AFTER:
                    await _woken(ledger, random.choice(RELAY_POINTS[1:3]), random.randint(1, HITS_MAX))
                if kill == KAFKA_KILLED_AFTER:
                    await own_stack.kill_kafka()
                    await own_stack.start_kafka()
                if kill == KAFKA_STOPPED_AFTER:
                    await own_stack.stop_kafka()
                    await own_stack.start_kafka()
        ledger.start_worker()
        await ledger.settled()
        await relayed(ledger)
        for follower in (committed, uncommitted, balances):
            await follower.caught_up()

        # then both have all entries in order, the one that reads uncommitted by skipping what it has seen
        booked: defaultdict[int, list[int]] = defaultdict(list)
        for entry in await ledger.entries():
            booked[entry["shard"]].append(entry["seq"])
        assert all(len(seqs) == seqs[-1] for seqs in booked.values())
        assert _seqs(committed) == booked
        assert _without_seen(_seqs(uncommitted)) == booked
        assert _seqs(uncommitted) != booked  # some transactions were aborted: there was something to skip

        # and each person's last balance is the ledger's, also where compaction has removed the earlier ones
        await _compacted(ledger, balances)
        await assert_published(ledger)
    await assert_ledger_sound(own_stack.postgres)


# --- what happens -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _load(ledger: RunningLedger) -> AsyncIterator[None]:
    """Events all the time while the block runs."""
    over = asyncio.Event()

    async def send() -> None:
        for part in chunks(list(Scenario(Random(41), events=EVENTS_MAX, beneficiaries=40)), EVENTS_AT_ONCE):
            await ledger.send_all(part)
            if over.is_set():
                return
            await asyncio.sleep(POLL_SECONDS)
        raise AssertionError("the load ended before the faults did")

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        over.set()
        await sending


async def _killed(ledger: RunningLedger, point: str, hit: int) -> None:
    """A worker that dies at this point."""
    doomed = start_faulty_worker(ledger.kafka, ledger.postgres, ledger.prefix, point, hit)
    try:
        assert -await asyncio.to_thread(doomed.wait, FAULT_SECONDS_MAX) == signal.SIGKILL, point
    finally:
        doomed.kill()
    await ledger.database.execute(LEASES_RUN_OUT)  # rather than waiting until they do


async def _woken(ledger: RunningLedger, point: str, hit: int) -> None:
    """A worker that hangs at this point, wakes up after another has published, and tries to go on."""
    zombie = start_faulty_worker(ledger.kafka, ledger.postgres, ledger.prefix, point, hit, Fault.STOP)
    try:
        await stopped(zombie)
        before = await _published_batches(ledger)
        await ledger.database.execute(LEASES_RUN_OUT)
        heir = ledger.start_worker()
        await _further(ledger, before)
        zombie.send_signal(signal.SIGCONT)
        await _further(ledger, await _published_batches(ledger))
        await heir.stop()
        ledger.workers.remove(heir)
        zombie.terminate()
        assert await asyncio.to_thread(zombie.wait, FAULT_SECONDS_MAX) == 0, point
    finally:
        zombie.kill()
    await ledger.database.execute(LEASES_RUN_OUT)


async def _published_batches(ledger: RunningLedger) -> dict[int, int]:
    rows = await ledger.database.fetch("select shard, batch from redress.relay")
    return {row["shard"]: row["batch"] for row in rows}


async def _further(ledger: RunningLedger, before: dict[int, int]) -> None:
    """Wait until every shard's relay has published more."""
    async with asyncio.timeout(FAULT_SECONDS_MAX):
        while True:
            now = await _published_batches(ledger)
            if all(now.get(shard, 0) > before.get(shard, 0) for shard in range(ledger.identity.shards)):
                return
            await asyncio.sleep(POLL_SECONDS)


async def _compact_soon(ledger: RunningLedger) -> None:
    topic = ledger.prefix + OutTopic.BALANCE.value
    async with kafka_admin(ledger.kafka) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(COMPACT_SOON))])


# --- what was seen ----------------------------------------------------------------------------------------------------


def _seqs(follower: Follower) -> dict[int, list[int]]:
    return {
        shard: [event["data"]["seq"] for _, _, event in records if event["type"] == ENTRY]
        for shard, records in follower.seen.items()
    }


def _without_seen(seqs: dict[int, list[int]]) -> dict[int, list[int]]:
    """By the contract's rule: what was seen is skipped, and what comes then must be the next."""
    kept: dict[int, list[int]] = {}
    for shard, found in seqs.items():
        kept[shard] = []
        for seq in found:
            if seq <= len(kept[shard]):
                continue
            assert seq == len(kept[shard]) + 1, f"shard {shard} misses entries before {seq}"
            kept[shard].append(seq)
    return kept


async def _compacted(ledger: RunningLedger, followed: Follower) -> None:
    """Wait until the log cleaner has removed records of every partition; only older ones of their key are gone."""
    async with asyncio.timeout(COMPACTED_SECONDS_MAX):
        while True:
            left = (await published(ledger, OutTopic.BALANCE)).partitions
            removed = {shard: len(records) - len(left[shard]) for shard, records in followed.seen.items()}
            if min(removed.values()) > 0:
                break
            await asyncio.sleep(POLL_SECONDS)
    for shard, records in followed.seen.items():
        last = {key: event for _, key, event in records}
        assert dict(left[shard]) == last
        assert len(left[shard]) < len(records)
