"""A lot as one shard sees it: its validity, whether it is open, and its accounts."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from redress.domain.accounts import Account
from redress.domain.entry import Line, LotKey
from redress.domain.ids import FAR_FUTURE, FAR_PAST, UNKNOWN_BENEFIT, UNKNOWN_WAVE, Instant, ProgrammeCode
from redress.domain.terms import Benefit, Terms

LOTS_MAX: Final = 32_767
"""Lots of one ledger, each programme's reserved one too, and so its waves: what is stored names them by two bytes. A
programme of four benefits can have 8,000 waves."""


class LotStatus(StrEnum):
    """`open` until the lot lapses or is revoked."""

    OPEN = "open"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(slots=True)
class Lot:
    """One lot's state in one shard.

    `booked_at` is when the lot's closing counts, `reopened_at` its last reopening, `last_line` the latest effective
    time of any of its lines here. `balances` are credit positive.
    """

    key: LotKey
    benefit: Benefit
    terms: Terms
    valid_from: Instant
    valid_until: Instant
    status: LotStatus = LotStatus.OPEN
    revoked_at: Instant = FAR_FUTURE
    booked_at: Instant = FAR_PAST
    reopened_at: Instant = FAR_PAST
    last_line: Instant = FAR_PAST
    balances: dict[Account, int] = field(default_factory=lambda: dict.fromkeys(Account, 0))
    vouchers_open: int = 0
    """Issued vouchers with something left, whatever the lot took."""
    vouchers_held: int = 0
    """Those of them with a hold: all that stay open once the lot is closed."""
    seq: int = 0
    """The last entry that changed the lot's own state, not its balances."""

    @property
    def closed_at(self) -> Instant:
        """The exclusive end of the lot's use, by an event's own time."""
        return min(self.valid_until, self.revoked_at)

    @property
    def is_open(self) -> bool:
        """Whether the lot still owes what stands on its vouchers."""
        return self.status is LotStatus.OPEN

    def usable(self, x: Instant) -> bool:
        """Whether the lot could be used at `x`, whatever has been booked meanwhile."""
        return self.valid_from <= x < self.closed_at

    def apply(self, line: Line) -> None:
        """Move the line's amount between the lot's accounts."""
        posting, balances = line.posting, self.balances
        balances[posting.debit] -= line.amount
        balances[posting.credit] += line.amount
        self.last_line = max(self.last_line, line.effective)


def reserved_lot(programme: ProgrammeCode, terms: Terms) -> Lot:
    """The programme's lot for exceptions on vouchers that are not there: it never opens, lapses or is revoked."""
    key = LotKey(programme, UNKNOWN_WAVE, UNKNOWN_BENEFIT)
    benefit = Benefit(UNKNOWN_BENEFIT, terms.benefits[0].service, 0)
    return Lot(key, benefit, terms, FAR_PAST, FAR_FUTURE)
