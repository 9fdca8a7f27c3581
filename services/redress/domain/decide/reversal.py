"""Reversing: an order was cancelled, whole or in part. Source: RULES section 7, "reversed"."""

from redress.domain.accounts import CANCELLED, EXCEPTION_REVERSED, RESTORED_FORFEITED, RESTORED_REDEEMED
from redress.domain.beneficiary import Beneficiary, RedemptionLine, RedemptionStatus
from redress.domain.booking import Booking
from redress.domain.decide.release import let_go
from redress.domain.decision import Decision, Park, accepted, no_effect, wakes_on_programme
from redress.domain.entry import Reason
from redress.domain.event import Reversed, Scope
from redress.domain.ids import Instant, ProgrammeCode, VoucherId
from redress.domain.lot import Lot
from redress.domain.shard import Shard
from redress.domain.terms import Restore


def reverse(shard: Shard, person: Beneficiary, data: Reversed, x: Instant) -> Decision:
    """An order was cancelled, whole or in part."""
    programme = shard.programmes.get(data.programme)
    if programme is None:
        return Park(wakes_on_programme(data.programme))
    version = programme.latest.version
    known = person.redemptions.get((data.programme, data.redemption))
    if known is None:
        return no_effect(Reason.UNKNOWN_REDEMPTION, version)
    if known.status is RedemptionStatus.HELD:
        if data.scope is Scope.PARTIAL:
            return no_effect(Reason.NOT_CAPTURED, version)
        return let_go(shard, person, known, x, version)
    if known.status is RedemptionStatus.REVERSED:
        return no_effect(Reason.ALREADY_REVERSED, version)
    if not known.is_settled:
        return no_effect(Reason.NOTHING_HELD, version)
    booking = Booking(shard, x)
    if data.scope is Scope.WHOLE_ORDER:
        for voucher, line in known.lines.items():
            _reverse_line(shard, booking, person, data.programme, voucher, line)
    else:
        for spend in data.lines:
            if spend.voucher in known.lines:
                line = known.lines[spend.voucher]
                _reverse_line(shard, booking, person, data.programme, spend.voucher, line, spend.amount)
    if not booking.lines:
        return no_effect(Reason.NOTHING_LEFT, version)
    return accepted(booking, version)


def _reverse_line(
    shard: Shard,
    booking: Booking,
    person: Beneficiary,
    programme: ProgrammeCode,
    voucher_id: VoucherId,
    line: RedemptionLine,
    limit: int | None = None,
) -> None:
    """Reverse one voucher's part; `limit` None for a whole order, else at most so much, exceptions first."""
    exception = line.exception_left if limit is None else min(limit, line.exception_left)
    redeemed = line.redeemed_left if limit is None else min(limit - exception, line.redeemed_left)
    if line.stray:
        booking.move(EXCEPTION_REVERSED, booking.stray(person, programme, voucher_id), exception)
        return
    tried = booking.on(person.vouchers[voucher_id])
    booking.move(EXCEPTION_REVERSED, tried, exception)
    if redeemed == 0:
        return
    lot = shard.lot(tried.lot)
    if not _restores(lot, booking.x, whole=limit is None):
        booking.move(CANCELLED, tried, redeemed)
        return
    booking.give_back(RESTORED_REDEEMED, tried, redeemed)
    if limit is None or line.restored + redeemed == line.redeemed:
        booking.give_back(RESTORED_FORFEITED, tried, line.forfeited - line.forfeited_restored)


def _restores(lot: Lot, x: Instant, *, whole: bool) -> bool:
    restore = lot.terms.restore
    allowed = restore is Restore.ANY_BEFORE_EXPIRY or (whole and restore is Restore.WHOLE_ORDER_BEFORE_EXPIRY)
    return allowed and x < lot.closed_at
