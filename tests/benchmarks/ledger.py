"""A ledger under measurement: its own database and topics, and questions about what it booked."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql

from redress.contracts.encode import Record, encode_record
from redress.contracts.instants import format_instant
from redress.domain.event import ClockTicked
from redress.domain.ids import Instant
from redress.intake.worker import Servers
from redress.ledger.connection import Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.runtime.publish.control import send_controls
from redress.runtime.topics import apply_topics
from tests.benchmarks.people import LEDGER, SHARDS, controls
from tests.benchmarks.processes import BenchmarkError, Crew, crew, json_of
from tests.benchmarks.stack import Stack

SECOND_US: Final = 1_000_000
POLL_SECONDS: Final = 0.1
SERVING_SECONDS_MAX: Final = 120.0
"""How long workers may take to share the shards and to serve every one."""
IDENTITY: Final = LedgerIdentity(LEDGER, SHARDS, "manual", 86_400)


@dataclass(slots=True)
class BenchLedger:
    """One ledger. `now` is where its clock stands."""

    stack: Stack
    servers: Servers
    database: str
    connection: Connection
    now: Instant

    @classmethod
    async def create(cls, stack: Stack, now: Instant, name: str | None = None) -> Self:
        """A new ledger with terms and a wave on its programme topic, or the one of that name as it was left."""
        name = name or f"bench_{uuid4().hex[:8]}"
        address = await asyncio.to_thread(make_database, stack.postgres, name)
        servers = Servers(stack.kafka, address, f"{name}.")
        await asyncio.to_thread(migrate, address, IDENTITY)
        await apply_topics(stack.kafka, servers.topic_prefix, SHARDS)
        connection = await connect(address, application_name="bench")
        stands_at = await connection.fetchval("select max(now) from redress.head")
        ledger = cls(stack, servers, name, connection, stands_at or now)
        await send_controls(servers, controls())  # again: a duplicate, without effect
        return ledger

    async def drop(self) -> None:
        """Remove database and topics, so that what comes next meets no cache full of it."""
        await self.connection.close()
        await asyncio.to_thread(drop_database, self.stack.postgres, self.database)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.kafka)
        await admin.start()
        try:
            topics = [topic for topic in await admin.list_topics() if topic.startswith(self.servers.topic_prefix)]
            await admin.delete_topics(topics)
        finally:
            await admin.close()

    def environment(self) -> dict[str, str]:
        """For processes of this ledger."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REDRESS_")}
        return kept | {
            "REDRESS_KAFKA": self.servers.kafka,
            "REDRESS_POSTGRES": self.servers.postgres,
            "REDRESS_TOPIC_PREFIX": self.servers.topic_prefix,
            "REDRESS_LEDGER": LEDGER,
            "REDRESS_SHARDS": str(SHARDS),
            "REDRESS_CLOCK": "manual",
            "REDRESS_PARKING_SECONDS": str(IDENTITY.parking_seconds),
            "REDRESS_STATE": str(self.stack.folder),
        }

    # --- running

    async def tick(self, at: Instant | None = None) -> None:
        """Move the clock, by a second or to `at`."""
        self.now = at or Instant(self.now + SECOND_US)
        await send_controls(self.servers, [_tick(self.now)])

    @asynccontextmanager
    async def workers(self, number: int, *entry: str) -> AsyncIterator[Crew]:
        """So many worker processes of this entry, all shards shared and served."""
        async with crew([entry] * number, self.environment(), self.stack.folder / "workers.log") as running:

            async def shared() -> bool:
                running.assert_alive()
                return await self._shared(number)

            await self._until(shared, "the workers to share the shards")
            await self.tick()
            await self._until(self._ticked, "every shard to be served")
            yield running
            running.assert_alive()

    async def settled(self, kind: str, entries: int, seconds_max: float) -> None:
        """Wait until so many events of a kind were accepted in all."""

        async def done() -> bool:
            return await self.accepted(kind) >= entries

        await self._until(done, f"{entries:,} entries of kind {kind}", seconds_max)

    async def _until(self, done: Callable[[], Any], what: str, seconds_max: float = SERVING_SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds_max
        while not await done():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"waited {seconds_max:.0f} s for {what}")
            await asyncio.sleep(POLL_SECONDS)

    async def _shared(self, number: int) -> bool:
        """Whether as many owners as there are workers have each its share."""
        rows = await self.connection.fetch(
            "select count(*) as shards from redress.lease where lease_until > now() group by owner"
        )
        shares = [row["shards"] for row in rows]
        return len(shares) == number and sum(shares) == SHARDS and max(shares) == -(-SHARDS // number)

    async def _ticked(self) -> bool:
        behind = "select count(*) from redress.head where now is null or now < $1"
        return not await self.connection.fetchval(behind, self.now)

    # --- what was booked

    async def accepted(self, kind: str) -> int:
        """Events of a kind that were accepted; of all kinds from the redemption topic for `redeemed`."""
        found = await self.connection.fetchval(
            """
            select coalesce(sum(entries), 0)::bigint
            from redress.tally
            join redress.kind on kind.code = tally.kind
            join redress.outcome on outcome.code = tally.outcome
            where outcome.name = 'accepted'
              and (kind.name = $1 or $1 = 'redeemed' and kind.topic = 'redress.redemption')
            """,
            kind,
        )
        return int(found)

    async def lines(self) -> int:
        """Lines booked so far."""
        return int(await self.connection.fetchval("select coalesce(sum(lines), 0)::bigint from redress.rollup"))

    async def heads(self) -> dict[int, tuple[int, int]]:
        """By shard: the next offset to read of the issuance topic, and the next seq."""
        rows = await self.connection.fetch("select shard, issuance_offset, next_seq from redress.head")
        return {row["shard"]: (row["issuance_offset"], row["next_seq"]) for row in rows}

    async def sizes(self) -> dict[str, tuple[int, int]]:
        """Bytes by table, all its partitions together: rows with what belongs to them, and indexes."""
        rows = await self.connection.fetch(
            """
            select regexp_replace(relname, '_[0-9]+$', '') as name,
                   sum(pg_total_relation_size(oid) - pg_indexes_size(oid))::bigint as heap,
                   sum(pg_indexes_size(oid))::bigint as indexes
            from pg_class
            where relnamespace = 'redress'::regnamespace and relkind = 'r'
            group by name
            order by sum(pg_total_relation_size(oid)) desc
            """
        )
        return {row["name"]: (row["heap"], row["indexes"]) for row in rows}

    async def commits(self, since: float) -> tuple[float, float]:
        """When the first batch after a moment was recorded, and the last; in seconds since 1970."""
        row = await self.connection.fetchrow(
            """
            select min(recorded_at) as first, max(recorded_at) as last
            from redress.batch
            where recorded_at >= to_timestamp($1::float8) and next_seq > first_seq
            """,
            since,
        )
        if row is None or row["first"] is None:
            raise BenchmarkError("no batch was recorded")
        return row["first"] / SECOND_US, row["last"] / SECOND_US

    async def refused(self) -> int:
        """Entries refused, records dead-lettered, events parked: none of them is wanted here."""
        return int(
            await self.connection.fetchval(
                """
                select (select coalesce(sum(entries), 0)::bigint from redress.tally
                        join redress.outcome on outcome.code = tally.outcome where outcome.name = 'refused')
                     + (select count(*) from redress.dead_letter) + (select count(*) from redress.parked)
                """
            )
        )

    async def assert_sound(self, *, everything: bool = True) -> None:
        """Run `redress verify`, with a sample of the digests or with all.

        Raises:
            BenchmarkError: it found something, or something was refused, parked or dead-lettered.
        """
        entry = ("redress.cli.main", "verify", "--json", *(("--all",) if everything else ()))
        verified = await self.json_of(*entry)
        problems = [f"{c['name']}: {p}" for c in verified["checks"] for p in c["problems"]]
        if problems or not verified["passed"]:
            raise BenchmarkError("the ledger is not sound: " + "; ".join(problems))
        if refused := await self.refused():
            raise BenchmarkError(f"{refused:,} events were refused, parked or dead-lettered")

    async def json_of(self, *entry: str) -> Any:
        """The JSON that a process of this ledger writes."""
        return await json_of(entry, self.environment(), self.stack.folder / "command.log")


def make_database(server: str, name: str) -> str:
    """Its address; it may be there already."""
    with psycopg.connect(server, autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def drop_database(server: str, name: str) -> None:
    """Whoever is still connected."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _tick(now: Instant) -> Record:
    return encode_record(ClockTicked(now), event_id=format_instant(now), source="/bench/clock", time=now)
