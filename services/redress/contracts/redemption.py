"""`redress.redemption`: claims, requests and facts from the company's own app and checkouts."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from redress.contracts import scalars as s
from redress.domain import event as e
from redress.domain import ids


class VoucherClaimed(s.InEvent):
    """The person has claimed a voucher."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    voucher: s.Voucher
    channel: s.Channel

    def to_domain(self) -> e.Claimed:
        """The same as the rules see it."""
        return e.Claimed(
            ids.ProgrammeCode(self.programme),
            ids.BeneficiaryId(self.beneficiary),
            ids.VoucherId(self.voucher),
            self.channel,
        )


class VoucherDeclined(s.InEvent):
    """The person does not want a voucher."""

    programme: s.Programme
    beneficiary: s.Beneficiary
    voucher: s.Voucher
    reason: s.Reason

    def to_domain(self) -> e.Declined:
        """The same as the rules see it."""
        return e.Declined(
            ids.ProgrammeCode(self.programme),
            ids.BeneficiaryId(self.beneficiary),
            ids.VoucherId(self.voucher),
            self.reason,
        )


class SpendLine(s.In):
    """So much of one voucher."""

    voucher: s.Voucher
    amount: s.Amount


def _no_voucher_twice(lines: list[SpendLine]) -> list[SpendLine]:
    if len({line.voucher for line in lines}) < len(lines):
        raise PydanticCustomError("voucher_twice", "a voucher is given twice")
    return lines


Lines = Annotated[
    list[SpendLine],
    Field(min_length=1, max_length=s.LINES_MAX, description="No voucher twice."),
    AfterValidator(_no_voucher_twice),
]
AppliedBy = Annotated[e.AppliedBy, Field(strict=False, description="Who put the voucher to the order.")]


def _spends(lines: list[SpendLine]) -> tuple[e.Spend, ...]:
    return tuple(e.Spend(ids.VoucherId(line.voucher), line.amount) for line in lines)


class RedemptionRequested(s.InEvent):
    """The one request: may this order be paid with these vouchers? The ledger answers."""

    programme: s.Programme
    redemption: s.Redemption
    beneficiary: s.Beneficiary
    order: s.Order
    service: s.Service
    applied_by: AppliedBy
    lines: Lines

    def to_domain(self) -> e.Requested:
        """The same as the rules see it."""
        return e.Requested(
            ids.ProgrammeCode(self.programme),
            ids.RedemptionId(self.redemption),
            ids.BeneficiaryId(self.beneficiary),
            ids.OrderId(self.order),
            ids.ServiceCode(self.service),
            self.applied_by,
            _spends(self.lines),
        )


class RedemptionCaptured(s.InEvent):
    """The order was paid with so much of these vouchers."""

    programme: s.Programme
    redemption: s.Redemption
    beneficiary: s.Beneficiary
    lines: Lines

    def to_domain(self) -> e.Captured:
        """The same as the rules see it."""
        return e.Captured(
            ids.ProgrammeCode(self.programme),
            ids.RedemptionId(self.redemption),
            ids.BeneficiaryId(self.beneficiary),
            _spends(self.lines),
        )


class RedemptionReleased(s.InEvent):
    """The order did not come about: what was reserved is free again."""

    programme: s.Programme
    redemption: s.Redemption
    beneficiary: s.Beneficiary
    reason: s.Reason

    def to_domain(self) -> e.Released:
        """The same as the rules see it."""
        return e.Released(
            ids.ProgrammeCode(self.programme),
            ids.RedemptionId(self.redemption),
            ids.BeneficiaryId(self.beneficiary),
            self.reason,
        )


class RedemptionRecorded(s.InEvent):
    """A checkout honoured these vouchers without asking first."""

    programme: s.Programme
    redemption: s.Redemption
    beneficiary: s.Beneficiary
    order: s.Order
    service: s.Service
    applied_by: AppliedBy
    lines: Lines

    def to_domain(self) -> e.Recorded:
        """The same as the rules see it."""
        return e.Recorded(
            ids.ProgrammeCode(self.programme),
            ids.RedemptionId(self.redemption),
            ids.BeneficiaryId(self.beneficiary),
            ids.OrderId(self.order),
            ids.ServiceCode(self.service),
            self.applied_by,
            _spends(self.lines),
        )


class RedemptionReversed(s.InEvent):
    """The order was cancelled, wholly or in part."""

    programme: s.Programme
    redemption: s.Redemption
    beneficiary: s.Beneficiary
    scope: Annotated[e.Scope, Field(strict=False, description="How much of the order was cancelled.")]
    lines: Annotated[
        list[SpendLine],
        Field(max_length=s.LINES_MAX, description="No voucher twice; none for `whole_order`, else at least one."),
        AfterValidator(_no_voucher_twice),
    ]
    reason: s.Reason

    @model_validator(mode="after")
    def _lines_as_the_scope_says(self) -> Self:
        if (self.scope is e.Scope.PARTIAL) != bool(self.lines):
            raise PydanticCustomError("lines_of_scope", "whole_order has no lines, partial at least one")
        return self

    def to_domain(self) -> e.Reversed:
        """The same as the rules see it."""
        return e.Reversed(
            ids.ProgrammeCode(self.programme),
            ids.RedemptionId(self.redemption),
            ids.BeneficiaryId(self.beneficiary),
            self.scope,
            _spends(self.lines),
            self.reason,
        )
