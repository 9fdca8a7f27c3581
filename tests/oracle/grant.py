"""A person's grant in a wave, and its pieces: one per benefit, entitlement first, voucher once issued."""

from collections import Counter
from dataclasses import dataclass, field

from tests.oracle import instant
from tests.oracle.lot import Lot, Wave
from tests.oracle.voucher_id import voucher_id


@dataclass(slots=True)
class Grant:
    beneficiary: str
    wave: Wave
    standing: str
    is_enrolled: bool = False
    is_withdrawn: bool = False
    is_issued: bool = False
    pieces: list["Piece"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pieces = [Piece(self, lot) for lot in self.wave.lots]

    @property
    def may_be_issued(self) -> bool:
        return self.standing == "member" or self.is_enrolled

    @property
    def standing_now(self) -> str:
        if self.is_withdrawn:
            return "withdrawn"
        return "enrolled" if self.is_enrolled else self.standing


@dataclass(slots=True)
class Piece:
    """One beneficiary's piece of a lot.

    Its balances, credit positive, are raw: of its own lines, so that what its lot took still stands in them.
    """

    grant: Grant
    lot: Lot
    voucher: str = ""
    balances: Counter[str] = field(default_factory=Counter)
    entitlement_last: int = instant.LONG_AGO_US
    is_claimed: bool = False
    is_declined: bool = False
    is_revoked: bool = False
    """By itself, not by its grant or its lot."""
    revoked_since_withdrawal: int = 0

    def __post_init__(self) -> None:
        self.voucher = voucher_id(*self.lot.key[:2], self.grant.beneficiary, self.lot.benefit.code)

    @property
    def shows_revoked(self) -> bool:
        return self.is_revoked or self.grant.is_withdrawn

    @property
    def left(self) -> int:
        """What has not left it, its holds included, whatever its lot took."""
        return self.balances["unclaimed"] + self.balances["available"] + self.balances["held"]
