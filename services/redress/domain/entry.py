"""Journal entries: what the ledger made of one event, as 0 or more balanced lines."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from redress.domain.accounts import Posting
from redress.domain.event import Coordinates, Data
from redress.domain.ids import (
    BeneficiaryId,
    BenefitCode,
    Instant,
    ProgrammeCode,
    RedemptionId,
    VoucherId,
    WaveCode,
)
from redress.domain.value import value


class Outcome(StrEnum):
    """What became of an event that was decided."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_EFFECT = "no_effect"


class Reason(StrEnum):
    """Why an entry is as it is: refusals, `no_effect`, and settlements against a term. Source: CONTRACT section 4."""

    CONFLICT = "conflict"
    STALE_REQUEST = "stale_request"
    FUTURE_REQUEST = "future_request"
    NOT_OWNER = "not_owner"
    UNKNOWN_VOUCHER = "unknown_voucher"
    WRONG_SERVICE = "wrong_service"
    REVOKED = "revoked"
    DECLINED = "declined"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    NOT_CLAIMED = "not_claimed"
    ALREADY_REDEEMED = "already_redeemed"
    ALREADY_RESERVED = "already_reserved"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    TOO_MANY_VOUCHERS = "too_many_vouchers"
    ALREADY_ENTITLED = "already_entitled"
    ALREADY_GRANTED = "already_granted"
    NOT_ENTITLED = "not_entitled"
    NOT_AS_ENTITLED = "not_as_entitled"
    ALREADY_CLAIMED = "already_claimed"
    ALREADY_ISSUED = "already_issued"
    ALREADY_ENROLLED = "already_enrolled"
    ALREADY_WITHDRAWN = "already_withdrawn"
    NOT_WITHDRAWN = "not_withdrawn"
    NOTHING_LEFT = "nothing_left"
    NOTHING_HELD = "nothing_held"
    NOT_CAPTURED = "not_captured"
    UNKNOWN_REDEMPTION = "unknown_redemption"
    ALREADY_REVERSED = "already_reversed"
    ALREADY_SETTLED = "already_settled"
    SUPERSEDED = "superseded"


class DeadLetterReason(StrEnum):
    """Why a record or a parked event could not be taken."""

    MISROUTED = "misrouted"
    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    CONFLICT = "conflict"
    PARKED_TOO_LONG = "parked_too_long"


class LotKey(NamedTuple):
    """(programme, wave, benefit): the unit to which expiry, extension and mass revocation apply."""

    programme: ProgrammeCode
    wave: WaveCode
    benefit: BenefitCode


@dataclass(slots=True)
class Line:
    """One amount (> 0, minor units) moved from a debit account to a credit account of a lot.

    `voucher` names the slot the line belongs to, None where a whole lot moves. `promised`: the slot is still an
    entitlement, so the line shows no voucher. `by_lot`: made by the closed-lot rule.
    """

    posting: Posting
    lot: LotKey
    voucher: VoucherId | None
    amount: int
    effective: Instant
    by_lot: bool = False
    promised: bool = False

    @property
    def shown_voucher(self) -> VoucherId | None:
        """The voucher as published: none before there is one."""
        return None if self.promised else self.voucher


@value
class Lapsed:
    """The clock's doing: a lot reached its end."""

    lot: LotKey


@value
class TimedOut:
    """The clock's doing: a hold ran out."""

    programme: ProgrammeCode
    redemption: RedemptionId
    beneficiary: BeneficiaryId


Happening = Data | Lapsed | TimedOut


@value
class Cause:
    """The event an entry was made from; for what fell due, the tick."""

    source: str
    id: str
    type: str
    at: Coordinates
    fingerprint: bytes
    traceparent: str | None = None


@value
class LotClosing:
    """When a lot's change counts: `booked_at` for its lines, `closed_at` as its end (None for an extension).

    Kept with the entry because both are capped by the shard's clock, which the journal does not hold.
    """

    booked_at: Instant
    closed_at: Instant | None


@dataclass(slots=True)
class Entry:
    """One journal entry. `evolve` needs nothing but these, in order, to rebuild a shard."""

    seq: int
    cause: Cause
    happening: Happening
    beneficiary: BeneficiaryId | None
    outcome: Outcome
    reason: Reason | None
    occurred_at: Instant
    effective_at: Instant
    terms_version: int | None
    redemption: RedemptionId | None
    lines: list[Line]
    lot_closing: LotClosing | None = None
    balances: tuple[int, ...] = ()
    """Of an entry that is answered: what is available afterwards, voucher by voucher."""
    prev_seq: int | None = None
    """The beneficiary's previous entry: a history is a walk along primary keys."""

    @property
    def redemption_key(self) -> tuple[BeneficiaryId, ProgrammeCode, RedemptionId] | None:
        """What the redemption it is about is known by: the same id may be another's in another programme."""
        if self.beneficiary is None or self.redemption is None:
            return None
        return self.beneficiary, ProgrammeCode(getattr(self.happening, "programme", "")), self.redemption
