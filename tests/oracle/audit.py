"""The audit of a shard: the invariants of the design, replayed from the entries and compared with the figures."""

from collections import Counter, defaultdict
from itertools import groupby
from typing import Any, Final

from tests.oracle import figures
from tests.oracle.books import LAPSING, LIABILITY, Books, Line
from tests.oracle.figures import Entry, Row
from tests.oracle.lot import LotKey, reserved_lot

MOVEMENTS: Final = {
    "entitled": {("programme_grant", "entitlement")},
    "withdrawn": {("entitlement", "programme_grant")},
    "issued": {("entitlement", "unclaimed"), ("entitlement", "available")},
    "claimed": {("unclaimed", "available")},
    "reserved": {("available", "held")},
    "released": {("held", "available")},
    "redeemed": {("held", "redemption_clearing"), ("available", "redemption_clearing")},
    "forfeited": {("held", "breakage_forfeited"), ("available", "breakage_forfeited")},
    "restored": {("redemption_clearing", "available"), ("breakage_forfeited", "available")},
    "cancelled": {("redemption_clearing", "breakage_cancelled")},
    "exception": {("exception", "redemption_clearing")},
    "exception_reversed": {("redemption_clearing", "exception")},
    "expired": {(account, f"expired_{account}") for account in LAPSING},
    "expiry_reversed": {(f"expired_{account}", account) for account in LAPSING},
    "revoked": {(account, "revoked") for account in LAPSING},
    "revocation_reversed": {("revoked", account) for account in LAPSING},
    "declined": {("unclaimed", "declined"), ("available", "declined")},
}
COMING_IN: Final = {"entitled", "restored", "expiry_reversed", "revocation_reversed"}
GOING_OUT: Final = {"withdrawn", "redeemed", "forfeited", "expired", "revoked", "declined"}
"""The roll-forward: every other movement leaves what is owed as it was."""
DEBITS: Final = {"programme_grant", "exception"}
BY_LOT: Final = {"expired", "expiry_reversed", "revoked", "revocation_reversed"}

Change = tuple[int, str, int]
"""Effective time, account, change of its balance."""
PieceKey = tuple[str, LotKey, str]
"""Beneficiary, lot, and the voucher where the lot is a reserved one."""


class Account:
    """The balances of a lot or a piece in entry order, with every change of them."""

    def __init__(self) -> None:
        self.balances: Counter[str] = Counter()
        self.changes: list[Change] = []

    def move(self, debit: str, credit: str, amount: int, at: int) -> None:
        for account, change in ((debit, -amount), (credit, amount)):
            self.balances[account] += change
            self.changes.append((at, account, change))

    def check(self, name: object) -> None:
        for account, balance in self.balances.items():
            assert _is_sound(account, balance), f"{name}: {account} is {balance}"

    def check_effective(self, name: object) -> None:
        """As of every instant at which something is effective."""
        self.changes.sort(key=lambda change: change[0])
        sums: Counter[str] = Counter()
        for at, changes in groupby(self.changes, key=lambda change: change[0]):
            for _, account, change in changes:
                sums[account] += change
            for account, balance in sums.items():
                assert _is_sound(account, balance), f"{name}: {account} is {balance} as of {at} µs"


def _is_sound(account: str, balance: int) -> bool:
    """Nothing owed is ever negative, nor is what was spent, lapsed or given up; the grant and exceptions are debits."""
    return balance <= 0 if account in DEBITS else balance >= 0


class Audit:
    """Follows the entries, remembering where it was."""

    def __init__(self) -> None:
        self._followed = 0
        self._lots: defaultdict[LotKey, Account] = defaultdict(Account)
        self._pieces: defaultdict[PieceKey, Account] = defaultdict(Account)
        self._pieces_of: defaultdict[LotKey, set[PieceKey]] = defaultdict(set)
        self._touched: set[PieceKey] = set()
        self._touched_lots: set[LotKey] = set()

    def follow(self, books: Books, entries: list[Entry]) -> None:
        """Replays the new entries and checks every invariant. Totals follow: a sum of what is not negative."""
        for entry in entries[self._followed :]:
            self._followed += 1
            self._check_entry(books, entry)
            for line in entry["lines"]:
                self._check_line(books, entry, line)
                self._replay(entry, line)
        for key in self._touched_lots:
            self._lots[key].check_effective(key)
        for piece in self._touched:
            self._pieces[piece].check_effective(piece)
        self._touched.clear()
        self._touched_lots.clear()
        self._check_lots(books)
        self._check_vouchers(books)
        self._check_grants(books)
        self._check_waves(books)

    # --- entries and lines

    def _check_entry(self, books: Books, entry: Entry) -> None:
        name = f"entry {entry['seq']}"
        assert entry["seq"] == self._followed, f"{name}: expected {self._followed}"
        assert entry["outcome"] in ("accepted", "refused", "no_effect"), f"{name}: {entry['outcome']}"
        assert (entry["reason"] is not None) or entry["outcome"] == "accepted", f"{name}: without a reason"
        assert not entry["lines"] or entry["outcome"] == "accepted", f"{name}: lines although {entry['outcome']}"
        if entry["lines"]:
            latest = max(line["effective_at"] for line in entry["lines"])
            assert entry["effective_at"] == latest, f"{name}: effective at {entry['effective_at']}, not {latest}"
        assert books.now is None or entry["effective_at"] <= books.now, f"{name}: effective after now"

    def _check_line(self, books: Books, entry: Entry, line: Line) -> None:
        name = f"entry {entry['seq']} {line['movement']}"
        amount = line["amount"]
        assert isinstance(amount, int), f"{name}: amount {amount}"
        assert amount > 0, f"{name}: amount {amount}"
        assert (line["debit"], line["credit"]) in MOVEMENTS[line["movement"]], f"{name}: {line}"
        change = (line["credit"] in LIABILITY) - (line["debit"] in LIABILITY)
        rolled = (line["movement"] in COMING_IN) - (line["movement"] in GOING_OUT)
        assert change == rolled, f"{name}: changes what is owed by {change}, in the roll-forward by {rolled}"
        assert line["currency"] == books.programmes[line["programme"]].currency, f"{name}: {line['currency']}"
        assert not line["by_lot"] or line["movement"] in BY_LOT, f"{name}: by the lot"
        assert not line["by_lot"] or entry["beneficiary"], f"{name}: by the lot without beneficiary"
        key = figures.lot_key(line)
        assert key in books.lots or key == reserved_lot(key[0]), f"{name}: no lot {key}"
        if key in books.lots and not books.lots[key].is_closed:
            end = books.lots[key].valid_until
            assert line["effective_at"] < end, f"{name}: effective after the end of its lot"

    def _replay(self, entry: Entry, line: Line) -> None:
        key = figures.lot_key(line)
        lot = self._lots[key]
        move = (line["debit"], line["credit"], line["amount"], line["effective_at"])
        lot.move(*move)
        lot.check(f"entry {entry['seq']} {line['movement']} {key}")
        self._touched_lots.add(key)
        if entry["beneficiary"] is None:
            self._share(key, entry, line)
            return
        stray = line["voucher"] if key == reserved_lot(key[0]) else ""
        piece = (entry["beneficiary"], key, stray)
        self._pieces_of[key].add(piece)
        self._pieces[piece].move(*move)
        self._pieces[piece].check(f"entry {entry['seq']} {line['movement']} {piece}")
        self._touched.add(piece)

    def _share(self, key: LotKey, entry: Entry, line: Line) -> None:
        """A line of a whole lot is the sum of what each of its pieces has in the account."""
        name = f"entry {entry['seq']} {line['movement']} {key}"
        shares = 0
        for piece in self._pieces_of[key]:
            share = self._pieces[piece].balances[line["debit"]]
            shares += share
            if share:
                self._pieces[piece].move(line["debit"], line["credit"], share, line["effective_at"])
                self._touched.add(piece)
        assert shares == line["amount"], f"{name}: {line['amount']} is not the pieces' {shares}"

    # --- figures

    def _check_lots(self, books: Books) -> None:
        for key, account in self._lots.items():
            balances = account.balances
            assert sum(balances.values()) == 0, f"{key}: accounts do not sum to 0"
            held = books.balances[key]
            assert all(held[name] == balances[name] for name in {*held, *balances}), f"{key}: counters differ"
        for key, lot in books.lots.items():
            balances = self._lots[key].balances
            if lot.is_closed:
                assert not any(balances[name] for name in LAPSING), f"{key}: {lot.state} with {dict(balances)}"
            else:
                assert books.now is None or books.now < lot.valid_until, f"{key}: open after its end"

    def _check_vouchers(self, books: Books) -> None:
        sums: defaultdict[LotKey, Counter[str]] = defaultdict(Counter)
        for voucher, row in figures.vouchers(books).items():
            key = (row["programme"], row["wave"], row["benefit"])
            sums[key].update({name: row[name] for name in ("unclaimed", "available", "held")})
            piece = self._pieces[row["beneficiary"], key, ""].balances
            self._check_voucher(voucher, row, piece, is_expired=books.lots[key].state == "expired")
        liability = figures.liability(books)
        for key, owed in liability.items():
            for name in ("unclaimed", "available", "held"):
                assert sums[key][name] == owed[name], f"{key}: {name} {owed[name]}, of vouchers {sums[key][name]}"
        self._check_closing(books, liability)

    def _check_voucher(self, voucher: str, row: Row, piece: Counter[str], *, is_expired: bool) -> None:
        shown: dict[str, Any] = {
            "unclaimed": piece["unclaimed"],
            "available": piece["available"],
            "held": piece["held"],
            "redeemed": piece["redemption_clearing"] + piece["exception"],
            "forfeited": piece["breakage_forfeited"],
            "cancelled": piece["breakage_cancelled"],
            "expired": piece["expired_unclaimed"] + piece["expired_available"],
            "revoked": piece["revoked"],
            "declined": piece["declined"],
        }
        for column, amount in shown.items():
            assert row[column] == amount, f"{voucher}: {column} {row[column]}, by its lines {amount}"
            assert amount >= 0, f"{voucher}: {column} {amount}"
        assert sum(shown.values()) == row["face"], f"{voucher}: {shown} is not {row['face']}"
        assert is_expired or not row["expired"], f"{voucher}: expired in a lot that is not"

    def _check_closing(self, books: Books, liability: dict[LotKey, dict[str, int]]) -> None:
        """What left the programme's grant less what the other accounts took is what is owed, per lot."""
        sums: defaultdict[LotKey, Counter[str]] = defaultdict(Counter)
        for key, account in self._lots.items():
            gone = account.balances
            sums[key]["closing"] = -sum(balance for name, balance in gone.items() if name not in LIABILITY)
        for key, owed in liability.items():
            outstanding = sum(owed[name] for name in LIABILITY)
            assert sums[key]["closing"] == outstanding, f"{key}: {outstanding} is not {sums[key]['closing']}"
        unissued: Counter[LotKey] = Counter()
        for grant in books.grants.values():
            for piece in grant.pieces:
                if not piece.lot.is_closed:
                    unissued[piece.lot.key] += piece.balances["entitlement"]
        for key, owed in liability.items():
            assert unissued[key] == owed["entitlement"], f"{key}: entitlement {owed['entitlement']}"

    def _check_grants(self, books: Books) -> None:
        """Nobody is entitled twice where the terms say once."""
        once: Counter[tuple[str, str]] = Counter()
        for (beneficiary, programme, _), grant in books.grants.items():
            if not grant.is_withdrawn and grant.wave.terms.is_once_per_programme:
                once[beneficiary, programme] += 1
        assert all(count == 1 for count in once.values()), f"entitled twice: {once}"

    def _check_waves(self, books: Books) -> None:
        """Granted = issued + not yet issued + withdrawn before issue, in people and in money."""
        issued: Counter[tuple[str, str]] = Counter()
        waiting: Counter[tuple[str, str]] = Counter()
        for (_, programme, wave), grant in books.grants.items():
            issued[programme, wave] += grant.is_issued
            waiting[programme, wave] += not grant.is_issued and not grant.is_withdrawn
        rows = figures.waves(books)
        for name, opened in books.waves.items():
            row = rows[name]
            assert row["granted"] == waiting[name] + row["issued"] + row["withdrawn"], f"{name}: {row}"
            for lot in opened.lots:
                promised = -self._lots[lot.key].balances["programme_grant"]
                expected = (issued[name] + waiting[name]) * lot.benefit.amount
                assert promised == expected, f"{lot.key}: promised {promised}, of grants {expected}"
