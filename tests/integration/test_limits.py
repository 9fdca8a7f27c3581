"""Bounds that hold on a running ledger: bytes of a batch, shards of a worker."""

import asyncio
from random import Random

import pytest

from redress.domain.event import Topic
from redress.intake import shard_writer, source, worker
from redress.runtime.local import Stack
from tests.harness.events import PROGRAMME, Events, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario

BYTES_MAX = 4_000
PADDING = 20_000
WAIT_SECONDS_MAX = 20


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
