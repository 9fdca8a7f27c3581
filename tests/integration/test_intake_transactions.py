"""Producers that write to the inputs in Kafka transactions: what was aborted never was, and markers are no records."""

import asyncio
import json

from aiokafka import AIOKafkaProducer

from redress.contracts.partitioner import partition_of
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import PROGRAMME, SECOND, START, Events, Record, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_ledger import POLL_SECONDS, SETTLE_SECONDS_MAX, RunningLedger
from tests.oracle.event import GRANTED, WITHDRAWN

SHARD = 1
PERSON, OTHER, NOBODY = people_of_shard(3, SHARD, TEST_LEDGER.shards)


async def test_what_was_aborted_is_not_taken_and_what_follows_is(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events, never = Events(), Events(wave="never")
    async with (
        RunningLedger(stack.kafka, database, topic_prefix) as ledger,
        _transactions(ledger, "one") as one,
        _transactions(ledger, "other") as other,
    ):
        # given transactions on the control topic and on one of people, of which some were aborted, and one goes on
        await _send(one, ledger, events.begin())
        await _send(one, ledger, [never.opened(), events.granted(NOBODY)], aborts=True)
        await _send(one, ledger, [events.granted(PERSON)])
        await other.begin_transaction()
        await _produce(other, ledger, [events.granted(OTHER)])
        await _send(one, ledger, [never.opened(), events.enrolled(PERSON)], aborts=True)
        await _send(one, ledger, [events.withdrawn(PERSON), events.tick(START + SECOND)])

        # then what was committed before it is taken, and nothing behind it
        await _books(ledger, [(GRANTED, PERSON)])

        # and when it ends, what waited behind it
        await other.commit_transaction()
        await _books(ledger, [(GRANTED, PERSON), (GRANTED, OTHER), (WITHDRAWN, PERSON)])
        assert [row["wave"] for row in await ledger.view("wave")] == [events.wave]
        assert await ledger.dead_letters() == []
    await assert_ledger_sound(database)


def _transactions(ledger: RunningLedger, name: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=ledger.kafka, transactional_id=f"{ledger.prefix}{name}")


async def _send(
    producer: AIOKafkaProducer, ledger: RunningLedger, records: list[Record], *, aborts: bool = False
) -> None:
    await producer.begin_transaction()
    await _produce(producer, ledger, records)
    await (producer.abort_transaction() if aborts else producer.commit_transaction())


async def _produce(producer: AIOKafkaProducer, ledger: RunningLedger, records: list[Record]) -> None:
    for topic, event in records:
        key = event["partitionkey"].encode()
        partition = partition_of(key, 1 if topic == PROGRAMME else ledger.identity.shards)
        await producer.send_and_wait(ledger.prefix + topic, json.dumps(event).encode(), key=key, partition=partition)


async def _books(ledger: RunningLedger, wanted: list[tuple[str, str]]) -> None:
    """Wait until it has booked that: Kafka answers a commit before readers see what it committed. And nothing more."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while len(await _booked(ledger)) < len(wanted):  # noqa: ASYNC110 - a worker does it
            await asyncio.sleep(POLL_SECONDS)
    await ledger.settled()
    assert await _booked(ledger) == wanted


async def _booked(ledger: RunningLedger) -> list[tuple[str, str]]:
    """Type and beneficiary of what was decided about people."""
    return [(e["cause"]["type"], e["beneficiary"]) for e in await ledger.entries(SHARD) if e["beneficiary"]]
