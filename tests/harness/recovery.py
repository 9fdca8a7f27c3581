"""Ledgers to recover into, and what must be the same in both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from redress.domain.event import Topic
from redress.ledger.connection import connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from redress.runtime.topics import apply_topics
from tests.conftest import TEST_LEDGER, with_database

SAME: Final = {
    "batch": "select * from redress.batch order by shard, batch",
    "journal": "select v.*, j.fingerprint from finance.journal v join redress.journal j using (shard, seq) "
    "order by shard, seq, line",
    "state": "select * from redress.state order by shard, beneficiary",
    "redemption": "select * from redress.redemption order by shard, beneficiary, programme, redemption",
    "lot": "select * from redress.lot order by shard, no",
    "rollup": "select * from redress.rollup order by shard, lot, posting, effective_day, recorded_day",
    "parked": "select * from redress.parked order by shard, arrival",
    "dead letters": "select * from redress.dead_letter order by shard, topic, record_offset",
}
"""Everything but the numbers of sources, which are given in the order in which shards ask for them."""


@asynccontextmanager
async def empty_ledger(stack: Stack, identity: LedgerIdentity = TEST_LEDGER) -> AsyncIterator[str]:
    """The URL of another ledger, migrated and empty."""
    name = f"redress_test_{uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres)
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        dsn = with_database(stack.postgres, name)
        await asyncio.to_thread(migrate, dsn, identity)
        yield dsn
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


@asynccontextmanager
async def copy_of(stack: Stack, dsn: str) -> AsyncIterator[str]:
    """The URL of a copy of a ledger nobody is connected to: a backup."""
    name = f"redress_test_{uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres)
    try:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{dsn.rpartition("/")[2]}"')
        yield with_database(stack.postgres, name)
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


async def content(dsn: str) -> dict[str, list[str]]:
    """All rows by table, in their order."""
    connection = await connect(dsn, application_name="test")
    try:
        return {name: [str(tuple(row)) for row in await connection.fetch(sql)] for name, sql in SAME.items()}
    finally:
        await connection.close()


async def assert_same(one: str, other: str) -> None:
    """Both ledgers hold the same rows, and none of the tables is empty."""
    expected, found = await content(one), await content(other)
    for name, rows in expected.items():
        assert rows, name
        assert found[name] == rows, name


async def copy_inputs(kafka: str, prefix: str, other: str, tamper: tuple[str, bytes, bytes]) -> None:
    """The input topics once more under another prefix, offset by offset, with one text in one topic replaced."""
    await apply_topics(kafka, other, TEST_LEDGER.shards)
    topic_of_text, text, replaced_by = tamper
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="none")
    await producer.start()
    await consumer.start()
    places = {
        TopicPartition(prefix + topic.value, number): (topic, number)
        for topic in Topic
        for number in range(1 if topic is Topic.PROGRAMME else TEST_LEDGER.shards)
    }
    tampered = 0
    try:
        ends = await consumer.end_offsets(list(places))
        consumer.assign(list(places))
        for partition in places:
            consumer.seek(partition, 0)
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                topic, number = places[partition]
                for record in records:
                    value = record.value
                    if topic == topic_of_text and text in value:
                        value = value.replace(text, replaced_by)
                        tampered += 1
                    sent = await producer.send(other + topic.value, value, key=record.key, partition=number)
                assert (await sent).offset == records[-1].offset
    finally:
        await consumer.stop()
        await producer.stop()
    assert tampered == 1
