"""Writing down lines: effective times, the closed-lot rule, and what leaves a voucher again as soon as it returns.

Source: RULES section 3 (effective time of a line), section 4 (closed-lot rule), section 6 (declined and revoked).
"""

from redress.domain.accounts import (
    DECLINED_AVAILABLE,
    DECLINED_UNCLAIMED,
    EXPIRED,
    EXPIRY_REVERSED,
    LAPSABLE,
    REVOCATION_REVERSED,
    REVOKED,
    Account,
    Posting,
)
from redress.domain.beneficiary import Beneficiary, Voucher
from redress.domain.entry import Line
from redress.domain.ids import FAR_PAST, Instant, ProgrammeCode, VoucherId
from redress.domain.lot import Lot, LotStatus
from redress.domain.shard import Shard

CLOSING = {LotStatus.EXPIRED: EXPIRED, LotStatus.REVOKED: REVOKED}
REOPENING = {LotStatus.EXPIRED: EXPIRY_REVERSED, LotStatus.REVOKED: REVOCATION_REVERSED}


class Booking:
    """The lines of one entry in the making, tried on copies of the vouchers they touch."""

    def __init__(self, shard: Shard, x: Instant) -> None:
        self.now = shard.clock(x)
        self.x = x
        self.lines: list[Line] = []
        self._shard = shard
        self._tried: dict[VoucherId, Voucher] = {}

    def on(self, voucher: Voucher) -> Voucher:
        """The voucher as the lines written so far leave it."""
        tried = self._tried.get(voucher.id)
        if tried is None:
            tried = self._tried[voucher.id] = voucher.copy()
        return tried

    def stray(self, person: Beneficiary, programme: ProgrammeCode, voucher: VoucherId) -> Voucher:
        """A stand-in in the programme's reserved lot for a voucher that is not there."""
        lot = self._shard.programmes[programme].reserved
        issued = person.issued_voucher(programme, voucher)
        last = max(person.strays.get((programme, voucher), FAR_PAST), issued.last if issued else FAR_PAST)
        return Voucher(voucher, lot.key, last=last)

    def move(self, posting: Posting, voucher: Voucher, amount: int, *, promised: bool = False) -> None:
        """Write a line of the voucher's lot, with what the closed-lot rule asks for before and after; nothing for 0."""
        if amount == 0:
            return
        lot = self._shard.lot(voucher.lot)
        if not lot.is_open and posting.debit in LAPSABLE:
            reversal = REOPENING[lot.status][posting.debit]
            self._write(reversal, lot, voucher, amount, max(lot.booked_at, voucher.last), promised, by_lot=True)
        self._write(posting, lot, voucher, amount, max(self.x, voucher.last, lot.reopened_at), promised)
        if not lot.is_open and posting.credit in LAPSABLE:
            closing = CLOSING[lot.status][posting.credit]
            self._write(closing, lot, voucher, amount, max(voucher.last, lot.booked_at), promised, by_lot=True)

    def give_back(self, posting: Posting, voucher: Voucher, amount: int) -> None:
        """Write a line that returns value to the voucher; a declined or revoked one loses it again at once."""
        self.move(posting, voucher, amount)
        if voucher.declined:
            again = DECLINED_UNCLAIMED if posting.credit is Account.UNCLAIMED else DECLINED_AVAILABLE
            self.move(again, voucher, amount)
        elif voucher.is_revoked:
            self.move(REVOKED[posting.credit], voucher, amount)

    def move_lot(self, posting: Posting, lot: Lot, effective: Instant) -> None:
        """Write a line that empties the posting's debit account of the lot; nothing for 0."""
        amount = lot.balances[posting.debit]
        if amount > 0:
            self.lines.append(Line(posting, lot.key, None, amount, self._capped(effective)))

    @property
    def effective_at(self) -> Instant:
        """The entry's: the latest of its lines', or the event's time, never past the clock."""
        return max([line.effective for line in self.lines], default=self._capped(self.x))

    def _write(
        self,
        posting: Posting,
        lot: Lot,
        voucher: Voucher,
        amount: int,
        effective: Instant,
        promised: bool,
        *,
        by_lot: bool = False,
    ) -> None:
        line = Line(posting, lot.key, voucher.id, amount, min(effective, self.now), by_lot, promised)
        self.lines.append(line)
        voucher.apply(line)

    def _capped(self, effective: Instant) -> Instant:
        return min(effective, self.now)
