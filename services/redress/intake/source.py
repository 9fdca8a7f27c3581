"""A shard's records from Kafka: assigned and sought, never subscribed; positions come from the head."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from redress.domain.event import Topic
from redress.intake.record import Record
from redress.ledger.head import Position

PERSONAL_TOPICS = (Topic.ELIGIBILITY, Topic.ISSUANCE, Topic.REDEMPTION)
FETCH_BYTES_MAX = 5 * 256 * 1024
"""Per partition and fetch, as its producers compressed it: some thousands of events, and never less than one record of
the largest size a topic takes. More would only lie in memory until its batch comes, once for each of them."""
BATCH_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of keys and values that one fetch gives to a batch: four times what a full batch of usual events has. Records
of the largest size would else make a batch of half a gigabyte, several times that while it is decoded."""
FETCH_WAIT_MS = 250
"""How long a fetch of an idle shard waits at the broker; records end the wait at once."""
START_SECONDS_MAX = 30
"""How long Kafka may take to answer before the shard is given up for now."""


class ShardSource:
    """The four partitions a shard reads, on a consumer of its own, so that shards do not wait for each other."""

    def __init__(self, bootstrap: str, prefix: str, shard: int, group: str) -> None:
        self._partitions = {
            topic: TopicPartition(prefix + topic.value, 0 if topic is Topic.PROGRAMME else shard) for topic in Topic
        }
        self._topics = {partition: topic for topic, partition in self._partitions.items()}
        # The group is a hint for lag tools only: offsets are the head's, and a consumer that is told where to read
        # never falls back to "earliest" or "latest".
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def start(self, position: Position) -> None:
        """Connect, and stand where the head says."""
        async with asyncio.timeout(START_SECONDS_MAX):
            await self._consumer.start()
        self._consumer.assign(list(self._partitions.values()))
        self._consumer.pause(*self._partitions.values())
        self.seek(position)

    def seek(self, position: Position) -> None:
        """Stand at these offsets; what was fetched beyond them is fetched again."""
        for topic, offset in zip(Topic, position, strict=True):
            self._consumer.seek(self._partitions[topic], offset)

    async def position(self) -> Position:
        """Next offsets to read; past transaction markers, unlike the last record's offset plus one."""
        return Position(*[await self._consumer.position(self._partitions[topic]) for topic in Topic])

    async def fetch(self, topics: Sequence[Topic], *, timeout_ms: int, records_max: int) -> list[Record]:
        """Records of these topics, in their order and then by offset. An empty list after `timeout_ms`.

        At most `records_max`, and at most BATCH_BYTES_MAX but for a first one that is larger; what is left comes next.

        Kafka is asked only meanwhile. A consumer that read ahead would soon ask for partitions without unread records
        alone, and a broker answers nothing else before that question has been answered or has waited FETCH_WAIT_MS.
        """
        partitions = [self._partitions[topic] for topic in topics]
        self._consumer.resume(*partitions)
        try:
            found = await self._consumer.getmany(*partitions, timeout_ms=timeout_ms, max_records=records_max)
        finally:
            self._consumer.pause(*partitions)
        records = [_record(topic, record) for topic in topics for record in found.get(self._partitions[topic], [])]
        taken = _within(records, BATCH_BYTES_MAX)
        for topic, first_left in {record.topic: record.offset for record in reversed(records[taken:])}.items():
            self._consumer.seek(self._partitions[topic], first_left)
        return records[:taken]

    async def commit_hint(self, position: Position) -> None:
        """Tell Kafka how far the ledger is, for lag tools; nothing of ours reads it, so a failure is nobody's."""
        offsets = {self._partitions[topic]: offset for topic, offset in zip(Topic, position, strict=True)}
        try:
            await self._consumer.commit(offsets)
        except KafkaError:
            return

    async def stop(self) -> None:
        """Leave Kafka."""
        await self._consumer.stop()


def _within(records: Sequence[Record], bytes_max: int) -> int:
    """How many of them have so many bytes; one at least."""
    size = 0
    for number, record in enumerate(records):
        size += record.size
        if size > bytes_max and number:
            return number
    return len(records)


def _record(topic: Topic, record: "ConsumerRecord[bytes | None, bytes | None]") -> Record:
    return Record(topic, record.partition, record.offset, record.key, record.value)
