"""`redress.signal`: what the watch notices on `redress.ledger`, for alarms and screens. No figure of the books."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from redress.contracts import scalars as s
from redress.domain.accounts import Movement

ProgrammeOrNull = Annotated[
    s.Programme | None,
    Field(
        description="Null, and then the key is `shard/<n>`, where the entries say none: a refusal books no line.",
    ),
]


class AnomalyKind(StrEnum):
    """What is out of the ordinary."""

    EXCEPTIONS = "exceptions"
    """Facts contradicted the ledger: more was redeemed than there was."""
    REFUSALS = "refusals"
    """Most of the requests were refused."""
    GAP = "gap"
    """Entries are missing on the topic."""


class Window(s.Out):
    """Ten seconds of `recorded_at`, from a multiple of ten seconds on."""

    start: Annotated[s.Time, Field(description="The first instant of it.")]
    end: Annotated[s.Time, Field(description="The first instant after it.")]


class MovementRate(s.Out):
    """What one kind of line moved in the window."""

    movement: Annotated[Movement, Field(strict=False, description="The kind of the lines.")]
    lines: Annotated[s.Count, Field(description="How many.")]
    amount: Annotated[s.Figure, Field(description="Their sum, in the currency's minor unit.")]


class Rate(s.Out):
    """What moved in a programme in ten seconds, in one shard: add up the shards. No signal: nothing moved."""

    ledger: s.Ledger
    shard: s.Shard
    programme: s.Programme
    window: Window
    first_seq: Annotated[s.Sequence, Field(description="Of the window's first entry with lines of the programme.")]
    entries: Annotated[s.Count, Field(description="Entries with lines of the programme.")]
    beneficiaries: Annotated[s.Count, Field(description="People these entries are about.")]
    currency: s.Currency
    movements: Annotated[list[MovementRate], Field(description="Those that occurred, by name.")]


class Velocity(s.Out):
    """A beneficiary asked for unusually many redemptions in ten seconds: no person does, a program may."""

    ledger: s.Ledger
    shard: s.Shard
    programme: ProgrammeOrNull
    window: Window
    first_seq: Annotated[s.Sequence, Field(description="Of the first of the requests.")]
    beneficiary: s.Beneficiary
    requests: Annotated[s.Count, Field(description="How many were decided in the window.")]
    refused: Annotated[s.Count, Field(description="How many of them were refused.")]


class Anomaly(s.Out):
    """Something that does not happen in the ordinary course. Look at the entries from `first_seq` on."""

    ledger: s.Ledger
    shard: s.Shard
    programme: ProgrammeOrNull
    window: Window
    first_seq: Annotated[s.Sequence, Field(description="Of the first entry concerned.")]
    kind: Annotated[
        AnomalyKind,
        Field(
            strict=False,
            description="`exceptions`: facts contradicted the ledger. `refusals`: most requests were refused. "
            "`gap`: entries are missing on the topic.",
        ),
    ]
    entries: Annotated[s.Count, Field(description="How many entries: with an exception, refused, or missing.")]
    of: Annotated[s.Count | None, Field(description="Of how many requests; only for `refusals`.")]
    amount: Annotated[s.Figure | None, Field(description="In minor units; only for `exceptions`.")]
