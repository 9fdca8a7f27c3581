"""`decide(state, event) → entry | park | dead letter`: the rules, one module per kind of event. Pure."""

from typing import assert_never

from redress.domain.beneficiary import Beneficiary
from redress.domain.decide import control, entitlement, release, request, reversal, settlement, voucher
from redress.domain.decision import Dead, Decision, Draft
from redress.domain.event import (
    Captured,
    Claimed,
    Declined,
    Enrolled,
    Granted,
    Issued,
    LotExtended,
    LotRevoked,
    Personal,
    ProgrammePublished,
    Recorded,
    Reinstated,
    Released,
    Requested,
    Reversed,
    VoucherRevoked,
    WaveOpened,
    Withdrawn,
)
from redress.domain.ids import Instant
from redress.domain.shard import Shard

LastingControl = ProgrammePublished | WaveOpened | LotExtended | LotRevoked
"""Control events that make an entry; the clock's tick makes none of its own."""


def decide_control(shard: Shard, data: LastingControl, x: Instant) -> Draft | Dead:
    """What a control event of time `x` does."""
    match data:
        case ProgrammePublished():
            return control.publish(shard, data)
        case WaveOpened():
            return control.open_wave(shard, data, x)
        case LotExtended():
            return control.extend(shard, data, x)
        case LotRevoked():
            return control.revoke(shard, data, x)
        case _:
            assert_never(data)


def decide_personal(  # noqa: C901, PLR0912 - one arm per type of event
    shard: Shard, person: Beneficiary, data: Personal, x: Instant, *, waited_out: bool = False
) -> Decision:
    """What an event of time `x` about one beneficiary does. `waited_out`: its parking has ended."""
    match data:
        case Granted():
            return entitlement.grant(shard, person, data, x)
        case Issued():
            return entitlement.issue(shard, person, data, x)
        case Claimed():
            return voucher.claim(shard, person, data, x)
        case Requested():
            return request.request(shard, person, data, x)
        case Captured() | Recorded():
            return settlement.settle(shard, person, data, x, waited_out=waited_out)
        case Released():
            return release.release(shard, person, data, x)
        case Reversed():
            return reversal.reverse(shard, person, data, x)
        case Enrolled():
            return entitlement.enrol(shard, person, data, x)
        case Withdrawn():
            return entitlement.withdraw(shard, person, data, x)
        case Reinstated():
            return entitlement.reinstate(shard, person, data, x)
        case Declined():
            return voucher.decline(shard, person, data, x)
        case VoucherRevoked():
            return voucher.revoke(shard, person, data, x)
        case _:
            assert_never(data)
