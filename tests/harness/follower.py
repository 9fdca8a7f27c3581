"""A consumer that follows a topic while it is written, as a checkout or a warehouse would, and notes what it saw."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.registry import OutTopic
from tests.harness.published import Isolation
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger

CATCH_UP_SECONDS_MAX = 60


@dataclass(slots=True)
class Follower:
    """What was seen so far: (offset, key, event) by partition, in order."""

    consumer: AIOKafkaConsumer
    partitions: list[TopicPartition]
    seen: dict[int, list[tuple[int, str, dict[str, Any]]]] = field(default_factory=dict)

    async def follow(self) -> None:
        """Read until cancelled; Kafka may go and come back meanwhile."""
        while True:
            for partition, records in (await self.consumer.getmany(timeout_ms=200)).items():
                self.seen.setdefault(partition.partition, []).extend(
                    (record.offset, record.key.decode(), orjson.loads(record.value)) for record in records
                )

    async def caught_up(self) -> None:
        """Wait until it has read to the topic's end as it is now."""
        ends = await self.consumer.end_offsets(self.partitions)
        async with asyncio.timeout(CATCH_UP_SECONDS_MAX):
            for partition, end in ends.items():
                while True:
                    if await self.consumer.position(partition) >= end:
                        break
                    await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def following(ledger: RunningLedger, topic: OutTopic, isolation: Isolation) -> AsyncIterator[Follower]:
    """A follower from the topic's beginning on, until the block ends."""
    partitions = [TopicPartition(ledger.prefix + topic.value, n) for n in range(ledger.identity.shards)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=ledger.kafka, isolation_level=isolation, auto_offset_reset="none", enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    follower = Follower(consumer, partitions)
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()
