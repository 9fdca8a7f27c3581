"""How what is owed came about, with its proof: opening and movements must give what the balances say.

Source: RULES section 1. The proof adds up different lines than the balances were kept by: opening and the period from
the lines before its end, the balances as of that end from today's less the lines after it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from redress.finance.liability import By, load_balances
from redress.finance.movements import (
    LIABILITIES,
    Movement,
    Period,
    PeriodError,
    Programme,
    Source,
    load_movements,
    load_programmes,
)
from redress.finance.positions import Position, load_positions
from redress.ledger.connection import Connection

ADDED: Final = ("entitled", "restored", "expiry_reversed", "revocation_reversed")
TAKEN: Final = ("withdrawn", "redeemed", "forfeited", "expired", "revoked", "declined")
"""Movements that change what is owed; all others move it about, or move what is no liability."""


@dataclass(frozen=True, slots=True)
class RollForward:
    """One line of the statement, in minor units. `movements`: by name, always positive.

    `outstanding` is what the balances say; `difference` = closing − outstanding.
    """

    programme: str
    currency: str
    wave: str | None
    benefit: str | None
    opening: int
    movements: dict[str, int]
    closing: int
    outstanding: int

    @property
    def difference(self) -> int:
        """0, or the ledger is wrong."""
        return self.closing - self.outstanding


@dataclass(frozen=True, slots=True)
class Statement:
    """All lines, of one snapshot."""

    rows: list[RollForward]
    positions: list[Position]
    sources: dict[str, Source]

    @property
    def is_proved(self) -> bool:
        """Whether no line differs."""
        return all(row.difference == 0 for row in self.rows)


async def load_roll_forward(
    connection: Connection, period: Period, by: By, programme: str | None = None, *, by_line: bool = False
) -> Statement:
    """The statement of a period (`known_at` does not count). `by_line`: from the journal in any case.

    Raises:
        PeriodError: it ends before it begins.
    """
    rows: list[RollForward] = []
    sources: dict[str, Source] = {}
    programmes = await load_programmes(connection, programme)
    if any(period.ends_before_it_begins(zone) for zone in {found.timezone for found in programmes} or {"UTC"}):
        raise PeriodError("the period ends before it begins")
    for found in programmes:
        asked = Period(period.start, period.end)
        movements, sources[found.code] = await load_movements(connection, found, asked, by_line=by_line)
        rows += await _of_programme(connection, found, movements, by)
    return Statement(rows, await load_positions(connection), sources)


_Key = tuple[str | None, str | None]


async def _of_programme(
    connection: Connection, programme: Programme, movements: Iterable[Movement], by: By
) -> list[RollForward]:
    now: Counter[_Key] = Counter()
    opening: Counter[_Key] = Counter()
    after: Counter[_Key] = Counter()
    within: dict[_Key, Counter[str]] = {}
    for (_, wave, benefit), owed in (await load_balances(connection, programme.code)).items():
        key = _key(wave, benefit, by)
        now[key] += owed.outstanding
        within.setdefault(key, Counter())
    for movement in movements:
        key = _key(movement.wave, movement.benefit, by)
        opening[key] += _change(movement) * movement.before
        after[key] += _change(movement) * movement.after
        within.setdefault(key, Counter())[movement.movement] += movement.within
    return [
        _row(programme, key, opening[key], moved, now[key] - after[key])
        for key, moved in sorted(within.items(), key=lambda item: (item[0][0] or "", item[0][1] or ""))
    ]


def _row(programme: Programme, key: _Key, opening: int, moved: Counter[str], outstanding: int) -> RollForward:
    movements = {name: moved[name] for name in (*ADDED, *TAKEN)}
    closing = opening + sum(moved[name] for name in ADDED) - sum(moved[name] for name in TAKEN)
    return RollForward(programme.code, programme.currency, *key, opening, movements, closing, outstanding)


def _key(wave: str, benefit: str, by: By) -> _Key:
    return wave if "wave" in by else None, benefit if "benefit" in by else None


def _change(movement: Movement) -> int:
    """What one won of it does to what is owed, by the accounts it touches."""
    return (movement.credit in LIABILITIES) - (movement.debit in LIABILITIES)
