"""Runs the peers beside a ledger, each for one round; all rates are lines per second, four to an event."""

import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import orjson

from tests.benchmarks.ledger import BenchLedger, drop_database, make_database
from tests.benchmarks.peers.event_store import PROCESSES
from tests.benchmarks.peers.tables import make_tables, written
from tests.benchmarks.people import LINES
from tests.benchmarks.processes import BenchmarkError, crew

SLOW_EVENTS_MAX: Final = 10_000
"""Events of a round for those that take one transaction per event or few: some seconds."""
FAUST_SECONDS_MAX: Final = 90.0
"""How long the faust agent may take to join its group and take its events."""
POLL_SECONDS: Final = 0.1

Offsets = dict[int, tuple[int, int]]
"""By partition: the first record's offset, and the one after the last."""


class Peers:
    """A database beside the ledger's, and everything that is run in it."""

    def __init__(self, ledger: BenchLedger) -> None:
        self._ledger = ledger
        self._name = f"{ledger.database}_peer"
        self._address = make_database(ledger.stack.postgres, self._name)
        self._log = ledger.stack.folder / "peers.log"
        self._environment = ledger.environment() | {"REDRESS_POSTGRES": self._address}

    def drop(self) -> None:
        """Remove the database."""
        drop_database(self._ledger.stack.postgres, self._name)

    async def no_rules(self, offsets: Offsets, workers: int) -> float:
        """The pipeline without rules, on the records that the ledger has just taken."""
        await make_tables(self._address)
        shares = [{s: bounds for s, bounds in offsets.items() if s % workers == n} for n in range(workers)]
        entries = [("tests.benchmarks.peers.no_rules", orjson.dumps(_text_keys(share)).decode()) for share in shares]
        seconds = await self._timed(entries)
        return await self._rate(seconds)

    async def plain(self, first: int, end: int) -> float:
        """One transaction per event, eight connections."""
        await make_tables(self._address)
        end = min(end, first + SLOW_EVENTS_MAX)
        seconds = await self._timed([("tests.benchmarks.peers.plain", str(first), str(end))])
        return await self._rate(seconds)

    async def faust(self, events: int) -> float:
        """A faust agent, from its first commit to that of so many events."""
        await make_tables(self._address)
        events = min(events, SLOW_EVENTS_MAX)
        entry = (
            "tests.benchmarks.peers.faust_agent",
            f"{self._name}-{uuid4().hex[:8]}",
            str(self._log.parent / "faust"),
        )
        connection = await asyncpg.connect(self._address)
        try:
            async with crew([entry], self._environment, self._log) as running:
                deadline = time.monotonic() + FAUST_SECONDS_MAX
                while await connection.fetchval("select count(*) from peer.event") < events:
                    running.assert_alive()
                    if time.monotonic() > deadline:
                        raise BenchmarkError(f"faust did not take {events:,} events in {FAUST_SECONDS_MAX:.0f} s")
                    await asyncio.sleep(POLL_SECONDS)
            count = await connection.fetchval("select count(*) from peer.event")
            seconds = await connection.fetchval(
                "select extract(epoch from max(recorded_at) - min(recorded_at))::float8 from peer.event"
            )
        finally:
            await connection.close()
        return float((count - 1) * LINES / seconds)

    async def event_store(self, first: int, end: int) -> float:
        """The eventsourcing library, four processes. Its one event of four vouchers counts as four lines."""
        end = min(end, first + SLOW_EVENTS_MAX)
        bounds = [first + (end - first) * n // PROCESSES for n in range(PROCESSES + 1)]
        entries = [("tests.benchmarks.peers.event_store", str(begin), str(stop)) for begin, stop in pairwise(bounds)]
        place = urlsplit(self._address)
        settings = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": self._name,
            "POSTGRES_HOST": str(place.hostname),
            "POSTGRES_PORT": str(place.port),
            "POSTGRES_USER": str(place.username),
            "POSTGRES_PASSWORD": str(place.password),
        }
        connection = await asyncpg.connect(self._address)
        try:
            await connection.execute("drop table if exists issues_events")
            await self._timed([("tests.benchmarks.peers.event_store", "0", "0")], settings)  # makes the table
            seconds = await self._timed(entries, settings | {"CREATE_TABLE": "no"})  # four at once would collide
            events = await connection.fetchval("select count(*) from issues_events")
        finally:
            await connection.close()
        if events != end - first:
            raise BenchmarkError(f"eventsourcing kept {events:,} of {end - first:,} events")
        return float(events * LINES / seconds)

    async def bare_copy(self, ranges: list[tuple[int, int, int]]) -> float:
        """COPY of the rows that the ledger has just written."""
        entry = ("tests.benchmarks.peers.bare_copy", orjson.dumps(ranges).decode())
        copied = await self._ledger.json_of(*entry)
        if copied["entries"] != sum(last - first + 1 for _, first, last in ranges):
            raise BenchmarkError(f"COPY brought {copied['entries']:,} entries")
        return float(copied["entries"] * LINES / copied["seconds"])

    async def _timed(self, entries: Sequence[tuple[str, ...]], settings: dict[str, str] | None = None) -> float:
        """Seconds from the word until the last of these processes has written all."""
        async with crew(entries, self._environment | (settings or {}), self._log) as running:
            await running.say("ready")
            begun = time.monotonic()
            running.go()
            await running.say("done")
            return time.monotonic() - begun

    async def _rate(self, seconds: float) -> float:
        """Entries per second, of what stands in the tables."""
        events, vouchers, entries = await written(self._address)
        if not events or (vouchers, entries) != (events * LINES, events * LINES):
            raise BenchmarkError(f"a peer wrote {events:,} events, {vouchers:,} vouchers and {entries:,} entries")
        return entries / seconds


def _text_keys(offsets: Offsets) -> dict[str, tuple[int, int]]:
    return {str(shard): bounds for shard, bounds in offsets.items()}
