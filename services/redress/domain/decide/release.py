"""Letting holds go. Source: RULES section 7, "released" and the time-out."""

from redress.domain.accounts import RELEASED
from redress.domain.beneficiary import Beneficiary, Redemption, RedemptionStatus
from redress.domain.booking import Booking
from redress.domain.decision import Decision, Draft, Park, accepted, no_effect, wakes_on_programme
from redress.domain.entry import Reason
from redress.domain.event import Released
from redress.domain.ids import Instant, VoucherId
from redress.domain.shard import Shard


def release(shard: Shard, person: Beneficiary, data: Released, x: Instant) -> Decision:
    """The checkout lets its hold go."""
    programme = shard.programmes.get(data.programme)
    if programme is None:
        return Park(wakes_on_programme(data.programme))
    known = person.redemptions.get((data.programme, data.redemption))
    if known is None:
        return no_effect(Reason.UNKNOWN_REDEMPTION, programme.latest.version)
    if known.status is not RedemptionStatus.HELD:
        return no_effect(Reason.NOTHING_HELD, programme.latest.version)
    return let_go(shard, person, known, x, programme.latest.version)


def let_go(shard: Shard, person: Beneficiary, known: Redemption, x: Instant, version: int) -> Draft:
    """Release every hold of the redemption."""
    booking = Booking(shard, x)
    release_rest(booking, person, known, spared=set())
    return accepted(booking, version)


def release_rest(booking: Booking, person: Beneficiary, known: Redemption, spared: set[VoucherId]) -> None:
    """Release the redemption's holds on all vouchers but the spared ones."""
    for voucher, line in known.lines.items():
        if line.held and voucher not in spared:
            booking.give_back(RELEASED, booking.on(person.vouchers[voucher]), line.held)
