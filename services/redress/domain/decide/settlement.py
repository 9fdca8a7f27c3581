"""Settling: what a checkout reports as spent. Source: RULES section 7, "Settling a line"."""

from redress.domain.accounts import (
    CLAIMED,
    EXCEPTION,
    FORFEITED_AVAILABLE,
    FORFEITED_HELD,
    REDEEMED_AVAILABLE,
    REDEEMED_HELD,
    RELEASED,
)
from redress.domain.beneficiary import Beneficiary, Redemption, RedemptionStatus, Voucher
from redress.domain.booking import Booking
from redress.domain.decide.release import release_rest
from redress.domain.decide.validity import broken_term
from redress.domain.decision import Decision, Park, accepted, no_effect, wakes_on_programme
from redress.domain.entry import Reason
from redress.domain.event import Captured, Recorded, Settling, Spend
from redress.domain.ids import Instant, ServiceCode, VoucherId, is_owned
from redress.domain.lot import Lot
from redress.domain.shard import Shard
from redress.domain.terms import Remainder
from redress.domain.time import TIME_OUT_GRACE


def settle(shard: Shard, person: Beneficiary, data: Settling, x: Instant, *, waited_out: bool) -> Decision:
    """What was spent at a checkout is spent: book it from the hold, the voucher, and the rest as an exception.

    `waited_out`: parking has ended, so a voucher that is still not there becomes an exception.
    """
    programme = shard.programmes.get(data.programme)
    if programme is None:
        return Park(wakes_on_programme(data.programme))
    version = programme.latest.version
    known = person.redemptions.get((data.programme, data.redemption))
    if known is not None and known.is_settled:
        return no_effect(Reason.ALREADY_SETTLED, version)
    if not waited_out and any(_awaited(person, spend.voucher) for spend in data.lines):
        return Park()
    settlement = _Settlement(shard, person, data, known, x)
    reason = settlement.run()
    return accepted(settlement.booking, version, reason)


def _awaited(person: Beneficiary, voucher: VoucherId) -> bool:
    """Whether a settling fact waits for this voucher: it is the beneficiary's, and not there in any programme.

    A promise is no voucher yet, whichever programme's it is.
    """
    known = person.vouchers.get(voucher)
    return is_owned(voucher, person.id) and (known is None or not known.issued)


class _Settlement:
    """One settling fact against the vouchers as they are."""

    def __init__(self, shard: Shard, person: Beneficiary, data: Settling, known: Redemption | None, x: Instant) -> None:
        self.booking = Booking(shard, x)
        self._shard = shard
        self._person = person
        self._data = data
        self._known = known
        self._x = x
        self._in_grace = (
            isinstance(data, Captured)
            and known is not None
            and known.status is RedemptionStatus.TIMED_OUT
            and known.expires_at is not None
            and x < known.expires_at + TIME_OUT_GRACE
        )

    def run(self) -> Reason | None:
        """Book every line, then let go of what was held and not spent."""
        reason: Reason | None = None
        spent: set[VoucherId] = set()
        for spend in self._data.lines:
            reason = reason or self._reason(spend)
            if self._settle(spend):
                spent.add(spend.voucher)
        if self._known is not None:
            release_rest(self.booking, self._person, self._known, spared=spent)
        if self._known is None and isinstance(self._data, Captured):
            return Reason.UNKNOWN_REDEMPTION
        return reason

    def _settle(self, spend: Spend) -> bool:
        """Book one line; whether anything of the voucher was redeemed."""
        voucher = self._person.issued_voucher(self._data.programme, spend.voucher)
        if voucher is None:
            stray = self.booking.stray(self._person, self._data.programme, spend.voucher)
            self.booking.move(EXCEPTION, stray, spend.amount)
            return False
        tried = self.booking.on(voucher)
        lot = self._shard.lot(voucher.lot)
        hold = self._hold(spend.voucher)
        from_hold = min(spend.amount, hold)
        self.booking.move(REDEEMED_HELD, tried, from_hold)
        missing = spend.amount - from_hold
        from_voucher = 0
        if missing and self._may_take(voucher, lot, hold):
            self.booking.move(CLAIMED, tried, tried.unclaimed)
            from_voucher = min(missing, tried.available)
            self.booking.move(REDEEMED_AVAILABLE, tried, from_voucher)
        self.booking.move(EXCEPTION, tried, missing - from_voucher)
        if from_hold + from_voucher == 0:
            return False
        self._settle_remainder(lot, tried, hold - from_hold)
        return True

    def _settle_remainder(self, lot: Lot, tried: Voucher, hold_left: int) -> None:
        """Once anything was redeemed: what the terms make of the rest."""
        if lot.terms.remainder is Remainder.KEPT:
            self.booking.give_back(RELEASED, tried, hold_left)
            return
        self.booking.move(FORFEITED_HELD, tried, hold_left)
        if not self._closed(tried.id, lot):
            self.booking.move(FORFEITED_AVAILABLE, tried, tried.available)

    def _may_take(self, voucher: Voucher, lot: Lot, hold: int) -> bool:
        """Whether the fact reaches past its own hold into the voucher itself."""
        lost = voucher.declined or voucher.is_revoked
        taken = lot.terms.remainder is Remainder.FORFEITED and voucher.held - hold > 0
        return not lost and not taken and not self._closed(voucher.id, lot)

    def _closed(self, voucher: VoucherId, lot: Lot) -> bool:
        return self._x >= lot.closed_at and not self._usable_in_grace(voucher, lot)

    def _usable_in_grace(self, voucher: VoucherId, lot: Lot) -> bool:
        """A capture shortly after the time-out finds the lots of its vouchers as the request found them."""
        if not self._in_grace or self._known is None or self._known.request is None:
            return False
        return voucher in self._known.lines and lot.usable(self._known.request.time)

    def _reason(self, spend: Spend) -> Reason | None:
        """The first term this line breaks; none where this redemption's hold covers it."""
        hold = self._hold(spend.voucher)
        if hold >= spend.amount:
            return None
        voucher = self._person.issued_voucher(self._data.programme, spend.voucher)
        usable = voucher is not None and self._usable_in_grace(voucher.id, self._shard.lot(voucher.lot))
        service = self._service()
        broken = broken_term(
            self._shard, self._person, self._data.programme, service, spend.voucher, self._x, usable=usable
        )
        if broken or voucher is None:
            return broken
        if voucher.unclaimed > 0:
            return Reason.NOT_CLAIMED
        lot = self._shard.lot(voucher.lot)
        if lot.terms.remainder is Remainder.FORFEITED and voucher.held - hold > 0:
            return Reason.ALREADY_RESERVED
        return Reason.INSUFFICIENT_BALANCE if spend.amount - hold > voucher.available else None

    def _service(self) -> ServiceCode | None:
        """The request's, where the fact names none."""
        if isinstance(self._data, Recorded):
            return self._data.service
        return self._known.service if self._known else None

    def _hold(self, voucher: VoucherId) -> int:
        return self._known.hold_on(voucher) if self._known else 0
