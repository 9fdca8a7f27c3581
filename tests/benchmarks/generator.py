"""A process that puts events on Kafka: `python -m tests.benchmarks.generator KIND FIRST END NUMBER`.

All stand in one open transaction, which nobody sees yet: it says `ready`, waits for a line on standard input, commits,
and says `done`. So a whole load is on Kafka before the first record of it can be read, and the moment is known.
"""

import asyncio
import sys
from collections.abc import Iterator
from itertools import islice

from aiokafka import AIOKafkaProducer

from redress.contracts.bulk import send_in_bulk
from redress.contracts.encode import Record
from redress.contracts.partitioner import partitions_of
from redress.domain.event import Topic
from redress.intake.worker import Servers
from redress.runtime.settings import load_settings
from redress.runtime.wiring import BATCH_BYTES_MAX, servers_by_address
from tests.benchmarks.people import KINDS, SHARDS

TRANSACTION_MS = 60_000
"""What the broker allows at most, so all of a load must be sent in this time."""
AT_ONCE = 20_000
"""Records that are made before they are sent."""


async def generate(servers: Servers, kind: str, first: int, end: int, number: int) -> None:
    """Send the events of people `first` to `end`, as one transaction that waits for its word."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers.kafka,
        transactional_id=f"{servers.topic_prefix}generator-{number}",
        transaction_timeout_ms=TRANSACTION_MS,
        max_batch_size=BATCH_BYTES_MAX,
    )
    await producer.start()
    try:
        async with producer.transaction():
            await _send(producer, servers.topic_prefix, KINDS[kind](first, end))
            print("ready", flush=True)  # noqa: T201 - the protocol
            if not await asyncio.to_thread(sys.stdin.readline):
                raise EOFError("whoever began this is gone")
        print("done", flush=True)  # noqa: T201
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, prefix: str, records: Iterator[Record]) -> None:
    """Many at a time, each partition's together: several times as fast as record by record."""
    while some := list(islice(records, AT_ONCE)):
        places: dict[tuple[Topic, int], list[tuple[bytes, bytes]]] = {}
        for record, partition in zip(some, partitions_of([r.key for r in some], SHARDS), strict=True):
            places.setdefault((record.topic, partition), []).append((record.key, record.value))
        await asyncio.gather(
            *(send_in_bulk(producer, prefix + topic.value, n, found) for (topic, n), found in places.items())
        )


if __name__ == "__main__":
    kind, first, end, number = sys.argv[1], *map(int, sys.argv[2:])
    asyncio.run(generate(servers_by_address(load_settings()), kind, first, end, number))
