"""`redress.eligibility`: who is entitled."""

from typing import Annotated

from pydantic import Field

from redress.contracts import scalars as s
from redress.domain import event as e
from redress.domain import ids


class EligibilityGranted(s.InEvent):
    """A person is entitled to the benefits of a wave. Decided: accepted or refused."""

    programme: s.Programme
    wave: s.Wave
    beneficiary: s.Beneficiary
    standing: Annotated[
        e.Standing, Field(strict=False, description="A former member joins again before anything is issued.")
    ]

    def to_domain(self) -> e.Granted:
        """The same as the rules see it."""
        return e.Granted(
            ids.ProgrammeCode(self.programme),
            ids.WaveCode(self.wave),
            ids.BeneficiaryId(self.beneficiary),
            self.standing,
        )


class EligibilityEnrolled(s.InEvent):
    """A former member has joined again."""

    programme: s.Programme
    wave: s.Wave
    beneficiary: s.Beneficiary

    def to_domain(self) -> e.Enrolled:
        """The same as the rules see it."""
        return e.Enrolled(
            ids.ProgrammeCode(self.programme), ids.WaveCode(self.wave), ids.BeneficiaryId(self.beneficiary)
        )


class EligibilityWithdrawn(s.InEvent):
    """An entitlement is taken back."""

    programme: s.Programme
    wave: s.Wave
    beneficiary: s.Beneficiary
    reason: s.Reason

    def to_domain(self) -> e.Withdrawn:
        """The same as the rules see it."""
        return e.Withdrawn(
            ids.ProgrammeCode(self.programme), ids.WaveCode(self.wave), ids.BeneficiaryId(self.beneficiary), self.reason
        )


class EligibilityReinstated(s.InEvent):
    """A withdrawn entitlement stands again."""

    programme: s.Programme
    wave: s.Wave
    beneficiary: s.Beneficiary
    reason: s.Reason

    def to_domain(self) -> e.Reinstated:
        """The same as the rules see it."""
        return e.Reinstated(
            ids.ProgrammeCode(self.programme), ids.WaveCode(self.wave), ids.BeneficiaryId(self.beneficiary), self.reason
        )
