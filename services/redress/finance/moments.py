"""Moments a figure is asked for: an instant, or a date, which is its midnight in the programme's time zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from redress.domain.ids import Instant
from redress.ledger.days import day_of

Moment = Instant | date

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_of(moment: Moment, zone: str) -> Instant:
    """The instant that the moment is in this time zone."""
    if isinstance(moment, date):
        local = datetime.combine(moment, time(), tzinfo=ZoneInfo(zone))
        return Instant((local.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1))
    return moment


def midnight_of(moment: Moment, zone: str) -> date | None:
    """The day that begins at this moment in this time zone; None if none does."""
    if isinstance(moment, date):
        return moment
    day = day_of(moment, zone)
    # The instant before is of another day: also where a day begins at one o'clock, or twice.
    return day if instant_of(day, zone) == moment and day_of(Instant(moment - 1), zone) != day else None
