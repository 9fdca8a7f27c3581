"""One voucher's own facts: claimed, declined, revoked. Source: RULES section 6."""

from redress.domain.accounts import (
    CLAIMED,
    DECLINED_AVAILABLE,
    DECLINED_UNCLAIMED,
    REVOKED,
    Account,
)
from redress.domain.beneficiary import Beneficiary, Voucher
from redress.domain.booking import Booking
from redress.domain.decision import Decision, Park, accepted, no_effect
from redress.domain.entry import Reason
from redress.domain.event import Claimed, Declined, VoucherRevoked
from redress.domain.ids import Instant
from redress.domain.lot import Lot, LotStatus
from redress.domain.shard import Shard


def claim(shard: Shard, person: Beneficiary, data: Claimed, x: Instant) -> Decision:
    """The beneficiary takes the voucher up."""
    voucher = person.issued_voucher(data.programme, data.voucher)
    if voucher is None:
        return Park()
    lot = shard.lot(voucher.lot)
    forbidden = _forbidden(voucher, lot, x)
    if forbidden:
        return no_effect(forbidden, lot.terms.version)
    if voucher.unclaimed == 0:
        return no_effect(Reason.ALREADY_CLAIMED, lot.terms.version)
    booking = Booking(shard, x)
    tried = booking.on(voucher)
    booking.move(CLAIMED, tried, tried.unclaimed)
    return accepted(booking, lot.terms.version)


def decline(shard: Shard, person: Beneficiary, data: Declined, x: Instant) -> Decision:
    """The beneficiary does not want the voucher; its holds stay."""
    return _take_away(shard, person, data, x)


def revoke(shard: Shard, person: Beneficiary, data: VoucherRevoked, x: Instant) -> Decision:
    """The company takes one voucher back; its holds stay."""
    return _take_away(shard, person, data, x)


def _take_away(shard: Shard, person: Beneficiary, data: Declined | VoucherRevoked, x: Instant) -> Decision:
    voucher = person.issued_voucher(data.programme, data.voucher)
    if voucher is None:
        return Park()
    lot = shard.lot(voucher.lot)
    forbidden = _forbidden(voucher, lot, x)
    if forbidden:
        return no_effect(forbidden, lot.terms.version)
    if not voucher.has_something_left:
        return no_effect(Reason.NOTHING_LEFT, lot.terms.version)
    booking = Booking(shard, x)
    tried = booking.on(voucher)
    declined = isinstance(data, Declined)
    booking.move(DECLINED_UNCLAIMED if declined else REVOKED[Account.UNCLAIMED], tried, tried.unclaimed)
    booking.move(DECLINED_AVAILABLE if declined else REVOKED[Account.AVAILABLE], tried, tried.available)
    return accepted(booking, lot.terms.version)


def _forbidden(voucher: Voucher, lot: Lot, x: Instant) -> Reason | None:
    if voucher.declined:
        return Reason.DECLINED
    if voucher.is_revoked:
        return Reason.REVOKED
    if x >= lot.closed_at:
        return Reason.REVOKED if lot.status is LotStatus.REVOKED else Reason.EXPIRED
    return None
