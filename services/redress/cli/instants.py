"""Times on the command line: RFC 3339 with an offset, a date (its midnight in a time zone), or a step from another."""

import re
from datetime import date

from redress.cli.output import WrongUseError
from redress.contracts.instants import InstantError, parse_instant
from redress.domain.ids import Instant
from redress.finance.moments import Moment

_STEP = re.compile(r"\+(\d{1,9})([dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_instant(text: str, option: str) -> Instant:
    """An instant from RFC 3339 text.

    Raises:
        WrongUseError: naming the option.
    """
    try:
        return parse_instant(text)
    except InstantError as error:
        raise WrongUseError(f"{option}: {error}: write it as 2026-01-15T10:00:00+09:00") from None


def read_date(text: str, option: str) -> date | None:
    """A date, None if the text has another form."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WrongUseError(f"{option}: no such date") from None


def read_moment(text: str, option: str) -> Moment:
    """An instant, or a date: its midnight in the programme's time zone.

    Raises:
        WrongUseError: naming the option.
    """
    day = read_date(text, option)
    return read_instant(text, option) if day is None else day


def read_step(text: str) -> int | None:
    """Microseconds of `+1d`, `+6h`, `+30m` or `+15s`; None if the text has another form."""
    found = _STEP.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] * 1_000_000 if found else None
