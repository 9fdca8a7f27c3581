"""The answer to an entry made from the redemption topic, and to a time-out: per voucher, what was done.

Source: CONTRACT section 4, "Figures of a decision's lines".
"""

from dataclasses import dataclass

from redress.domain.accounts import Account, Movement
from redress.domain.beneficiary import Beneficiary
from redress.domain.entry import Entry, Line, Outcome, TimedOut
from redress.domain.event import Captured, Claimed, Declined, Recorded, Released, Requested, Reversed
from redress.domain.ids import VoucherId

ANSWERED = (Claimed, Declined, Requested, Captured, Released, Recorded, Reversed, TimedOut)


@dataclass(slots=True)
class AnswerLine:
    """One voucher's sums, in minor units; `balance` is what is available afterwards."""

    voucher: VoucherId
    balance: int
    reserved: int = 0
    redeemed: int = 0
    forfeited: int = 0
    released: int = 0
    restored: int = 0
    exception: int = 0

    def add(self, line: Line) -> None:
        """Add a line of the entry; movements a decision does not name change nothing."""
        match line.posting.movement:
            case Movement.RESERVED:
                self.reserved += line.amount
            case Movement.REDEEMED:
                self.redeemed += line.amount
            case Movement.FORFEITED:
                self.forfeited += line.amount
            case Movement.RELEASED:
                self.released += line.amount
            case Movement.RESTORED:
                self.restored += line.amount
            case Movement.EXCEPTION:
                self.exception += line.amount
            case Movement.EXCEPTION_REVERSED:
                self.exception -= line.amount
            case _:
                pass


def is_answered(entry: Entry) -> bool:
    """Whether a decision goes out for the entry."""
    return isinstance(entry.happening, ANSWERED)


def balances_after(entry: Entry, person: Beneficiary) -> tuple[int, ...]:
    """What is available on each voucher of the answer once the entry is applied; kept with it, as it cannot be
    told from the lines alone."""
    found = [person.vouchers.get(voucher) for voucher in _vouchers(entry)]
    return tuple([voucher.amounts[Account.AVAILABLE] if voucher else 0 for voucher in found])


def answer(entry: Entry) -> list[AnswerLine]:
    """The answer's lines, from the entry alone."""
    vouchers = _vouchers(entry)
    found = {v: AnswerLine(v, balance) for v, balance in zip(vouchers, entry.balances, strict=True)}
    if _is_repeat(entry) and isinstance(entry.happening, Requested):
        for spend in entry.happening.lines:
            found[spend.voucher].reserved = spend.amount
    for line in entry.lines:
        if line.voucher is not None and not line.by_lot:
            found[line.voucher].add(line)
    return list(found.values())


def _is_repeat(entry: Entry) -> bool:
    """A request that repeats an accepted one: it shows the earlier reservation and books nothing."""
    return isinstance(entry.happening, Requested) and entry.outcome is Outcome.ACCEPTED and not entry.lines


def _vouchers(entry: Entry) -> list[VoucherId]:
    if _is_repeat(entry) and isinstance(entry.happening, Requested):
        return [spend.voucher for spend in entry.happening.lines]
    return list(dict.fromkeys([line.voucher for line in entry.lines if line.voucher is not None and not line.by_lot]))
