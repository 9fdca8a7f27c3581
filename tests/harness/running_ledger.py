"""A ledger that runs: topics, workers and a producer on the real stack, and questions about what it booked."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from redress.contracts.partitioner import partition_of
from redress.contracts.registry import INPUTS
from redress.domain.event import Topic
from redress.intake.worker import Companion, Servers, Worker
from redress.issuance.issuer import Issuer
from redress.ledger.connection import connect
from redress.ledger.identity import LedgerIdentity
from redress.relay.relay import Relay
from redress.runtime.topics import apply_topics
from tests.conftest import TEST_LEDGER

SETTLE_SECONDS_MAX: Final = 60.0
"""How long a ledger may take to read all there is. On a slow machine too: a test that waits so long has failed."""
POLL_SECONDS: Final = 0.05

Item = TypeVar("Item")
Envelope = dict[str, Any]
Checkpoint = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as Kafka took it. `topic` is without the test's prefix; `event` None: no event at all."""

    topic: str
    partition: int
    offset: int
    event: Envelope | None


@dataclass(slots=True)
class RunningWorker:
    """A worker in this process."""

    worker: Worker
    stopping: asyncio.Event
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """A clean stop: it gives its shards back."""
        self.stopping.set()
        await self.task


@dataclass
class RunningLedger:
    """Topics under `prefix`, a producer, and workers in this process. Leaving it stops them all."""

    kafka: str
    postgres: str
    prefix: str
    identity: LedgerIdentity = TEST_LEDGER
    workers_at_start: int = 1
    issues: bool = False
    relays: bool = False
    sent: list[Sent] = field(default_factory=list)
    workers: list[RunningWorker] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._open = AsyncExitStack()
        await apply_topics(self.kafka, self.prefix, self.identity.shards)
        self.database = await connect(self.postgres, application_name="test")
        self._open.push_async_callback(self.database.close)
        self._producer = AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True, max_request_size=2**20)
        await self._producer.start()
        self._open.push_async_callback(self._producer.stop)
        self._ends = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, group_id=None, isolation_level="read_committed", enable_auto_commit=False
        )
        await self._ends.start()
        self._open.push_async_callback(self._ends.stop)
        for _ in range(self.workers_at_start):
            self.start_worker()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_workers()
        await self._open.aclose()

    # --- workers

    def start_worker(self, reached: Checkpoint = lambda _: None) -> RunningWorker:
        """One more worker in this process."""
        servers = Servers(self.kafka, self.postgres, self.prefix)
        companions: tuple[Companion, ...] = ()
        if self.issues:
            companions = (Issuer(self._producer, self.prefix, self.identity),)
        if self.relays:
            companions = (*companions, Relay(self.kafka, self.prefix, self.identity))
        worker = Worker(servers, self.identity, companions=companions, reached=reached)
        stopping = asyncio.Event()
        running = RunningWorker(worker, stopping, asyncio.create_task(worker.run(stopping), name="worker"))
        self.workers.append(running)
        return running

    async def stop_workers(self) -> None:
        """All of this process, cleanly."""
        running, self.workers = self.workers, []
        await asyncio.gather(*(worker.stop() for worker in running))

    # --- sending

    async def send(self, topic: str, *events: Envelope) -> list[Sent]:
        """Send events to where their keys belong, and wait until Kafka has them."""
        waiting = []
        for event in events:
            key = event["partitionkey"].encode()
            among = 1 if topic == Topic.PROGRAMME else self.identity.shards
            value = json.dumps(event, ensure_ascii=False).encode()
            waiting.append(await self._send(topic, partition_of(key, among), key, value))
        sent = [
            Sent(topic, found.partition, found.offset, event)
            for found, event in zip(await asyncio.gather(*waiting), events, strict=True)
        ]
        self.sent += sent
        return sent

    async def send_all(self, records: Iterable[tuple[str, Envelope]]) -> None:
        """Send records in order; all are with Kafka before a control event goes, and it before what follows."""
        waiting: list[tuple[str, Envelope]] = []
        for topic, event in records:
            if topic == Topic.PROGRAMME:
                await self._flush(waiting)
                await self.send(topic, event)
            else:
                waiting.append((topic, event))
        await self._flush(waiting)

    async def _flush(self, waiting: list[tuple[str, Envelope]]) -> None:
        for topic in Topic:
            await self.send(topic, *(event for where, event in waiting if where == topic))
        waiting.clear()

    async def send_raw(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> Sent:
        """Send bytes to a partition, and wait until Kafka has them."""
        found = await (await self._send(topic, partition, key, value))
        sent = Sent(topic, found.partition, found.offset, None)
        self.sent.append(sent)
        return sent

    async def _send(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> "asyncio.Future[Any]":
        headers = [("content-type", b"application/cloudevents+json")]
        future: asyncio.Future[Any] = await self._producer.send(
            self.prefix + topic, value, key=key, partition=partition, headers=headers
        )
        return future

    async def adopt(self, topic: str) -> list[Envelope]:
        """Count as sent what others sent to a topic, such as issuance; the events."""
        known = {(sent.topic, sent.partition, sent.offset) for sent in self.sent}
        partitions = [TopicPartition(self.prefix + topic, shard) for shard in range(self.identity.shards)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, group_id=None, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[Sent] = []
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(*partitions, timeout_ms=200)).values():
                    found += [Sent(topic, r.partition, r.offset, json.loads(r.value or b"{}")) for r in records]
        finally:
            await consumer.stop()
        foreign = [sent for sent in found if (sent.topic, sent.partition, sent.offset) not in known]
        self.sent += foreign
        return [sent.event for sent in foreign if sent.event]

    # --- waiting

    async def settled(self, seconds_max: float = SETTLE_SECONDS_MAX) -> None:
        """Wait until every shard has read all that Kafka has, and nothing is left to do by its clock."""
        deadline = asyncio.get_running_loop().time() + seconds_max
        while (missing := await self._missing()) is not None:
            for running in self.workers:
                if running.task.done():
                    running.task.result()
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"the ledger has not settled after {seconds_max:.0f} s: {missing}")
            await asyncio.sleep(POLL_SECONDS)

    async def _missing(self) -> str | None:
        """What the ledger has not done yet; None: nothing."""
        try:
            due = await self.database.fetchval(_DUE, self.identity.parking_seconds)
            if due:
                return str(due)
            if self.issues and await self.database.fetchval(_UNSEARCHED):
                return "issuance has not searched all of the journal"
            behind = await self._behind()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError) as error:
            if self.database.is_closed():
                await self._reconnect()
            return f"{type(error).__name__}: {error}"
        return behind

    async def _behind(self) -> str | None:
        partitions = {
            (topic, shard): TopicPartition(self.prefix + topic, 0 if topic is Topic.PROGRAMME else shard)
            for topic in Topic
            for shard in range(self.identity.shards)
        }
        ends = await self._ends.end_offsets(sorted(set(partitions.values())))
        for row in await self.database.fetch("select * from finance.position"):
            for topic in Topic:
                if row["now"] is None and topic is not Topic.PROGRAMME:
                    continue
                at, end = row[f"{topic.name.lower()}_offset"], ends[partitions[topic, row["shard"]]]
                if at < end:
                    return f"shard {row['shard']} is at {at} of {end} of {topic}"
        return None

    async def _reconnect(self) -> None:
        try:
            self.database = await connect(self.postgres, application_name="test")
        except (OSError, asyncpg.PostgresError):
            return
        self._open.push_async_callback(self.database.close)

    # --- what was booked

    async def entries(self, shard: int | None = None) -> list[dict[str, Any]]:
        """Entries by shard and seq, in the form in which they are published and the oracle has them."""
        found: dict[tuple[int, int], dict[str, Any]] = {}
        for row in await self.database.fetch(_ENTRIES, shard):
            entry = found.setdefault((row["shard"], row["seq"]), _entry(row))
            if row["movement"] is not None:
                entry["lines"].append(_line(row))
        return list(found.values())

    async def dead_letters(self) -> list[dict[str, Any]]:
        """By shard, topic and offset, with their bytes."""
        rows = await self.database.fetch("select * from redress.dead_letter order by shard, topic, record_offset")
        return [dict(row) for row in rows]

    async def view(self, name: str) -> list[dict[str, Any]]:
        """All rows of a view of schema finance; ids as text, instants as microseconds."""
        return [_plain(row) for row in await self.database.fetch(_VIEWS[name])]

    async def batch_log(self, shard: int) -> list[dict[str, Any]]:
        """The shard's batches in order."""
        rows = await self.database.fetch("select * from redress.batch where shard = $1 order by batch", shard)
        return [dict(row) for row in rows]


_VIEWS: Final = {
    "voucher_balance": "select * from finance.voucher_balance",
    "outstanding_liability": "select * from finance.outstanding_liability",
    "account_balance": "select * from finance.account_balance",
    "roll_forward": "select * from finance.roll_forward",
    "wave": "select * from finance.wave",
    "position": "select * from finance.position order by shard",
}

_ENTRIES: Final = """
select v.*, j.record_offset, j.effective_at as entry_effective_at
from finance.journal as v
join redress.journal as j using (shard, seq)
where $1::integer is null or v.shard = $1
order by v.shard, v.seq, v.line
"""

_DUE: Final = """
select case
    when exists (select from redress.lot where lot.shard = head.shard and status = 'open' and valid_until <= head.now)
    then format('shard %s has a lot to lapse', shard)
    when falling_due
    then format('shard %s has more that fell due with its last tick', shard)
    when exists (select from redress.parked as p where p.shard = head.shard
                 and parked_at + make_interval(secs => $1) <= head.now)
    then format('shard %s has a parking to end', shard)
    when exists (select from redress.parked as p join redress.wave as w on w.shard = p.shard
                 where p.shard = head.shard and p.wakes_on = 'wave/' || w.programme || '/' || w.wave)
      or exists (select from redress.parked as p join redress.programme as q on q.shard = p.shard
                 where p.shard = head.shard and p.wakes_on = 'programme/' || q.code)
    then format('shard %s has somebody to wake', shard)
end as due
from redress.head
order by due
limit 1
"""

_UNSEARCHED: Final = """
select true
from redress.head
join redress.wave on wave.shard = head.shard
left join redress.issue_cursor as cursor on cursor.shard = wave.shard and cursor.wave = wave.no
where (wave.opened ->> 'valid_from')::timestamptz <= head.now and coalesce(cursor.seq, 0) < head.next_seq - 1
limit 1
"""


def _entry(row: Any) -> dict[str, Any]:
    topic = INPUTS[row["cause_type"]].topic.value
    return {
        "seq": row["seq"],
        "shard": row["shard"],
        "beneficiary": str(row["beneficiary"]) if row["beneficiary"] else None,
        "outcome": row["outcome"],
        "reason": row["reason"],
        "cause": {
            "source": row["cause_source"],
            "id": row["cause_id"],
            "type": row["cause_type"],
            "topic": topic,
            "partition": 0 if topic == Topic.PROGRAMME else row["shard"],
            "offset": row["record_offset"],
        },
        "occurred_at": row["occurred_at"],
        "effective_at": row["entry_effective_at"],
        "terms_version": row["terms_version"],
        "redemption": row["redemption"],
        "lines": [],
    }


_LINE_COLUMNS: Final = (
    "movement",
    "debit",
    "credit",
    "amount",
    "currency",
    "programme",
    "wave",
    "benefit",
    "voucher",
    "effective_at",
    "by_lot",
)


def _line(row: Any) -> dict[str, Any]:
    return {name: _plain_value(row[name]) for name in _LINE_COLUMNS}


def _plain(row: Any) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    """Ids as text, days as ISO text, sums as integers."""
    if isinstance(value, UUID | date):
        return str(value)
    if isinstance(value, Decimal):
        assert value == int(value)
        return int(value)
    return value


def chunks(records: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The records in order, so many at a time."""
    for start in range(0, len(records), size):
        yield records[start : start + size]
