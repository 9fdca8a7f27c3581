"""Waves and their lots."""

from dataclasses import dataclass
from typing import Any

from tests.oracle import instant
from tests.oracle.terms import Benefit, Terms

LotKey = tuple[str, str, str]
"""Programme, wave, benefit."""

UNKNOWN = "unknown"
LOTS_MAX = 32_767
"""Of a ledger, each programme's reserved one among them."""


def reserved_lot(programme: str) -> LotKey:
    """Where exceptions stand for vouchers that are not there."""
    return (programme, UNKNOWN, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a wave was opened with: the same again is no conflict."""

    terms_version: int
    valid_from: int
    valid_until: int
    expected: tuple[int, int] | None
    roster_sha256: str | None

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Opening":
        expected = data.get("expected")
        return cls(
            terms_version=data["terms_version"],
            valid_from=instant.read(data["valid_from"]),
            valid_until=instant.read(data["valid_until"]),
            expected=(expected["beneficiaries"], expected["amount"]) if expected else None,
            roster_sha256=data.get("roster_sha256"),
        )


@dataclass(slots=True)
class Lot:
    key: LotKey
    benefit: Benefit
    terms: Terms
    valid_from: int
    valid_until: int
    state: str = "open"
    revoked_at: int | None = None
    """The time of `lot.revoked`, at most `now`."""
    booked_at: int = instant.LONG_AGO_US
    reopened_at: int = instant.LONG_AGO_US

    @property
    def is_closed(self) -> bool:
        return self.state != "open"

    @property
    def closed_at(self) -> int:
        return self.valid_until if self.revoked_at is None else min(self.valid_until, self.revoked_at)

    def is_closed_at(self, x: int) -> bool:
        return x >= self.closed_at

    def is_usable_at(self, x: int) -> bool:
        return self.valid_from <= x < self.closed_at

    @property
    def closing_name(self) -> str:
        """Why the lot takes nothing from `closed_at` on."""
        return "expired" if self.revoked_at is None else "revoked"

    def taken_account(self, account: str) -> str:
        """Where the closed lot keeps what stood in an account."""
        return f"expired_{account}" if self.state == "expired" else "revoked"

    @property
    def taking(self) -> str:
        return "expired" if self.state == "expired" else "revoked"

    @property
    def returning(self) -> str:
        return "expiry_reversed" if self.state == "expired" else "revocation_reversed"


@dataclass(frozen=True, slots=True)
class Wave:
    programme: str
    code: str
    terms: Terms
    opening: Opening
    lots: tuple[Lot, ...]
    """In the order of the terms' benefits."""
