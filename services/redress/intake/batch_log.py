"""Where the batches of a ledger are logged, so that it can be replayed along them: its database, or its own topic."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from redress.domain.event import Coordinates, Topic
from redress.domain.ids import Instant
from redress.domain.step import REFUSED_LATE
from redress.intake.batch_decider import REFUSED_BY_DATABASE
from redress.ledger.codes import RULES_VERSION
from redress.ledger.connection import Connection, connect
from redress.ledger.head import Position
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.ledger.shard_ledger import LoggedBatch

LOG_ROWS = 500
"""Batches of the log read in one go: some 100 KB."""


class ReplayError(Exception):
    """The replay cannot begin or go on; the message says where and why."""


@dataclass(frozen=True, slots=True)
class LogEnd:
    """What the log has of a shard: its first batch, its last, and where that one ends."""

    first: int
    batch: int
    position: Position


class Erasure(NamedTuple):
    """A dead letter whose bytes were erased."""

    at: Coordinates
    erased_at: Instant


@dataclass(frozen=True, slots=True)
class SetAside:
    """Records that Postgres refused: when they were read, and when they were parked and could be decided."""

    poison: frozenset[Coordinates]
    refused: frozenset[Coordinates]

    @classmethod
    def of(cls, letters: Iterable[tuple[Coordinates, str]]) -> "SetAside":
        """From dead letters with their details."""
        known = list(letters)
        return cls(
            frozenset(at for at, detail in known if detail == REFUSED_BY_DATABASE),
            frozenset(at for at, detail in known if detail == REFUSED_LATE),
        )


class BatchLog(Protocol):
    """The batches of a ledger, shard by shard."""

    async def check(self, identity: LedgerIdentity) -> None:
        """See that this is the log of that ledger.

        Raises:
            ReplayError: it is another's.
        """

    async def end(self, shard: int) -> LogEnd | None:
        """What the log has of the shard; None: nothing."""

    def batches(self, shard: int, after: int) -> AsyncGenerator[LoggedBatch, None]:
        """The batches after a given one, in order.

        Raises:
            ReplayError: one cannot be replayed by this code, or cannot be read.
        """

    async def set_aside(self, shard: int) -> SetAside:
        """Records that Postgres refused: they ended as dead letters whatever they said, and must again."""

    async def erased(self, shard: int) -> list[Erasure]:
        """Dead letters whose bytes are not to come back."""


class DatabaseLog:
    """The log in the tables of the ledger that is to be replayed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def check(self, identity: LedgerIdentity) -> None:
        """See that this is the log of that ledger."""
        [row] = await self._fetch("load_ledger") or [None]
        if row is None or LedgerIdentity(*row) != identity:
            has = "no ledger" if row is None else f"the ledger {tuple(row)}"
            raise ReplayError(f"the database to recover from has {has}, not {identity}")

    async def end(self, shard: int) -> LogEnd | None:
        """What the log has of the shard."""
        [row] = await self._fetch("log_end", shard) or [None]
        return None if row is None else LogEnd(row["first"], row["batch"], _position(row, "offset"))

    async def batches(self, shard: int, after: int) -> AsyncGenerator[LoggedBatch, None]:
        """The batches after a given one."""
        connection = await self._connect()
        try:
            while rows := await connection.fetch(query("batch_log"), shard, after, LOG_ROWS):
                for row in rows:
                    check_rules(shard, row["batch"], row["rules_version"])
                    yield LoggedBatch(
                        row["batch"],
                        _position(row, "from"),
                        _position(row, "offset"),
                        row["next_seq"],
                        row["recorded_at"],
                        row["digest"],
                    )
                after = rows[-1]["batch"]
        finally:
            connection.terminate()

    async def set_aside(self, shard: int) -> SetAside:
        """Records that Postgres refused."""
        rows = await self._fetch("set_aside", shard, [REFUSED_BY_DATABASE, REFUSED_LATE])
        return SetAside.of((_coordinates(row), row["detail"]) for row in rows)

    async def erased(self, shard: int) -> list[Erasure]:
        """Dead letters whose bytes are not to come back."""
        return [Erasure(_coordinates(row), row["erased_at"]) for row in await self._fetch("erased_letters", shard)]

    async def _connect(self) -> Connection:
        return await connect(self._dsn, application_name="redress-recover")

    async def _fetch(self, name: str, *parameters: Any) -> list[Any]:
        connection = await self._connect()
        try:
            return await connection.fetch(query(name), *parameters)
        finally:
            await connection.close()


def check_rules(shard: int, batch: int, rules_version: int) -> None:
    """Refuse what was decided by other rules.

    Raises:
        ReplayError: it was.
    """
    if rules_version != RULES_VERSION:
        raise ReplayError(
            f"shard {shard}, batch {batch} was decided by version {rules_version} of the rules; "
            f"this release has version {RULES_VERSION}"
        )


def _position(row: Any, column: str) -> Position:
    return Position(*[row[f"{topic.name.lower()}_{column}"] for topic in Topic])


def _coordinates(row: Any) -> Coordinates:
    return Coordinates(Topic(row["topic"]), row["record_partition"], row["record_offset"])
