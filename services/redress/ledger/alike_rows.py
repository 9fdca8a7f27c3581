"""Rows of entries that come out alike, written from their form.

To the byte what `entry_rows`, `packing`, `person_rows` and `digest` make of the same entries one by one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from redress.contracts.encode import to_wire
from redress.domain.accounts import Account
from redress.domain.alike import Alike, Form, form_of, take_grant, take_issue
from redress.domain.beneficiary import VOUCHER_ACCOUNTS
from redress.domain.entry import Outcome
from redress.domain.event import Event, Granted, Issued
from redress.domain.ids import FAR_PAST, Instant
from redress.domain.lot import Lot
from redress.domain.seen import FINGERPRINT_BYTES, ID_BYTES, identity
from redress.domain.shard import Shard
from redress.ledger.codes import KINDS, OUTCOMES, TYPES
from redress.ledger.copying import Bytes, Column, alike_bytes, copy_rows, instants, int4s, int8s, sliced, uuids
from redress.ledger.days import MINUTE, day_of
from redress.ledger.entry_rows import Row, split_id
from redress.ledger.numbering import Numbering
from redress.ledger.packing import (
    CLAIMED,
    ENROLLED,
    FORMER_MEMBER,
    GRANT,
    GRANT_ISSUED,
    HAS_VOUCHER,
    INT4_MAX,
    ISSUED,
    LAST_MAX,
    LINE,
    MOVED_BYTES,
    PROMISED,
    SEEN_BYTES,
    VERSION_MAX,
    VOUCHER,
    WHOLE_MAX,
)
from redress.ledger.person_rows import SEEN_IN_ROW_MAX

INT8 = 8
"""Bytes of the integers that are put into a form."""
JSONB = b"\x01"
"""Before the text of a jsonb."""
JOURNAL = (
    "seq",
    "record_offset",
    "occurred_at",
    "effective_at",
    "prev_seq",
    "batch",
    "source",
    "terms_version",
    "shard",
    "kind",
    "outcome",
    "beneficiary",
    "cause_uuid",
    "cause_text",
    "fingerprint",
    "traceparent",
    "detail",
    "lines",
)
"""The columns of `AlikeRows.journal`; all others are null."""
STATE = ("last_seq", "spilled", "shard", "beneficiary", "grants", "vouchers", "seen")
"""The columns of `AlikeRows.new_states`."""
_MAY_BE_ISSUED = (0, FORMER_MEMBER | ENROLLED)
_ACCEPTED = OUTCOMES[Outcome.ACCEPTED]
Shape: TypeAlias = tuple[bool, int, int, int]
"""What of an entry differs in width: whether its id is a UUID, else the id's; those of trace (-1: none) and detail."""


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
        self._promised: dict[Form, list[bytes]] = {}
        """Packed promises, in the pieces that stand around the time when they were moved."""
        self.taken: list[Taken] = []

    def take(self, event: Event, data: Granted | Issued, row: Any) -> bool:
        """Take it if it fits a form; else it must be decided by itself. `row`: its person's state, None for nobody."""
        key = type(data), data.programme, data.wave
        if key not in self._forms:
            form = form_of(self._shard, data)
            self._forms[key] = form if form and self._fits(form) else None
        form = self._forms[key]
        if form is None or event.time < 0:
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

    def _fits(self, form: Form) -> bool:
        """Whether the numbers of all such entries fit into narrow rows."""
        now = self._shard.now
        return (
            len(form.lots) <= WHOLE_MAX
            and all(lot.benefit.amount <= INT4_MAX for lot in form.lots)
            and (now is None or 0 <= now <= LAST_MAX)
            and self._shard.next_seq <= VERSION_MAX // 2  # a batch adds far less than the other half
        )

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
        promised = self._promised.get(form)
        if promised is None:
            parts = _vouchers(form.lots, self._numbering, 0, Account.ENTITLEMENT)
            promised = self._promised[form] = [bytes([len(parts)]) + parts[0], *parts[1:], b""]
        when = vouchers[-MOVED_BYTES:]
        if not when or vouchers.split(when) != promised:
            return None
        seen: bytes = row["seen"]
        if len(seen) >= SEEN_IN_ROW_MAX * SEEN_BYTES:
            return None
        if any(seen[at : at + ID_BYTES] == event for at in range(0, len(seen), SEEN_BYTES)):
            return None
        return Instant(int.from_bytes(when, "big") & LAST_MAX)


class AlikeRows:
    """The rows of a batch's entries that came out alike."""

    def __init__(
        self, shard: int, batch: int, taken: Iterable[Taken], sources: Mapping[str, int], numbering: Numbering
    ) -> None:
        self.journal: list[bytes] = []
        """Rows in order of `JOURNAL`, as COPY reads them; so are those of `new_states`, in order of `STATE`."""
        self.new_states: list[bytes] = []
        self.states: list[Row] = []
        self.bytes: list[tuple[int, bytes]] = []
        """By seq, what goes into the batch's digest."""
        self.lines: dict[tuple[int, int, date], tuple[int, int]] = {}
        """Amount and number by lot, posting and effective day."""
        of_form: defaultdict[Form, list[Taken]] = defaultdict(list)
        for each in taken:
            of_form[each.alike.form].append(each)
        for form, of in of_form.items():
            writer = _FormWriter(form, shard, batch, numbering)
            entries = [each.alike for each in of]
            for detailed, some in by_shape(form, entries).values():
                self.journal.append(writer.journal(some, detailed, [sources[alike.event.source] for alike in some]))
            self.bytes += writer.canonical(entries)
            if form.of is Granted:
                self.new_states.append(writer.new_states(entries))
            else:
                self.states += writer.issued_states(entries, [each.row for each in of])
            self.lines.update(writer.lines(entries))
        self.bytes.sort(key=itemgetter(0))


def by_shape(form: Form, entries: Iterable[Alike]) -> dict[Shape, tuple[list[bytes], list[Alike]]]:
    """Entries whose rows have the same widths, with what of their details the lines do not tell."""
    shapes: dict[Shape, tuple[list[bytes], list[Alike]]] = defaultdict(lambda: ([], []))
    for alike in entries:
        event = alike.event
        told_by_lines = alike.is_due or form.of is Issued
        detail = b"" if told_by_lines else JSONB + orjson.dumps(to_wire(alike.data)[1])
        uuid, text = split_id(event.id)
        trace = event.traceparent
        shape = uuid is not None, len((text or "").encode()), -1 if trace is None else len(trace), len(detail)
        details, some = shapes[shape]
        details.append(detail)
        some.append(alike)
    return shapes


class _FormWriter:
    """Writes entries of one form."""

    def __init__(self, form: Form, shard: int, batch: int, numbering: Numbering) -> None:
        self._form = form
        self._shard = shard.to_bytes(2, "big")
        self._batch = batch.to_bytes(4, "big")
        self._wave = numbering.waves[form.wave.opened.programme, form.wave.opened.wave]
        self._lots = {numbering.lots[lot.key]: lot for lot in form.lots}
        self._timezone = form.wave.terms.timezone
        flags = PROMISED if form.of is Granted else HAS_VOUCHER
        self._lines = bytes([LINE.size]) + b"".join(
            LINE.pack(no, form.posting.code, flags, lot.benefit.amount) for no, lot in self._lots.items()
        )
        claimed = CLAIMED if form.posting.credit is Account.AVAILABLE else 0
        flags = 0 if form.of is Granted else ISSUED | claimed
        self._vouchers = _vouchers(form.lots, numbering, flags, form.posting.credit)

    def journal(self, entries: Sequence[Alike], details: Sequence[bytes], sources: Sequence[int]) -> bytes:
        """As `entry_rows.to_row`, in order of `JOURNAL`; the entries are of one shape."""
        events = [alike.event for alike in entries]
        first = events[0]
        uuid, _ = split_id(first.id)
        ids = [event.id for event in events]
        columns: list[Column] = [
            int8s([alike.seq for alike in entries]),
            int8s([event.at.offset for event in events]),
            instants([event.time for event in events]),
            instants([alike.effective for alike in entries]),
            None if self._form.of is Granted else int8s([alike.prev_seq or 0 for alike in entries]),
            self._batch,
            int4s(sources),
            self._form.wave.terms.version.to_bytes(4, "big"),
            self._shard,
            KINDS[self._form.of].to_bytes(2, "big"),
            _ACCEPTED.to_bytes(2, "big"),
            uuids([alike.data.beneficiary for alike in entries]),
            None if uuid is None else uuids(ids),
            alike_bytes([text.encode() for text in ids]) if uuid is None else None,
            alike_bytes([event.fingerprint for event in events]),
            None
            if first.traceparent is None
            else alike_bytes([(event.traceparent or "").encode() for event in events]),
            alike_bytes(details) if details[0] else None,
            self._lines,
        ]
        return copy_rows(len(entries), columns)

    def canonical(self, entries: Sequence[Alike]) -> list[tuple[int, bytes]]:
        """By seq, as `digest.entry_bytes`."""
        form = self._form
        template = _template(form)
        found = []
        for alike in entries:
            event, effective = alike.event, alike.effective
            if form.of is Issued:
                lines = [part for voucher in alike.vouchers for part in (voucher, effective)]
            else:
                lines = [effective] * len(form.lots)
            text = template % (
                alike.seq,
                event.source,
                event.id,
                event.at.offset,
                event.fingerprint.hex(),
                alike.data.beneficiary,
                event.time,
                effective,
                *lines,
            )
            found.append((alike.seq, text.encode()))
        return found

    def new_states(self, entries: Sequence[Alike]) -> bytes:
        """As `person_rows.state_row`, of people who have this grant and nothing else; in order of `STATE`."""
        number = len(entries)
        is_due = np.array([alike.is_due for alike in entries])
        seqs = np.array([alike.seq for alike in entries], np.int64)
        effective = np.array([alike.effective for alike in entries], np.int64)
        grants = np.empty((number, GRANT.size), np.uint8)
        grants[:, :2] = np.frombuffer(self._wave.to_bytes(2, "big"), np.uint8)
        grants[:, 2] = np.where(is_due, 0, FORMER_MEMBER)
        grants[:, 3:11] = _bytes_of(np.where(is_due, seqs, 0))
        grants[:, 11:] = _bytes_of(np.where(is_due, effective, FAR_PAST))
        columns: list[Column] = [
            _bytes_of(seqs),
            bytes(4),
            self._shard,
            uuids([alike.data.beneficiary for alike in entries]),
            grants,
            self._moved(seqs, effective),
            alike_bytes([_seen(alike.event) for alike in entries]),
        ]
        return copy_rows(number, columns)

    def issued_states(self, entries: Sequence[Alike], rows: Sequence[Any]) -> list[Row]:
        """As `person_rows.state_row`, of the people of `rows` after the issue."""
        seqs = np.array([alike.seq for alike in entries], np.int64)
        vouchers = self._moved(seqs, np.array([alike.effective for alike in entries], np.int64))
        return [
            (
                alike.data.beneficiary,
                alike.seq,
                0,
                _issued(row["grants"]),
                packed,
                row["seen"] + _seen(alike.event),
                None,
            )
            for alike, row, packed in zip(entries, rows, sliced(vouchers), strict=True)
        ]

    def _moved(self, seqs: NDArray[np.int64], effective: NDArray[np.int64]) -> Bytes:
        """The vouchers of each, last moved by these entries at these times."""
        template = bytes([len(self._vouchers)]) + b"".join(voucher + bytes(MOVED_BYTES) for voucher in self._vouchers)
        packed = np.empty((len(seqs), len(template)), np.uint8)
        packed[:] = np.frombuffer(template, np.uint8)
        moved_by = np.hstack((_bytes_of(seqs)[:, 3:], _bytes_of(effective)[:, 1:]))
        for end in range(1 + VOUCHER.size, len(template) + 1, VOUCHER.size):
            packed[:, end - MOVED_BYTES : end] = moved_by
        return packed

    def lines(self, entries: Sequence[Alike]) -> dict[tuple[int, int, date], tuple[int, int]]:
        """All lines counted: amount and number by lot, posting and day."""
        minutes, numbers = np.unique(
            np.array([alike.effective for alike in entries], np.int64) // MINUTE, return_counts=True
        )
        days: defaultdict[date, int] = defaultdict(int)
        for minute, n in zip(minutes.tolist(), numbers.tolist(), strict=True):
            days[day_of(Instant(minute * MINUTE), self._timezone)] += n
        return {
            (no, self._form.posting.code, day): (n * lot.benefit.amount, n)
            for day, n in days.items()
            for no, lot in self._lots.items()
        }


def _template(form: Form) -> str:
    """What `digest.entry_bytes` gives for all entries of the form, with gaps for what differs."""
    posting = form.posting
    entry = [
        _NUMBER,
        TYPES[KINDS[form.of]],
        _TEXT,
        _TEXT,
        _NUMBER,
        _TEXT,
        _TEXT,
        Outcome.ACCEPTED,
        None,
        _NUMBER,
        _NUMBER,
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
                _TEXT if form.of is Issued else None,
                _NUMBER,
                False,
            ]
            for lot in form.lots
        ],
    ]
    text = orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE).decode().replace("%", "%%")
    for gap, directive in ((_NUMBER, "%d"), (_TEXT, '"%s"')):
        text = text.replace(f'"{gap}"', directive)
    return text


_NUMBER, _TEXT = "(number)", "(text)"
"""Gaps of a template: no code has brackets. What fills them needs no escape: the contracts allow no such character."""


def _vouchers(lots: Iterable[Lot], numbering: Numbering, flags: int, account: Account) -> list[bytes]:
    """By lot, packed whole vouchers up to where their version begins."""
    place = VOUCHER_ACCOUNTS.index(account)
    numbered = sorted((numbering.lots[lot.key], lot.benefit.amount) for lot in lots)
    return [VOUCHER.pack(no, flags, place, amount, b"")[:-MOVED_BYTES] for no, amount in numbered]


def _bytes_of(values: NDArray[np.int64]) -> Bytes:
    """Each integer's eight bytes."""
    return values.astype(">i8").view(np.uint8).reshape(len(values), INT8)


def _issued(grant: bytes) -> bytes:
    """A packed grant after its issue, which is due no more."""
    return grant[:2] + bytes((grant[2] | GRANT_ISSUED,)) + bytes(INT8) + grant[3 + INT8 :]


def _seen(event: Event) -> bytes:
    return identity(event.source, event.id) + event.fingerprint[:FINGERPRINT_BYTES]
