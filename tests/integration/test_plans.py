"""Plans are kept for a moment, so that no batch of few entries plans anew; and no longer, as tables grow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from redress.ledger.connection import WRITER_ROLE, Connection, connect
from redress.ledger.plans import Plans
from tests.harness.waiting import until

ROWS = 50_000
TABLE = """
create temp table grown (n bigint);
prepare asked (bigint) as select n from grown where n > $1;
"""
"""A temporary one, of which autovacuum sees nothing: its ANALYZE would have plans made anew."""
GROW = "insert into grown select generate_series(1, $1)"


@asynccontextmanager
async def _writer(database: str) -> AsyncIterator[Connection]:
    connection = await connect(database, application_name="test", role=WRITER_ROLE)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_plan_is_kept_until_it_is_renewed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redress.ledger.plans.KEPT_SECONDS", 3_600.0)  # however slow the machine is
    async with _writer(database) as connection:
        plans = Plans(connection)
        await connection.execute(TABLE)
        await plans.renew(at_once=True)
        while_empty = await _rows_expected(connection)
        await connection.execute(GROW, ROWS)

        await plans.renew()
        assert await _rows_expected(connection) == while_empty
        await plans.renew(at_once=True)
        assert await _rows_expected(connection) > while_empty


async def test_a_plan_is_renewed_in_time(database: str) -> None:
    async with _writer(database) as connection:
        plans = Plans(connection)
        await connection.execute(TABLE)
        await plans.renew()
        while_empty = await _rows_expected(connection)
        await connection.execute(GROW, ROWS)

        async def renewed() -> bool:
            await plans.renew()
            return await _rows_expected(connection) > while_empty

        await until(renewed)


async def _rows_expected(connection: Connection) -> int:
    """How many rows the plan expects that is kept for what was prepared."""
    (row,) = await connection.fetch("explain (format json) execute asked (0)")
    (explained,) = row[0]
    return int(explained["Plan"]["Plan Rows"])
