"""`redress.issuance`: what was issued, what was taken back."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from redress.contracts import scalars as s
from redress.domain import event as e
from redress.domain import ids


class VoucherOfIssue(s.In):
    """One voucher of an issue."""

    voucher: s.Voucher
    benefit: s.Benefit
    amount: s.Amount


def _no_voucher_twice(vouchers: list[VoucherOfIssue]) -> list[VoucherOfIssue]:
    if len({voucher.voucher for voucher in vouchers}) < len(vouchers):
        raise PydanticCustomError("voucher_twice", "a voucher is given twice")
    return vouchers


class VoucherIssued(s.InEvent):
    """All benefits of the wave, at once. Decided: accepted or refused."""

    programme: s.Programme
    wave: s.Wave
    beneficiary: s.Beneficiary
    vouchers: Annotated[
        list[VoucherOfIssue],
        Field(min_length=1, max_length=s.BENEFITS_MAX, description="One per benefit; no voucher twice."),
        AfterValidator(_no_voucher_twice),
    ]

    def to_domain(self) -> e.Issued:
        """The same as the rules see it."""
        return e.Issued(
            ids.ProgrammeCode(self.programme),
            ids.WaveCode(self.wave),
            ids.BeneficiaryId(self.beneficiary),
            tuple(
                e.IssuedVoucher(ids.VoucherId(v.voucher), ids.BenefitCode(v.benefit), v.amount) for v in self.vouchers
            ),
        )


class VoucherRevoked(s.InEvent):
    """One voucher is taken back."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    voucher: s.Voucher
    reason: s.Reason

    def to_domain(self) -> e.VoucherRevoked:
        """The same as the rules see it."""
        return e.VoucherRevoked(
            ids.ProgrammeCode(self.programme),
            ids.BeneficiaryId(self.beneficiary),
            ids.VoucherId(self.voucher),
            self.reason,
        )
