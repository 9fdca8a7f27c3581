"""Calendar days of instants in a programme's time zone."""

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from redress.domain.ids import Instant

MINUTE = 60_000_000


def day_of(instant: Instant, timezone: str) -> date:
    """The day the instant falls on. No zone changes its offset within a minute, so a minute is looked up once."""
    return _day_of_minute(instant // MINUTE, timezone)


@lru_cache(maxsize=65_536)
def _day_of_minute(minute: int, timezone: str) -> date:
    return datetime.fromtimestamp(minute * 60, tz=ZoneInfo(timezone)).date()
