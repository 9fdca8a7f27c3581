"""`redress.ledger`: every journal entry with its lines, and a marker after each batch."""

from typing import Annotated

from pydantic import Field

from redress.contracts import scalars as s
from redress.domain.accounts import Account, Movement
from redress.domain.entry import Outcome
from redress.domain.event import Topic

OutcomeField = Annotated[Outcome, Field(strict=False, description="What the ledger made of the event.")]
ReasonOrNull = Annotated[s.Reason | None, Field(description="Why, where there is more to say than the outcome.")]


class Cause(s.Out):
    """The event that made the entry, and where its record stands."""

    source: s.Source
    id: s.EventId
    type: Annotated[str, Field(min_length=1, description="Name and version of the event.")]
    topic: Annotated[Topic, Field(strict=False, description="Without the prefix of an installation.")]
    partition: s.Partition
    offset: s.Offset


class EntryLine(s.Out):
    """One amount moved from a debit account to a credit account of one lot."""

    movement: Annotated[Movement, Field(strict=False, description="The kind of the line.")]
    debit: Annotated[Account, Field(strict=False, description="The account it leaves.")]
    credit: Annotated[Account, Field(strict=False, description="The account it goes to.")]
    amount: s.Amount
    currency: s.Currency
    programme: s.Programme
    wave: s.Wave
    benefit: s.Benefit
    voucher: Annotated[s.Voucher | None, Field(description="Null where it moves a whole lot or an entitlement.")]
    effective_at: Annotated[s.Time, Field(description="When it counts in the world.")]
    by_lot: Annotated[bool, Field(description="Made by the closed-lot rule.")]


class EntryAppended(s.Out):
    """What the ledger made of one event. Skip a `(shard, seq)` you have seen; a gap means you missed something."""

    ledger: s.Ledger
    shard: s.Shard
    seq: s.Sequence
    batch: s.Sequence
    beneficiary: Annotated[
        s.Beneficiary | None,
        Field(
            description="Null for an entry of a whole lot or programme, "
            "whose key is `lot/<programme>/<wave>/<benefit>` or `programme/<programme>`."
        ),
    ]
    outcome: OutcomeField
    reason: ReasonOrNull
    cause: Cause
    occurred_at: Annotated[s.Time, Field(description="The event's time.")]
    effective_at: Annotated[s.Time, Field(description="When it counts in the world.")]
    recorded_at: Annotated[s.Time, Field(description="When the ledger learned it; the batch's.")]
    terms_version: Annotated[s.Version | None, Field(description="Null where no terms apply.")]
    redemption: Annotated[s.Redemption | None, Field(description="Null where it is about none.")]
    lines: Annotated[list[EntryLine], Field(description="In the order they were booked; may be none.")]


class NextOffsets(s.Out):
    """The offsets to read next, per input topic."""

    programme: s.Offset
    eligibility: s.Offset
    issuance: s.Offset
    redemption: s.Offset


class BatchCommitted(s.Out):
    """Ends a batch: the entries of one transaction. Its key is `shard/<n>`."""

    ledger: s.Ledger
    shard: s.Shard
    batch: s.Sequence
    first_seq: s.Sequence
    next_seq: Annotated[s.Sequence, Field(description="Equals `first_seq` where the batch has no entry.")]
    offsets: NextOffsets
    recorded_at: Annotated[s.Time, Field(description="When the ledger learned what the batch holds.")]
    rules_version: s.Version
    digest: Annotated[s.Sha256, Field(description="Of the batch, chained from the previous batch's; lower-case hex.")]
