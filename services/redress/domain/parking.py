"""Parking: what a fact names, and whether an earlier parked fact stands in its way. Source: RULES section 8."""

from redress.domain.beneficiary import Beneficiary, Parked
from redress.domain.event import (
    Captured,
    Claimed,
    Data,
    Declined,
    Enrolled,
    Recorded,
    Reinstated,
    Released,
    Reversed,
    VoucherRevoked,
    Withdrawn,
)
from redress.domain.ids import ProgrammeCode, RedemptionId, VoucherId, WaveCode

Name = tuple[ProgrammeCode, str, WaveCode | VoucherId | RedemptionId]
"""(programme, kind, id): a grant, voucher or redemption that a fact is about."""


def names(data: Data) -> frozenset[Name]:
    """What a fact is about; nothing for what is decided, which neither blocks nor is blocked."""
    match data:
        case Enrolled() | Withdrawn() | Reinstated():
            return frozenset({(data.programme, "grant", data.wave)})
        case Claimed() | Declined() | VoucherRevoked():
            return frozenset({(data.programme, "voucher", data.voucher)})
        case Released():
            return frozenset({(data.programme, "redemption", data.redemption)})
        case Captured() | Recorded() | Reversed():
            vouchers: set[Name] = {(data.programme, "voucher", spend.voucher) for spend in data.lines}
            return frozenset(vouchers | {(data.programme, "redemption", data.redemption)})
        case _:
            return frozenset()


def is_blocked(person: Beneficiary, data: Data, before: Parked | None = None) -> bool:
    """Whether a fact parked earlier (than `before`, itself parked; None for a new event) names the same."""
    if not person.parked:
        return False
    own = names(data)
    if not own:
        return False
    for parked in person.parked:
        if parked is before:
            return False
        if not own.isdisjoint(names(parked.event.data)):
            return True
    return False
