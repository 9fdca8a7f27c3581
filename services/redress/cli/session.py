"""What a command works with: the settings, the servers they name, and a reader of the ledger."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import psycopg
import uvloop
from aiokafka.errors import KafkaError

from redress.intake.worker import Servers
from redress.ledger.connection import Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.runtime.local import StackError
from redress.runtime.local.stack import without_password
from redress.runtime.settings import Settings, load_settings
from redress.runtime.wiring import check_ledger, identity_of, servers_by_address

T = TypeVar("T")

_POSTGRES_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    psycopg.OperationalError,
)


@dataclass(frozen=True, slots=True)
class Session:
    """One command's: where it works, and on which ledger."""

    settings: Settings
    servers: Servers
    identity: LedgerIdentity

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work of the command.

        Raises:
            StackError: a server does not answer; the message says which.
        """
        try:
            return uvloop.run(work)
        except KafkaError as error:
            raise StackError(f"Kafka at {self.servers.kafka} does not answer as it should: {name_of(error)}") from error
        except _POSTGRES_AWAY as error:
            if getattr(error, "filename", None) is not None:
                raise  # a file, not a server
            place = without_password(self.servers.postgres)
            raise StackError(f"Postgres at {place} does not answer as it should: {name_of(error)}") from error

    async def check(self) -> None:
        """See that the ledger is there and is the one the settings name."""
        await check_ledger(self.servers.postgres, self.identity)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A connection on which everything that is read is of one moment; it can change nothing."""
        await self.check()
        connection = await connect(self.servers.postgres, application_name="redress-cli")
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield connection
        finally:
            await connection.close()


def open_session() -> Session:
    """From the environment. A server that is down is noticed when it is used.

    Raises:
        SettingsError, StackError: the environment names no servers to work with.
    """
    settings = load_settings()
    return Session(settings, servers_by_address(settings), identity_of(settings))


def name_of(error: Exception) -> str:
    """What went wrong, in one line."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
