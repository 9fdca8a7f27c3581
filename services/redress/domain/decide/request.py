"""The one request: reserved in whole or refused. Source: RULES section 7, "requested"."""

from redress.domain.accounts import RESERVED
from redress.domain.beneficiary import Beneficiary, RedemptionStatus
from redress.domain.booking import Booking
from redress.domain.decide.validity import broken_term
from redress.domain.decision import Draft, accepted, refused
from redress.domain.entry import Reason
from redress.domain.event import Requested, Spend
from redress.domain.ids import Instant
from redress.domain.shard import Shard
from redress.domain.terms import Remainder, Terms
from redress.domain.time import SECOND

FUTURE_TOLERANCE = 300 * SECOND
"""How far a request may be ahead of the ledger's clock."""


def request(shard: Shard, person: Beneficiary, data: Requested, x: Instant) -> Draft:
    """Reserve all lines, or refuse with the first reason that applies."""
    programme = shard.programmes.get(data.programme)
    version = programme.latest.version if programme else None
    known = person.redemptions.get((data.programme, data.redemption))
    if known is not None:
        first = known.request
        if first is None or not first.same_content(data.order, data.service, data.lines):
            return refused(Reason.CONFLICT, version)
        return Draft(first.outcome, first.reason, terms_version=version)
    if programme is None:
        return refused(Reason.UNKNOWN_VOUCHER)
    reason = _refusal(shard, person, data, x, programme.latest)
    if reason:
        return refused(reason, version)
    booking = Booking(shard, x)
    for spend in data.lines:
        booking.move(RESERVED, booking.on(person.vouchers[spend.voucher]), spend.amount)
    return accepted(booking, version)


def _refusal(shard: Shard, person: Beneficiary, data: Requested, x: Instant, latest: Terms) -> Reason | None:
    now = shard.clock(x)
    if x < now - latest.request_max_age_seconds * SECOND:
        return Reason.STALE_REQUEST
    if x > now + FUTURE_TOLERANCE:
        return Reason.FUTURE_REQUEST
    for spend in data.lines:
        reason = _line_refusal(shard, person, data, spend, x)
        if reason:
            return reason
    if latest.vouchers_per_order is not None and _vouchers_of_order(person, data) > latest.vouchers_per_order:
        return Reason.TOO_MANY_VOUCHERS
    return None


def _line_refusal(shard: Shard, person: Beneficiary, data: Requested, spend: Spend, x: Instant) -> Reason | None:
    reason = broken_term(shard, person, data.programme, data.service, spend.voucher, x)
    if reason:
        return reason
    voucher = person.vouchers[spend.voucher]
    if voucher.unclaimed > 0:
        return Reason.NOT_CLAIMED
    if voucher.available == 0 and voucher.held == 0:
        return Reason.ALREADY_REDEEMED
    if shard.lot(voucher.lot).terms.remainder is Remainder.FORFEITED and voucher.held > 0:
        return Reason.ALREADY_RESERVED
    return Reason.INSUFFICIENT_BALANCE if spend.amount > voucher.available else None


def _vouchers_of_order(person: Beneficiary, data: Requested) -> int:
    vouchers = {spend.voucher for spend in data.lines}
    for (programme, _), other in person.redemptions.items():
        if programme == data.programme and other.order == data.order and other.status is not RedemptionStatus.REVERSED:
            vouchers.update(v for v, line in other.lines.items() if line.held > 0 or line.redeemed > 0)
    return len(vouchers)
