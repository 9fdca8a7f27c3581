"""Programme terms: what a programme promises and how its vouchers behave. Data with a version, never code."""

from enum import StrEnum

from redress.domain.ids import BenefitCode, ProgrammeCode, ServiceCode
from redress.domain.value import value

ANY_SERVICE = ServiceCode("*")


class Claim(StrEnum):
    """Whether a voucher must be claimed before it can be used."""

    REQUIRED = "required"
    NONE = "none"


class Remainder(StrEnum):
    """What becomes of what is left on a voucher once it was used."""

    FORFEITED = "forfeited"
    KEPT = "kept"


class Restore(StrEnum):
    """When a reversal gives a voucher back."""

    WHOLE_ORDER_BEFORE_EXPIRY = "whole_order_before_expiry"
    ANY_BEFORE_EXPIRY = "any_before_expiry"
    NEVER = "never"


class OncePer(StrEnum):
    """Within what a person is entitled once."""

    PROGRAMME = "programme"
    WAVE = "wave"


@value
class Benefit:
    """One line of what a person gets; `amount` in minor units, `service` may be `*`."""

    code: BenefitCode
    service: ServiceCode
    amount: int


@value
class Terms:
    """One version of a programme's terms. Immutable once published."""

    programme: ProgrammeCode
    version: int
    currency: str
    timezone: str
    benefits: tuple[Benefit, ...]
    claim: Claim
    remainder: Remainder
    restore: Restore
    vouchers_per_order: int | None
    once_per: OncePer
    reservation_ttl_seconds: int
    request_max_age_seconds: int
