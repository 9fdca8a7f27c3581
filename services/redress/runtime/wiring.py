"""The one bootstrap: from settings to servers, a checked ledger, a producer, a worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Final

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from redress.contracts.encode import COMPRESSION, Record
from redress.intake.breaker import DEFAULT_LIMITS, BreakerLimits
from redress.intake.worker import Companion, Servers, Worker
from redress.issuance.issuer import Issuer
from redress.ledger.appended import Appended
from redress.ledger.connection import Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import check_identity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import Checkpoint
from redress.relay.relay import Relay
from redress.runtime.local import External, StackError, status
from redress.runtime.settings import Settings

LINGER_MS: Final = 5
"""How long a record waits for company: little beside an acknowledgement, enough to fill a batch under load."""
BATCH_BYTES_MAX: Final = 256 * 1024
"""Bytes sent to a partition at once: a quarter of what a topic takes."""
REQUEST_BYTES_MAX: Final = 1_048_576
"""The largest record that is sent; the topics take a little more."""
STOP_SECONDS_MAX: Final = 5
"""How long a producer may take to stop: it would wait for a Kafka that is away for as long as that lasts."""


class NotMigratedError(Exception):
    """The database has no ledger, or an older one than this code. The message says what to run."""


def identity_of(settings: Settings) -> LedgerIdentity:
    """What the settings say of the ledger."""
    return LedgerIdentity(settings.ledger, settings.shards, settings.clock, settings.parking_seconds)


def servers_by_address(settings: Settings) -> Servers:
    """The servers a process works with, whether they answer now or not: it waits for them.

    Raises:
        StackError: there is no address, because no local stack was ever started.
    """
    stack = status(settings.state, External.of(settings))
    if not stack.kafka or not stack.postgres:
        raise StackError(
            "no local stack is running: start it with `redress local up`, or set REDRESS_KAFKA and REDRESS_POSTGRES"
        )
    return Servers(stack.kafka, stack.postgres, settings.topic_prefix)


async def check_ledger(postgres: str, wanted: LedgerIdentity) -> None:
    """See that the database holds the ledger that the settings name, at the version of this code.

    Raises:
        NotMigratedError: it does not.
        IdentityError: a setting differs from what the ledger began with.
        OSError, asyncpg.PostgresError: the server cannot be reached.
    """
    connection = await connect(postgres, application_name="redress-check")
    try:
        await _check_version(connection)
        stored = await connection.fetchrow(query("load_ledger"))
    finally:
        await connection.close()
    if stored is None:
        raise NotMigratedError("the ledger was never begun: run `redress migrate`")
    check_identity(LedgerIdentity(*stored), wanted)


async def _check_version(connection: Connection) -> None:
    try:
        applied = {row["migration_id"] for row in await connection.fetch(query("applied_migrations"))}
    except asyncpg.UndefinedTableError:
        raise NotMigratedError("the database has no ledger yet: run `redress migrate`") from None
    missing = sorted(_migrations() - applied)
    if missing:
        raise NotMigratedError(f"the ledger lacks {', '.join(missing)}: run `redress migrate`")


def _migrations() -> set[str]:
    folder = files("redress.ledger").joinpath("migrations")
    return {file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql")}


async def start_producer(servers: Servers, linger_ms: int = LINGER_MS) -> AIOKafkaProducer:
    """A producer that neither loses nor doubles what it sends, nor changes its order within a partition.

    Raises:
        KafkaError: no server answers.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=servers.kafka,
        client_id="redress",
        acks="all",
        enable_idempotence=True,
        compression_type=COMPRESSION,
        linger_ms=linger_ms,
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=REQUEST_BYTES_MAX,
    )
    try:
        await producer.start()
    except BaseException:
        await stop_producer(producer)
        raise
    return producer


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Send what is waiting, then leave Kafka; at once if Kafka is away."""
    with suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), STOP_SECONDS_MAX)


class SharedProducer:
    """One producer for everything a process sends. After a failure the next who asks gets a new one.

    An idempotent producer whose batch failed has a gap in its numbering, and Kafka refuses it from then on.
    """

    def __init__(self, servers: Servers, linger_ms: int = LINGER_MS) -> None:
        self._servers = servers
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[AIOKafkaProducer]:
        """The producer; an error of Kafka inside the block drops it for all."""
        async with self._starting:
            if self._producer is None:
                self._producer = await start_producer(self._servers, self._linger_ms)
        mine = self._producer
        try:
            yield mine
        except KafkaError:
            await self._drop(mine)
            raise

    async def send(self, record: Record) -> None:
        """Send one record and wait until it is acknowledged."""
        async with self.use() as producer:
            topic = self._servers.topic_prefix + record.topic.value
            await producer.send_and_wait(topic, record.value, key=record.key, headers=list(record.headers))

    async def stop(self) -> None:
        """Leave Kafka."""
        if self._producer is not None:
            await self._drop(self._producer)

    async def _drop(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            await stop_producer(producer)


class Issuance:
    """What turns entitlements of a shard into vouchers, beside its intake."""

    def __init__(self, producer: SharedProducer, topic_prefix: str, identity: LedgerIdentity) -> None:
        self._producer = producer
        self._prefix = topic_prefix
        self._identity = identity

    async def prepare(self, shard: int, connection: Connection) -> None:
        """Nothing has to be true before."""

    async def run(self, shard: int, epoch: int, connection: Connection, appended: Appended) -> None:
        """Issue until cancelled."""
        async with self._producer.use() as started:
            await Issuer(started, self._prefix, self._identity).run(shard, epoch, connection, appended)


def breaker_of(settings: Settings) -> BreakerLimits:
    """How much rubbish in a row stops a shard."""
    return BreakerLimits(settings.breaker_count, settings.breaker_ratio)


def make_worker(
    servers: Servers,
    identity: LedgerIdentity,
    producer: SharedProducer,
    reached: Checkpoint = lambda _: None,
    breaker: BreakerLimits = DEFAULT_LIMITS,
) -> Worker:
    """A worker with all that a shard's owner does. Its caller stops `producer` after it."""
    companions: tuple[Companion, ...] = (
        Issuance(producer, servers.topic_prefix, identity),
        Relay(servers.kafka, servers.topic_prefix, identity),
    )
    return Worker(servers, identity, companions=companions, reached=reached, breaker=breaker)


@asynccontextmanager
async def running_worker(servers: Servers, identity: LedgerIdentity) -> AsyncIterator[Worker]:
    """A worker that serves while the block runs; at its end it has given its shards back."""
    producer = SharedProducer(servers)
    worker = make_worker(servers, identity, producer)
    stopping = asyncio.Event()
    serving = asyncio.create_task(worker.run(stopping))
    try:
        yield worker
    finally:
        stopping.set()
        await serving
        await producer.stop()
