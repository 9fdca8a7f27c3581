"""Replay along a batch log (R1): the same records, cut the same way, must give the same digests, batch by batch.

This is how a ledger is recovered when its database is lost and its topics are not: never by a fresh cut, in which the
clock would run ahead of the requests (RULES section 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.domain.event import Topic
from redress.intake.batch_decider import Batch, BatchDecider
from redress.intake.record import Record
from redress.intake.source import PERSONAL_TOPICS, ShardSource
from redress.ledger import lease
from redress.ledger.connection import WRITER_ROLE, Connection, connect
from redress.ledger.head import Position
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import LoggedBatch, ShardLedger

LOG_ROWS = 500
"""Batches of the log read in one go."""
FETCH_RECORDS = 4_000
FETCH_MS = 1_000


class ReplayError(Exception):
    """The replay cannot begin or go on; the message says where and why."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What a replay of one shard would do: batches already there, batches of the log, records to read."""

    shard: int
    done: int
    logged: int
    records: int
    missing: str | None
    """Why it cannot be done: records that Kafka has no more."""


class Replay:
    """Replays the log of `origin` from Kafka into the empty, or partly replayed, ledger `target`."""

    def __init__(self, kafka: str, topic_prefix: str, origin: str, target: str, identity: LedgerIdentity) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._origin = origin
        self._target = target
        self._identity = identity

    async def plan(self) -> list[ShardPlan]:
        """Look, and change nothing."""
        origin = await connect(self._origin, application_name="redress-recover")
        target = await connect(self._target, application_name="redress-recover")
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka)
        await consumer.start()
        try:
            ends = {row["shard"]: row for row in await origin.fetch(query("last_batches"))}
            plans = []
            for shard in range(self._identity.shards):
                head = await target.fetchrow(query("load_head"), shard)
                plans.append(await self._plan_shard(consumer, shard, head, ends.get(shard)))
            return plans
        finally:
            await consumer.stop()
            await origin.close()
            await target.close()

    async def run(self, progressed: Callable[[int, int], None] = lambda _shard, _batch: None) -> None:
        """Replay every shard from where the target stands; `progressed(shard, batch)` after each batch.

        Raises:
            DigestError: a batch came out otherwise; it is not written, and all before it are right.
            ReplayError: a worker serves the target, or the log and the target do not meet.
        """
        name = "recover"
        control = await connect(self._target, application_name="redress-recover")
        try:
            seen = await lease.survey(control, name)
            if seen.workers > 1:
                raise ReplayError("a worker serves the target ledger: stop it first")
            for shard in range(self._identity.shards):
                epoch = await lease.take(control, name, shard)
                if epoch is None:
                    raise ReplayError(f"shard {shard} of the target is served by a worker: stop it first")
                await self._run_shard(shard, epoch, progressed)
        finally:
            await lease.leave(control, name)
            await control.close()

    async def _plan_shard(self, consumer: AIOKafkaConsumer, shard: int, head: Any, end: Any) -> ShardPlan:
        if head is None:
            raise ReplayError("the target ledger has other shards than this one: run `redress migrate` for it")
        if end is None:
            return ShardPlan(shard, head["batch"], 0, 0, None)
        records, missing = 0, None
        for topic in Topic:
            partition = TopicPartition(self._prefix + topic.value, 0 if topic is Topic.PROGRAMME else shard)
            column = f"{topic.value.removeprefix('redress.')}_offset"
            first = (await consumer.beginning_offsets([partition]))[partition]
            if first > head[column]:
                missing = f"{partition.topic}/{partition.partition} begins at {first}, {head[column]} is needed"
            records += max(0, end[column] - head[column])
        return ShardPlan(shard, head["batch"], end["batch"], records, missing)

    async def _run_shard(self, shard: int, epoch: int, progressed: Callable[[int, int], None]) -> None:
        origin = await connect(self._origin, application_name="redress-recover")
        target = await connect(self._target, application_name="redress-recover", role=WRITER_ROLE)
        source = ShardSource(self._kafka, self._prefix, shard, f"{self._prefix}redress-recover")
        try:
            ledger = ShardLedger(target, self._identity, shard, lambda _: None)
            await ledger.open(epoch)
            decider = BatchDecider(ledger, self._identity.shards)
            await decider.open()
            await source.start(ledger.head.position)
            reader = _Reader(source)
            while log := await _read_log(origin, shard, ledger.head.batch):
                for logged in log:
                    await self._replay(ledger, decider, reader, logged)
                    progressed(shard, logged.batch)
        finally:
            await source.stop()
            target.terminate()
            await origin.close()

    async def _replay(self, ledger: ShardLedger, decider: BatchDecider, reader: "_Reader", logged: LoggedBatch) -> None:
        if ledger.head.position != logged.start or ledger.head.batch + 1 != logged.batch:
            raise ReplayError(f"shard {ledger.head.shard}: the target does not end where batch {logged.batch} begins")
        batch = Batch()
        if logged.start == logged.end:
            await decider.go_on()
        else:
            controls = await reader.read((Topic.PROGRAMME,), logged.end)
            personal = await reader.read(PERSONAL_TOPICS, logged.end)
            if await decider.take_controls(batch, controls) is None:
                await decider.take_personal(batch, personal)
        await ledger.append(logged.end, batch.rejected, batch.raw, logged)
        await decider.look_ahead()


class _Reader:
    """Reads records up to given offsets; what was fetched beyond them is kept for the next batch."""

    def __init__(self, source: ShardSource) -> None:
        self._source = source
        self._kept: dict[Topic, list[Record]] = {topic: [] for topic in Topic}

    async def read(self, topics: tuple[Topic, ...], end: Position) -> list[Record]:
        """Records of these topics before `end`, in order of the topics and then of offsets."""
        ends = dict(zip(Topic, end, strict=True))
        while missing := [t for t in topics if await self._reached(t) < ends[t]]:
            for record in await self._source.fetch(missing, timeout_ms=FETCH_MS, records_max=FETCH_RECORDS):
                self._kept[record.at.topic].append(record)
        found = []
        for topic in topics:
            kept = self._kept[topic]
            found += [record for record in kept if record.offset < ends[topic]]
            self._kept[topic] = [record for record in kept if record.offset >= ends[topic]]
        return found

    async def _reached(self, topic: Topic) -> int:
        position = await self._source.position()
        return dict(zip(Topic, position, strict=True))[topic]


async def _read_log(origin: Connection, shard: int, after: int) -> list[LoggedBatch]:
    rows = await origin.fetch(query("batch_log"), shard, after, LOG_ROWS)
    return [
        LoggedBatch(
            row["batch"],
            Position(row["programme_from"], row["eligibility_from"], row["issuance_from"], row["redemption_from"]),
            Position(
                row["programme_offset"], row["eligibility_offset"], row["issuance_offset"], row["redemption_offset"]
            ),
            row["next_seq"],
            row["recorded_at"],
            row["digest"],
        )
        for row in rows
    ]
