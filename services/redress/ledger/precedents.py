"""Precedents: what the rules made of an event, for all that meet the same.

`decide` and `evolve` are pure, and of an event about one voucher they look at little: what it asks for, how the voucher
and its redemption stand, and the terms. Where all that is as it was once before, so is what comes of it, but for names,
numbers and times. So the rules are asked once, and nothing of them is written down here. Whatever is not as simple as
that is theirs each time: a lot that is closed or is not to be used at the event's time, several vouchers, parked
events, a time-out, a request that repeats another, an event from ahead of the clock, and all that is not accepted. A
test holds both ways against each other on the bytes that the ledger stores.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

from redress.domain.accounts import Posting
from redress.domain.beneficiary import (
    Beneficiary,
    Redemption,
    RedemptionLine,
    RedemptionStatus,
)
from redress.domain.entry import Cause, Entry, Line, Outcome, Reason
from redress.domain.event import (
    Captured,
    Claimed,
    Declined,
    Event,
    Personal,
    Recorded,
    Released,
    Requested,
    Reversed,
)
from redress.domain.evolve import add_request
from redress.domain.ids import RedemptionId, VoucherId
from redress.domain.lot import Lot
from redress.domain.seen import compute_identity
from redress.domain.shard import Shard
from redress.domain.step import take_personal
from redress.domain.time import SECOND
from redress.ledger.entry_rows import RowForm, row_form
from redress.ledger.numbering import Numbering
from redress.ledger.packing import INT4_MAX, LAST_MAX, LOT_BYTES, VERSION_MAX, last_of, pack_slot, stamped, unstamped
from redress.ledger.stored import StoredVouchers

PRECEDENTS_MAX: Final = 2**12
"""How many a shard keeps, of 1 KiB each; past it they are learnt anew. A lot has one for each kind of event, state and
amount it meets."""

Key = tuple[Any, ...]
_Asked = tuple[VoucherId | None, Any] | None
_line_of: Final = attrgetter(*(field.name for field in fields(RedemptionLine)))
_OPEN: Final = (RedemptionStatus.HELD, RedemptionStatus.SETTLED)


@dataclass(slots=True, eq=False)
class _Case:
    """What an event meets: its voucher, which is the person's packed `slot` at place `at`, and its redemption."""

    key: Key
    """All that the rules look at, names and times apart."""
    person: Beneficiary
    vouchers: StoredVouchers
    voucher: VoucherId
    at: int
    slot: bytes
    lot: Lot
    known: Redemption | None
    identity: bytes


@dataclass(slots=True, eq=False)
class _Precedent:
    """What comes of such a case; always accepted."""

    reason: Reason | None
    terms_version: int | None
    lines: list[tuple[Posting, int]]
    balances: tuple[int, ...]
    slot: bytes
    """The voucher afterwards, without version and time."""
    opened: int
    """What it adds to the lot's `vouchers_open`, and `held` to its `vouchers_held`."""
    held: int
    redemption: tuple[RedemptionStatus, tuple[Any, ...]] | None
    """The redemption's status and its one line afterwards."""
    form: RowForm


class Precedents:
    """Takes events of a shard: by precedent where there is one, else by the rules."""

    def __init__(self, shard: Shard, numbering: Numbering) -> None:
        self._shard = shard
        self._numbering = numbering
        self._precedents: dict[Key, _Precedent] = {}
        self._met: set[int] = set()
        """Hashes of cases that were met once: what never comes again is not worth learning."""
        self.forms: dict[int, RowForm] = {}
        """By seq, of the entries that were made by precedent since the last batch."""

    def take(self, event: Event, data: Personal) -> None:
        """Take an event about one person, whose state is in memory."""
        case = self._case(event, data)
        if case is None:
            take_personal(self._shard, event, data)
            return
        precedent = self._precedents.get(case.key)
        if precedent is not None:
            self._follow(event, data, case, precedent)
            return
        case.vouchers.open_at(case.at, case.slot, case.voucher)
        met = hash(case.key)
        if met in self._met:
            self._decide(event, data, case)
            return
        if len(self._met) >= PRECEDENTS_MAX:
            self._met.clear()
        self._met.add(met)
        take_personal(self._shard, event, data)

    def _case(self, event: Event, data: Personal) -> _Case | None:
        """What the event meets, if that is simple."""
        shard, x = self._shard, event.time
        now = shard.now
        person = shard.beneficiaries.get(data.beneficiary)
        programme = shard.programmes.get(data.programme)
        asks = _ASKS.get(type(data))
        if person is None or person.parked or programme is None or asks is None:
            return None
        named = asks(data)
        if named is None or now is None or not 0 <= x <= now <= LAST_MAX:
            return None
        latest = programme.latest
        voucher, asked = named
        known, standing = None, None
        redemption = getattr(data, "redemption", None)
        if redemption is not None:
            known = person.redemptions.get((data.programme, redemption))
            if known is not None:
                if len(known.lines) != 1 or known.status not in _OPEN:
                    return None
                ((of, line),) = known.lines.items()
                voucher = voucher or of
                if voucher != of:
                    return None
                standing = known.status, known.service, _line_of(line)
            is_stale = x < now - latest.request_max_age_seconds * SECOND
            if isinstance(data, Requested) and (person.redemptions or is_stale):
                return None
        vouchers = person.vouchers
        if voucher is None or not isinstance(vouchers, StoredVouchers):
            return None
        found = vouchers.find_packed(voucher)
        if found is None:
            return None
        at, slot = found
        lot = shard.lot(self._numbering.packed_keys[slot[:LOT_BYTES]])
        if lot.key.programme != data.programme or not lot.is_open or not lot.usable(x) or lot.reopened_at > x:
            return None
        identity = compute_identity(event.source, event.id)
        if identity in person.seen or shard.next_seq > VERSION_MAX:
            return None
        key = type(data), latest.version, unstamped(slot), asked, standing
        return _Case(key, person, vouchers, voucher, at, slot, lot, known, identity)

    def _decide(self, event: Event, data: Personal, case: _Case) -> None:
        """Let the rules decide, and keep what comes of it if it is all in the case."""
        entries, lot = self._shard.results.entries, case.lot
        before, opened, held = len(entries), lot.vouchers_open, lot.vouchers_held
        take_personal(self._shard, event, data)
        if len(entries) == before:
            return
        entry = entries[-1]
        if entry.outcome is not Outcome.ACCEPTED or not entry.lines:
            return
        if any(line.voucher != case.voucher or line.lot != lot.key or line.by_lot for line in entry.lines):
            return
        if any(line.amount > INT4_MAX for line in entry.lines):
            return
        redemption = None
        if entry.redemption is not None:
            known = case.person.redemptions[data.programme, entry.redemption]
            redemption = known.status, _line_of(known.lines[case.voucher])
        slot = pack_slot(case.vouchers[case.voucher], self._numbering)
        case.vouchers.put_packed(case.at, slot, case.voucher)
        if len(self._precedents) >= PRECEDENTS_MAX:
            self._precedents.clear()
        self._precedents[case.key] = _Precedent(
            entry.reason,
            entry.terms_version,
            [(line.posting, line.amount) for line in entry.lines],
            entry.balances,
            unstamped(slot),
            lot.vouchers_open - opened,
            lot.vouchers_held - held,
            redemption,
            row_form(entry, self._numbering),
        )

    def _follow(self, event: Event, data: Personal, case: _Case, precedent: _Precedent) -> None:
        """Do as was done."""
        shard, person, lot, x = self._shard, case.person, case.lot, event.time
        effective = min(max(x, last_of(case.slot)), shard.now or x)
        lines = [Line(posting, lot.key, case.voucher, amount, effective) for posting, amount in precedent.lines]
        for line in lines:
            lot.apply(line)
        lot.vouchers_open += precedent.opened
        lot.vouchers_held += precedent.held
        seq = shard.next_seq
        redemption: RedemptionId | None = getattr(data, "redemption", None)
        entry = Entry(
            seq,
            Cause(event.source, event.id, event.type, event.at, event.fingerprint, event.traceparent),
            data,
            person.id,
            Outcome.ACCEPTED,
            precedent.reason,
            x,
            effective,
            precedent.terms_version,
            redemption,
            lines,
            None,
            precedent.balances,
            person.last_seq,
        )
        shard.next_seq = seq + 1
        shard.results.entries.append(entry)
        self.forms[seq] = precedent.form
        person.last_seq = seq
        person.seen.put_last(case.identity, event.fingerprint)
        case.vouchers.put_packed(case.at, stamped(precedent.slot, seq, effective), case.voucher)
        if isinstance(data, Requested):
            add_request(shard, person, data, entry)
        elif precedent.redemption is not None and redemption is not None:
            known = case.known
            if known is None:
                known = person.redemptions[data.programme, redemption] = Redemption(RedemptionStatus.SETTLED)
            known.status, amounts = precedent.redemption
            known.lines = {case.voucher: RedemptionLine(*amounts)}
            if isinstance(data, Recorded):
                known.order, known.service = data.order, data.service


def _asks_of_voucher(data: Claimed | Declined) -> _Asked:
    return data.voucher, None


def _asks_to_spend(data: Requested | Recorded) -> _Asked:
    if len(data.lines) != 1:
        return None
    return data.lines[0].voucher, (data.lines[0].amount, data.service)


def _asks_to_capture(data: Captured) -> _Asked:
    return (data.lines[0].voucher, data.lines[0].amount) if len(data.lines) == 1 else None


def _asks_to_release(_data: Released) -> _Asked:
    return None, None


def _asks_to_reverse(data: Reversed) -> _Asked:
    if len(data.lines) > 1:
        return None
    return (data.lines[0].voucher, (data.scope, data.lines[0].amount)) if data.lines else (None, data.scope)


_ASKS: Final[dict[type[Personal], Callable[[Any], _Asked]]] = {
    Claimed: _asks_of_voucher,
    Declined: _asks_of_voucher,
    Requested: _asks_to_spend,
    Recorded: _asks_to_spend,
    Captured: _asks_to_capture,
    Released: _asks_to_release,
    Reversed: _asks_to_reverse,
}
"""The one voucher that an event names, None where its redemption tells; and what else of it the rules look at. Nothing
where it names several. A reversal of a whole order names none."""
