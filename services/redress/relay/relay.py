"""The relay of one shard: from the ledger to Kafka, group by group, in Kafka transactions of whole groups.

Exactly once without a table of what was sent: a group ends with its last batch's marker in the same transaction, so the
topic itself says how far it is. A transaction takes all groups of a moment; who reads uncommitted has each at once. A
new owner's `init_transactions` fences the old one and settles what it left open; only then is the last marker looked
for. Everything published was durable first.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from redress.contracts.registry import OutTopic
from redress.domain.answer import is_answered
from redress.domain.entry import Entry, LotKey
from redress.domain.event import Recorded, Requested
from redress.domain.ids import BeneficiaryId
from redress.domain.shard import Shard
from redress.ledger.connection import Connection
from redress.ledger.control_rows import restore_lots, restore_programmes, restore_waves
from redress.ledger.entry_rows import from_row
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import columns, restore_person
from redress.ledger.queries import query
from redress.ledger.shard_ledger import Checkpoint, FencedError, ShardRefusedError
from redress.relay.events import MARKER, EventWriter, Outgoing

GROUP_ENTRIES_MAX = 2_000
"""Entries of a group, one batch more at most: enough that its fixed cost does not count."""
GROUP_BATCHES_MAX = 200
"""Batches of a group: an idle ledger has many without entries, and each still has its marker."""
OPEN_SECONDS = 0.1
"""How long a transaction takes further groups. Between two, nothing can be sent for some 30 ms, while Kafka writes the
markers of the first. Who reads committed sees a group so much later; who reads uncommitted, all but a few at once."""
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


@dataclass(slots=True)
class _Group:
    """Some batches, with what belongs to them."""

    last_batch: int
    outgoing: list[Outgoing]


class Relay:
    """Relays the shards of one ledger; one producer per shard, as each has a transactional id of its own."""

    def __init__(
        self, kafka: str, topic_prefix: str, identity: LedgerIdentity, reached: Checkpoint = lambda _: None
    ) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._identity = identity
        self._reached = reached

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

    async def run(self, shard: int, epoch: int, connection: Connection, appended: asyncio.Event) -> None:
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
        self, shard: int, connection: Connection, producer: AIOKafkaProducer, appended: asyncio.Event
    ) -> None:
        marker = await self._last_marker(shard, connection)
        published = marker.batch if marker else 0
        self._reached("relay_opened")
        hinted_at = 0.0
        reader = _GroupReader(self._identity, self._prefix, shard, connection, appended)
        while True:
            group = await reader.next_group(published)
            if group is None:
                await appended.wait()
                continue
            async with producer.transaction():
                until = time.monotonic() + OPEN_SECONDS
                while group is not None:
                    self._reached("relay_read")
                    offset = await self._send(producer, group)
                    published = group.last_batch
                    group = await reader.group_before(until, published)
            self._reached("relay_committed")
            if time.monotonic() - hinted_at >= HINT_SECONDS:
                hinted_at = time.monotonic()
                await connection.execute(query("move_relay_hint"), shard, published, offset)
                self._reached("relay_hinted")

    async def _send(self, producer: AIOKafkaProducer, group: _Group) -> int:
        """Send a group; the offset of its last marker, once Kafka has it."""
        sent = [
            await producer.send(
                self._prefix + record.topic.value,
                record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
            for record in group.outgoing
        ]
        acknowledged = await asyncio.gather(*sent)
        self._reached("relay_sent")
        offset: int = acknowledged[-1].offset
        return offset

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


class _GroupReader:
    """Reads what belongs to some batches of a shard, and writes it as events."""

    def __init__(
        self, identity: LedgerIdentity, prefix: str, shard: int, connection: Connection, appended: asyncio.Event
    ) -> None:
        self._identity = identity
        self._prefix = prefix
        self._appended = appended
        self._connection = connection
        self._writer = EventWriter(identity.name, shard)
        self._number = shard
        self._numbering = Numbering()
        self._shard = Shard(shard, identity.parking_seconds, identity.clock == "system")
        self._currencies: dict[LotKey, str] = {}

    async def next_group(self, published: int) -> _Group | None:
        """The next batches with everything that belongs to them.

        Without a snapshot: what was appended never changes, and what has changed since then comes with a later group.
        """
        self._appended.clear()  # before looking: what is appended from here on sets it again
        batches = await self._connection.fetch(query("relay_batches"), self._number, published, GROUP_BATCHES_MAX)
        if not batches:
            return None
        first = batches[0]["first_seq"]
        chosen = [row for row in batches if row["first_seq"] - first < GROUP_ENTRIES_MAX]
        try:
            return await self._read(chosen)
        except KeyError:
            # A lot or wave newer than what is kept of them, or the first group. What is kept of them never changes.
            await self._load()
            return await self._read(chosen)

    async def group_before(self, until: float, published: int) -> _Group | None:
        """The next group, if there is one before that moment."""
        while (left := until - time.monotonic()) > 0:
            group = await self.next_group(published)
            if group is not None:
                return group
            with suppress(TimeoutError):
                await asyncio.wait_for(self._appended.wait(), left)
        return None

    async def _load(self) -> None:
        """Programmes, waves and lots: what numbers in packed rows stand for, services and currencies."""
        number, fetch = self._number, self._connection.fetch
        self._numbering = Numbering()
        self._shard = Shard(number, self._identity.parking_seconds, self._identity.clock == "system")
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            restore_programmes(
                self._shard, await fetch(query("load_programmes"), number), await fetch(query("load_terms"), number)
            )
            restore_waves(self._shard, self._numbering, await fetch(query("load_waves"), number))
            restore_lots(self._shard, self._numbering, await fetch(query("load_lots"), number))
        self._currencies = {key: self._shard.lot(key).terms.currency for key in self._numbering.lots}

    async def _read(self, batches: list[Any]) -> _Group:
        first, end = batches[0]["first_seq"], batches[-1]["next_seq"]
        recorded_at = batches[-1]["recorded_at"]
        rows = await self._connection.fetch(query("relay_entries"), self._number, first, end)
        entries = [from_row(row, row["source_text"], self._numbering) for row in rows]
        outgoing = [
            *await self._balances(entries, end, recorded_at),
            *await self._lots(entries, recorded_at),
            *await self._dead_letters(batches),
            *await self._journal(batches, entries),
        ]
        return _Group(batches[-1]["batch"], outgoing)

    async def _journal(self, batches: list[Any], entries: list[Entry]) -> list[Outgoing]:
        """Entries with their decisions, each batch followed by its marker: the group's last record is a marker."""
        orders = await self._orders(entries)
        outgoing = []
        left = iter(entries)
        for batch in batches:
            for entry in (next(left) for _ in range(batch["next_seq"] - batch["first_seq"])):
                outgoing.append(self._writer.entry(entry, batch["batch"], batch["recorded_at"], self._currencies))
                if is_answered(entry):
                    order = _order(entry) or orders.get((entry.beneficiary, entry.redemption))
                    outgoing.append(self._writer.decision(entry, order, batch["recorded_at"]))
            outgoing.append(self._writer.marker(batch))
        return outgoing

    async def _balances(self, entries: list[Entry], end: int, recorded_at: Any) -> list[Outgoing]:
        """Beneficiaries as they stand now; whoever has changed again since comes with a later group."""
        people = sorted({BeneficiaryId(entry.beneficiary) for entry in entries if entry.beneficiary})
        if not people:
            return []
        rows = await self._connection.fetch(query("relay_states"), self._number, people, end)
        restored = (restore_person(row, self._numbering) for row in rows)
        holders = (person for person in restored if any(v.issued for v in person.vouchers.values()))
        return [self._writer.balance(person, self._shard.programmes, recorded_at) for person in holders]

    async def _lots(self, entries: list[Entry], recorded_at: Any) -> list[Outgoing]:
        """Lots whose own state these entries changed, as they stand now; one about a person never does."""
        seqs = [entry.seq for entry in entries if entry.beneficiary is None]
        if not seqs:
            return []
        rows = await self._connection.fetch(query("relay_lots"), self._number, seqs[0], seqs[-1] + 1)
        return [self._writer.lot(row, recorded_at) for row in rows]

    async def _dead_letters(self, batches: list[Any]) -> list[Outgoing]:
        rows = await self._connection.fetch(
            query("relay_dead_letters"), self._number, batches[0]["batch"] - 1, batches[-1]["batch"]
        )
        recorded_at = batches[-1]["recorded_at"]
        return [self._writer.dead_letter(row, self._prefix, recorded_at) for row in rows]

    async def _orders(self, entries: list[Entry]) -> dict[tuple[Any, Any], str]:
        asked = {(e.beneficiary, e.redemption) for e in entries if e.redemption and is_answered(e) and not _order(e)}
        if not asked:
            return {}
        rows = await self._connection.fetch(query("relay_orders"), self._number, *columns(sorted(asked)))
        return {(row["beneficiary"], row["redemption"]): row["order"] for row in rows}


def _order(entry: Entry) -> str | None:
    return entry.happening.order if isinstance(entry.happening, Requested | Recorded) else None


def _read_marker(record: Any) -> _Marker | None:
    event = orjson.loads(record.value)
    if event["type"] != MARKER:
        return None
    return _Marker(event["data"]["batch"], bytes.fromhex(event["data"]["digest"]), record.offset)
