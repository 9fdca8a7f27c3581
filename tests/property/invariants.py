"""What is true of a shard after every event, read from the domain's own state and entries.

The oracle audits itself; this holds the domain to the same promises without it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import groupby

from redress.domain.accounts import LAPSABLE, Account
from redress.domain.beneficiary import VOUCHER_ACCOUNTS, RedemptionStatus
from redress.domain.entry import Entry, Line, LotKey, Outcome
from redress.domain.ids import UNKNOWN_WAVE
from redress.domain.lot import Lot
from redress.domain.shard import Shard

LIABILITIES = (*LAPSABLE, Account.HELD)
DEBIT_ACCOUNTS = (Account.PROGRAMME_GRANT, Account.EXCEPTION)


def check_state(shard: Shard) -> None:
    """Lots, vouchers and redemptions agree, and owe nothing negative."""
    lots = [*shard.lots(), *(programme.reserved for programme in shard.programmes.values())]
    for lot in lots:
        _check_lot(shard, lot)
    _check_vouchers(shard, lots)
    _check_holds(shard)


def check_entries(shard: Shard, entries: list[Entry]) -> None:
    """New entries, just made: numbered, balanced and not later than the clock."""
    for seq, entry in enumerate(entries, start=shard.next_seq - len(entries)):
        assert entry.seq == seq
        assert entry.outcome is Outcome.ACCEPTED or entry.reason is not None
        assert entry.outcome is Outcome.ACCEPTED or not entry.lines
        assert entry.effective_at <= shard.clock(entry.effective_at)
        for line in entry.lines:
            assert line.amount > 0
            assert line.effective <= entry.effective_at
            assert line.posting.debit is not line.posting.credit
            lot = shard.lot(line.lot)
            assert not lot.is_open or line.effective < lot.valid_until


def check_effective_axis(entries: Iterable[Entry]) -> None:
    """As of every instant, whatever was booked later for earlier: no account of any lot is on its wrong side."""
    lines: defaultdict[LotKey, list[Line]] = defaultdict(list)
    for entry in entries:
        for line in entry.lines:
            lines[line.lot].append(line)
    for key, moved in lines.items():
        balances: Counter[Account] = Counter()
        for at, group in groupby(sorted(moved, key=_effective), key=_effective):
            for line in group:
                balances[line.posting.debit] -= line.amount
                balances[line.posting.credit] += line.amount
            for account, balance in balances.items():
                assert _is_sound(account, balance), f"{key}: {account} is {balance} as of {at}"


def _effective(line: Line) -> int:
    return line.effective


def _is_sound(account: Account, balance: int) -> bool:
    return balance <= 0 if account in DEBIT_ACCOUNTS else balance >= 0


def _check_lot(shard: Shard, lot: Lot) -> None:
    assert sum(lot.balances.values()) == 0
    for account, balance in lot.balances.items():
        assert _is_sound(account, balance), f"{lot.key}: {account} is {balance}"
    if not lot.is_open:
        assert not any(lot.balances[account] for account in LAPSABLE), f"{lot.key}: closed, and still owes"
    elif lot.key.wave != UNKNOWN_WAVE and shard.now is not None:
        assert shard.now < lot.valid_until


def _check_vouchers(shard: Shard, lots: list[Lot]) -> None:
    sums: defaultdict[LotKey, Counter[Account]] = defaultdict(Counter)
    for person in shard.beneficiaries.values():
        for voucher in person.vouchers.values():
            face = shard.lot(voucher.lot).benefit.amount
            assert sum(voucher.amounts.values()) in ((face,) if voucher.issued else (0, face))
            assert all(amount >= 0 for amount in voucher.amounts.values())
            sums[voucher.lot].update(voucher.amounts)
    for lot in lots:
        own = sums[lot.key]
        for account in VOUCHER_ACCOUNTS if lot.is_open else (Account.HELD, Account.DECLINED):
            taken = -lot.balances[Account.EXCEPTION] if account is Account.REDEMPTION_CLEARING else 0
            assert own[account] + taken == lot.balances[account], f"{lot.key}: {account}"


def _check_holds(shard: Shard) -> None:
    """A voucher holds what its redemptions hold; only those that are `held` do."""
    for person in shard.beneficiaries.values():
        holds: Counter[str] = Counter()
        for redemption in person.redemptions.values():
            for voucher, line in redemption.lines.items():
                assert line.held == 0 or redemption.status is RedemptionStatus.HELD
                assert min(line.held, line.redeemed_left, line.exception_left) >= 0
                assert line.forfeited_restored <= line.forfeited
                holds[str(voucher)] += line.held
        for slot in person.vouchers.values():
            assert slot.held == holds[str(slot.id)]
