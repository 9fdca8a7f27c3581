"""What the API takes and gives, as the description says it. Decisions are the contract's own."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from redress.contracts import scalars as s
from redress.contracts.redemption import Lines, SpendLine
from redress.domain.event import Scope

# --- what comes in: the contract's events without what the path says --------------------------------------------------


class ClaimBody(s.In):
    """The person claims a voucher."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    channel: s.Channel


class CaptureBody(s.In):
    """The order was paid with so much of these vouchers."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    lines: Lines


class ReleaseBody(s.In):
    """The order did not come about."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    reason: s.Reason


class ReverseBody(s.In):
    """The order was cancelled: wholly, then without lines, or in part."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    scope: Annotated[Scope, Field(strict=False, description="How much of the order was cancelled.")]
    lines: Annotated[
        list[SpendLine],
        Field(max_length=s.LINES_MAX, description="No voucher twice; none for `whole_order`, else at least one."),
    ]
    reason: s.Reason


# --- what goes out ----------------------------------------------------------------------------------------------------

Text = Annotated[str, Field(examples=["2026-04-15T15:00:00Z"], json_schema_extra={"format": "date-time"})]
OutcomeName = Literal["accepted", "refused", "no_effect"]
EffectiveStatus = Literal["unclaimed", "available", "held", "redeemed", "declined", "revoked", "expired"]


class Benefit(BaseModel):
    """What a wave gives each of its people."""

    benefit: s.Benefit
    service: s.ServiceScope
    amount: s.Amount
    currency: s.Currency


class Entitlement(BaseModel):
    """How the person stands in a wave. `issued`: the vouchers are there."""

    programme: s.Programme
    wave: s.Wave
    standing: Annotated[
        Literal["member", "former_member", "enrolled"],
        Field(description="A `former_member` joins again before vouchers are issued."),
    ]
    issued: bool
    benefits: list[Benefit]


class VoucherState(BaseModel):
    """A voucher now. Amounts in the currency's minor unit; they sum to `face`.

    Spendable is `available`, if now is between `valid_from` and `valid_until`.
    """

    voucher: s.Voucher
    programme: s.Programme
    wave: s.Wave
    benefit: s.Benefit
    service: s.ServiceScope
    currency: s.Currency
    status: Annotated[EffectiveStatus, Field(description="The effective one: what its lot did included.")]
    face: s.Figure
    unclaimed: s.Figure
    available: s.Figure
    held: s.Figure
    redeemed: s.Figure
    forfeited: s.Figure
    cancelled: s.Figure
    expired: s.Figure
    revoked: s.Figure
    declined: s.Figure
    valid_from: Text
    valid_until: Annotated[Text, Field(description="Exclusive.")]
    version: Annotated[s.Sequence, Field(description="The last entry that touched it.")]


class BeneficiaryView(BaseModel):
    """Entitlements and vouchers; both empty where the ledger knows the reference and where it does not."""

    beneficiary: s.Beneficiary
    entitlements: list[Entitlement]
    vouchers: list[VoucherState]


class VoucherView(VoucherState):
    """A voucher with whose it is."""

    beneficiary: s.Beneficiary


class HistoryLine(BaseModel):
    """One amount moved."""

    movement: str
    debit: str
    credit: str
    amount: s.Figure
    currency: s.Currency
    voucher: Annotated[s.Voucher | None, Field(description="Null where the whole lot was moved.")]
    effective_at: Text
    by_lot: bool


class HistoryEntry(BaseModel):
    """What the ledger made of one event, with the lines that concern the voucher."""

    shard: s.Shard
    seq: s.Sequence
    type: Annotated[str, Field(description="Of the event.", examples=["redress.voucher.claimed.v1"])]
    source: str
    id: str
    outcome: OutcomeName
    reason: str | None
    redemption: str | None
    occurred_at: Text
    effective_at: Text
    recorded_at: Text
    lines: list[HistoryLine]


class HistoryPage(BaseModel):
    """Entries, the latest first. A page may have fewer than asked for, or none, and still a `next`."""

    voucher: s.Voucher
    entries: list[HistoryEntry]
    next: Annotated[str | None, Field(description="Path of the next page; null on the last.")]


class RedemptionLine(BaseModel):
    """What became of one voucher."""

    voucher: s.Voucher
    held: s.Figure
    redeemed: s.Figure
    forfeited: s.Figure
    exception: s.Figure
    restored: s.Figure
    forfeited_restored: s.Figure
    cancelled: s.Figure
    exception_reversed: s.Figure


class RedemptionState(BaseModel):
    """A redemption now."""

    programme: s.Programme
    redemption: s.Redemption
    beneficiary: s.Beneficiary
    status: Literal["refused", "held", "released", "timed_out", "settled", "reversed"]
    reason: Annotated[str | None, Field(description="Why its request was refused.")]
    order: str | None
    service: str | None
    expires_at: Annotated[Text | None, Field(description="Until when its hold lasts, if it has one.")]
    lines: list[RedemptionLine]


class Pending(BaseModel):
    """Taken into the stream, and not decided yet. Ask again with the same key, or at `Location`."""

    status: Literal["pending"]
    source: Annotated[str, Field(description="Of the event, as its decision will name it.")]
    id: Annotated[str, Field(description="Of the event: the Idempotency-Key.")]


class ShardPosition(BaseModel):
    """The batch at which a shard was read."""

    shard: s.Shard
    batch: s.Sequence
    next_seq: s.Sequence
    recorded_at: Text | None
    now: Annotated[Text | None, Field(description="The shard's clock.")]


class Owed(BaseModel):
    """What is owed, in the currency's minor unit."""

    entitlement: s.Figure
    unclaimed: s.Figure
    available: s.Figure
    held: s.Figure
    outstanding: Annotated[s.Figure, Field(description="Their sum.")]
    vouchers_open: Annotated[int | None, Field(description="Null as of a moment.")]


class OwedRow(Owed):
    """Told apart by `wave` and `benefit` if asked; else null."""

    programme: s.Programme
    wave: str | None
    benefit: str | None
    currency: s.Currency


class LiabilityView(BaseModel):
    """What is owed. Asked again with a `known_at` that is final, it is the same for ever."""

    programme: s.Programme
    as_of: str | None
    known_at: str | None
    final: Annotated[bool | None, Field(description="Whether what was known then can still change.")]
    source: Literal["balances", "roll-ups", "journal"]
    rows: list[OwedRow]
    totals: dict[str, Owed]
    position: list[ShardPosition]


class RollForwardRow(BaseModel):
    """opening + movements in − movements out = closing; `difference` to what the balances say is 0."""

    programme: s.Programme
    wave: str | None
    benefit: str | None
    currency: s.Currency
    opening: int
    movements: dict[str, int]
    closing: int
    outstanding: int
    difference: int


class RollForwardView(BaseModel):
    """How what is owed came about. `proved`: no row differs."""

    programme: s.Programme
    start: Annotated[str | None, Field(alias="from")]
    end: Annotated[str | None, Field(alias="to")]
    proved: bool
    source: Literal["balances", "roll-ups", "journal"]
    rows: list[RollForwardRow]
    position: list[ShardPosition]


class LotState(BaseModel):
    """A lot; `changing` while shards differ."""

    wave: s.Wave
    benefit: s.Benefit
    service: s.ServiceScope
    amount: s.Amount
    currency: s.Currency
    state: Literal["open", "expired", "revoked", "changing"]
    valid_from: Text
    valid_until: Text
    terms_version: s.Version


class ProgrammeState(BaseModel):
    """Terms and waves as they were published, the waves' lots as they stand."""

    programme: s.Programme
    versions: list[dict[str, Any]]
    waves: list[dict[str, Any]]
    lots: list[LotState]
    next: Annotated[str | None, Field(description="Path of the next page of waves; null on the last.")]


class WaveState(BaseModel):
    """A wave's people: expected = granted + refused + dead_lettered + missing."""

    programme: s.Programme
    wave: s.Wave
    expected: int | None
    expected_amount: int | None
    granted: int
    refused: int
    dead_lettered: int
    missing: int | None
    issued: int
    not_issued: int
    withdrawn: int
    enrolled: int
    entitled_amount: int
    issued_amount: int


class Alive(BaseModel):
    """The process runs."""

    status: Literal["ok"]


class Ready(BaseModel):
    """Postgres and Kafka answer."""

    status: Literal["ok"]
    postgres: Literal["ok"]
    kafka: Literal["ok"]
