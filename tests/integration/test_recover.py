"""`redress recover`: a lost ledger comes back to the byte, from its database's log or from its own topic."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from redress.domain.event import Topic
from redress.intake.batch_log import DatabaseLog, ReplayError
from redress.intake.replay import Replay
from redress.intake.source import PERSONAL_TOPICS, ShardSource
from redress.ledger.connection import connect
from redress.ledger.shard_ledger import DigestError, LoggedBatch
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, kafka_admin
from tests.harness.command import Command, environment_of
from tests.harness.events import DAY, ELIGIBILITY, REDEMPTION, START, Events, Record, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.recovery import assert_same, copy_inputs, copy_of, empty_ledger
from tests.harness.relayed import assert_published, relayed
from tests.harness.running_ledger import RunningLedger, chunks
from tests.harness.streams import facts_alone
from tests.oracle.scenario import Scenario

RUBBISH = b"{"
WAIT_SECONDS_MAX = 30


@pytest.fixture
async def target(stack: Stack) -> AsyncIterator[str]:
    async with empty_ledger(stack) as dsn:
        yield dsn


@pytest.fixture
def redress(
    stack: Stack,
    target: str,
    topic_prefix: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    return Command(environment_of(stack, target, topic_prefix, tmp_path), capsys, monkeypatch)


async def _run(ledger: RunningLedger, seed: int, events: int = 250) -> None:
    """A scenario cut into many batches, with a record that is none."""
    for records in chunks(list(Scenario(Random(seed), events=events, beneficiaries=15)), 100):
        await ledger.send_all(records)
        await ledger.settled()
    await ledger.send_raw(REDEMPTION, 2, b"nobody", RUBBISH)
    await ledger.settled()


async def test_recovered_from_the_log_of_its_database(
    stack: Stack, database: str, target: str, topic_prefix: str, redress: Command
) -> None:
    # given a ledger that lived, in which the bytes of a dead letter were erased
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await _run(ledger, 6)
        await ledger.database.execute(
            "update redress.dead_letter set key = null, value = null, erased_at = now() where record_partition = 2"
        )
    source = ("recover", "--from", database)

    # when it is planned
    planned = await redress(*source, "--json")
    shown = await redress(*source)

    # then nothing was done
    assert (planned.status, shown.status) == (0, 0)
    plan = planned.json
    assert (plan["executed"], plan["missing"], plan["from"]) == (False, 0, "database")
    assert [(s["done"], s["logged"] > 3, s["records"] > 10) for s in plan["shards"]] == [(0, True, True)] * 4
    assert "--execute" in shown.out

    # and when it is done, the ledger is the same
    done = await redress(*source, "--execute", "--json")
    assert (done.status, done.json["batches"]) == (0, sum(shard["logged"] for shard in plan["shards"]))
    await assert_same(database, target)
    await assert_ledger_sound(target)
    assert (await redress("verify", "--all", "--rebuild")).status == 0

    # and once more there is nothing to do
    again = await redress(*source, "--execute", "--json")
    assert (again.status, again.json["batches"]) == (0, 0)


async def test_recovered_from_its_own_topic_and_published_on_without_repeating(
    stack: Stack, database: str, target: str, topic_prefix: str, redress: Command
) -> None:
    events = list(Scenario(Random(16), events=400, beneficiaries=15))
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        for records in chunks(events[:200], 100):
            await ledger.send_all(records)
            await ledger.settled()
        await ledger.send_raw(REDEMPTION, 2, b"nobody", RUBBISH)
        await ledger.settled()
        await relayed(ledger)

    done = await redress("recover", "--execute", "--json")

    assert (done.status, done.json["from"]) == (0, "topic")
    await assert_same(database, target)
    await assert_ledger_sound(target)
    async with RunningLedger(stack.kafka, target, topic_prefix, relays=True) as recovered:
        recovered.sent = list(ledger.sent)
        await recovered.send_all(events[200:])
        await recovered.settled()
        await relayed(recovered)
        await assert_published(recovered)
        await assert_agrees(recovered)
    await assert_ledger_sound(target)


async def test_a_backup_that_is_behind_what_was_published_is_brought_up_to_it(
    stack: Stack, database: str, topic_prefix: str, redress: Command
) -> None:
    # given a ledger that went on after its backup
    events = list(Scenario(Random(18), events=250, beneficiaries=10))
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(events[:150])
        await ledger.send_raw(REDEMPTION, 2, b"nobody", RUBBISH)
        await ledger.settled()
        await relayed(ledger)
    async with copy_of(stack, database) as backup:
        async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
            await ledger.send_all(events[150:])
            await ledger.settled()
            await relayed(ledger)

        # when a worker is started on the backup, its shards stop
        async with RunningLedger(stack.kafka, backup, topic_prefix, relays=True) as restored:
            await until(restored, "select count(*) from redress.stopped where reason = 'ledger_topic_ahead'", 4)

        # and a recovery takes it to where the topic is, and lets them run
        planned = await redress("recover", "--json", REDRESS_POSTGRES=backup)
        assert all(0 < shard["done"] < shard["logged"] for shard in planned.json["shards"])
        done = await redress("recover", "--execute", "--json", REDRESS_POSTGRES=backup)
        assert done.status == 0
        await assert_same(database, backup)
        async with RunningLedger(stack.kafka, backup, topic_prefix, relays=True) as restored:
            await restored.send(*Events(source="/after").tick(START + 90 * DAY))
            await restored.settled()
            assert await restored.database.fetchval("select count(*) from redress.stopped") == 0
            await relayed(restored)
        await assert_ledger_sound(backup)


async def until(ledger: RunningLedger, question: str, answer: int) -> None:
    """Wait until the question has this answer."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while (found := await ledger.database.fetchval(question)) != answer:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.05)


async def test_interrupted_in_the_middle_it_goes_on_there(
    stack: Stack, database: str, target: str, topic_prefix: str, redress: Command
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await _run(ledger, 7)
    seen: list[tuple[int, int]] = []

    def interrupt(shard: int, logged: LoggedBatch) -> None:
        seen.append((shard, logged.batch))
        if len(seen) == 7:
            running.cancel()

    replay = Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER)
    running = asyncio.create_task(replay.run(interrupt))
    with pytest.raises(asyncio.CancelledError):
        await running

    # then the leases are given back, and two processes at once do the rest, each its shards
    assert len(seen) == 7
    assert await ledger_of(target, "select count(*) from redress.lease where lease_until > now()") == 0
    half = Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER, [1, 3])
    _, done = await asyncio.gather(
        half.run(lambda shard, logged: seen.append((shard, logged.batch))),
        redress("recover", "--from", database, "--shard", "0", "--shard", "2", "--execute", "--json"),
    )
    logged = await ledger_of(database, "select count(*) from redress.batch")
    assert (done.status, done.json["batches"] + len(seen)) == (0, logged)
    assert len(set(seen)) == len(seen)
    await assert_same(database, target)


async def ledger_of(dsn: str, question: str) -> object:
    """The answer of one of the ledgers."""
    connection = await connect(dsn, application_name="test")
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_a_log_that_was_tampered_with_is_named(
    stack: Stack, database: str, target: str, topic_prefix: str, redress: Command
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await _run(ledger, 9, events=150)
        await ledger.database.execute("set session_replication_role = replica")
        await ledger.database.execute(
            "update redress.batch set digest = sha256('another') where shard = 1 and batch = 3"
        )

    done = await redress("recover", "--from", database, "--execute")

    assert done.status == 1
    assert "shard 1, batch 3: another digest than the log's came out; it took redress." in done.err
    assert "goes on there" in done.err


async def test_a_record_that_was_tampered_with_is_named(
    stack: Stack, database: str, target: str, topic_prefix: str
) -> None:
    events = Events()
    persons = people(12)
    other = f"{topic_prefix}other."
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(events.begin())
        await ledger.settled()
        await ledger.send_all(chain.from_iterable(events.welcomed(person) for person in persons))
        await ledger.settled()
        fact = events.recorded(persons[5], "r-1", 7000)
        [sent] = await ledger.send(*fact)
        await ledger.settled()
        batch = (await ledger.batch_log(sent.partition))[-1]
    line = json.dumps(fact[1]).encode()
    assert b'"amount": 7000' in line
    await copy_inputs(stack.kafka, topic_prefix, other, (REDEMPTION, b'"amount": 7000', b'"amount": 6000'))

    with pytest.raises(DigestError) as raised:
        await Replay(stack.kafka, other, DatabaseLog(database), target, TEST_LEDGER).run()

    at = sent.offset
    assert f"shard {sent.partition}, batch {batch['batch']}:" in str(raised.value)
    assert f"it took redress.redemption {at} to {at + 1}" in str(raised.value)


async def test_records_that_kafka_has_no_more_are_missed_before_anything_is_done(
    stack: Stack, database: str, target: str, topic_prefix: str, redress: Command
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await _run(ledger, 10, events=120)
    async with kafka_admin(stack.kafka) as admin:
        partition = TopicPartition(topic_prefix + Topic.ELIGIBILITY.value, 2)
        await admin.delete_records({partition: RecordsToDelete(before_offset=3)})

    done = await redress("recover", "--from", database, "--execute", "--json")

    assert (done.status, done.json["executed"], done.json["missing"]) == (1, False, 3)
    problems = [shard["problem"] for shard in done.json["shards"]]
    assert [problem is None for problem in problems] == [True, True, False, True]
    assert f"{ELIGIBILITY}/2 has 3 to" in problems[2]
    assert (await redress("recover", "--from", database)).status == 1


async def test_what_cannot_be_the_log_of_this_ledger_is_refused(
    stack: Stack, database: str, target: str, topic_prefix: str, redress: Command
) -> None:
    async with RunningLedger(stack.kafka, target, topic_prefix, workers_at_start=0):
        itself = await redress("recover", "--from", target)
        nonsense = await redress("recover", "--from", "backup.tar")
        shard = await redress("recover", "--shard", "4")
        nothing = await redress("recover", "--json")
        async with empty_ledger(stack, replace(TEST_LEDGER, name="another")) as another:
            foreign = await redress("recover", "--from", another)

    assert [r.status for r in (itself, nonsense, shard, foreign)] == [2, 2, 2, 2]
    assert "target itself" in itself.err
    assert "neither" in nonsense.err
    assert "no shard 4" in shard.err
    assert "another" in foreign.err
    assert (nothing.status, nothing.json["missing"]) == (0, 0)


async def test_a_target_with_a_worker_is_left_alone(
    stack: Stack, database: str, target: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redress.intake.replay.LEASE_WAIT_SECONDS_MAX", 1)
    async with RunningLedger(stack.kafka, target, topic_prefix) as serving:
        await serving.send_all(Events().begin())
        await serving.settled()

        with pytest.raises(ReplayError, match=f"is served by {serving.workers[0].worker.name}: stop it first"):
            await Replay(stack.kafka, topic_prefix, DatabaseLog(target), target, TEST_LEDGER).run()


async def test_another_cut_of_the_same_topics_ends_in_the_same_balances(
    stack: Stack, database: str, target: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = ("voucher_balance", "outstanding_liability", "account_balance", "wave")
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        for records in chunks(facts_alone(people(30)), 60):
            await ledger.send_all(records)
            await ledger.settled()
        first = {name: _sorted(await ledger.view(name)) for name in figures}
        log = [len(await ledger.batch_log(shard)) for shard in range(4)]
    monkeypatch.setattr(ShardSource, "fetch", _few_of_some(Random(19)))
    async with RunningLedger(stack.kafka, target, topic_prefix) as again:
        await again.settled()
        second = {name: _sorted(await again.view(name)) for name in figures}
        other_log = [len(await again.batch_log(shard)) for shard in range(4)]

    assert log != other_log
    assert second == first
    assert len(first["voucher_balance"]) == 120
    await assert_ledger_sound(target)


def _few_of_some(random: Random) -> Callable[..., Awaitable[list[Record]]]:
    """Reads a few records at a time, and of the topics about people any but at least one."""
    fetch = ShardSource.fetch

    async def shuffled(self: ShardSource, topics: Sequence[Topic], *, timeout_ms: int, records_max: int) -> Any:
        if len(topics) > 1:
            some = random.sample(PERSONAL_TOPICS, random.randint(1, len(PERSONAL_TOPICS)))
            topics = [topic for topic in topics if topic is Topic.PROGRAMME or topic in some]
        return await fetch(self, topics, timeout_ms=timeout_ms // 10, records_max=random.randint(1, 9))

    return shuffled


def _sorted(rows: list[dict[str, object]]) -> list[str]:
    return sorted(str({name: value for name, value in row.items() if name != "version"}) for row in rows)
