"""The relay of one shard: from the ledger to Kafka, group by group, in Kafka transactions of whole groups.

Exactly once without a table of what was sent: a group ends with its last batch's marker in the same transaction, so the
topic itself says how far it is. A transaction takes all groups of a moment; who reads uncommitted has each at once. A
new owner's `init_transactions` fences the old one and settles what it left open; only then is the last marker looked
for. Everything published was durable first.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from redress.contracts.bulk import send_in_bulk
from redress.contracts.encode import COMPRESSION
from redress.contracts.registry import OutTopic
from redress.ledger.appended import Appended
from redress.ledger.connection import Connection
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import Checkpoint, FencedError, ShardRefusedError
from redress.relay.events import MARKER, Outgoing
from redress.relay.group import Group, GroupReader
from redress.relay.re_emission import LOOK_SECONDS, ReEmission

OPEN_SECONDS = 0.5
"""How long a transaction takes further groups. Between two, nothing can be sent for some 30 ms, while Kafka writes the
markers of the first. Who reads committed sees a group so much later; who reads uncommitted, all but a few at once."""
QUIET_SECONDS = 0.2
"""A transaction to which nothing has come for so long is ended before: at a calm hour who reads committed waits for no
more. Shorter, and the next decision would more often meet the end of the last transaction."""
HINT_SECONDS = 5
"""How often the hint in Postgres moves: what a new owner reads at most."""
READ_MS = 1_000
"""How long one fetch waits for markers."""
STOP_SECONDS_MAX = 5
"""How long a producer may take to stop: it would wait for a Kafka that is away for as long as that lasts."""
TRANSACTION_MS = 60_000
"""After so long Kafka ends a transaction of a relay that hangs, so that read_committed readers go on."""


AHEAD = "ledger_topic_ahead"
"""Why a shard refuses to run: `redress.ledger` tells of batches that the database does not have."""


@dataclass(frozen=True, slots=True)
class _Marker:
    batch: int
    digest: bytes
    offset: int


class Relay:
    """Relays the shards of one ledger; one producer per shard, as each has a transactional id of its own."""

    def __init__(
        self, kafka: str, topic_prefix: str, identity: LedgerIdentity, reached: Checkpoint = lambda _: None
    ) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._identity = identity
        self._reached = reached
        self._re_emitting = asyncio.Lock()  # one group at a time of all shards: they share a core with what is awaited

    async def prepare(self, shard: int, connection: Connection) -> None:
        """Before the shard is served: see that the database is not behind what was published.

        Raises:
            ShardRefusedError: it is: it was restored from an older backup, say.
        """
        marker = await self._last_marker(shard, connection)
        if marker is None:
            return
        digest = await connection.fetchval(query("batch_digest"), shard, marker.batch)
        if digest is None:
            raise ShardRefusedError(AHEAD, f"batch {marker.batch} was published, and the database does not have it")
        if digest != marker.digest:
            raise ShardRefusedError(AHEAD, f"batch {marker.batch} was published with another digest")

    async def run(self, shard: int, epoch: int, connection: Connection, appended: Appended) -> None:
        """Publish what the shard appends, until cancelled.

        Raises:
            FencedError: the shard has a new owner.
        """
        try:
            async with self._producer(shard) as producer:
                await self._publish(shard, connection, producer, appended)
        except ProducerFenced:
            # Somebody began to relay this shard. If it is ours no more, leave; else it was a zombie, and we go on.
            head = await connection.fetchrow(query("load_head"), shard)
            if head is None or head["epoch"] != epoch:
                raise FencedError(f"shard {shard} was taken over") from None
            raise

    async def _publish(
        self, shard: int, connection: Connection, producer: AIOKafkaProducer, appended: Appended
    ) -> None:
        marker = await self._last_marker(shard, connection)
        published = marker.batch if marker else 0
        self._reached("relay_opened")
        hint = _Hint(shard, connection, self._reached)
        reader = GroupReader(self._identity, self._prefix, shard, connection)
        re_emission = ReEmission(self._identity, self._prefix, shard, connection, self._reached)
        while True:
            again = await self._re_emit(re_emission, published, producer)
            appended.clear()  # before looking: what is appended from here on sets it again
            group = await _next_group(reader, published, appended)
            if group is None:
                await hint.keep()
                if not again:
                    await _rung(appended, LOOK_SECONDS)
                continue
            async with producer.transaction():
                published, offset = await self._send_groups(producer, reader, group, appended)
            self._reached("relay_committed")
            hint.move(published, offset)
            await hint.keep()

    async def _send_groups(
        self, producer: AIOKafkaProducer, reader: GroupReader, group: Group | None, appended: Appended
    ) -> tuple[int, int]:
        """Send this group and those of the next moment, each while the one after it is read.

        The last batch that was sent, and the offset of its marker.
        """
        until = time.monotonic() + OPEN_SECONDS
        published, offset = 0, 0
        sending: asyncio.Task[int] | None = None
        try:
            while group is not None:
                self._reached("relay_read")
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self._send(producer, group.outgoing))
                published = group.last_batch
                group = await _group_after(group, until, reader, appended)
            if sending is not None:
                offset = await sending
        finally:
            if sending is not None:
                sending.cancel()
        return published, offset

    async def _re_emit(self, re_emission: ReEmission, published: int, producer: AIOKafkaProducer) -> bool:
        """Publish a group of balances again; whether somebody had asked, and it was this shard's turn."""
        if self._re_emitting.locked():
            return False
        async with self._re_emitting:
            group = await re_emission.next_group(published)
            if group is None:
                return False
            if group.outgoing:
                async with producer.transaction():
                    await self._send(producer, group.outgoing)
            await re_emission.sent(group)
            return True

    async def _send(self, producer: AIOKafkaProducer, outgoing: Sequence[Outgoing]) -> int:
        """Send a group; the offset of its last record, once Kafka has it."""
        records: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {}
        for record in outgoing:
            where = self._prefix + record.topic.value, record.partition
            records.setdefault(where, []).append((record.key, record.value))
        last = self._prefix + outgoing[-1].topic.value, outgoing[-1].partition
        sent = {where: send_in_bulk(producer, *where, found) for where, found in records.items()}
        ends = dict(zip(sent, await asyncio.gather(*sent.values()), strict=True))
        self._reached("relay_sent")
        return ends[last] - 1

    async def _last_marker(self, shard: int, connection: Connection) -> _Marker | None:
        """The last batch marker in the shard's partition of `redress.ledger`, read forward from the hint."""
        partition = TopicPartition(self._prefix + OutTopic.LEDGER.value, shard)
        hint = await connection.fetchrow(query("relay_hint"), shard)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, isolation_level="read_committed", auto_offset_reset="none"
        )
        try:
            await consumer.start()
            begin = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.assign([partition])
            consumer.seek(partition, max(begin, min(end, hint["ledger_offset"])) if hint else begin)
            found = None
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=READ_MS)).get(partition, []):
                    if record.key is not None and record.key.startswith(b"shard/"):
                        found = _read_marker(record) or found
            return found
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def _producer(self, shard: int) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            transactional_id=f"{self._prefix}redress-{self._identity.name}-relay-{shard}",
            transaction_timeout_ms=TRANSACTION_MS,
            acks="all",
            compression_type=COMPRESSION,
            linger_ms=0,
            max_batch_size=512 * 1024,
        )
        try:
            await producer.start()
            yield producer
        finally:
            # Where it was fenced, or Kafka is away, its transaction is aborted either way.
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), STOP_SECONDS_MAX)


class _Hint:
    """How far the relay is, kept in Postgres now and then, and once nothing more comes: else it would seem to lag."""

    def __init__(self, shard: int, connection: Connection, reached: Checkpoint) -> None:
        self._shard = shard
        self._connection = connection
        self._reached = reached
        self._moved_to: tuple[int, int] | None = None
        self._kept_at = 0.0

    def move(self, batch: int, offset: int) -> None:
        """A marker was published there."""
        self._moved_to = batch, offset

    async def keep(self) -> None:
        """Keep it, if it has moved and was not kept just now."""
        if self._moved_to is None or time.monotonic() - self._kept_at < HINT_SECONDS:
            return
        self._kept_at = time.monotonic()
        await self._connection.execute(query("move_relay_hint"), self._shard, *self._moved_to)
        self._moved_to = None
        self._reached("relay_hinted")


async def _next_group(reader: GroupReader, published: int, appended: Appended) -> Group | None:
    """The next batches: as the writer has just committed them, or else as the ledger has them."""
    handed = appended.take_after(published)
    return await (reader.group_of(handed) if handed else reader.next_group(published))


async def _group_after(group: Group, until: float, reader: GroupReader, appended: Appended) -> Group | None:
    """The next group, if one comes before that moment and before it has been quiet for a while."""
    nothing_behind = group.is_last
    while (left := until - time.monotonic()) > 0:
        if nothing_behind and not await _rung(appended, min(left, QUIET_SECONDS)):
            return None
        appended.clear()
        found = await _next_group(reader, group.last_batch, appended)
        if found is not None:
            return found
        nothing_behind = True
    return None


async def _rung(appended: Appended, seconds: float) -> bool:
    """Until the shard has a new batch, or so long; whether it has one."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await appended.wait()
            return True
    return False


def _read_marker(record: Any) -> _Marker | None:
    event = orjson.loads(record.value)
    if event["type"] != MARKER:
        return None
    return _Marker(event["data"]["batch"], bytes.fromhex(event["data"]["digest"]), record.offset)
