"""`redress.programme`: terms, waves, lots and the clock."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from redress.contracts import scalars as s
from redress.domain import event as e
from redress.domain import ids, terms

ClaimTerm = Annotated[
    terms.Claim, Field(strict=False, description="Whether a voucher must be claimed before it can be used.")
]
RemainderTerm = Annotated[
    terms.Remainder, Field(strict=False, description="What becomes of what is left on a used voucher.")
]
RestoreTerm = Annotated[terms.Restore, Field(strict=False, description="When a reversal gives a voucher back.")]
OncePerTerm = Annotated[terms.OncePer, Field(strict=False, description="Within what a person is entitled once.")]


class BenefitTerms(s.In):
    """One line of what a person gets."""

    code: s.Benefit
    service: s.ServiceScope
    amount: s.Amount


class ProgrammePublished(s.InEvent):
    """A version of a programme's terms. Immutable once published."""

    programme: s.Programme
    version: s.Version
    currency: s.Currency
    timezone: s.TimeZone
    benefits: Annotated[
        list[BenefitTerms],
        Field(min_length=1, max_length=s.BENEFITS_MAX, description="What a person gets; no code twice."),
    ]
    claim: ClaimTerm
    remainder: RemainderTerm
    restore: RestoreTerm
    vouchers_per_order: Annotated[s.VouchersPerOrder | None, Field(description="Null: no limit.")]
    once_per: OncePerTerm
    reservation_ttl_seconds: s.Seconds
    request_max_age_seconds: s.Seconds

    @model_validator(mode="after")
    def _no_code_twice(self) -> Self:
        if len({benefit.code for benefit in self.benefits}) < len(self.benefits):
            raise PydanticCustomError("benefit_twice", "a benefit's code is given twice")
        return self

    def to_domain(self) -> e.ProgrammePublished:
        """The same as the rules see it."""
        return e.ProgrammePublished(
            terms.Terms(
                programme=ids.ProgrammeCode(self.programme),
                version=self.version,
                currency=self.currency,
                timezone=self.timezone,
                benefits=tuple(
                    terms.Benefit(ids.BenefitCode(b.code), ids.ServiceCode(b.service), b.amount) for b in self.benefits
                ),
                claim=self.claim,
                remainder=self.remainder,
                restore=self.restore,
                vouchers_per_order=self.vouchers_per_order,
                once_per=self.once_per,
                reservation_ttl_seconds=self.reservation_ttl_seconds,
                request_max_age_seconds=self.request_max_age_seconds,
            )
        )


class ExpectedTotals(s.In):
    """What the operator expects of a wave, to be held against what was granted."""

    beneficiaries: s.Count
    amount: s.Total


class WaveOpened(s.InEvent):
    """A cohort of beneficiaries, entitled together under one version of the terms."""

    programme: s.Programme
    wave: s.Wave
    terms_version: s.Version
    valid_from: s.Time
    valid_until: Annotated[s.Time, Field(description="Exclusive: the first instant at which nothing is valid.")]
    expected: Annotated[ExpectedTotals | None, Field(description="Null: nothing is expected.")]
    roster_sha256: Annotated[
        s.Sha256 | None,
        Field(description="SHA-256 over the wave's beneficiary ids, sorted, one per line, lower-case hex; or null."),
    ]

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.valid_until <= self.valid_from:
            raise PydanticCustomError("ends_before_it_begins", "valid_until is not after valid_from")
        return self

    def to_domain(self) -> e.WaveOpened:
        """The same as the rules see it."""
        expected = self.expected
        return e.WaveOpened(
            programme=ids.ProgrammeCode(self.programme),
            wave=ids.WaveCode(self.wave),
            terms_version=self.terms_version,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            expected=None if expected is None else e.Expected(expected.beneficiaries, expected.amount),
            roster_sha256=self.roster_sha256,
        )


class LotExtended(s.InEvent):
    """A lot stays valid for longer."""

    programme: s.Programme
    wave: s.Wave
    benefit: s.Benefit
    valid_until: Annotated[s.Time, Field(description="Exclusive.")]
    reason: s.Reason

    def to_domain(self) -> e.LotExtended:
        """The same as the rules see it."""
        return e.LotExtended(
            ids.ProgrammeCode(self.programme),
            ids.WaveCode(self.wave),
            ids.BenefitCode(self.benefit),
            self.valid_until,
            self.reason,
        )


class LotRevoked(s.InEvent):
    """A whole lot is taken back."""

    programme: s.Programme
    wave: s.Wave
    benefit: s.Benefit
    reason: s.Reason

    def to_domain(self) -> e.LotRevoked:
        """The same as the rules see it."""
        return e.LotRevoked(
            ids.ProgrammeCode(self.programme), ids.WaveCode(self.wave), ids.BenefitCode(self.benefit), self.reason
        )


class ClockTicked(s.InEvent):
    """What time it is, for every shard. The partition key is `clock`."""

    now: Annotated[s.Time, Field(description="Equals the event's `time`.")]

    def to_domain(self) -> e.ClockTicked:
        """The same as the rules see it."""
        return e.ClockTicked(self.now)
