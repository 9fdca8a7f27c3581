"""Migrations: plain SQL, forward only; and what the first one writes down for good."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.resources import files
from uuid import uuid4

import asyncpg
import pytest

from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import IdentityError, migrate
from redress.ledger.queries import query
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, with_database
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.relayed import assert_published, relayed
from tests.harness.running_ledger import RunningLedger

FILES = sorted(
    file.name.removesuffix(".sql")
    for file in files("redress.ledger").joinpath("migrations").iterdir()
    if file.name.endswith(".sql")
)
RELEASED_BEFORE = "0002.finance"


@pytest.fixture
async def empty_database(stack: Stack) -> AsyncIterator[str]:
    """Nothing was migrated here."""
    name = f"redress_test_{uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres)
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        yield with_database(stack.postgres, name)
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


async def test_from_empty_every_migration_is_applied_once(empty_database: str) -> None:
    identity = LedgerIdentity("other", 3, "system", 60)

    first = await asyncio.to_thread(migrate, empty_database, identity)
    second = await asyncio.to_thread(migrate, empty_database, identity)

    assert (first, second) == (FILES, [])
    connection = await asyncpg.connect(empty_database)
    try:
        ledger = await connection.fetchrow("select name, shards, clock, parking_seconds from redress.ledger")
        shards = [
            row["shard"]
            for row in await connection.fetch("select shard from redress.head join redress.lease using (shard)")
        ]
        partitions = await connection.fetchval(
            "select count(*) from pg_inherits "
            "where inhparent in ('redress.journal'::regclass, 'redress.state'::regclass)"
        )
    finally:
        await connection.close()
    assert ledger is not None
    assert tuple(ledger) == ("other", 3, "system", 60)
    assert (sorted(shards), partitions) == ([0, 1, 2], 6)


async def test_a_ledger_of_the_release_before_goes_on(empty_database: str, stack: Stack, topic_prefix: str) -> None:
    # given a ledger that was served by the release before
    events = Events()
    ann, bob = people(2)
    before = await asyncio.to_thread(migrate, empty_database, TEST_LEDGER, up_to=RELEASED_BEFORE)
    async with RunningLedger(stack.kafka, empty_database, topic_prefix) as ledger:
        await ledger.send_all([*events.begin(), *events.welcomed(ann)])
        await ledger.settled()
        entries = await ledger.entries()

    # when it is migrated, and this one serves it
    now = await asyncio.to_thread(migrate, empty_database, TEST_LEDGER)
    async with RunningLedger(stack.kafka, empty_database, topic_prefix, relays=True) as ledger:
        await ledger.database.execute(query("request_re_emission"), list(range(TEST_LEDGER.shards)))
        await ledger.send_all(events.welcomed(bob))
        await ledger.settled()
        await relayed(ledger)

        # then it goes on where it was
        assert before + now == FILES
        assert before[-1] == RELEASED_BEFORE
        assert [entry for entry in await ledger.entries() if entry["beneficiary"] != bob] == entries
        await assert_published(ledger)
    await assert_ledger_sound(empty_database)


async def test_two_first_migrations_at_once_begin_one_ledger(empty_database: str) -> None:
    both = await asyncio.gather(*(asyncio.to_thread(migrate, empty_database, TEST_LEDGER) for _ in range(2)))

    assert sorted(both) == sorted([FILES, []])


@pytest.mark.parametrize(
    ("variable", "other"),
    [
        ("REDRESS_LEDGER", replace(TEST_LEDGER, name="another")),
        ("REDRESS_SHARDS", replace(TEST_LEDGER, shards=8)),
        ("REDRESS_CLOCK", replace(TEST_LEDGER, clock="system")),
        ("REDRESS_PARKING_SECONDS", replace(TEST_LEDGER, parking_seconds=1)),
    ],
)
async def test_what_never_changes_is_refused_by_the_name_of_its_variable(
    database: str, variable: str, other: LedgerIdentity
) -> None:
    with pytest.raises(IdentityError, match=variable):
        await asyncio.to_thread(migrate, database, other)
