"""Times on the command line."""

from datetime import date

import pytest

from redress.cli.instants import read_instant, read_moment, read_step
from redress.cli.output import WrongUseError, show_instant
from redress.contracts.instants import parse_instant
from redress.domain.ids import Instant
from redress.finance.moments import instant_of, midnight_of

SEOUL = "Asia/Seoul"


def test_a_moment_is_an_instant_or_a_date() -> None:
    assert read_moment("2026-01-15T10:00:00+09:00", "--as-of") == parse_instant("2026-01-15T01:00:00Z")
    assert read_moment("2026-01-15", "--as-of") == date(2026, 1, 15)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-01-15T10:00:00", "2026-01-15 10:00:00+09:00"])
def test_anything_else_is_refused_with_the_option_named(text: str) -> None:
    with pytest.raises(WrongUseError, match="--as-of"):
        read_moment(text, "--as-of")


@pytest.mark.parametrize(
    ("text", "seconds"), [("+1d", 86_400), ("+6h", 21_600), ("+30m", 1_800), ("+15s", 15), ("-1d", None), ("1d", None)]
)
def test_a_step_has_a_sign_a_number_and_a_unit(text: str, seconds: int | None) -> None:
    assert read_step(text) == (None if seconds is None else seconds * 1_000_000)


def test_a_date_is_its_midnight_in_the_programmes_time_zone() -> None:
    assert instant_of(date(2026, 4, 16), SEOUL) == parse_instant("2026-04-15T15:00:00Z")


def test_an_instant_is_a_midnight_in_one_zone_and_none_in_another() -> None:
    instant = parse_instant("2026-04-16T00:00:00+09:00")

    assert midnight_of(instant, SEOUL) == date(2026, 4, 16)
    assert midnight_of(instant, "Europe/Berlin") is None
    assert midnight_of(Instant(instant + 1), SEOUL) is None


def test_a_day_that_begins_at_one_o_clock_has_its_begin_there() -> None:
    # Clocks in Beirut went from 23:59:59 on 28 March 2026 to 01:00.
    begin = read_instant("2026-03-29T01:00:00+03:00", "T")

    assert midnight_of(begin, "Asia/Beirut") in (date(2026, 3, 29), None)
    assert show_instant(begin, "Asia/Beirut") == "2026-03-29T01:00:00+03:00"
