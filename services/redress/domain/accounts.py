"""Accounts of a lot, movements, and the postings that are possible: which movement may go from where to where.

Source: RULES, "Accounts (per lot) and movements". A posting outside the table cannot be written down, so every line
is balanced and every movement keeps to its accounts by construction.
"""

from dataclasses import dataclass
from enum import StrEnum


class Account(StrEnum):
    """An account of a lot. The first four are liabilities: their sum is what is outstanding."""

    ENTITLEMENT = "entitlement"
    UNCLAIMED = "unclaimed"
    AVAILABLE = "available"
    HELD = "held"
    PROGRAMME_GRANT = "programme_grant"
    REDEMPTION_CLEARING = "redemption_clearing"
    BREAKAGE_FORFEITED = "breakage_forfeited"
    BREAKAGE_CANCELLED = "breakage_cancelled"
    EXPIRED_ENTITLEMENT = "expired_entitlement"
    EXPIRED_UNCLAIMED = "expired_unclaimed"
    EXPIRED_AVAILABLE = "expired_available"
    REVOKED = "revoked"
    DECLINED = "declined"
    EXCEPTION = "exception"


class Movement(StrEnum):
    """The kind of a line."""

    ENTITLED = "entitled"
    WITHDRAWN = "withdrawn"
    ISSUED = "issued"
    CLAIMED = "claimed"
    RESERVED = "reserved"
    RELEASED = "released"
    REDEEMED = "redeemed"
    FORFEITED = "forfeited"
    RESTORED = "restored"
    CANCELLED = "cancelled"
    EXCEPTION = "exception"
    EXCEPTION_REVERSED = "exception_reversed"
    EXPIRED = "expired"
    EXPIRY_REVERSED = "expiry_reversed"
    REVOKED = "revoked"
    REVOCATION_REVERSED = "revocation_reversed"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, eq=False)
class Posting:
    """A movement with its two accounts. `code` is what the journal stores: once given it never changes."""

    code: int
    movement: Movement
    debit: Account
    credit: Account
    names: tuple[str, str, str]
    """Of movement, debit and credit, as plain text."""


POSTINGS: list[Posting] = []
"""All postings, in order of their code; a posting's code is its place plus one."""


def _posting(movement: Movement, debit: Account, credit: Account) -> Posting:
    names = movement.value, debit.value, credit.value
    posting = Posting(len(POSTINGS) + 1, movement, debit, credit, names)
    POSTINGS.append(posting)
    return posting


ENTITLED = _posting(Movement.ENTITLED, Account.PROGRAMME_GRANT, Account.ENTITLEMENT)
WITHDRAWN = _posting(Movement.WITHDRAWN, Account.ENTITLEMENT, Account.PROGRAMME_GRANT)
ISSUED_UNCLAIMED = _posting(Movement.ISSUED, Account.ENTITLEMENT, Account.UNCLAIMED)
ISSUED_AVAILABLE = _posting(Movement.ISSUED, Account.ENTITLEMENT, Account.AVAILABLE)
CLAIMED = _posting(Movement.CLAIMED, Account.UNCLAIMED, Account.AVAILABLE)
RESERVED = _posting(Movement.RESERVED, Account.AVAILABLE, Account.HELD)
RELEASED = _posting(Movement.RELEASED, Account.HELD, Account.AVAILABLE)
REDEEMED_HELD = _posting(Movement.REDEEMED, Account.HELD, Account.REDEMPTION_CLEARING)
REDEEMED_AVAILABLE = _posting(Movement.REDEEMED, Account.AVAILABLE, Account.REDEMPTION_CLEARING)
FORFEITED_HELD = _posting(Movement.FORFEITED, Account.HELD, Account.BREAKAGE_FORFEITED)
FORFEITED_AVAILABLE = _posting(Movement.FORFEITED, Account.AVAILABLE, Account.BREAKAGE_FORFEITED)
RESTORED_REDEEMED = _posting(Movement.RESTORED, Account.REDEMPTION_CLEARING, Account.AVAILABLE)
RESTORED_FORFEITED = _posting(Movement.RESTORED, Account.BREAKAGE_FORFEITED, Account.AVAILABLE)
CANCELLED = _posting(Movement.CANCELLED, Account.REDEMPTION_CLEARING, Account.BREAKAGE_CANCELLED)
EXCEPTION = _posting(Movement.EXCEPTION, Account.EXCEPTION, Account.REDEMPTION_CLEARING)
EXCEPTION_REVERSED = _posting(Movement.EXCEPTION_REVERSED, Account.REDEMPTION_CLEARING, Account.EXCEPTION)

LAPSABLE = (Account.ENTITLEMENT, Account.UNCLAIMED, Account.AVAILABLE)
"""What a lot gives up when it closes; holds stay."""

EXPIRED_ACCOUNT = {
    Account.ENTITLEMENT: Account.EXPIRED_ENTITLEMENT,
    Account.UNCLAIMED: Account.EXPIRED_UNCLAIMED,
    Account.AVAILABLE: Account.EXPIRED_AVAILABLE,
}
EXPIRED = {a: _posting(Movement.EXPIRED, a, EXPIRED_ACCOUNT[a]) for a in LAPSABLE}
EXPIRY_REVERSED = {a: _posting(Movement.EXPIRY_REVERSED, EXPIRED_ACCOUNT[a], a) for a in LAPSABLE}
REVOKED = {a: _posting(Movement.REVOKED, a, Account.REVOKED) for a in LAPSABLE}
REVOCATION_REVERSED = {a: _posting(Movement.REVOCATION_REVERSED, Account.REVOKED, a) for a in LAPSABLE}
DECLINED_UNCLAIMED = _posting(Movement.DECLINED, Account.UNCLAIMED, Account.DECLINED)
DECLINED_AVAILABLE = _posting(Movement.DECLINED, Account.AVAILABLE, Account.DECLINED)

POSTING_BY_CODE: dict[int, Posting] = {posting.code: posting for posting in POSTINGS}
