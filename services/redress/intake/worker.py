"""A worker: leases its share of the shards and serves each, until it is stopped."""

import asyncio
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from redress.intake.breaker import DEFAULT_LIMITS, BreakerLimits
from redress.intake.keeper import LeaseKeeper
from redress.intake.programme_end import ProgrammeEnd
from redress.intake.shard_writer import ShardWriter
from redress.intake.source import ShardSource
from redress.ledger import lease
from redress.ledger.appended import Appended
from redress.ledger.connection import WRITER_ROLE, Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import Checkpoint, FencedError, ShardRefusedError

log = structlog.get_logger()

AWAY = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says when its connection breaks in the middle of an operation
    KafkaError,
    TimeoutError,
)
"""A server that is down, or a connection that broke: worth another try."""
RETRY_SECONDS_MAX = 5
"""Longest pause before another try, so that recovery needs no hands and little time."""
STEP_MS = 200
"""How long a shard with nothing to do waits for records before it looks at the programme topic."""
STAMP_SECONDS = 0.5
"""How often the loop shows that it moves; well below what counts as hung."""

SHARDS_MAX = 64
"""Shards that one worker serves, whatever its share: each has a connection to Postgres for the writer and one for each
companion, so 195 with those of the worker itself, and one core has long been busy by then."""
CANCEL_SECONDS = 1
"""After so long a task that was told to end is told again."""
STOPPED_SECONDS = 1
"""How often a shard that refuses to run looks whether somebody has resumed it."""


class Companion(Protocol):
    """Further work of a shard's owner beside its intake."""

    async def prepare(self, shard: int, connection: Connection) -> None:
        """Before the shard is served.

        Raises:
            ShardRefusedError: it must not be.
        """

    async def run(self, shard: int, epoch: int, connection: Connection, appended: Appended) -> None:
        """Work with a connection of its own, until cancelled. `appended` tells one companion of new batches.

        Raises:
            FencedError: the shard has a new owner.
        """


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the worker reads and writes."""

    kafka: str
    postgres: str = field(repr=False)
    topic_prefix: str


@dataclass(slots=True)
class _Service:
    """One shard being served."""

    epoch: int
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Worker:
    """Leases shards and does their intake, and what `companions` do beside it."""

    def __init__(
        self,
        servers: Servers,
        identity: LedgerIdentity,
        *,
        companions: tuple[Companion, ...] = (),
        reached: Checkpoint = lambda _: None,
        breaker: BreakerLimits = DEFAULT_LIMITS,
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._servers = servers
        self._identity = identity
        self._companions = companions
        self._reached = reached
        self._breaker = breaker
        self._programme_end = ProgrammeEnd(servers.kafka, servers.topic_prefix)
        self._services: dict[int, _Service] = {}
        self._keeper = LeaseKeeper(servers.postgres, self.name, lambda: frozenset(self._services))

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set, then give all shards back."""
        self._keeper.start()
        stamping = asyncio.create_task(self._stamp())
        try:
            async for attempt in _retrying("leases"):
                with attempt:
                    if not stopping.is_set():  # also with the database away, a stop is a stop
                        await self._lead(stopping)
        finally:
            await self._end(frozenset(self._services))
            await self._programme_end.stop()
            stamping.cancel()
            await asyncio.to_thread(self._keeper.stop)
            with suppress(*AWAY):
                await self._leave()
            log.info("worker stopped", worker=self.name)

    async def _lead(self, stopping: asyncio.Event) -> None:
        if stopping.is_set():
            return  # told to stop while the database was away
        connection = await connect(self._servers.postgres, application_name="redress-worker")
        try:
            while not stopping.is_set():
                await self._share(connection)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), lease.SURVEY_SECONDS)
        finally:
            connection.terminate()

    async def _leave(self) -> None:
        connection = await connect(self._servers.postgres, application_name="redress-worker")
        await lease.leave(connection, self.name)
        await connection.close()

    async def _stamp(self) -> None:
        while True:
            self._keeper.stamp()
            await asyncio.sleep(STAMP_SECONDS)

    async def _share(self, connection: Connection) -> None:
        """Hand back surplus shards, drop lost ones, take free ones up to this worker's share."""
        seen = await lease.survey(connection, self.name)
        serving = frozenset(self._services)
        lost = (serving - seen.own) | {n for n, s in self._services.items() if s.task is None or s.task.done()}
        if lost:
            log.warning("shards lost", worker=self.name, shards=sorted(lost))
            await self._end(lost)
            await lease.give_back(connection, self.name, lost & seen.own)
        share = min(seen.share, SHARDS_MAX)
        surplus = frozenset(sorted(self._services)[share:])
        if surplus:
            await self._end(surplus)
            await lease.give_back(connection, self.name, surplus)
            log.info("shards handed back", worker=self.name, shards=sorted(surplus))
        for shard in seen.free[: max(0, share - len(self._services))]:
            epoch = await lease.take(connection, self.name, shard)
            if epoch is not None:
                self._begin(shard, epoch)

    def _begin(self, shard: int, epoch: int) -> None:
        service = self._services[shard] = _Service(epoch)
        service.task = asyncio.create_task(self._serve(shard, service), name=f"shard-{shard}")
        log.info("shard taken", worker=self.name, shard=shard, epoch=epoch)

    async def _end(self, shards: frozenset[int]) -> None:
        """Let the shards' batches under way finish, then stop serving them."""
        ending = [self._services.pop(shard) for shard in shards]
        for service in ending:
            service.stopping.set()
        await asyncio.gather(*(service.task for service in ending if service.task), return_exceptions=True)

    async def _serve(self, shard: int, service: _Service) -> None:
        async for attempt in _retrying(f"shard {shard}"):
            with attempt:
                try:
                    while not service.stopping.is_set():
                        await self._serve_once(shard, service)
                except FencedError as error:
                    log.warning("fenced", worker=self.name, shard=shard, why=str(error))
                    return
                except AWAY:
                    raise
                except Exception:
                    # Nobody awaits this task until its shard is given back: say at once what went wrong.
                    log.exception("shard failed", worker=self.name, shard=shard)
                    raise

    async def _serve_once(self, shard: int, service: _Service) -> None:
        """Serve over one connection, until told to stop or something breaks."""
        group = f"{self._servers.topic_prefix}redress-{self._identity.name}"
        source = ShardSource(self._servers.kafka, self._servers.topic_prefix, shard, group)
        connection = await self._connect_writer(shard)
        beside: list[asyncio.Task[None]] = []
        try:
            for companion in self._companions:
                await companion.prepare(shard, connection)
            appended = Appended()
            beside += [
                asyncio.create_task(self._accompany(companion, shard, service.epoch, appended))
                for companion in self._companions
            ]
            writer = ShardWriter(
                connection,
                self._identity,
                shard,
                service.epoch,
                source,
                self._programme_end,
                self._reached,
                self._breaker,
                appended,
            )
            await writer.open()
            while not service.stopping.is_set():
                await writer.step(STEP_MS)
                for task in beside:
                    if task.done():
                        task.result()  # it runs until cancelled: whatever ended it ends this service too
        except ShardRefusedError as error:
            log.error("shard refuses to run", worker=self.name, shard=shard, reason=error.reason, why=error.detail)
            await connection.execute(query("stop_shard"), shard, error.reason, error.detail)
            await self._until_resumed(shard, service, connection)
        finally:
            await _end(beside)
            connection.terminate()
            await source.stop()

    async def _until_resumed(self, shard: int, service: _Service, connection: Connection) -> None:
        while not service.stopping.is_set() and await connection.fetchval(query("is_stopped"), shard):
            with suppress(TimeoutError):
                await asyncio.wait_for(service.stopping.wait(), STOPPED_SECONDS)

    async def _connect_writer(self, shard: int) -> Connection:
        connection = await connect(self._servers.postgres, application_name=f"redress-shard-{shard}", role=WRITER_ROLE)
        pid = connection.get_server_pid()
        notes = await connect(self._servers.postgres, application_name="redress-worker")
        try:
            await lease.write_backend(notes, self.name, shard, pid)
        finally:
            await notes.close()
        return connection

    async def _accompany(self, companion: Companion, shard: int, epoch: int, appended: Appended) -> None:
        async for attempt in _retrying(f"shard {shard}, beside intake"):
            with attempt:
                connection = await connect(
                    self._servers.postgres, application_name=f"redress-beside-{shard}", role=WRITER_ROLE
                )
                try:
                    await companion.run(shard, epoch, connection, appended)
                finally:
                    connection.terminate()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended: a library may take one cancellation for its own, and go on."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_SECONDS)


def _retrying(what: str) -> AsyncRetrying:
    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("server away, trying again", what=what, why=f"{type(error).__name__}: {error}")

    return AsyncRetrying(
        retry=retry_if_exception_type(AWAY),
        wait=wait_random_exponential(multiplier=0.2, max=RETRY_SECONDS_MAX),
        before_sleep=tell,
        reraise=True,
    )
