"""What the clock brings about over the real path: issue from a wave's start, time-outs, the end of parking, lapse."""

import asyncio
import json
import threading

from aiokafka import AIOKafkaProducer

from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import (
    DAY,
    ELIGIBILITY,
    HOUR,
    ISSUANCE,
    PROGRAMME,
    REDEMPTION,
    SECOND,
    START,
    Envelope,
    Events,
    Record,
    people,
    people_of_shard,
)
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger, Sent

OPENS = START + 2 * HOUR
CLOSES = START + 10 * DAY
TTL = 900 * SECOND

MEMBERS = people(6, seed=1)
FORMER = people(2, seed=2)
NOBODY = people(1, seed=3)[0]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _issued(ledger: RunningLedger) -> dict[str, tuple[str, str | None]]:
    """Beneficiary → when issued, and on whose trace, of what the issuance process has sent since the last look."""
    sent = await ledger.adopt(ISSUANCE)
    return {event["data"]["beneficiary"]: (event["time"], event.get("traceparent")) for event in sent}


def _traced(record: Record, trace: str) -> Record:
    record[1]["traceparent"] = trace
    return record


async def _outcomes(ledger: RunningLedger, kind: str) -> list[tuple[str, str | None]]:
    return [(e["outcome"], e["reason"]) for e in await ledger.entries() if e["cause"]["type"] == kind]


async def test_a_programme_from_its_first_grant_to_its_last_day(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=2, issues=True) as ledger:
        parked = "select count(*) from redress.parked"

        # Grants of a wave that is not open yet wait for it.
        await ledger.send_all([events.published(), events.tick()])
        await ledger.send_all([_traced(events.granted(person), TRACE) for person in MEMBERS[:4]])
        await ledger.send_all([events.granted(person, "former_member") for person in FORMER])
        await ledger.settled()
        assert await ledger.database.fetchval(parked) == 6

        # It opens, and they drain; it is not valid yet, so nothing is issued.
        await ledger.send_all([events.opened(OPENS, CLOSES), events.tick(START + HOUR)])
        await ledger.send_all([events.granted(person) for person in MEMBERS[4:]])
        await ledger.settled()
        assert await ledger.database.fetchval(parked) == 0
        assert await _outcomes(ledger, "redress.eligibility.granted.v1") == [("accepted", None)] * 8
        assert await _issued(ledger) == {}

        # From its first instant on members are issued at once, former members once they have enrolled.
        await ledger.send_all([events.tick(OPENS)])
        await ledger.settled()
        # What asked for them is carried on.
        at, late = "2026-01-09T17:00:00Z", "2026-01-09T18:00:00Z"
        assert await _issued(ledger) == dict.fromkeys(MEMBERS[:4], (at, TRACE)) | dict.fromkeys(MEMBERS[4:], (at, None))
        await ledger.send_all([events.tick(OPENS + HOUR), _traced(events.enrolled(FORMER[0]), TRACE)])
        await ledger.settled()
        assert await _issued(ledger) == {FORMER[0]: (late, TRACE)}
        assert await _outcomes(ledger, "redress.voucher.issued.v1") == [("accepted", None)] * 7

        # Holds that nobody captures are released a minute after their end.
        await ledger.send_all([events.claimed(person) for person in MEMBERS])
        await ledger.send_all([events.requested(person, "r-1", 12_000) for person in MEMBERS[:3]])
        await ledger.send_all([events.captured(MEMBERS[0], "r-1", 12_000)])
        await ledger.settled()
        await ledger.send_all([events.tick(events.at + TTL + 59 * SECOND)])
        await ledger.settled()
        held = "select count(*) from redress.redemption where status = 'held'"
        assert await ledger.database.fetchval(held) == 2
        await ledger.send_all([events.tick(events.at + SECOND)])
        await ledger.settled()
        assert await ledger.database.fetchval(held) == 0

        # A fact about what never comes is honoured without cover, or set aside, when its parking ends.
        await ledger.send_all([events.recorded(NOBODY, "r-2", 700), events.claimed(NOBODY), events.enrolled(NOBODY)])
        await ledger.settled()
        assert await ledger.database.fetchval(parked) == 3
        await ledger.send_all([events.tick(events.at + DAY)])
        await ledger.settled()
        assert await ledger.database.fetchval(parked) == 0
        assert {(row["topic"], row["reason"]) for row in await ledger.dead_letters()} == {
            (REDEMPTION, "parked_too_long"),
            (ELIGIBILITY, "parked_too_long"),
        }
        accounts = {(row["wave"], row["account"]): row["balance"] for row in await ledger.view("account_balance")}
        assert accounts["unknown", "exception"] == -700

        # On the last day everything left lapses; one hold is still there, and goes with its time-out.
        await ledger.send_all([events.tick(CLOSES - 60 * SECOND), events.requested(MEMBERS[5], "r-3", 9_000)])
        await ledger.settled()
        await ledger.send_all([events.tick(CLOSES)])
        await ledger.settled()
        assert sum(row["outstanding"] for row in await ledger.view("outstanding_liability")) == 9_000
        await ledger.send_all([events.tick(CLOSES + DAY)])
        await ledger.settled()
        assert sum(row["outstanding"] for row in await ledger.view("outstanding_liability")) == 0
        assert await _issued(ledger) == {}

        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_what_reaches_the_programme_topic_while_a_batch_is_fetched_counts_before_it(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given grants on every shard, of a wave that is opened only when a worker has fetched them
    events = Events()
    shards = range(TEST_LEDGER.shards)
    crowd = [person for shard in shards for person in people_of_shard(3, shard, TEST_LEDGER.shards)]
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all([events.published(), events.tick()])
        await ledger.settled()
        await ledger.stop_workers()
        await ledger.send_all([events.granted(person) for person in crowd])
        topic, opened = events.opened()

        def open_wave(point: str) -> None:
            if point == "fetched" and ledger.sent[-1].topic != PROGRAMME:
                # From a thread of its own: the worker's loop must not go on before Kafka has it.
                sending = _produce(stack.kafka, topic_prefix + topic, opened)
                produced = threading.Thread(target=asyncio.run, args=(sending,))
                produced.start()
                produced.join()
                ledger.sent.append(Sent(topic, 0, 2, opened))

        # when the worker reads them
        ledger.start_worker(open_wave)
        await ledger.settled()

        # then nobody had to wait for the wave
        assert await _outcomes(ledger, "redress.eligibility.granted.v1") == [("accepted", None)] * len(crowd)
        arrivals = await ledger.database.fetch("select next_arrival from redress.head")
        assert [row["next_arrival"] for row in arrivals] == [1] * TEST_LEDGER.shards
    await assert_ledger_sound(database)


async def _produce(kafka: str, topic: str, event: Envelope) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, json.dumps(event).encode(), key=event["partitionkey"].encode())
    finally:
        await producer.stop()
