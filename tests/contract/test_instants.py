"""Times on the wire are exact, or refused."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redress.contracts.instants import MAX_INSTANT, MIN_INSTANT, InstantError, format_instant, parse_instant
from redress.domain.ids import Instant
from tests.contract import strategies


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T09:00:00+09:00", 0),
        ("2026-01-15T10:00:00+09:00", 1_768_438_800_000_000),
        ("2026-01-15T01:00:00Z", 1_768_438_800_000_000),
        ("2026-01-15t01:00:00.5z", 1_768_438_800_500_000),
        ("2026-01-15T01:00:00.000001-00:00", 1_768_438_800_000_001),
        ("2024-02-29T23:59:59.999999-23:59", 1_709_337_539_999_999),
        ("9999-12-30T23:59:59.999999Z", MAX_INSTANT),
    ],
)
def test_a_time_is_read_to_the_microsecond(text: str, micros: int) -> None:
    assert parse_instant(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-15",
        "2026-01-15T10:00:00",
        "2026-01-15 10:00:00Z",
        "2026-01-15T10:00Z",
        "2026-01-15T10:00:00.Z",
        "2026-01-15T10:00:00.1234567Z",
        "2026-01-15T10:00:00,5Z",
        "2026-01-15T10:00:60Z",
        "2026-01-15T24:00:00Z",
        "2026-13-15T10:00:00Z",
        "2026-02-29T10:00:00Z",
        "2026-01-15T10:00:00+0900",
        "2026-01-15T10:00:00+09",
        "2026-01-15T10:00:00+09:60",
        "2026-01-15T10:00:00+24:00",
        "20260115T100000Z",
        "2026-W03-4T10:00:00Z",
        "2026-01-15T10:00:00Z\n",
        " 2026-01-15T10:00:00Z",
        "２026-01-15T10:00:00Z",
        "-2026-01-15T10:00:00Z",
        "12026-01-15T10:00:00Z",
        "1970-01-01T00:00:00+00:01",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_any_other_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InstantError) as refusal:
        parse_instant(text)

    assert not text.strip() or text not in str(refusal.value)


@given(instant=strategies.instants)
def test_a_written_time_is_read_back(instant: Instant) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(
    instant=st.integers(MIN_INSTANT, MAX_INSTANT),
    offset=st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_the_offset_does_not_matter(instant: int, offset: int) -> None:
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant, minutes=offset)
    sign = "-" if offset < 0 else "+"
    text = f"{local.replace(tzinfo=None).isoformat()}{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"

    assert parse_instant(text) == instant


@given(text=st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InstantError):
        assert MIN_INSTANT <= parse_instant(text) <= MAX_INSTANT


def test_a_fraction_is_written_only_where_there_is_one() -> None:
    assert format_instant(Instant(0)) == "1970-01-01T00:00:00Z"
    assert format_instant(Instant(1)) == "1970-01-01T00:00:00.000001Z"
