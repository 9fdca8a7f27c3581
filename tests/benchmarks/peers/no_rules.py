"""Kafka → msgspec → COPY, without a rule: `python -m tests.benchmarks.peers.no_rules RANGES`.

The simplest honest pipeline that keeps what it reads: one transaction per 8,000 events. RANGES is JSON: where it begins
and ends in each partition. It says `ready`, waits for a line, and says `done` when it has committed all.
"""

import asyncio
import gc
import sys

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from redress.cli.run import COLLECT_AFTER
from redress.domain.event import Topic
from redress.intake.source import FETCH_BYTES_MAX
from redress.runtime.settings import load_settings
from redress.runtime.wiring import servers_by_address
from tests.benchmarks.peers.events import decode, entry_rows, event_row, voucher_rows

EVENTS_MAX = 8_000
"""Events of a transaction."""
Ranges = dict[int, tuple[int, int]]


async def run(ranges: Ranges) -> None:
    """Read these offsets of the issuance topic, and write them."""
    servers = servers_by_address(load_settings())
    connection = await asyncpg.connect(servers.postgres)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers.kafka,
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
    )
    await consumer.start()
    print("ready", flush=True)  # noqa: T201 - the protocol
    await asyncio.to_thread(sys.stdin.readline)
    ends = {
        TopicPartition(servers.topic_prefix + Topic.ISSUANCE.value, shard): end for shard, (_, end) in ranges.items()
    }
    consumer.assign(list(ends))
    for partition in ends:
        consumer.seek(partition, ranges[partition.partition][0])
    seqs = dict.fromkeys(ranges, 1)
    while True:
        positions = [await consumer.position(partition) for partition in ends]
        if all(position >= end for position, end in zip(positions, ends.values(), strict=True)):
            break
        found = await consumer.getmany(timeout_ms=200, max_records=EVENTS_MAX)
        records = [record for of_partition in found.values() for record in of_partition]
        if records:
            await _write(connection, records, seqs)
    print("done", flush=True)  # noqa: T201
    await consumer.stop()
    await connection.close()


async def _write(
    connection: "asyncpg.Connection[asyncpg.Record]",
    records: "list[ConsumerRecord[bytes, bytes]]",
    seqs: dict[int, int],
) -> None:
    events, vouchers, entries = [], [], []
    for record in records:
        shard, event = record.partition, decode(record.value or b"")
        events.append(event_row(shard, event, record.offset))
        vouchers += voucher_rows(shard, event)
        entries += entry_rows(shard, event, seqs[shard])
        seqs[shard] += len(event.data.vouchers)
    columns = ("shard", "id", "source", "type", "beneficiary", "occurred_at", "record_offset")
    async with connection.transaction():
        await connection.copy_records_to_table("event", schema_name="peer", records=events, columns=columns)
        await connection.copy_records_to_table("voucher", schema_name="peer", records=vouchers)
        await connection.copy_records_to_table("entry", schema_name="peer", records=entries)


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    asyncio.run(run({int(shard): tuple(bounds) for shard, bounds in orjson.loads(sys.argv[1]).items()}))
