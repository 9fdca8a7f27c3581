"""Instants: microseconds since the Unix epoch, in UTC, as integers."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US

LONG_AGO_US: Final = -(10**18)
"""Before every instant an event can carry: what has no last line yet had it then."""


def read(text: str) -> int:
    """An RFC 3339 time with offset as microseconds since the epoch."""
    return (datetime.fromisoformat(text.upper()) - EPOCH) // MICROSECOND


def write(instant_us: int, zone: tzinfo = UTC) -> str:
    """An instant as RFC 3339 text in a zone's offset."""
    return (EPOCH + instant_us * MICROSECOND).astimezone(zone).isoformat()


def day(instant_us: int, zone: tzinfo) -> str:
    """The calendar day an instant falls on in a time zone, as ISO text."""
    return (EPOCH + instant_us * MICROSECOND).astimezone(zone).date().isoformat()
