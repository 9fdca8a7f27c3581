"""What a ledger published: up to which batch, when, and how many bytes that is on Kafka's disk."""

import asyncio
import time
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.registry import OutTopic
from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.people import SHARDS
from tests.benchmarks.processes import BenchmarkError

POLL_SECONDS: Final = 0.1
READ_MS: Final = 200
LAST_RECORDS: Final = 4
"""How far before its end a partition is read: its last marker, and the transaction's own."""


async def published_all(ledger: BenchLedger, seconds_max: float) -> float:
    """Wait until every batch is published; when the broker took the last one, in seconds since 1970."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=ledger.servers.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        deadline = time.monotonic() + seconds_max
        while True:
            rows = await ledger.connection.fetch("select shard, batch from redress.head")
            wanted = {row["shard"]: row["batch"] for row in rows}
            markers = await _last_markers(ledger, consumer)
            if {shard: batch for shard, (batch, _) in markers.items()} == wanted:
                return max(taken_at for _, taken_at in markers.values())
            if time.monotonic() > deadline:
                raise BenchmarkError(f"not everything was published after {seconds_max:.0f} s")
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await consumer.stop()


async def _last_markers(ledger: BenchLedger, consumer: AIOKafkaConsumer) -> dict[int, tuple[int, float]]:
    """By shard: batch and time of the last marker on `redress.ledger`."""
    topic = ledger.servers.topic_prefix + OutTopic.LEDGER.value
    partitions = [TopicPartition(topic, shard) for shard in range(SHARDS)]
    ends = await consumer.end_offsets(partitions)
    consumer.assign(partitions)
    for partition, end in ends.items():
        consumer.seek(partition, max(0, end - LAST_RECORDS))
    found: dict[int, tuple[int, float]] = {}
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for partition, records in (await consumer.getmany(timeout_ms=READ_MS)).items():
            for record in records:
                if record.key is not None and record.key.startswith(b"shard/") and record.value is not None:
                    batch = orjson.loads(record.value)["data"]["batch"]
                    found[partition.partition] = batch, record.timestamp / 1000
    return found


def topic_bytes(ledger: BenchLedger) -> dict[str, int]:
    """Bytes of the log segments of `redress.ledger` and `redress.balance`."""
    return {
        topic.value: sum(
            segment.stat().st_size
            for segment in ledger.stack.kafka_logs.glob(f"{ledger.servers.topic_prefix}{topic.value}-*/*.log")
        )
        for topic in (OutTopic.LEDGER, OutTopic.BALANCE)
    }
