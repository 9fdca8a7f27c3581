"""What the relay publishes is what the ledger holds: complete, in order, once; under kills and zombies too."""

import asyncio
import signal
from random import Random
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from redress.contracts.registry import OutTopic
from redress.domain.event import Topic
from redress.ledger.connection import WRITER_ROLE, connect
from redress.relay.relay import Relay
from redress.runtime.local import Stack
from tests.harness.faulty_worker import RELAY_POINTS, start_faulty_worker
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.published import Published, published
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import Scenario

ENTRY, MARKER = "redress.entry.appended.v1", "redress.batch.committed.v1"
DECISION, LETTER = "redress.redemption.decided.v1", "redress.record.dead_lettered.v1"
DIE_SECONDS_MAX = 30
RELAY_SECONDS_MAX = 30
LEASES_RUN_OUT = """
update redress.lease set lease_until = '-infinity';
update redress.worker set alive_until = '-infinity';
"""


async def relayed(ledger: RunningLedger) -> None:
    """Wait until the last marker of every shard is its last batch."""
    deadline = asyncio.get_running_loop().time() + RELAY_SECONDS_MAX
    while True:
        heads = {row["shard"]: row["batch"] for row in await ledger.view("position")}
        topic = await published(ledger, OutTopic.LEDGER)
        markers = {m["shard"]: m["batch"] for m in topic.events(MARKER)}
        if all(markers.get(shard, 0) == batch for shard, batch in heads.items()):
            return
        assert asyncio.get_running_loop().time() < deadline, f"published {markers} of {heads}"


async def assert_published(ledger: RunningLedger) -> None:
    """Everything the ledger holds is on its topics, in order and once."""
    topic = await published(ledger, OutTopic.LEDGER)
    _assert_complete(topic, await ledger.entries())
    _assert_skip_rule(await published(ledger, OutTopic.LEDGER, "read_uncommitted"), topic)
    await _assert_markers(ledger, topic)
    await _assert_decisions(ledger)
    await _assert_balances(ledger)
    await _assert_letters(ledger)


def _assert_complete(topic: Published, booked: list[dict[str, Any]]) -> None:
    found = topic.events(ENTRY)
    assert [(e["shard"], e["seq"]) for e in found] == [(e["shard"], e["seq"]) for e in booked]
    for entry, data in zip(booked, found, strict=True):
        assert data["outcome"] == entry["outcome"]
        assert data["reason"] == entry["reason"]
        assert data["cause"] == entry["cause"]
        assert data["beneficiary"] == entry["beneficiary"]
        assert data["terms_version"] == entry["terms_version"]
        assert data["redemption"] == entry["redemption"]
        assert [_line(line) for line in data["lines"]] == [_line(line) for line in entry["lines"]]


def _line(line: dict[str, Any]) -> dict[str, Any]:
    """A line without its time, which is text on one side."""
    return {name: value for name, value in line.items() if name != "effective_at"}


def _assert_skip_rule(uncommitted: Published, committed: Published) -> None:
    """Who reads uncommitted and skips what it has seen misses nothing and takes nothing that is not in the ledger."""
    for partition, records in uncommitted.partitions.items():
        seen: dict[int, dict[str, Any]] = {}
        for _, event in records:
            if event["type"] == ENTRY:
                seen.setdefault(event["data"]["seq"], event["data"])
        wanted = [e["data"] for _, e in committed.partitions[partition] if e["type"] == ENTRY]
        assert [seen[seq] for seq in sorted(seen)] == wanted


async def _assert_markers(ledger: RunningLedger, topic: Published) -> None:
    for shard in range(ledger.identity.shards):
        log = await ledger.batch_log(shard)
        markers = [event["data"] for _, event in topic.partitions[shard] if event["type"] == MARKER]
        assert [(m["batch"], m["first_seq"], m["next_seq"], m["digest"]) for m in markers] == [
            (row["batch"], row["first_seq"], row["next_seq"], row["digest"].hex()) for row in log
        ]
        assert [tuple(m["offsets"].values()) for m in markers] == [
            tuple(row[f"{t.name.lower()}_offset"] for t in Topic) for row in log
        ]


async def _assert_decisions(ledger: RunningLedger) -> None:
    decisions = (await published(ledger, OutTopic.DECISION)).events(DECISION)
    answered = await ledger.database.fetch(
        "select shard, seq from redress.journal where kind >= 13 or kind = 6 order by shard, seq"
    )
    assert [(d["shard"], d["seq"]) for d in decisions] == [tuple(row) for row in answered]


async def _assert_balances(ledger: RunningLedger) -> None:
    latest = (await published(ledger, OutTopic.BALANCE)).latest()
    shown = {
        row["voucher"]: (row["available"], row["held"], row["redeemed"], row["forfeited"], row["version"])
        for (_, key), event in latest.items()
        if not key.startswith("lot/")
        for row in event["data"]["vouchers"]
    }
    lots = {key: event["data"] for (_, key), event in latest.items() if key.startswith("lot/")}
    held = {row["voucher"]: row for row in await ledger.view("voucher_balance")}
    assert shown.keys() == held.keys()
    for voucher, (available, on_hold, redeemed, forfeited, version) in shown.items():
        row = held[voucher]
        is_open = lots[f"lot/{row['programme']}/{row['wave']}/{row['benefit']}"]["state"] == "open"
        assert (row["held"], row["redeemed"], row["forfeited"], row["version"]) == (
            on_hold,
            redeemed,
            forfeited,
            version,
        )
        if is_open:
            assert row["available"] == available
    for shard in range(ledger.identity.shards):
        assert {key for (p, key) in latest if p == shard and key.startswith("lot/")} == lots.keys()


async def _assert_letters(ledger: RunningLedger) -> None:
    letters = (await published(ledger, OutTopic.DEAD_LETTER)).events(LETTER)
    kept = [
        (ledger.prefix + row["topic"], row["record_partition"], row["record_offset"], row["reason"], row["size"])
        for row in await ledger.dead_letters()
    ]
    found = [(x["topic"], x["partition"], x["offset"], x["reason"], x["size"]) for x in letters]
    assert sorted(found) == sorted(kept)


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
            died_by = await asyncio.to_thread(doomed.wait, DIE_SECONDS_MAX)
            assert -died_by == signal.SIGKILL, point
            await ledger.database.execute(LEASES_RUN_OUT)  # rather than waiting until they do
        await ledger.send_all(record for part in parts[len(RELAY_POINTS) :] for record in part)
        ledger.start_worker()
        await ledger.settled()
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
