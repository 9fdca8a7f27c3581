"""Bounds that hold on a running ledger: bytes of a batch, what falls due in one, shards of a worker."""

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from redress.domain.event import Topic
from redress.intake import batch_decider, shard_writer, source, worker
from redress.intake.batch_log import DatabaseLog
from redress.intake.replay import Replay
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import DAY, PROGRAMME, Events, Record, people, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.recovery import content, empty_ledger
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario

BYTES_MAX = 4_000
PADDING = 20_000
DUE_MAX = 5
WAIT_SECONDS_MAX = 20
EPOCHS = "select shard, epoch from redress.head order by shard"


async def test_a_batch_is_bounded_in_bytes_whatever_its_records_are(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BATCH_BYTES_MAX", BYTES_MAX)
    monkeypatch.setattr(shard_writer, "BATCH_BYTES_MAX", BYTES_MAX)
    events = Events(source="/large")
    crowd = people_of_shard(6, 1, 4)
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        await ledger.send_all(Scenario(Random(41), events=150, beneficiaries=8))
        for person in crowd:  # some larger than the bound, which come alone
            topic, event = events.granted(person)
            await ledger.send(topic, {**event, "padding": "x" * PADDING})
        for number in range(40):
            await ledger.send(PROGRAMME, events.published(version=number + 1)[1])
        ledger.start_worker()
        await ledger.settled()

        sizes = {
            (s.topic, s.partition, s.offset): PADDING if s.event and "padding" in s.event else 200 for s in ledger.sent
        }
        for shard in range(4):
            for batch in await ledger.batch_log(shard):
                taken = [
                    sizes.get((topic.value, 0 if topic is Topic.PROGRAMME else shard, offset), 0)
                    for topic in Topic
                    for offset in range(batch[f"{topic.name.lower()}_from"], batch[f"{topic.name.lower()}_offset"])
                ]
                large = [size for size in taken if size == PADDING]
                assert sum(taken) - sum(large) < 3 * BYTES_MAX
                assert len(large) <= 1
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_what_falls_due_goes_on_over_bounded_batches_before_anything_new_is_taken(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given grants that wait for their wave, of which a batch of what falls due holds a few
    monkeypatch.setattr(batch_decider, "DUE_MAX", DUE_MAX)
    events = Events()
    *crowd, stranger, newcomer = people_of_shard(20, 1, 4)
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all([events.published(), events.tick(), *map(events.granted, crowd)])
        await ledger.settled()
        epochs = await ledger.database.fetch(EPOCHS)
        batches = len(await _sizes(ledger))

        # when it opens, and something new comes right behind it
        await ledger.send_all([events.opened(), events.granted(newcomer)])
        await ledger.settled()

        # then all of them come first, after the wave itself
        assert (await _sizes(ledger))[batches:] == [5, 5, 5, 4, 1]
        assert (await ledger.entries(1))[-1]["beneficiary"] == newcomer

        # and when a tick lets holds and parked facts fall due
        await ledger.send_all(record for person in crowd for record in (events.issued(person), events.claimed(person)))
        await ledger.settled()
        await ledger.send_all(events.requested(person, "r-1", 1_000) for person in crowd)
        await ledger.send_all(events.recorded(stranger, f"r-{number}", 1_000) for number in range(11))
        await ledger.settled()
        batches = len(await _sizes(ledger))
        await ledger.send_all([events.tick(events.at + DAY), events.enrolled(newcomer)])
        await ledger.settled(WAIT_SECONDS_MAX)

        # then those do
        assert (await _sizes(ledger))[batches:] == [5, 5, 5, 5, 5, 4, 1]
        assert (await ledger.entries(1))[-1]["beneficiary"] == newcomer

        # and where one batch was just enough, it is known that nothing is left
        await ledger.send_all(events.recorded(stranger, f"r-last-{number}", 1_000) for number in range(DUE_MAX))
        await ledger.settled()
        batches = len(await _sizes(ledger))
        await ledger.send_all([events.tick(events.at + DAY)])
        await ledger.settled(WAIT_SECONDS_MAX)
        assert (await _sizes(ledger))[batches:] == [DUE_MAX, 0]
        assert await ledger.database.fetch(EPOCHS) == epochs
        await assert_agrees(ledger)
    await assert_ledger_sound(database)

    # and a replay cuts where the first run did
    async with empty_ledger(stack) as target:
        await Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER).run()
        assert await content(target) == await content(database)


async def test_what_falls_due_is_gone_on_with_by_the_next_owner(
    stack: Stack, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_decider, "DUE_MAX", DUE_MAX)
    parked = "select count(*) from redress.parked"
    held = "select count(*) from redress.redemption where status = 'held'"
    events, crowd, identity = Events(), people(5 * DUE_MAX), replace(TEST_LEDGER, shards=1)
    async with (
        empty_ledger(stack, identity) as database,
        RunningLedger(stack.kafka, database, topic_prefix, identity) as ledger,
    ):
        await ledger.send_all([events.published(), events.tick(), *map(events.granted, crowd)])
        await ledger.settled()

        # when a worker ends in the middle of what a wave has woken
        await _taken_by_a_worker_that_ends(ledger, events.opened())
        assert 0 < await ledger.database.fetchval(parked) < len(crowd)

        # then the next one goes on with it, though no topic tells it anything more
        ledger.start_worker()
        await ledger.settled(WAIT_SECONDS_MAX)
        assert await ledger.database.fetchval(parked) == 0

        # and so where a tick has let holds time out
        await ledger.send_all(record for person in crowd for record in (events.issued(person), events.claimed(person)))
        await ledger.settled()
        await ledger.send_all(events.requested(person, "r-1", 1_000) for person in crowd)
        await ledger.settled()
        await _taken_by_a_worker_that_ends(ledger, events.tick(events.at + DAY))
        assert 0 < await ledger.database.fetchval(held) < len(crowd)
        ledger.start_worker()
        await ledger.settled(WAIT_SECONDS_MAX)
        assert await ledger.database.fetchval(held) == 0
        await assert_agrees(ledger)
        await assert_ledger_sound(database)


async def _taken_by_a_worker_that_ends(ledger: RunningLedger, record: Record) -> None:
    """Send a record to a worker of its own, which is told to end when it has appended a batch."""
    await ledger.stop_workers()
    await ledger.send_all([record])
    doomed = ledger.start_worker(lambda point: doomed.stopping.set() if point == "answered" else None)
    await doomed.task
    ledger.workers.remove(doomed)


async def _sizes(ledger: RunningLedger) -> list[int]:
    """Entries and dead letters of each batch of shard 1."""
    letters = Counter(row["batch"] for row in await ledger.dead_letters() if row["shard"] == 1)
    return [b["next_seq"] - b["first_seq"] + letters[b["batch"]] for b in await ledger.batch_log(1)]


async def test_a_worker_takes_no_more_shards_than_it_has_connections_for(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SHARDS_MAX", 3)
    owned = "select count(*) from redress.lease where owner is not null"
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await _until(ledger, owned, 3)
        opened = await ledger.database.fetchval(
            "select count(*) from pg_stat_activity "
            "where datname = current_database() and application_name like 'redress-shard-%'"
        )
        assert opened <= 3
        ledger.start_worker()
        await _until(ledger, owned, 4)


async def _until(ledger: RunningLedger, question: str, answer: int) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while (found := await ledger.database.fetchval(question)) != answer:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.05)
