"""`redress.balance`: absolute state of a beneficiary's vouchers, and of each lot. Compacted."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from redress.contracts import scalars as s
from redress.domain.lot import LotStatus


class VoucherStatus(StrEnum):
    """Status of a voucher by itself: what its lot did is in the lot's record (RULES section 6)."""

    UNCLAIMED = "unclaimed"
    AVAILABLE = "available"
    HELD = "held"
    REDEEMED = "redeemed"
    DECLINED = "declined"
    REVOKED = "revoked"


class VoucherBalance(s.Out):
    """One voucher. `available` is spendable if its lot is open and now is within the lot's validity."""

    voucher: s.Voucher
    programme: s.Programme
    wave: s.Wave
    benefit: s.Benefit
    service: s.ServiceScope
    status: Annotated[VoucherStatus, Field(strict=False, description="Without what its lot did.")]
    face: s.Amount
    available: s.Figure
    held: s.Figure
    redeemed: s.Figure
    forfeited: s.Figure
    version: s.Sequence


class BeneficiaryBalance(s.Out):
    """All vouchers of one beneficiary; replaces what was said before."""

    beneficiary: s.Beneficiary
    shard: s.Shard
    seq: s.Sequence
    vouchers: list[VoucherBalance]


class LotState(s.Out):
    """State of one lot, said in every partition. Its key is `lot/<programme>/<wave>/<benefit>`."""

    programme: s.Programme
    wave: s.Wave
    benefit: s.Benefit
    service: s.ServiceScope
    state: Annotated[LotStatus, Field(strict=False, description="Whether the lot's vouchers can be used.")]
    valid_from: s.Time
    valid_until: Annotated[s.Time, Field(description="Exclusive.")]
    terms_version: s.Version
    version: s.Sequence
    shard: s.Shard
    seq: s.Sequence
