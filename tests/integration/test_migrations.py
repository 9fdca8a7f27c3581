"""Migrations: plain SQL, forward only; and what the first one writes down for good."""

import asyncio
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import IdentityError, migrate
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.relayed import assert_published, relayed
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario

FILES = sorted(
    file.name.removesuffix(".sql")
    for file in files("redress.ledger").joinpath("migrations").iterdir()
    if file.name.endswith(".sql")
)
RELEASED_BEFORE = "0002.finance"
RELEASED = Path(__file__).parent / "released"
"""Rows of ledgers as released versions wrote them: of `Scenario(Random(71), events=160, beneficiaries=10)`."""


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
    # given a ledger that the release before served, with its topics
    served = list(Scenario(Random(71), events=160, beneficiaries=10))
    before = await asyncio.to_thread(migrate, empty_database, TEST_LEDGER, up_to=RELEASED_BEFORE)
    async with RunningLedger(stack.kafka, empty_database, topic_prefix, workers_at_start=0) as ledger:
        await ledger.database.execute("delete from redress.head")
        await ledger.database.execute((RELEASED / f"{RELEASED_BEFORE}.sql").read_text(encoding="utf-8"))
        await ledger.send_all(served)
        said = await _all_said(ledger)

        # when it is migrated
        now = await asyncio.to_thread(migrate, empty_database, TEST_LEDGER)

        # then it says what it said
        assert before + now == FILES
        assert before[-1] == RELEASED_BEFORE
        assert await _all_said(ledger) == said
        assert min(map(len, said)) > 0
    await assert_ledger_sound(empty_database)

    # and goes on where it was
    async with RunningLedger(stack.kafka, empty_database, topic_prefix, relays=True) as ledger:
        entries = await ledger.entries()
        events = Events(wave="third", source="/later")
        (ann,) = people(1)
        await ledger.send_all([*events.begin(), *events.welcomed(ann)])
        await ledger.settled()
        await relayed(ledger)
        after = await ledger.entries()
        assert len(after) > len(entries)
        assert [entry for entry in after if entry in entries] == entries
        await assert_published(ledger)
    await assert_ledger_sound(empty_database)


async def _all_said(ledger: RunningLedger) -> list[list[Any]]:
    """What finance reads of it: every entry, and every voucher."""
    return [
        await ledger.database.fetch("select * from finance.journal order by shard, seq, line"),
        await ledger.database.fetch("select * from finance.voucher_balance order by voucher"),
    ]


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
