"""How a shard reads: nothing makes it wait for records that Kafka has, and a busy one takes several together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from redress.domain.event import Topic
from redress.intake.record import Record
from redress.intake.source import ShardSource
from redress.ledger.head import Position
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import Events, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_ledger import RunningLedger

SHARD = 1
ALL = tuple(Topic)
FOR_EVER_MS = 30_000
"""Longer than any test waits for a record."""
SOON_MS = 10_000
PEOPLE = 20
A_WHILE = 1.2345
"""A time that nothing else sleeps for."""


@asynccontextmanager
async def _source(ledger: RunningLedger) -> AsyncIterator[ShardSource]:
    source = ShardSource(ledger.kafka, ledger.prefix, SHARD, "test")
    await source.start(Position(0, 0, 0, 0))
    try:
        yield source
    finally:
        await source.stop()


async def test_what_was_left_unread_for_a_while_lets_nothing_else_wait(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redress.intake.source.FETCH_WAIT_MS", FOR_EVER_MS)
    events, people = Events(), people_of_shard(3, SHARD, TEST_LEDGER.shards)

    async def take(*topics: Topic) -> Sequence[Record]:
        return await source.fetch(topics, timeout_ms=SOON_MS, records_max=100)

    async with (
        RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger,
        _source(ledger) as source,
    ):
        # given a shard that is behind on a topic about people while it asks for what is new on the programme's
        await ledger.send(*events.granted(people[0]))
        assert [record.offset for record in await take(*ALL)] == [0]
        await ledger.send(*events.granted(people[1]))
        await ledger.send(*events.tick())
        assert [record.topic for record in await take(Topic.PROGRAMME)] == [Topic.PROGRAMME]
        await ledger.send(*events.granted(people[2]))

        # then all reaches it, though nothing more comes to the other topics
        found = list(await take(*ALL))
        if len(found) < 2:
            found += await take(*ALL)
        assert [record.offset for record in found] == [1, 2]


async def test_a_busy_shard_lets_records_gather(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering, enough = asyncio.Event(), asyncio.Event()
    sleep = asyncio.sleep

    async def until_enough(seconds: float, result: object = None) -> object:
        if seconds != A_WHILE:
            return await sleep(seconds, result)
        gathering.set()
        await enough.wait()
        return result

    def after_two(records: int, _took: float) -> float:
        return A_WHILE if records == 2 else 0.0

    monkeypatch.setattr("redress.intake.shard_writer.gather_seconds", after_two)
    monkeypatch.setattr("asyncio.sleep", until_enough)
    events, people = Events(), people_of_shard(PEOPLE + 2, SHARD, TEST_LEDGER.shards)
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        # given a batch of two
        await ledger.send_all([*events.begin(), *(events.granted(person) for person in people[:2])])
        ledger.start_worker()
        try:
            await asyncio.wait_for(gathering.wait(), SOON_MS / 1_000)
            before = len(await ledger.batch_log(SHARD))

            # when more come one by one
            for person in people[2:]:
                await ledger.send(*events.granted(person))
            assert len(await ledger.batch_log(SHARD)) == before
        finally:
            enough.set()  # else the worker would never end
        await ledger.settled()

        # then they are taken together
        assert len(await ledger.batch_log(SHARD)) == before + 1
    await assert_ledger_sound(database)
