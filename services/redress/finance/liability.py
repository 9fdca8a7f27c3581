"""What is owed: now from the balances, as of any moment from the lines, on both time axes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redress.finance.moments import instant_of
from redress.finance.movements import LIABILITIES, Movement, Period, Programme, Source, load_movements, load_programmes
from redress.finance.positions import Position, is_final, load_positions
from redress.finance.queries import query
from redress.ledger.connection import Connection

By = frozenset[str]
"""What rows are told apart by, besides programme and currency: "wave", "benefit"."""
BY_ALL: By = frozenset({"wave", "benefit"})


@dataclass(frozen=True, slots=True)
class Owed:
    """Per account that is a liability, in minor units. `vouchers_open`: None where only lines are known."""

    entitlement: int = 0
    unclaimed: int = 0
    available: int = 0
    held: int = 0
    vouchers_open: int | None = None

    @property
    def outstanding(self) -> int:
        """What is owed in all."""
        return self.entitlement + self.unclaimed + self.available + self.held

    def __add__(self, other: "Owed") -> "Owed":
        counts = (self.vouchers_open, other.vouchers_open)
        known = None if None in counts else sum(count or 0 for count in counts)
        return Owed(
            self.entitlement + other.entitlement,
            self.unclaimed + other.unclaimed,
            self.available + other.available,
            self.held + other.held,
            known,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """`wave` and `benefit` are None where rows are not told apart by them."""

    programme: str
    currency: str
    wave: str | None
    benefit: str | None
    owed: Owed


@dataclass(frozen=True, slots=True)
class Liability:
    """`totals` by currency. `final`: whether `known_at` can still change; None where it was not asked for."""

    rows: list[Row]
    totals: dict[str, Owed]
    positions: list[Position]
    sources: dict[str, Source]
    final: bool | None


async def load_liability(
    connection: Connection, period: Period, by: By, programme: str | None = None, *, by_line: bool = False
) -> Liability:
    """What is owed as of `period.end`, known at `period.known_at`; `period.start` does not count.

    All of one snapshot, if the connection is in one. `by_line`: from the journal in any case.
    """
    programmes = {found.code: found for found in await load_programmes(connection, programme)}
    lots = await load_balances(connection, programme)
    sources: dict[str, Source] = dict.fromkeys(programmes, "balances")
    if period.end is not None or period.known_at is not None or by_line:
        for found in programmes.values():
            movements, sources[found.code] = await load_movements(connection, found, _up_to(period), by_line=by_line)
            lots |= _owed_by_lot(found, lots, movements)
    rows = _fold(programmes, lots, by)
    positions = await load_positions(connection)
    return Liability(rows, _totals(rows), positions, sources, _final(period, programmes.values(), positions))


LotOwed = dict[tuple[str, str, str], Owed]
"""By programme, wave and benefit."""


async def load_balances(connection: Connection, programme: str | None) -> LotOwed:
    """What every lot owes now."""
    return {
        (row["programme"], row["wave"], row["benefit"]): Owed(
            row["entitlement"], row["unclaimed"], row["available"], row["held"], row["vouchers_open"]
        )
        for row in await connection.fetch(query("balances"), programme)
    }


def effect(movement: Movement, account: str) -> int:
    """+1 where the movement adds to the account, −1 where it takes from it, else 0."""
    return (movement.credit == account) - (movement.debit == account)


def _moved(movement: Movement) -> Owed:
    entitlement, unclaimed, available, held = (effect(movement, name) * movement.within for name in LIABILITIES)
    return Owed(entitlement, unclaimed, available, held)


def _up_to(period: Period) -> Period:
    return Period(None, period.end, period.known_at)


def _owed_by_lot(programme: Programme, lots: LotOwed, movements: Iterable[Movement]) -> LotOwed:
    owed = {key: Owed() for key in lots if key[0] == programme.code}
    for movement in movements:
        key = programme.code, movement.wave, movement.benefit
        owed[key] = owed.get(key, Owed()) + _moved(movement)
    return owed


def _fold(programmes: Mapping[str, Programme], lots: LotOwed, by: By) -> list[Row]:
    folded: dict[tuple[str, str | None, str | None], Owed] = {}
    for (programme, wave, benefit), owed in lots.items():
        key = programme, wave if "wave" in by else None, benefit if "benefit" in by else None
        folded[key] = folded[key] + owed if key in folded else owed
    return [
        Row(programme, programmes[programme].currency, wave, benefit, owed)
        for (programme, wave, benefit), owed in folded.items()
    ]


def _totals(rows: Iterable[Row]) -> dict[str, Owed]:
    totals: dict[str, Owed] = {}
    for row in rows:
        totals[row.currency] = totals[row.currency] + row.owed if row.currency in totals else row.owed
    return totals


def _final(period: Period, programmes: Iterable[Programme], positions: list[Position]) -> bool | None:
    known_at = period.known_at
    if known_at is None:
        return None
    return all(is_final(positions, instant_of(known_at, programme.timezone)) for programme in programmes)
