"""Replay along a batch log (R1): the same records, cut the same way, must give the same digests, batch by batch.

This is how a ledger is recovered when its database is lost and its topics are not: never by a fresh cut, in which the
clock would run ahead of the requests (RULES section 2).
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.domain.event import Topic
from redress.intake.batch_decider import Batch, BatchDecider
from redress.intake.batch_log import BatchLog, LogEnd, ReplayError
from redress.intake.keeper import LeaseKeeper
from redress.intake.record import Record
from redress.intake.source import PERSONAL_TOPICS, START_SECONDS_MAX, ShardSource
from redress.ledger import lease
from redress.ledger.connection import WRITER_ROLE, Connection, connect
from redress.ledger.head import Position
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import DigestError, FencedError, LoggedBatch, ShardLedger

FETCH_RECORDS = 4_000
"""Records fetched in one go; a logged batch may need several."""
FETCH_MS = 1_000
"""How long one fetch waits."""
READ_SECONDS_MAX = 60
"""How long Kafka may bring nothing of what the log names before the replay gives up."""
LEASE_WAIT_SECONDS_MAX = lease.LEASE_SECONDS + 2
"""How long a shard may still be leased: as long as the lease of a replay that was killed lasts, and a little."""
LEASE_POLL_SECONDS = 0.5
STAMP_SECONDS = 0.5
"""How often the loop shows that it moves; well below what counts as hung."""

Progressed = Callable[[int, LoggedBatch], None]
"""Called with the shard and each batch that was replayed."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What a replay of one shard would do: batches already there, batches of the log, records to read."""

    shard: int
    done: int
    logged: int
    records: int
    missing: int = 0
    """Records, or batches of the log, that are not there any more."""
    problem: str | None = None
    """Why it cannot be done."""


class Replay:
    """Replays a log from Kafka into the empty, or partly replayed, ledger `target`."""

    def __init__(
        self,
        kafka: str,
        topic_prefix: str,
        batches: BatchLog,
        target: str,
        identity: LedgerIdentity,
        shards: Sequence[int] | None = None,
    ) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._log = batches
        self._target = target
        self._identity = identity
        self._shards = range(identity.shards) if shards is None else shards
        self._name = f"recover:{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._owned: set[int] = set()

    async def plan(self) -> list[ShardPlan]:
        """Look, and change nothing.

        Raises:
            ReplayError: the log is another ledger's, or cannot be read.
        """
        await self._log.check(self._identity)
        target = await connect(self._target, application_name="redress-recover")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, client_id="redress-recover", isolation_level="read_committed"
        )
        try:
            await asyncio.wait_for(consumer.start(), START_SECONDS_MAX)
            return [await self._plan_shard(consumer, target, shard) for shard in self._shards]
        finally:
            await consumer.stop()
            await target.close()

    async def run(self, progressed: Progressed = lambda _shard, _batch: None) -> None:
        """Replay every shard from where the target stands; each batch is durable when `progressed` hears of it.

        Raises:
            DigestError: a batch came out otherwise; it is not written, and all before it are right.
            ReplayError: a worker serves the target, the log and the target do not meet, or records are missing.
        """
        await self._log.check(self._identity)
        control = await connect(self._target, application_name="redress-recover")
        try:
            async with self._keeping_leases():
                epochs = {shard: await self._take(control, shard) for shard in self._shards}
                for shard, epoch in epochs.items():
                    await self._run_shard(shard, epoch, progressed)
                    await self._finish(control, shard)
        except FencedError as error:
            raise ReplayError(f"{error}: a worker must not serve the target while it is recovered") from error
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await lease.leave(control, self._name)
            control.terminate()

    async def _plan_shard(self, consumer: AIOKafkaConsumer, target: Connection, shard: int) -> ShardPlan:
        head = await target.fetchrow(query("load_head"), shard)
        if head is None:
            raise ReplayError(f"the target ledger has no shard {shard}")
        end = await self._log.end(shard)
        done = int(head["batch"])
        if end is None or end.batch < done:
            logged = end.batch if end else 0
            problem = f"the target has {done} batches, the log has {logged}" if done else None
            return ShardPlan(shard, done, logged, 0, 0, problem)
        if end.first > done + 1:
            problem = f"the log begins with batch {end.first}; {done + 1} is needed"
            return ShardPlan(shard, done, end.batch, 0, end.first - done - 1, problem)
        return await self._plan_records(consumer, ShardPlan(shard, done, end.batch, 0), head, end)

    async def _plan_records(self, consumer: AIOKafkaConsumer, plan: ShardPlan, head: Any, end: LogEnd) -> ShardPlan:
        records = missing = 0
        problems = []
        for topic, to in zip(Topic, end.position, strict=True):
            since = head[f"{topic.name.lower()}_offset"]
            partition = TopicPartition(self._prefix + topic.value, 0 if topic is Topic.PROGRAMME else plan.shard)
            first = (await consumer.beginning_offsets([partition]))[partition]
            last = (await consumer.end_offsets([partition]))[partition]
            records += max(0, to - since)
            lost = max(0, min(first, to) - since) + max(0, to - max(last, since))
            if lost:
                missing += lost
                where = f"{partition.topic}/{partition.partition}"
                problems.append(f"{where} has {first} to {last}, {since} to {to} is needed")
        return ShardPlan(plan.shard, plan.done, plan.logged, records, missing, "; ".join(problems) or None)

    @asynccontextmanager
    async def _keeping_leases(self) -> AsyncIterator[None]:
        """Renew the leases while the loop moves, as a worker does."""
        keeper = LeaseKeeper(self._target, self._name, lambda: frozenset(self._owned))
        keeper.start()
        stamping = asyncio.create_task(_stamp(keeper))
        try:
            yield
        finally:
            stamping.cancel()
            self._owned.clear()
            await asyncio.to_thread(keeper.stop)

    async def _take(self, control: Connection, shard: int) -> int:
        deadline = asyncio.get_running_loop().time() + LEASE_WAIT_SECONDS_MAX
        while (epoch := await lease.take(control, self._name, shard)) is None:
            if asyncio.get_running_loop().time() > deadline:
                owner = await control.fetchval(query("lease_owner"), shard)
                raise ReplayError(f"shard {shard} of the target is served by {owner}: stop it first")
            await asyncio.sleep(LEASE_POLL_SECONDS)
        self._owned.add(shard)
        return epoch

    async def _run_shard(self, shard: int, epoch: int, progressed: Progressed) -> None:
        target = await connect(self._target, application_name=f"redress-recover-{shard}", role=WRITER_ROLE)
        source = ShardSource(self._kafka, self._prefix, shard, f"{self._prefix}redress-recover")
        try:
            await _ShardReplay(self._log, self._identity, source, target).run(shard, epoch, progressed)
        finally:
            await source.stop()
            target.terminate()

    async def _finish(self, control: Connection, shard: int) -> None:
        """What was erased is erased again, and a worker may have the shard."""
        for erasure in await self._log.erased(shard):
            at = erasure.at
            await control.execute(query("erase_again"), shard, at.topic.value, at.offset, erasure.erased_at)
        await control.execute(query("forget_ahead"), shard)
        self._owned.discard(shard)
        await lease.give_back(control, self._name, frozenset({shard}))


class _ShardReplay:
    """One shard's."""

    def __init__(
        self, batches: BatchLog, identity: LedgerIdentity, source: ShardSource, connection: Connection
    ) -> None:
        self._log = batches
        self._identity = identity
        self._source = source
        self._connection = connection

    async def run(self, shard: int, epoch: int, progressed: Progressed) -> None:
        """Replay all that the log has."""
        ledger = ShardLedger(self._connection, self._identity, shard, lambda _: None)
        await ledger.open(epoch)
        aside = await self._log.set_aside(shard)
        decider = BatchDecider(ledger, self._identity.shards, aside.poison, aside.refused)
        await decider.open()
        await self._source.start(ledger.head.position)
        reader = _Reader(self._source)
        async with aclosing(self._log.batches(shard, ledger.head.batch)) as batches:
            async for logged in batches:
                await self._replay(ledger, decider, reader, logged)
                progressed(shard, logged)

    async def _replay(self, ledger: ShardLedger, decider: BatchDecider, reader: "_Reader", logged: LoggedBatch) -> None:
        where = f"shard {ledger.head.shard}, batch {logged.batch}"
        if ledger.head.position != logged.start or ledger.head.batch + 1 != logged.batch:
            raise ReplayError(f"{where}: the target does not end where it begins")
        try:
            batch = await self._decide(decider, reader, logged)
            await ledger.append(logged.end, batch.rejected, batch.raw, logged)
        except DigestError as error:
            raise DigestError(f"{error}; it took {_ranges(logged)}") from None
        except asyncpg.DataError as error:
            raise ReplayError(f"{where}: Postgres refuses a value in {_ranges(logged)}: {error}") from error
        decider.look_anew()

    async def _decide(self, decider: BatchDecider, reader: "_Reader", logged: LoggedBatch) -> Batch:
        batch = Batch()
        if logged.start == logged.end:
            await decider.go_on()
            return batch
        decider.nothing_is_due()
        controls = await reader.read((Topic.PROGRAMME,), logged.end)
        personal = await reader.read(PERSONAL_TOPICS, logged.end)
        if await decider.take_controls(batch, controls) is None:
            await decider.take_personal(batch, personal)
        return batch


class _Reader:
    """Reads records up to given offsets; what was fetched beyond them is kept for the next batch."""

    def __init__(self, source: ShardSource) -> None:
        self._source = source
        self._kept: dict[Topic, list[Record]] = {topic: [] for topic in Topic}

    async def read(self, topics: tuple[Topic, ...], end: Position) -> list[Record]:
        """Records of these topics before `end`, in order of the topics and then of offsets.

        Raises:
            ReplayError: Kafka does not bring them.
        """
        ends = dict(zip(Topic, end, strict=True))
        read_at = asyncio.get_running_loop().time()
        while missing := [topic for topic in topics if await self._reached(topic) < ends[topic]]:
            before = await self._source.position()
            for record in await self._source.fetch(missing, timeout_ms=FETCH_MS, records_max=FETCH_RECORDS):
                self._kept[record.topic].append(record)
            if await self._source.position() != before:
                read_at = asyncio.get_running_loop().time()
            elif asyncio.get_running_loop().time() - read_at > READ_SECONDS_MAX:
                raise ReplayError(f"{missing[0]} brings nothing before offset {ends[missing[0]]}, which the log names")
        found = []
        for topic in topics:
            kept = self._kept[topic]
            found += [record for record in kept if record.offset < ends[topic]]
            self._kept[topic] = [record for record in kept if record.offset >= ends[topic]]
        return found

    async def _reached(self, topic: Topic) -> int:
        position = await self._source.position()
        return dict(zip(Topic, position, strict=True))[topic]


async def _stamp(keeper: LeaseKeeper) -> None:
    while True:
        keeper.stamp()
        await asyncio.sleep(STAMP_SECONDS)


def _ranges(logged: LoggedBatch) -> str:
    """Which records a batch took."""
    ranges = [
        f"{topic.value} {start} to {end}"
        for topic, start, end in zip(Topic, logged.start, logged.end, strict=True)
        if end > start
    ]
    return ", ".join(ranges) or "no records: what fell due"
