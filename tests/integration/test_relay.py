"""What the relay publishes is what the ledger holds: complete, in order, once; under kills and zombies too."""

import asyncio
import signal
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from redress.contracts.registry import OutTopic
from redress.ledger.appended import AppendedBatch
from redress.ledger.connection import WRITER_ROLE, connect
from redress.relay import group
from redress.relay.events import Outgoing
from redress.relay.group import Group, GroupReader
from redress.relay.relay import Relay
from redress.runtime.local import Stack
from tests.harness.events import Events, people
from tests.harness.faulty_worker import RELAY_POINTS, died_by, start_faulty_worker
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.published import published
from tests.harness.relayed import DECISION, ENTRY, MARKER, RELAY_SECONDS_MAX, assert_published, relayed
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger, chunks
from tests.oracle.scenario import EURO, WON, Scenario

DIE_SECONDS_MAX = 30
LEASES_RUN_OUT = """
update redress.lease set lease_until = '-infinity';
update redress.worker set alive_until = '-infinity';
"""


async def test_everything_in_the_ledger_is_published_once_and_in_order(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = list(Scenario(Random(31), events=600, beneficiaries=16))
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(events[:300])
        await ledger.send_raw("redress.redemption", 0, b"x", b"not json")
        await ledger.send_all(events[300:])
        await ledger.settled()
        await relayed(ledger)

        await assert_published(ledger)

        # and once nothing more comes, the relay is seen to lag by nothing
        behind = (
            "select max(head.batch - coalesce(relay.batch, 0)) from redress.head left join redress.relay using (shard)"
        )
        async with asyncio.timeout(RELAY_SECONDS_MAX):
            while await ledger.database.fetchval(behind):  # noqa: ASYNC110 - the relay has no event of ours to set
                await asyncio.sleep(POLL_SECONDS)
    await assert_ledger_sound(database)


async def test_batches_handed_over_by_the_writer_are_what_the_ledger_has_of_them(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_over: list[tuple[int, Sequence[AppendedBatch], list[Outgoing]]] = []
    group_of = GroupReader.group_of

    async def noted(self: GroupReader, handed: Sequence[AppendedBatch]) -> Group:
        found = await group_of(self, handed)
        handed_over.append((found.outgoing[-1].partition, handed, found.outgoing))
        return found

    monkeypatch.setattr(GroupReader, "group_of", noted)
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        for some in chunks(list(Scenario(Random(32), events=400, beneficiaries=12)), 4):
            await ledger.send_all(some)  # one batch is not about everybody, as a large one is
            await ledger.settled()
        await relayed(ledger)
        await assert_published(ledger)

        kinds = set()
        for shard, handed, outgoing in handed_over:
            # when the ledger is asked for just these batches, however late
            monkeypatch.setattr(group, "GROUP_BATCHES_MAX", len(handed))
            reader = GroupReader(ledger.identity, topic_prefix, shard, ledger.database)
            read = await reader.next_group(handed[0].row["batch"] - 1)

            # then it has the same, byte by byte, but for the balances of people who have changed since
            assert read is not None
            assert read.last_batch == handed[-1].row["batch"]
            balances = [record for record in read.outgoing if record.topic is OutTopic.BALANCE]
            assert [r for r in outgoing if r.topic is not OutTopic.BALANCE or r in balances] == read.outgoing
            kinds |= {orjson.loads(record.value)["type"] for record in read.outgoing}
        assert kinds >= {ENTRY, MARKER, DECISION, "redress.beneficiary.balance.v1"}
    await assert_ledger_sound(database)


async def test_who_reads_committed_does_not_wait_for_more_to_come(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redress.relay.relay.OPEN_SECONDS", 10 * RELAY_SECONDS_MAX)
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all([*events.begin(), *events.welcomed(people(1)[0])])
        await ledger.settled()

        await relayed(ledger)

        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_decision_names_the_order_of_its_own_programme_and_carries_the_trace(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given one person with a redemption of the same id in two programmes
    won, euro = Events(WON), Events(EURO, source="/test/eu")
    (person,) = people(1)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all([won.published(), won.opened(), euro.published(), euro.opened(), won.tick()])
        await ledger.send_all([*won.welcomed(person), euro.granted(person), euro.issued(person)])
        asked = [won.requested(person, "r-1", 9_000), euro.requested(person, "r-1", 900, "ride")]
        for number, (_, event) in enumerate(asked):
            event["data"] |= {"order": f"o-{number}", "service": "travel"}
        await ledger.send_all(asked)

        # when both are captured
        captured = [won.captured(person, "r-1", 9_000), euro.captured(person, "r-1", 900, "ride")]
        for _, event in captured:
            event["traceparent"] = trace
        await ledger.send_all(captured)
        await ledger.settled()
        await relayed(ledger)

        # then each answer has its own order, and leads back to what asked for it
        topic = await published(ledger, OutTopic.DECISION)
        answers = [event for part in topic.partitions.values() for _, event in part if event.get("traceparent")]
        assert [(a["data"]["outcome"], a["data"]["order"], a["traceparent"]) for a in answers] == [
            ("accepted", "o-0", trace),
            ("accepted", "o-1", trace),
        ]
        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_balance_and_a_lot_carry_the_trace_of_what_changed_them(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    won = Events(WON)
    traced, plain = people(2)
    claim, revocation = (f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{n}-01" for n in (1, 2))
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        records = [*won.begin(), *won.welcomed(plain), *won.welcomed(traced), won.lot_revoked("beauty")]
        records[-2][1]["traceparent"], records[-1][1]["traceparent"] = claim, revocation
        await ledger.send_all(records)
        await ledger.settled()
        await relayed(ledger)

        latest = (await published(ledger, OutTopic.BALANCE)).latest()
        traces = {key: event.get("traceparent") for (_, key), event in latest.items()}
        assert (traces[traced], traces[plain]) == (claim, None)
        lot = f"lot/{won.programme}/{won.wave}"
        assert (traces[f"{lot}/beauty"], traces[f"{lot}/travel"]) == (revocation, None)
        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_worker_killed_at_any_point_of_publishing_loses_and_repeats_nothing(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = list(Scenario(Random(32), events=700, beneficiaries=16))
    parts = list(chunks(events, len(events) // (len(RELAY_POINTS) + 1)))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0, relays=True) as ledger:
        for point, records, hit in zip(RELAY_POINTS, parts, (1, 3, 2, 4, 1), strict=False):
            await ledger.send_all(records)
            doomed = start_faulty_worker(stack.kafka, database, topic_prefix, point, hit)
            assert await died_by(doomed, DIE_SECONDS_MAX) == signal.SIGKILL, point
            await ledger.database.execute(LEASES_RUN_OUT)  # rather than waiting until they do
        await ledger.send_all(record for part in parts[len(RELAY_POINTS) :] for record in part)
        ledger.start_worker()
        await ledger.settled()
        await relayed(ledger)

        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_worker_killed_while_few_events_come_at_a_time_loses_and_repeats_nothing(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    """Such batches go to the relay from hand to hand, and its successor reads them from the ledger."""
    events = list(Scenario(Random(34), events=500, beneficiaries=12))

    async def trickle() -> None:
        for some in chunks(events[150:], 3):
            await ledger.send_all(some)
            await ledger.settled()

    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0, relays=True) as ledger:
        await ledger.send_all(events[:150])
        trickling = asyncio.create_task(trickle())  # which uses the ledger's connection
        leases = await connect(database, application_name="test")
        for point, hit in zip(RELAY_POINTS[1:4], (6, 7, 3), strict=True):
            doomed = start_faulty_worker(stack.kafka, database, topic_prefix, point, hit)
            assert await died_by(doomed, DIE_SECONDS_MAX) == signal.SIGKILL, point
            await leases.execute(LEASES_RUN_OUT)
        await leases.close()
        assert not trickling.done()
        ledger.start_worker()
        await trickling
        await relayed(ledger)

        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_relay_that_was_taken_over_publishes_nothing_more(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given a shard whose relay has an open transaction, as a process that hangs would leave it
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0, relays=True) as ledger:
        await ledger.send_all(list(Scenario(Random(33), events=200, beneficiaries=8)))
        zombie = AIOKafkaProducer(
            bootstrap_servers=stack.kafka, transactional_id=f"{topic_prefix}redress-{ledger.identity.name}-relay-0"
        )
        await zombie.start()
        await zombie.begin_transaction()
        topic = topic_prefix + OutTopic.LEDGER.value
        await zombie.send_and_wait(topic, orjson.dumps(_made_up_marker()), key=b"shard/0", partition=0)

        # when another owner begins to publish
        ledger.start_worker()
        await ledger.settled()
        await relayed(ledger)

        # then the old one cannot commit, and its record is not there
        with pytest.raises(Exception, match=r"(?i)fenced|epoch"):
            await zombie.commit_transaction()
        await zombie.stop()
        await assert_published(ledger)


def _made_up_marker() -> dict[str, Any]:
    """What a read_uncommitted consumer sees of a transaction that will be aborted."""
    offsets = {"programme": 0, "eligibility": 0, "issuance": 0, "redemption": 0}
    data = {
        "ledger": "main",
        "shard": 0,
        "batch": 999,
        "first_seq": 1,
        "next_seq": 1,
        "offsets": offsets,
        "recorded_at": "2026-01-01T00:00:00Z",
        "rules_version": 1,
        "digest": "0" * 64,
    }
    return {"type": MARKER, "partitionkey": "shard/0", "data": data}


async def test_a_shard_whose_topic_is_ahead_of_its_database_refuses_to_run(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given a database that lost its last batch of shard 0, as one restored from a backup
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(list(Scenario(Random(34), events=150, beneficiaries=8)))
        await ledger.settled()
        await relayed(ledger)
        await ledger.stop_workers()
        await ledger.database.execute("set session_replication_role = replica")
        await ledger.database.execute(
            "delete from redress.batch where shard = 0 and batch = (select batch from redress.head where shard = 0)"
        )

        # when its worker starts
        ledger.start_worker()

        # then the shard stands still and says why
        deadline = asyncio.get_running_loop().time() + RELAY_SECONDS_MAX
        while (row := await ledger.database.fetchrow("select * from redress.stopped where shard = 0")) is None:
            assert asyncio.get_running_loop().time() < deadline
        assert row["reason"] == "ledger_topic_ahead"
        assert "database does not have it" in row["detail"]
        assert await ledger.database.fetchval("select count(*) from redress.stopped") == 1


async def test_prepare_passes_a_ledger_that_never_published(stack: Stack, database: str, topic_prefix: str) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        connection = await connect(database, application_name="test", role=WRITER_ROLE)
        await Relay(stack.kafka, topic_prefix, ledger.identity).prepare(0, connection)
        await connection.close()
