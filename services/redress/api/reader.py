"""The ledger's database as the API reads it: one pool, prepared statements, and a gate before each kind of work.

Nothing is written through it: the only way in is the stream.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from redress.api.gate import Gate
from redress.api.problems import unavailable
from redress.api.queries import query
from redress.ledger.connection import Connection, Pool, open_pool

FIGURES_AT_ONCE: Final = 2
"""Figures may read much; two at a time leave the database to those who wait at a checkout."""
ANSWERS_AT_ONCE: Final = 8
"""Reads before and after a write."""
PROBES_AT_ONCE: Final = 1
FIXED_CONNECTIONS: Final = FIGURES_AT_ONCE + ANSWERS_AT_ONCE + PROBES_AT_ONCE
STATEMENT_SECONDS_MAX: Final = 30.0
"""One statement of a reader: figures walk roll-ups, histories pages; nothing that is asked here takes longer."""

POSTGRES_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
)
"""What it looks like when the database is away, starts, stops, is full, or took too long."""


@dataclass(frozen=True, slots=True)
class Gates:
    """One per kind of work, so that a storm of one kind does not keep out the others."""

    look_up: Gate
    answer: Gate
    figures: Gate
    probe: Gate

    @classmethod
    def of(cls, connections: int) -> "Gates":
        """As many look-ups at a time as connections are left."""
        look_ups = max(1, connections - FIXED_CONNECTIONS)
        return cls(
            look_up=Gate(look_ups, waiting_max=16 * look_ups, wait_seconds_max=0.5),
            answer=Gate(ANSWERS_AT_ONCE, waiting_max=2_000, wait_seconds_max=4.0),
            figures=Gate(FIGURES_AT_ONCE, waiting_max=16, wait_seconds_max=10.0),
            probe=Gate(PROBES_AT_ONCE, waiting_max=64, wait_seconds_max=2.0),
        )


class Reader:
    """Reads the database that holds the ledger. It connects when it is asked, and again after the database was away."""

    def __init__(self, dsn: str, connections: int) -> None:
        self._dsn = dsn
        self._connections = max(connections, FIXED_CONNECTIONS + 1)
        self._pool: Pool | None = None
        self.gates = Gates.of(self._connections)

    async def open(self) -> None:
        """Make the pool; no server is asked yet."""
        self._pool = await open_pool(
            self._dsn,
            application_name="redress-api",
            connections_max=self._connections,
            statement_seconds_max=STATEMENT_SECONDS_MAX,
        )

    async def close(self) -> None:
        """Drop all connections."""
        if self._pool is not None:
            self._pool.terminate()

    @asynccontextmanager
    async def through(self, gate: Gate) -> AsyncIterator[Connection]:
        """A connection, once the gate lets in.

        Raises:
            ProblemError: too much is asked at once, or the database is away.
        """
        if self._pool is None:
            raise unavailable("Postgres")
        async with gate.enter():
            try:
                async with self._pool.acquire() as connection:
                    yield connection  # type: ignore[misc]  # a proxy with the methods of a connection
            except POSTGRES_AWAY as error:
                raise unavailable("Postgres") from error

    @asynccontextmanager
    async def snapshot(self, gate: Gate) -> AsyncIterator[Connection]:
        """The same, with all that is read of one moment."""
        async with self.through(gate) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection

    async def check(self) -> None:
        """See that the database answers.

        Raises:
            ProblemError: it does not.
        """
        async with self.through(self.gates.probe) as connection:
            await connection.fetchval(query("answers"))
