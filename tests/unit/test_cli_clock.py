"""Which ticks a clock still owes, and how it goes on after an error."""

import asyncio

import pytest

from redress.contracts.encode import Record
from redress.contracts.instants import format_instant, parse_instant
from redress.domain.ids import Instant
from redress.domain.time import DAY, SECOND
from redress.intake.clock import SystemClock, tick_record, ticks_due

NOON = parse_instant("2026-01-15T12:00:00Z")


def after(**parts: int) -> Instant:
    return Instant(NOON + sum({"days": DAY, "seconds": SECOND, "micros": 1}[unit] * n for unit, n in parts.items()))


def test_a_ledger_begins_with_one_tick_on_a_whole_second() -> None:
    assert list(ticks_due(None, after(seconds=3, micros=999_999))) == [after(seconds=3)]


def test_each_second_gets_its_tick() -> None:
    assert list(ticks_due(NOON, after(seconds=3, micros=1))) == [after(seconds=n) for n in (1, 2, 3)]


def test_within_a_second_nothing_is_due() -> None:
    assert list(ticks_due(NOON, after(micros=999_999))) == []


def test_a_machine_clock_that_was_set_back_is_waited_for() -> None:
    assert list(ticks_due(NOON, after(seconds=-30))) == []


def test_a_clock_that_is_days_behind_catches_up_in_steps_a_ledger_takes() -> None:
    ticks = list(ticks_due(after(seconds=7), after(days=3, seconds=20)))

    assert ticks[-1] == after(days=3, seconds=20)
    steps = [later - earlier for earlier, later in zip([after(seconds=7), *ticks], ticks, strict=False)]
    assert all(0 < step < DAY for step in steps)
    midnights = {parse_instant(f"2026-01-{day}T00:00:00Z") for day in (16, 17, 18)}
    assert midnights <= set(ticks)


def test_a_tick_said_twice_is_the_same_event() -> None:
    assert tick_record("main", NOON) == tick_record("main", NOON)
    assert format_instant(NOON).encode() in tick_record("main", NOON).value


async def test_what_could_not_be_sent_is_sent_when_the_clock_goes_on() -> None:
    sent: list[bytes] = []
    failing = [True]

    async def send(record: Record) -> None:
        if len(sent) == 1 and failing[0]:
            raise ConnectionError
        sent.append(record.value)

    clock = SystemClock(send, "main", NOON, lambda: 0)
    with pytest.raises(ConnectionError):
        await clock.tick_up_to(after(seconds=2), asyncio.Event())
    failing[0] = False
    await clock.tick_up_to(after(seconds=3), asyncio.Event())

    assert sent == [tick_record("main", after(seconds=n)).value for n in (1, 2, 3)]
