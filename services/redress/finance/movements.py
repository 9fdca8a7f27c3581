"""What was moved before, within and after a period: from the roll-ups where its ends are midnights, else by line."""

from dataclasses import dataclass
from typing import Literal

from redress.domain.ids import Instant
from redress.finance.moments import Moment, instant_of, midnight_of
from redress.finance.queries import query
from redress.ledger.connection import Connection

Source = Literal["balances", "roll-ups", "journal"]
LIABILITIES = ("entitlement", "unclaimed", "available", "held")


@dataclass(frozen=True, slots=True)
class Programme:
    """A programme as figures need it."""

    code: str
    timezone: str
    currency: str


@dataclass(frozen=True, slots=True)
class Movement:
    """Amounts of one posting of one lot, in minor units."""

    wave: str
    benefit: str
    movement: str
    debit: str
    credit: str
    before: int
    within: int
    after: int


class PeriodError(ValueError):
    """A period that ends before it begins: there is nothing to add up, and no proof of it."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to, not including, `end`, of what was recorded before `known_at`. None: no limit."""

    start: Moment | None = None
    end: Moment | None = None
    known_at: Moment | None = None

    def ends_before_it_begins(self, zone: str) -> bool:
        """Whether it does in this time zone, by which alone a date and an instant can be compared."""
        if self.start is None or self.end is None:
            return False
        return instant_of(self.end, zone) < instant_of(self.start, zone)


async def load_programmes(connection: Connection, programme: str | None) -> list[Programme]:
    """All programmes, or one; none if it is not known."""
    return [Programme(*row) for row in await connection.fetch(query("programme_list"), programme)]


async def load_movements(
    connection: Connection, programme: Programme, period: Period, *, by_line: bool = False
) -> tuple[list[Movement], Source]:
    """The programme's movements, and where they come from. `by_line`: from the journal in any case."""
    moments = (period.start, period.end, period.known_at)
    days = [moment if moment is None else midnight_of(moment, programme.timezone) for moment in moments]
    at_midnights = all(moment is None or day is not None for moment, day in zip(moments, days, strict=True))
    if at_midnights and not by_line:
        rows = await connection.fetch(query("movements_by_day"), programme.code, *days)
        return [Movement(*row) for row in rows], "roll-ups"
    instants = [_instant(moment, programme) for moment in moments]
    rows = await connection.fetch(query("movements_by_line"), programme.code, *instants)
    return [Movement(*row) for row in rows], "journal"


def _instant(moment: Moment | None, programme: Programme) -> Instant | None:
    return None if moment is None else instant_of(moment, programme.timezone)
