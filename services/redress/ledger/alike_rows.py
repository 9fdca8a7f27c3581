"""Rows of entries that come out alike, written from their form.

To the byte what `entry_rows`, `packing`, `person_rows` and `digest` make of the same entries one by one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from redress.contracts.encode import to_wire
from redress.domain.accounts import Account
from redress.domain.alike import Alike, Form, form_of, take_grant, take_issue
from redress.domain.beneficiary import VOUCHER_ACCOUNTS
from redress.domain.entry import Outcome
from redress.domain.event import Event, Granted, Issued
from redress.domain.ids import FAR_PAST, Instant, VoucherId
from redress.domain.lot import Lot
from redress.domain.seen import FINGERPRINT_BYTES, ID_BYTES, identity
from redress.domain.shard import Shard
from redress.ledger.codes import KINDS, OUTCOMES
from redress.ledger.days import day_of
from redress.ledger.entry_rows import Row, split_id
from redress.ledger.numbering import Numbering
from redress.ledger.packing import (
    CLAIMED,
    ENROLLED,
    FORMER_MEMBER,
    GRANT,
    GRANT_ISSUED,
    HAS_VOUCHER,
    ISSUED,
    LINE,
    PROMISED,
    SEEN_BYTES,
    VOUCHER,
)
from redress.ledger.person_rows import SEEN_IN_ROW_MAX

INT8 = 8
"""Bytes of the integers that are put into a form."""
_MAY_BE_ISSUED = (0, FORMER_MEMBER | ENROLLED)
_ACCEPTED = OUTCOMES[Outcome.ACCEPTED]


@dataclass(slots=True)
class Taken:
    """One of them, with its person's row as it was: None for somebody new."""

    alike: Alike
    row: Any


class AlikeTaker:
    """Takes of one batch what comes out alike."""

    def __init__(self, shard: Shard, numbering: Numbering) -> None:
        self._shard = shard
        self._numbering = numbering
        self._forms: dict[tuple[type, str, str], Form | None] = {}
        self._promised: dict[Form, list[tuple[bytes, bytes]]] = {}
        self.taken: list[Taken] = []

    def take(self, event: Event, data: Granted | Issued, row: Any) -> bool:
        """Take it if it fits a form; else it must be decided by itself. `row`: its person's state, None for nobody."""
        key = type(data), data.programme, data.wave
        if key not in self._forms:
            self._forms[key] = form_of(self._shard, data)
        form = self._forms[key]
        if form is None:
            return False
        alike = None
        if isinstance(data, Issued):
            if row is not None:
                promised_at = self._untouched_since(form, row, identity(event.source, event.id))
                if promised_at is not None:
                    alike = take_issue(self._shard, form, event, data, promised_at, row["last_seq"])
        elif row is None:
            alike = take_grant(self._shard, form, event, data)
        if alike is None:
            return False
        self.taken.append(Taken(alike, row))
        return True

    def _untouched_since(self, form: Form, row: Any, event: bytes) -> Instant | None:
        """When all that the person has was promised, if that is this wave alone, due, and just as it was promised."""
        grants: bytes = row["grants"]
        if len(grants) != GRANT.size or row["strays"] or row["spilled"]:
            return None
        wave, flags, due_seq, _ = GRANT.unpack(grants)
        if wave != self._numbering.waves.get((form.wave.opened.programme, form.wave.opened.wave)):
            return None
        if flags not in _MAY_BE_ISSUED or not due_seq:
            return None
        vouchers: bytes = row["vouchers"]
        _, _, version, last, *_ = VOUCHER.unpack_from(vouchers)
        promised = self._promised.get(form)
        if promised is None:
            promised = self._promised[form] = _promised(form.lots, self._numbering)
        if vouchers != _vouchers(promised, version, last):
            return None
        seen: bytes = row["seen"]
        if len(seen) >= SEEN_IN_ROW_MAX * SEEN_BYTES:
            return None
        if any(seen[at : at + ID_BYTES] == event for at in range(0, len(seen), SEEN_BYTES)):
            return None
        return Instant(last)


class AlikeRows:
    """The rows of a batch's entries that came out alike."""

    def __init__(
        self, shard: int, batch: int, taken: Iterable[Taken], sources: Mapping[str, int], numbering: Numbering
    ) -> None:
        self.journal: list[Row] = []
        self.new_states: list[Row] = []
        self.states: list[Row] = []
        self.bytes: list[tuple[int, bytes]] = []
        """By seq, what goes into the batch's digest."""
        self.lines: dict[tuple[int, int, date], tuple[int, int]] = {}
        """Amount and number by lot, posting and effective day."""
        writers: dict[Form, _FormWriter] = {}
        for each in taken:
            form = each.alike.form
            writer = writers.get(form)
            if writer is None:
                writer = writers[form] = _FormWriter(form, shard, batch, numbering)
            alike = each.alike
            self.journal.append(writer.journal(alike, sources[alike.event.source]))
            self.bytes.append((alike.seq, writer.bytes(alike)))
            writer.count(alike.effective)
            if each.row is None:
                self.new_states.append((shard, *writer.new_state(alike)))
            else:
                self.states.append(writer.issued_state(alike, each.row))
        for writer in writers.values():
            self.lines.update(writer.lines())


class _FormWriter:
    """Writes entries of one form."""

    def __init__(self, form: Form, shard: int, batch: int, numbering: Numbering) -> None:
        self._form = form
        self._shard = shard
        self._batch = batch
        self._wave = numbering.waves[form.wave.opened.programme, form.wave.opened.wave]
        self._lots = {numbering.lots[lot.key]: lot for lot in form.lots}
        self._days: dict[date, int] = {}
        self._timezone = form.wave.terms.timezone
        flags = PROMISED if form.of is Granted else HAS_VOUCHER
        self._lines = [
            LINE.pack(no, form.posting.code, flags, lot.benefit.amount, 0)[:-INT8] for no, lot in self._lots.items()
        ]
        claimed = CLAIMED if form.posting.credit is Account.AVAILABLE else 0
        self._vouchers = (
            _promised(form.lots, numbering)
            if form.of is Granted
            else [_voucher(no, lot, ISSUED | claimed, form.posting.credit) for no, lot in self._lots.items()]
        )

    def journal(self, alike: Alike, source: int) -> Row:
        """As `entry_rows.to_row`."""
        event = alike.event
        told_by_lines = alike.is_due or self._form.of is Issued
        effective = alike.effective.to_bytes(INT8, "big", signed=True)
        return (
            self._shard,
            alike.seq,
            self._batch,
            alike.prev_seq,
            event.at.offset,
            event.time,
            alike.effective,
            None,
            None,
            source,
            self._form.wave.terms.version,
            KINDS[self._form.of],
            _ACCEPTED,
            None,
            alike.data.beneficiary,
            *split_id(event.id),
            event.fingerprint,
            None,
            event.traceparent,
            None,
            None,
            None if told_by_lines else to_wire(alike.data)[1],
            b"".join([part + effective for part in self._lines]),
        )

    def bytes(self, alike: Alike) -> bytes:
        """As `digest.entry_bytes`."""
        event, form = alike.event, self._form
        vouchers: Sequence[VoucherId | None] = alike.vouchers or [None] * len(form.lots)
        posting = form.posting
        return orjson.dumps(
            [
                alike.seq,
                event.type,
                event.source,
                event.id,
                event.at.offset,
                event.fingerprint.hex(),
                alike.data.beneficiary,
                Outcome.ACCEPTED,
                None,
                event.time,
                alike.effective,
                None,
                None,
                form.wave.terms.version,
                None,
                [
                    [
                        posting.movement,
                        posting.debit,
                        posting.credit,
                        lot.benefit.amount,
                        lot.terms.currency,
                        *lot.key,
                        voucher,
                        alike.effective,
                        False,
                    ]
                    for voucher, lot in zip(vouchers, form.lots, strict=True)
                ],
            ],
            option=orjson.OPT_APPEND_NEWLINE,
        )

    def new_state(self, alike: Alike) -> Row:
        """As `person_rows.state_row`, of somebody who has this grant and nothing else."""
        flags = 0 if alike.is_due else FORMER_MEMBER
        due = (alike.seq, alike.effective) if alike.is_due else (0, FAR_PAST)
        return (
            alike.data.beneficiary,
            alike.seq,
            0,
            GRANT.pack(self._wave, flags, *due),
            _vouchers(self._vouchers, alike.seq, alike.effective),
            _seen(alike.event),
            None,
        )

    def issued_state(self, alike: Alike, row: Any) -> Row:
        """As `person_rows.state_row`, of the person of `row` after the issue."""
        wave, flags, _, due_at = GRANT.unpack(row["grants"])
        return (
            alike.data.beneficiary,
            alike.seq,
            0,
            GRANT.pack(wave, flags | GRANT_ISSUED, 0, due_at),
            _vouchers(self._vouchers, alike.seq, alike.effective),
            row["seen"] + _seen(alike.event),
            None,
        )

    def count(self, effective: Instant) -> None:
        """One more entry of that time."""
        day = day_of(effective, self._timezone)
        self._days[day] = self._days.get(day, 0) + 1

    def lines(self) -> dict[tuple[int, int, date], tuple[int, int]]:
        """All lines counted: amount and number by lot, posting and day."""
        return {
            (no, self._form.posting.code, day): (n * lot.benefit.amount, n)
            for day, n in self._days.items()
            for no, lot in self._lots.items()
        }


def _promised(lots: Iterable[Lot], numbering: Numbering) -> list[tuple[bytes, bytes]]:
    return [_voucher(numbering.lots[lot.key], lot, 0, Account.ENTITLEMENT) for lot in lots]


def _voucher(lot_no: int, lot: Lot, flags: int, account: Account) -> tuple[bytes, bytes]:
    """What stands before and after version and last time in a packed voucher whose whole amount is in one account."""
    amounts = (lot.benefit.amount if each is account else 0 for each in VOUCHER_ACCOUNTS)
    packed = VOUCHER.pack(lot_no, flags, 0, 0, 0, *amounts)
    at = VOUCHER_HEAD
    return packed[:at], packed[at + 2 * INT8 :]


VOUCHER_HEAD = 3
"""Bytes of lot and flags."""


def _vouchers(parts: Iterable[tuple[bytes, bytes]], version: int, last: int) -> bytes:
    moved = version.to_bytes(INT8, "big", signed=True) + last.to_bytes(INT8, "big", signed=True)
    return b"".join([head + moved + tail for head, tail in parts])


def _seen(event: Event) -> bytes:
    return identity(event.source, event.id) + event.fingerprint[:FINGERPRINT_BYTES]
