"""Figures as of any moment on both axes: roll-ups, journal, balances and an independent sum all say the same."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import date
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from redress.domain.ids import Instant
from redress.finance.liability import BY_ALL, Liability, load_liability
from redress.finance.moments import instant_of
from redress.finance.movements import LIABILITIES, Period
from redress.finance.roll_forward import load_roll_forward
from redress.ledger.connection import Connection, connect
from redress.runtime.local import Stack
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario

EVENTS = 600


@pytest.fixture
async def ledger(stack: Stack, database: str, topic_prefix: str) -> AsyncIterator[RunningLedger]:
    async with RunningLedger(stack.kafka, database, topic_prefix) as running:
        # Whatever two programmes in two time zones may meet; the clock jumps over weeks.
        await running.send_all(Scenario(Random(6), events=EVENTS, beneficiaries=15))
        await running.settled()
        yield running


async def journal(connection: Connection) -> list[dict[str, Any]]:
    rows = await connection.fetch("select * from finance.journal where movement is not null")
    return [dict(row) for row in rows]


def summed(lines: list[dict[str, Any]], end: Instant | None, known: Instant | None) -> Counter[tuple[str, str, str]]:
    owed: Counter[tuple[str, str, str]] = Counter()
    for line in lines:
        if (end is None or line["effective_at"] < end) and (known is None or line["recorded_at"] < known):
            change = (line["credit"] in LIABILITIES) - (line["debit"] in LIABILITIES)
            owed[line["programme"], line["wave"], line["benefit"]] += change * line["amount"]
    return owed


def amounts(found: Liability) -> list[tuple[Any, ...]]:
    return [(row.programme, row.wave, row.benefit, *(getattr(row.owed, n) for n in LIABILITIES)) for row in found.rows]


async def test_roll_ups_journal_and_an_independent_sum_agree(ledger: RunningLedger) -> None:
    connection = await connect(ledger.postgres, application_name="test")
    lines = await journal(connection)
    zones = {row["programme"]: row["timezone"] for row in await connection.fetch("select * from redress.lot")}
    days = sorted({row["effective_day"] for row in await connection.fetch("select effective_day from redress.rollup")})
    recorded = sorted({line["recorded_at"] for line in lines})
    assert len(lines) > EVENTS / 10
    assert len(days) > 1
    moments = [None, *days[:: max(1, len(days) // 5)], date(2100, 1, 1)]
    for end in moments:
        for known in (None, date(2000, 1, 1), date(2100, 1, 1)):
            by_day = await load_liability(connection, Period(None, end, known), BY_ALL)
            by_line = await load_liability(connection, Period(None, end, known), BY_ALL, by_line=True)
            assert [(row, row.owed.outstanding) for row in by_day.rows if end or known] == [
                (row, row.owed.outstanding) for row in by_line.rows if end or known
            ]
            for row in by_day.rows:
                zone = zones[row.programme]
                limits = [None if moment is None else instant_of(moment, zone) for moment in (end, known)]
                expected = summed(lines, *limits)[row.programme, row.wave or "", row.benefit or ""]
                assert row.owed.outstanding == expected
    now = await load_liability(connection, Period(), BY_ALL)
    added = await load_liability(connection, Period(), BY_ALL, by_line=True)
    assert amounts(now) == amounts(added)
    assert set(now.sources.values()) == {"balances"}
    assert set(added.sources.values()) == {"journal"}
    for known_at in recorded[:: max(1, len(recorded) // 5)]:
        found = await load_liability(connection, Period(None, None, known_at), BY_ALL)
        for row in found.rows:
            expected = summed(lines, None, known_at)[row.programme, row.wave or "", row.benefit or ""]
            assert row.owed.outstanding == expected
    await connection.close()


async def test_every_period_is_proved_and_a_wrong_balance_is_found(ledger: RunningLedger) -> None:
    connection = await connect(ledger.postgres, application_name="test")
    found = await connection.fetch("select distinct effective_day from redress.rollup order by 1")
    days = [row["effective_day"] for row in found]
    cuts = [None, *days[:: max(1, len(days) // 6)], None]
    closing: dict[tuple[Any, ...], int] = {}
    for start, end in pairwise(cuts):
        by_day = await load_roll_forward(connection, Period(start, end), BY_ALL)
        by_line = await load_roll_forward(connection, Period(start, end), BY_ALL, by_line=True)
        assert by_day.is_proved
        assert by_day.rows == by_line.rows
        for row in by_day.rows:
            key = row.programme, row.wave, row.benefit
            assert row.opening == closing.get(key, 0)
            closing[key] = row.closing
    assert (await load_roll_forward(connection, Period(days[-1], days[-1]), BY_ALL)).is_proved
    now = await load_liability(connection, Period(), BY_ALL)
    assert {(row.programme, row.wave, row.benefit): row.owed.outstanding for row in now.rows} == closing

    # A balance that does not follow from the lines is found.
    await ledger.stop_workers()
    await connection.execute(
        "update redress.lot set held = held + 1, exception = exception - 1 where (shard, no) = "
        "(select shard, no from redress.lot where wave <> 'unknown' order by shard, no limit 1)"
    )
    statement = await load_roll_forward(connection, Period(), BY_ALL)
    assert not statement.is_proved
    assert [row.difference for row in statement.rows if row.difference] == [-1]
    await connection.close()
