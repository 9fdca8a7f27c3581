"""Journal and batches can be read and added to, and nothing else, whoever asks."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from redress.ledger.connection import Connection, connect
from tests.conftest import TEST_LEDGER

TABLES = ["journal", "batch", *(f"journal_{n}" for n in range(TEST_LEDGER.shards))]

ONE_ENTRY = """
insert into redress.batch
select shard, 1, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, now(), now(), 1, sha256('batch') from redress.head;
insert into redress.source (source) values ('/test');
insert into redress.journal
    (shard, seq, batch, record_offset, occurred_at, effective_at, source, kind, outcome, cause_text, fingerprint, lines)
select shard, 1, 1, 0, now(), now(), 1, 7, 1, 'e-1', sha256('event'), '' from redress.head;
"""


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    """As a superuser who owns the tables, with an entry in each partition."""
    connection = await connect(database, application_name="test")
    await connection.execute(ONE_ENTRY)
    yield connection
    await connection.close()


@pytest.mark.parametrize("table", TABLES)
async def test_not_even_the_owner_changes_or_removes_what_was_appended(connection: Connection, table: str) -> None:
    assert await connection.fetchval("select rolsuper from pg_roles where rolname = current_user")
    changes = {
        "update": f"update redress.{table} set batch = batch + 1",
        "delete": f"delete from redress.{table}",
        "truncate": f"truncate redress.{table}",
    }
    for statement in changes.values():
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute(statement)

    assert await connection.fetchval(f"select count(*) from redress.{table}") > 0


@pytest.mark.parametrize("role", ["redress_writer", "redress_finance"])
async def test_no_role_may_change_remove_or_detach(connection: Connection, role: str) -> None:
    await connection.execute(f"set role {role}")

    for table in TABLES:
        for statement in (
            f"update redress.{table} set batch = 7",
            f"delete from redress.{table}",
            f"truncate redress.{table}",
            f"drop table redress.{table}",
            f"alter table redress.{table} disable trigger all",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("alter table redress.journal detach partition redress.journal_0")


async def test_the_writer_may_append_and_read(connection: Connection) -> None:
    await connection.execute("set role redress_writer")

    await connection.execute(
        "insert into redress.journal (shard, seq, batch, record_offset, occurred_at, effective_at, source, kind, "
        "outcome, cause_text, fingerprint, lines) select shard, 2, batch, record_offset, occurred_at, effective_at, "
        "source, kind, outcome, 'e-2', fingerprint, lines from redress.journal where seq = 1"
    )

    assert await connection.fetchval("select count(*) from redress.journal") == 2 * TEST_LEDGER.shards


async def test_a_replica_session_does_not_get_around_the_checks_of_balances(connection: Connection) -> None:
    await connection.execute("set session_replication_role = replica")

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "insert into redress.lot select 0, 1, 'p', 'w', 'b', '*', 1, 'KRW', 'UTC', 1, now(), now(), 'open', now(), "
            "now(), now(), now(), 0, 0, 0, -1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0"
        )
