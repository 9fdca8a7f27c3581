"""`redress.decision`: the answer to each entry made from `redress.redemption`, and time-outs."""

from typing import Annotated

from pydantic import Field

from redress.contracts import scalars as s
from redress.contracts.ledger import OutcomeField, ReasonOrNull


class DecisionCause(s.Out):
    """The event that is answered; a tick for a time-out."""

    source: s.Source
    id: s.EventId
    type: Annotated[str, Field(min_length=1, description="Name and version of the event.")]


class DecisionLine(s.Out):
    """What one voucher moved: sums of the entry's lines of that movement, closed-lot lines apart."""

    voucher: s.Voucher
    reserved: s.Figure
    redeemed: s.Figure
    forfeited: s.Figure
    released: s.Figure
    restored: s.Figure
    exception: Annotated[int, Field(strict=True, ge=-(2**63 - 1), le=2**63 - 1, description="Less what was reversed.")]
    balance: Annotated[s.Figure, Field(description="What is `available` afterwards.")]


class RedemptionDecided(s.Out):
    """The answer. Match it by `cause`; a refusal `conflict` says nothing about the redemption itself."""

    ledger: s.Ledger
    shard: s.Shard
    seq: Annotated[s.Sequence, Field(description="Of its entry.")]
    cause: DecisionCause
    beneficiary: s.Beneficiary
    redemption: Annotated[s.Redemption | None, Field(description="Null for claims and declines.")]
    order: Annotated[s.Order | None, Field(description="Null where none is known.")]
    outcome: OutcomeField
    reason: ReasonOrNull
    lines: list[DecisionLine]
