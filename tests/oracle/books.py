"""The books of one shard: what is known, and how a line is booked."""

from collections import Counter, defaultdict
from typing import Any, Final

from tests.oracle import instant
from tests.oracle.grant import Grant, Piece
from tests.oracle.lot import Lot, LotKey, Wave, reserved_lot
from tests.oracle.redemption import Redemption, RedemptionKey
from tests.oracle.terms import Programme

Line = dict[str, Any]

LIABILITY: Final = ("entitlement", "unclaimed", "available", "held")
LAPSING: Final = ("entitlement", "unclaimed", "available")
"""The accounts a closed lot keeps at 0."""


Stray = tuple[str, str, str]
"""Beneficiary, programme and id of a voucher that is not there."""


class Books:
    def __init__(self) -> None:
        self.now: int | None = None
        self.programmes: dict[str, Programme] = {}
        self.waves: dict[tuple[str, str], Wave] = {}
        self.lots: dict[LotKey, Lot] = {}
        self.grants: dict[tuple[str, str, str], Grant] = {}
        self.grants_of: defaultdict[tuple[str, str], list[Grant]] = defaultdict(list)
        self.enrolments: Counter[tuple[str, str]] = Counter()
        self.refused_grants: set[tuple[str, str, str]] = set()
        self.vouchers: dict[str, Piece] = {}
        self.redemptions: dict[RedemptionKey, Redemption] = {}
        self.redemptions_of: defaultdict[tuple[str, str], list[Redemption]] = defaultdict(list)
        self.reservations: list[tuple[int, RedemptionKey]] = []
        """A heap of (expires_at, redemption); those no longer held are skipped when they come up."""
        self.balances: defaultdict[LotKey, Counter[str]] = defaultdict(Counter)
        self.lot_last: defaultdict[LotKey, int] = defaultdict(lambda: instant.LONG_AGO_US)
        self.voucher_last: defaultdict[tuple[str, str, str], int] = defaultdict(lambda: instant.LONG_AGO_US)
        """By beneficiary, programme and voucher id, for ids too that were never issued there."""
        self.lines: list[Line] = []
        """Of the entry that is being made."""

    def now_or(self, x: int) -> int:
        """Before the first tick `now` is `x`."""
        return x if self.now is None else self.now

    def voucher(self, beneficiary: str, programme: str, voucher: str) -> Piece | None:
        """A voucher of this beneficiary and this programme, if it is there."""
        piece = self.vouchers.get(voucher)
        if piece is None or piece.grant.beneficiary != beneficiary or piece.grant.wave.programme != programme:
            return None
        return piece

    def is_of_another_programme(self, beneficiary: str, programme: str, voucher: str) -> bool:
        piece = self.vouchers.get(voucher)
        return piece is not None and piece.grant.beneficiary == beneficiary and piece.grant.wave.programme != programme

    def move(self, x: int, piece: Piece, movement: str, debit: str, credit: str, amount: int) -> None:
        """Books a line of a piece, with what the closed-lot rule puts before and after it."""
        if amount == 0:
            return
        lot = piece.lot
        if lot.is_closed and debit in LAPSING:
            at = max(lot.booked_at, self._last_line(piece))
            self._append(lot.key, piece, lot.returning, lot.taken_account(debit), debit, amount, at, by_lot=True)
        at = max(x, self._last_line(piece), lot.reopened_at)
        at = self._append(lot.key, piece, movement, debit, credit, amount, at, by_lot=False)
        if lot.is_closed and credit in LAPSING:
            at = max(lot.booked_at, at)
            self._append(lot.key, piece, lot.taking, credit, lot.taken_account(credit), amount, at, by_lot=True)
        piece.balances[debit] -= amount
        piece.balances[credit] += amount
        if movement == "revoked" and piece.grant.is_withdrawn:
            piece.revoked_since_withdrawal += amount

    def move_back(self, x: int, piece: Piece, movement: str, debit: str, credit: str, amount: int) -> None:
        """Books a line that returns an amount to a piece; a declined or revoked voucher gives it up again."""
        self.move(x, piece, movement, debit, credit, amount)
        if piece.is_declined:
            self.move(x, piece, "declined", credit, "declined", amount)
        elif piece.shows_revoked:
            self.move(x, piece, "revoked", credit, "revoked", amount)

    def move_stray(self, x: int, stray: Stray, movement: str, debit: str, credit: str, amount: int) -> None:
        """Books a line for a voucher that is not there, in the programme's reserved lot."""
        at = max(x, self.voucher_last[stray])
        self._append(reserved_lot(stray[1]), stray, movement, debit, credit, amount, at, by_lot=False)

    def move_lot(self, lot: Lot, movement: str, debit: str, credit: str, at: int) -> None:
        """Books all that stands in an account of a lot by one line, without voucher or beneficiary."""
        amount = self.balances[lot.key][debit]
        if amount:
            self._append(lot.key, None, movement, debit, credit, amount, at, by_lot=False)

    def issue(self, piece: Piece) -> None:
        """From here the piece is a voucher, and its lines go on where both left off."""
        self.vouchers[piece.voucher] = piece
        name = (piece.grant.beneficiary, piece.grant.wave.programme, piece.voucher)
        self.voucher_last[name] = max(self.voucher_last[name], piece.entitlement_last)

    def _last_line(self, piece: Piece) -> int:
        if piece.grant.is_issued:
            return self.voucher_last[piece.grant.beneficiary, piece.grant.wave.programme, piece.voucher]
        return piece.entitlement_last

    def _append(
        self,
        key: LotKey,
        owner: Piece | Stray | None,
        movement: str,
        debit: str,
        credit: str,
        amount: int,
        at: int,
        *,
        by_lot: bool,
    ) -> int:
        """Writes a line down and returns its effective time."""
        at = min(at, self.now_or(at))
        programme, wave, benefit = key
        voucher = None
        if isinstance(owner, Piece):
            if owner.grant.is_issued:
                voucher = owner.voucher
                self.voucher_last[owner.grant.beneficiary, programme, voucher] = at
            else:
                owner.entitlement_last = at
        elif owner is not None:
            voucher = owner[2]
            self.voucher_last[owner] = at
        self.lot_last[key] = max(self.lot_last[key], at)
        self.balances[key][debit] -= amount
        self.balances[key][credit] += amount
        self.lines.append(
            {
                "movement": movement,
                "debit": debit,
                "credit": credit,
                "amount": amount,
                "currency": self.programmes[programme].currency,
                "programme": programme,
                "wave": wave,
                "benefit": benefit,
                "voucher": voucher,
                "effective_at": at,
                "by_lot": by_lot,
            }
        )
        return at
