"""The batch log as `redress.ledger` tells it: the marker that ends every batch."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from redress.contracts.dead_letter import RecordDeadLettered
from redress.contracts.ledger import BatchCommitted
from redress.contracts.registry import OutTopic
from redress.domain.event import Coordinates, Topic
from redress.domain.step import REFUSED_LATE
from redress.intake.batch_decider import REFUSED_BY_DATABASE
from redress.intake.batch_log import Erasure, LogEnd, ReplayError, SetAside, check_rules
from redress.intake.source import START_SECONDS_MAX
from redress.ledger.head import Position
from redress.ledger.identity import LedgerIdentity
from redress.ledger.shard_ledger import LoggedBatch

MARKER: Final = "redress.batch.committed.v1"
START: Final = Position(0, 0, 0, 0)
"""Where the first batch of a ledger begins."""
UNREADABLE = (orjson.JSONDecodeError, KeyError, TypeError, ValidationError)
READ_MS = 1_000
"""How long one fetch waits."""
TAIL_OFFSETS = 64
"""How far from the end the last marker is looked for first: it ends a group, so that little stands behind it."""


class MarkerLog:
    """The log in `redress.ledger`; committed transactions only.

    It has what the relay published, which may be a little less than the lost database had. What was erased of dead
    letters it does not tell.
    """

    def __init__(self, kafka: str, topic_prefix: str, identity: LedgerIdentity) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._identity = identity
        self._letters: list[tuple[Coordinates, str]] | None = None

    async def check(self, identity: LedgerIdentity) -> None:
        """Each marker says whose it is."""

    async def end(self, shard: int) -> LogEnd | None:
        """What the topic has of the shard."""
        partition = self._partition(shard)
        async with self._consumer() as consumer:
            begin, end = await _bounds(consumer, partition)
            last = await self._last(consumer, partition, begin, end)
            if last is None:
                return None
            async for first in self._markers(consumer, partition, begin, end):
                return LogEnd(first.batch, last.batch, _position(last))
        return None

    async def batches(self, shard: int, after: int) -> AsyncGenerator[LoggedBatch, None]:
        """The batches after a given one; the topic is read from its beginning, as nobody knows where they stand."""
        partition = self._partition(shard)
        async with self._consumer() as consumer:
            begin, end = await _bounds(consumer, partition)
            start, expected = START, 1
            async for marker in self._markers(consumer, partition, begin, end):
                if marker.batch != expected:
                    raise ReplayError(f"shard {shard}: no marker of batch {expected}, but one of batch {marker.batch}")
                check_rules(shard, marker.batch, marker.rules_version)
                if marker.batch > after:
                    digest = bytes.fromhex(marker.digest)
                    position = _position(marker)
                    yield LoggedBatch(marker.batch, start, position, marker.next_seq, marker.recorded_at, digest)
                start, expected = _position(marker), expected + 1

    async def set_aside(self, shard: int) -> SetAside:
        """Records that Postgres refused, as far back as `redress.dead-letter` goes."""
        if self._letters is None:
            self._letters = [letter async for letter in self._read_refused()]
        return SetAside.of(
            (at, detail) for at, detail in self._letters if at.partition == shard or at.topic is Topic.PROGRAMME
        )

    async def erased(self, shard: int) -> list[Erasure]:  # noqa: ARG002 - the signature is the log's
        """Nothing: that bytes were erased is not published."""
        return []

    def _partition(self, shard: int) -> TopicPartition:
        return TopicPartition(self._prefix + OutTopic.LEDGER.value, shard)

    async def _last(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int
    ) -> BatchCommitted | None:
        """The last marker, looked for in ever longer tails: aborted transactions may stand behind it."""
        tail = TAIL_OFFSETS
        while True:
            last = None
            async for marker in self._markers(consumer, partition, max(begin, end - tail), end):
                last = marker
            if last is not None or end - tail <= begin:
                return last
            tail *= 8

    async def _markers(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int
    ) -> AsyncIterator[BatchCommitted]:
        async for record in _records(consumer, partition, begin, end):
            if record.key is not None and record.key.startswith(b"shard/"):
                where = _where(partition, record)
                marker = read_marker(where, record.value)
                if (marker.ledger, marker.shard) != (self._identity.name, partition.partition):
                    raise ReplayError(f"{where} is of ledger {marker.ledger}, shard {marker.shard}")
                yield marker

    async def _read_refused(self) -> AsyncIterator[tuple[Coordinates, str]]:
        partition = TopicPartition(self._prefix + OutTopic.DEAD_LETTER.value, 0)
        async with self._consumer() as consumer:
            async for record in _records(consumer, partition, *await _bounds(consumer, partition)):
                letter = read_letter(_where(partition, record), record.value)
                if letter.detail in {REFUSED_BY_DATABASE, REFUSED_LATE}:
                    topic = Topic(letter.topic.removeprefix(self._prefix))
                    yield Coordinates(topic, letter.partition, letter.offset), letter.detail

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            client_id="redress-recover",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        try:
            await asyncio.wait_for(consumer.start(), START_SECONDS_MAX)
            yield consumer
        finally:
            await consumer.stop()


def read_marker(where: str, value: bytes | None) -> BatchCommitted:
    """The marker in a record of `redress.ledger`.

    Raises:
        ReplayError: it is none, or cannot be read.
    """
    try:
        event = orjson.loads(value or b"")
        if event["type"] != MARKER:
            raise ReplayError(f"{where} has the key of a marker and is none")
        return BatchCommitted.model_validate(event["data"])
    except UNREADABLE as error:
        raise ReplayError(f"{where} is not a marker that can be read: {type(error).__name__}") from None


def read_letter(where: str, value: bytes | None) -> RecordDeadLettered:
    """What a record of `redress.dead-letter` tells.

    Raises:
        ReplayError: it cannot be read.
    """
    try:
        return RecordDeadLettered.model_validate(orjson.loads(value or b"")["data"])
    except UNREADABLE as error:
        raise ReplayError(f"{where} is not a dead letter that can be read: {type(error).__name__}") from None


def _where(partition: TopicPartition, record: Any) -> str:
    return f"{partition.topic}/{partition.partition}/{record.offset}"


async def _bounds(consumer: AIOKafkaConsumer, partition: TopicPartition) -> tuple[int, int]:
    begin = (await consumer.beginning_offsets([partition]))[partition]
    end = (await consumer.end_offsets([partition]))[partition]
    return int(begin), int(end)


async def _records(consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int) -> AsyncIterator[Any]:
    consumer.assign([partition])
    consumer.seek(partition, begin)
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=READ_MS)).get(partition, []):
            if record.offset < end:
                yield record


def _position(marker: BatchCommitted) -> Position:
    offsets = marker.offsets
    return Position(offsets.programme, offsets.eligibility, offsets.issuance, offsets.redemption)
