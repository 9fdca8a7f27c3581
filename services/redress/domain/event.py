"""Events as the rules see them: what an outside system, a control decision or the clock said.

`redress.contracts` translates to and from the wire form. Field names are the wire's; instants are `Instant`.
"""

from enum import StrEnum

from redress.domain.ids import (
    BeneficiaryId,
    BenefitCode,
    Instant,
    OrderId,
    ProgrammeCode,
    RedemptionId,
    ServiceCode,
    VoucherId,
    WaveCode,
)
from redress.domain.terms import Terms
from redress.domain.value import value


class Topic(StrEnum):
    """The input topics, in the order in which a batch applies them."""

    PROGRAMME = "redress.programme"
    ELIGIBILITY = "redress.eligibility"
    ISSUANCE = "redress.issuance"
    REDEMPTION = "redress.redemption"


class Standing(StrEnum):
    """How a person stood with the company when granted."""

    MEMBER = "member"
    FORMER_MEMBER = "former_member"


class AppliedBy(StrEnum):
    """Who put the voucher to the order."""

    CUSTOMER = "customer"
    AUTO = "auto"
    AGENT = "agent"


class Scope(StrEnum):
    """How much of an order was cancelled."""

    WHOLE_ORDER = "whole_order"
    PARTIAL = "partial"


@value
class Expected:
    """What the operator expects of a wave, to be held against what was granted."""

    beneficiaries: int
    amount: int


@value
class ProgrammePublished:
    """`redress.programme.published.v1`."""

    terms: Terms


@value
class WaveOpened:
    """`redress.wave.opened.v1`; `valid_until` is exclusive."""

    programme: ProgrammeCode
    wave: WaveCode
    terms_version: int
    valid_from: Instant
    valid_until: Instant
    expected: Expected | None
    roster_sha256: str | None


@value
class LotExtended:
    """`redress.lot.extended.v1`."""

    programme: ProgrammeCode
    wave: WaveCode
    benefit: BenefitCode
    valid_until: Instant
    reason: str


@value
class LotRevoked:
    """`redress.lot.revoked.v1`."""

    programme: ProgrammeCode
    wave: WaveCode
    benefit: BenefitCode
    reason: str


@value
class ClockTicked:
    """`redress.clock.ticked.v1`."""

    now: Instant


@value
class Granted:
    """`redress.eligibility.granted.v1`: decided."""

    programme: ProgrammeCode
    wave: WaveCode
    beneficiary: BeneficiaryId
    standing: Standing


@value
class Enrolled:
    """`redress.eligibility.enrolled.v1`: a former member has joined again."""

    programme: ProgrammeCode
    wave: WaveCode
    beneficiary: BeneficiaryId


@value
class Withdrawn:
    """`redress.eligibility.withdrawn.v1`."""

    programme: ProgrammeCode
    wave: WaveCode
    beneficiary: BeneficiaryId
    reason: str


@value
class Reinstated:
    """`redress.eligibility.reinstated.v1`."""

    programme: ProgrammeCode
    wave: WaveCode
    beneficiary: BeneficiaryId
    reason: str


@value
class IssuedVoucher:
    """One voucher of an issue."""

    voucher: VoucherId
    benefit: BenefitCode
    amount: int


@value
class Issued:
    """`redress.voucher.issued.v1`: decided. All benefits of the wave at once."""

    programme: ProgrammeCode
    wave: WaveCode
    beneficiary: BeneficiaryId
    vouchers: tuple[IssuedVoucher, ...]


@value
class VoucherRevoked:
    """`redress.voucher.revoked.v1`."""

    programme: ProgrammeCode
    beneficiary: BeneficiaryId
    voucher: VoucherId
    reason: str


@value
class Claimed:
    """`redress.voucher.claimed.v1`."""

    programme: ProgrammeCode
    beneficiary: BeneficiaryId
    voucher: VoucherId
    channel: str


@value
class Declined:
    """`redress.voucher.declined.v1`."""

    programme: ProgrammeCode
    beneficiary: BeneficiaryId
    voucher: VoucherId
    reason: str


@value
class Spend:
    """One line of a redemption: so much of one voucher."""

    voucher: VoucherId
    amount: int


@value
class Requested:
    """`redress.redemption.requested.v1`: decided; the one request."""

    programme: ProgrammeCode
    redemption: RedemptionId
    beneficiary: BeneficiaryId
    order: OrderId
    service: ServiceCode
    applied_by: AppliedBy
    lines: tuple[Spend, ...]


@value
class Captured:
    """`redress.redemption.captured.v1`."""

    programme: ProgrammeCode
    redemption: RedemptionId
    beneficiary: BeneficiaryId
    lines: tuple[Spend, ...]


@value
class Released:
    """`redress.redemption.released.v1`."""

    programme: ProgrammeCode
    redemption: RedemptionId
    beneficiary: BeneficiaryId
    reason: str


@value
class Recorded:
    """`redress.redemption.recorded.v1`: honoured at a checkout without asking first."""

    programme: ProgrammeCode
    redemption: RedemptionId
    beneficiary: BeneficiaryId
    order: OrderId
    service: ServiceCode
    applied_by: AppliedBy
    lines: tuple[Spend, ...]


@value
class Reversed:
    """`redress.redemption.reversed.v1`; `lines` is empty for a whole order."""

    programme: ProgrammeCode
    redemption: RedemptionId
    beneficiary: BeneficiaryId
    scope: Scope
    lines: tuple[Spend, ...]
    reason: str


Control = ProgrammePublished | WaveOpened | LotExtended | LotRevoked | ClockTicked
Settling = Captured | Recorded
PersonalFact = (
    Enrolled | Withdrawn | Reinstated | VoucherRevoked | Claimed | Declined | Captured | Released | Recorded | Reversed
)
Personal = Granted | Issued | Requested | PersonalFact
Data = Control | Personal


@value
class Coordinates:
    """Where a record stands: `topic` without the prefix of an installation."""

    topic: Topic
    partition: int
    offset: int


@value
class Event:
    """One event as read. Immutable, identified by `source` and `id` within its partition key.

    `fingerprint` is SHA-256 over type, source, partition key and data in canonical form (RFC 8785): `time` and
    `traceparent` do not count, so an honest retry is a duplicate.
    """

    source: str
    id: str
    type: str
    time: Instant
    fingerprint: bytes
    at: Coordinates
    data: Data
    traceparent: str | None = None
