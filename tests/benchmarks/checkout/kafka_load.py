"""An open loop over Kafka: sends at a rate whatever comes back, and reads the answers uncommitted.

Run as `python -m tests.benchmarks.checkout.kafka_load OPTIONS`, a `KafkaLoad` as JSON; the same for Redress and for
the floor.
"""

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from redress.contracts.partitioner import partition_of
from tests.benchmarks.checkout.requests import requested
from tests.benchmarks.checkout.samples import WARM_UP_SECONDS, Sample, hand_back, sample

STRAGGLER_SECONDS_MAX: Final = 60
"""How long after the last request answers are waited for."""


@dataclass(frozen=True, slots=True)
class KafkaLoad:
    """Where to, how fast, how long; and which requests of the run."""

    kafka: str
    requests: str
    answers: str
    partitions: int
    rate: int
    seconds: float
    first: int
    persons: int

    @property
    def number(self) -> int:
        return int(self.rate * (WARM_UP_SECONDS + self.seconds))


async def load(options: KafkaLoad) -> Sample:
    events = list(requested(options.first, options.number, options.persons))
    records = [
        (
            event["id"],
            event["partitionkey"].encode(),
            orjson.dumps(event),
            partition_of(event["partitionkey"].encode(), options.partitions),
        )
        for event in events
    ]
    producer = AIOKafkaProducer(bootstrap_servers=options.kafka, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.kafka, isolation_level="read_uncommitted", enable_auto_commit=False
    )
    await producer.start()
    await consumer.start()
    try:
        partitions = [TopicPartition(options.answers, n) for n in range(options.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        due: dict[str, float] = {}
        answered: dict[str, float] = {}

        async def listen() -> None:
            while len(answered) < options.number:
                for found in (await consumer.getmany(timeout_ms=1_000)).values():
                    now = time.perf_counter()
                    for record in found:
                        cause = orjson.loads(record.value)["data"]["cause"]["id"]
                        if cause in due:
                            answered.setdefault(cause, now - due[cause])

        listening = asyncio.create_task(listen())
        start = time.perf_counter() + 0.5
        for n, (name, key, value, partition) in enumerate(records):
            due[name] = start + n / options.rate
            if (early := due[name] - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            await producer.send(options.requests, value, key=key, partition=partition)
        with suppress(TimeoutError):
            await asyncio.wait_for(listening, STRAGGLER_SECONDS_MAX)
    finally:
        await consumer.stop()
        await producer.stop()
    counted = [name for name, *_ in records[int(WARM_UP_SECONDS * options.rate) :]]
    return sample([answered[name] for name in counted if name in answered], sum(n not in answered for n in counted))


if __name__ == "__main__":
    hand_back(uvloop.run(load(KafkaLoad(**orjson.loads(sys.argv[1])))))
