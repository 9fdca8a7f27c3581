"""Times on the wire: RFC 3339 text with an offset, to and from `Instant`, in exact integer arithmetic."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from redress.domain.ids import Instant

RFC3339_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-5][0-9])$"
)
"""Seconds may have one to six digits of fraction: a microsecond is the finest the ledger keeps."""

_SHAPE = re.compile(RFC3339_PATTERN.replace("$", r"\Z"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_PER_DAY = 86_400
_MICROS_PER_SECOND = 1_000_000

MIN_INSTANT = Instant(0)
MAX_INSTANT = Instant(253_402_214_400 * _MICROS_PER_SECOND - 1)
"""The last microsecond before 9999-12-31T00:00:00Z: in every time zone still a year of four digits."""


class InstantError(ValueError):
    """The text is not a time this contract takes. The message never repeats the text."""


def parse_instant(text: str) -> Instant:
    """Reads RFC 3339 text with an offset and at most microseconds; raises `InstantError`.

    A leap second (`:60`) and `24:00` are refused: they name no instant of their own.
    """
    if _SHAPE.match(text) is None:
        raise InstantError("not RFC 3339 with an offset and at most microseconds")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise InstantError("no such date, time of day or offset") from None
    elapsed = moment - _EPOCH
    micros = (elapsed.days * _SECONDS_PER_DAY + elapsed.seconds) * _MICROS_PER_SECOND + elapsed.microseconds
    if not MIN_INSTANT <= micros <= MAX_INSTANT:
        raise InstantError("before 1970 or after 9999-12-30, UTC")
    return Instant(micros)


@lru_cache(maxsize=4096)
def format_instant(instant: Instant) -> str:
    """UTC text ending in `Z`; a fraction of six digits only where there is one.

    Kept for a while: the lines of an entry, and the entries of a batch, share their times.
    """
    return (_EPOCH + timedelta(microseconds=instant)).isoformat()[:-6] + "Z"
