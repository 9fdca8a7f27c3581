"""One shard as its journal tells it, in scratch tables of one connection: made, compared, put in place.

The statements are of whole sets (`sql/rebuild.sql`); the scratch tables are empty again after each transaction and
gone with the connection, so that nothing is left behind by what ends in the middle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import asyncpg

from redress.domain.seen import FINGERPRINT_BYTES, identity
from redress.ledger.connection import Connection
from redress.ledger.identity import LedgerIdentity
from redress.ledger.person_rows import SEEN_IN_ROW_MAX
from redress.ledger.queries import query, statements
from redress.projections.checks import PACKAGE
from redress.projections.rebuild import BrokenJournalError, parked_events

TABLES: Final = ("terms", "programme", "wave", "lot", "state", "redemption", "rollup", "tally")
"""What is made anew. Events seen that were spilled belong to `state`."""
PARKED_AT_ONCE: Final = 2_000
"""Events that wait: they are read by the decoder of events, so many at a time."""

Told = Callable[[str], None]
"""Called with the name of each step as it begins."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of a table that are not as the journal says: how many, and what is wrong with the first."""

    table: str
    rows: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A shard that was rebuilt: how much, and what of the live rows was not so. `promoted`: now it is."""

    shard: int
    entries: int
    lines: int
    differences: tuple[Difference, ...]
    promoted: bool = False

    @property
    def rows(self) -> int:
        """How many rows differed."""
        return sum(difference.rows for difference in self.differences)


def steps() -> list[str]:
    """Names of the statements that rebuild a shard and hold it against its live rows, in order."""
    names = statements(PACKAGE)
    return [name for part in ("rebuild_", "differ_") for name in names if name.startswith(part)]


class Scratch:
    """Scratch tables on a connection that does nothing else."""

    def __init__(self, connection: Connection, ledger: LedgerIdentity) -> None:
        self._connection = connection
        self._ledger = ledger

    async def make(self) -> None:
        """Make them, once."""
        await self._connection.execute(query("settings", PACKAGE))
        await self._connection.execute(query("make_scratch", PACKAGE))

    async def rebuild(self, shard: int, shown_max: int, told: Told) -> Rebuilt:
        """Rebuild a shard and hold it against its live rows, as the caller's transaction sees them.

        Raises:
            BrokenJournalError: the journal is not whole, or does not make sense.
        """
        gap = await self._connection.fetchval(query("gap", PACKAGE), shard)
        if gap is not None:
            raise BrokenJournalError(f"shard {shard}: the journal is not whole: {gap}")
        await self._read_parked(shard)
        try:
            for name in steps():
                told(name)
                await self._run(name, shard)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise BrokenJournalError(f"shard {shard}: the journal does not make sense: {error}") from error
        counted = await self._connection.fetchrow(query("count_rebuilt", PACKAGE))
        if counted is None:
            raise LookupError("the count of what was rebuilt returned nothing")
        found = await self._connection.fetch(query("read_differences", PACKAGE), shown_max)
        differences = tuple(Difference(row["name"], row["wrong"], tuple(row["problems"])) for row in found)
        return Rebuilt(shard, counted["entries"], counted["lines"], differences)

    async def put(self, rebuilt: Rebuilt, told: Told) -> None:
        """Put what differed in place, in the transaction in which it was rebuilt."""
        tables = {difference.table for difference in rebuilt.differences}
        names: list[str] = [table for table in TABLES if table in tables]
        if "state" in tables:
            names.append("seen_spill")
            await self._run("search_anew", rebuilt.shard)
        for name in names:
            told(f"put_{name}")
            await self._run(f"drop_{name}", rebuilt.shard)
            await self._run(f"put_{name}", rebuilt.shard)

    async def _run(self, name: str, shard: int) -> None:
        sql = query(name, PACKAGE)
        arguments = [argument for place, argument in (("$1", shard), ("$2", SEEN_IN_ROW_MAX)) if place in sql]
        await self._connection.execute(sql, *arguments)

    async def _read_parked(self, shard: int) -> None:
        waiting: list[tuple[str, int, bytes]] = []
        async for person, arrival, event in parked_events(self._connection, self._ledger, shard):
            seen = identity(event.source, event.id) + event.fingerprint[:FINGERPRINT_BYTES]
            waiting.append((person, arrival, seen))
            if len(waiting) == PARKED_AT_ONCE:
                await self._copy_parked(waiting)
        await self._copy_parked(waiting)

    async def _copy_parked(self, waiting: list[tuple[str, int, bytes]]) -> None:
        await self._connection.copy_records_to_table("parked_seen", records=waiting)
        waiting.clear()
