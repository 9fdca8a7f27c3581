"""A batch of few entries is written by one statement, a large one by COPY: both write the same."""

from collections.abc import AsyncIterator
from random import Random
from typing import Final

import asyncpg
import pytest

from redress.ledger import batch, few_rows
from redress.ledger.connection import Connection, connect
from redress.ledger.head import Position
from redress.ledger.queries import together
from redress.ledger.shard_ledger import FencedError, ShardLedger
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario

NEXT: Final = Position(1, 0, 0, 0)
COLUMNS = """
select array_agg(attname::text order by attnum)
from pg_attribute
where attrelid = $1::regclass and attnum > 0
"""


async def test_rows_are_given_in_the_order_of_their_tables(connection: Connection) -> None:
    given = {
        "journal": few_rows.JOURNAL_TYPE,
        "state": few_rows.STATE_TYPE,
        "redemption": few_rows.REDEMPTION_TYPE,
    }

    tables = {name: await connection.fetchval(COLUMNS, f"redress.{name}") for name in given}

    assert tables == {name: list(columns) for name, columns in given.items()}


def test_statements_together_keep_their_parameters_apart() -> None:
    assert together("batch_digest") == "select digest from redress.batch where shard = $1 and batch = $2"
    assert together("unpark", "batch_digest", "fenced") == (
        "with unpark as (\ndelete from redress.parked where shard = $1 and arrival = any($2::bigint[])\n),\n"
        "batch_digest as (\nselect digest from redress.batch where shard = $1 and batch = $3\n)\n"
        "select recorded_at, digest from fence"
    )


async def test_a_scenario_whose_batches_all_count_as_large_ends_as_the_oracle_says(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "FEW_ENTRIES_MAX", 0)
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(Scenario(Random(61), events=300, beneficiaries=15))
        await ledger.settled()

        await assert_agrees(ledger)
    await assert_ledger_sound(database)


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    found = await connect(database, application_name="test")
    yield found
    await found.close()


@pytest.fixture
async def ledger(connection: Connection) -> ShardLedger:
    """Of shard 0, open."""
    opened = ShardLedger(connection, TEST_LEDGER, 0, lambda _: None)
    await opened.open(await connection.fetchval("select epoch from redress.head where shard = 0"))
    return opened


async def test_a_writer_is_fenced_where_the_head_is_not_as_it_left_it(
    connection: Connection, ledger: ShardLedger
) -> None:
    await connection.execute("update redress.head set epoch = epoch + 1")

    with pytest.raises(FencedError):
        await ledger.append(NEXT, [], dict)

    assert await connection.fetchval("select count(*) from redress.batch") == 0


async def test_a_row_that_lacks_what_it_must_have_is_not_taken_for_a_lost_shard(
    connection: Connection, ledger: ShardLedger
) -> None:
    await connection.execute("update redress.head set now = '2026-01-10'")
    await connection.execute("alter table redress.head alter column now set not null")

    with pytest.raises(asyncpg.NotNullViolationError, match='"now" of relation "head"'):
        await ledger.append(NEXT, [], dict)


async def test_a_writer_that_lost_its_shard_writes_no_small_batch(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given a worker that believes it owns shards which another one has taken meanwhile
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(events.begin())
        await ledger.settled()
        before = {row["shard"]: row["epoch"] for row in await ledger.database.fetch("select * from redress.head")}
        await ledger.database.execute("update redress.head set epoch = epoch + 1")

        # when requests come, each a batch about a person alone
        await ledger.send_all(events.requested(person, "r-1", 1_000) for person in people(20))
        await ledger.settled()

        # then it was fenced, took the shards anew, and each counted once
        after = {row["shard"]: row["epoch"] for row in await ledger.database.fetch("select * from redress.head")}
        assert all(after[shard] >= before[shard] + 2 for shard in before)
        await assert_agrees(ledger)
    await assert_ledger_sound(database)
