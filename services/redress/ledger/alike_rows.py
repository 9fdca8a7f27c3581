"""What comes out alike: taken many at once, and its rows written from their form.

To the byte what `entry_rows`, `packing`, `person_rows` and `digest` make of the same entries one by one.
"""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from redress.contracts.columns import Blanks, Bytes, EventColumns, Int64s, hashes
from redress.contracts.encode import to_wire
from redress.domain.accounts import Account
from redress.domain.alike import Form, effective, form_of, may_be_taken, voucher_texts
from redress.domain.beneficiary import VOUCHER_ACCOUNTS
from redress.domain.entry import Outcome
from redress.domain.event import Granted, Issued, Standing
from redress.domain.ids import FAR_PAST, BeneficiaryId, Instant
from redress.domain.lot import Lot
from redress.domain.seen import FINGERPRINT_BYTES, ID_BYTES
from redress.domain.shard import Shard
from redress.ledger.codes import KINDS, OUTCOMES, TYPES
from redress.ledger.copying import Column, alike_bytes, copy_rows, decimals, hexadecimal, instants, int8s, sliced
from redress.ledger.days import MINUTE, day_of
from redress.ledger.entry_rows import Row
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
    LAST_BITS,
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
LAST_BYTES = LAST_BITS // 8
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


@dataclass(slots=True, eq=False)
class Taken:
    """Such entries, all of one form. Rows of all columns are those of `events`."""

    form: Form
    events: EventColumns
    offsets: Int64s
    effective: Int64s
    identities: Bytes
    rows: list[Any]
    """Rows of an issue's people, as they were."""
    seqs: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    """Given once it is known what stands between them in the batch."""

    @property
    def is_due(self) -> bool:
        """Whether issuance is due by a grant: a former member joins again first."""
        data = self.events.example.data
        return isinstance(data, Granted) and data.standing is Standing.MEMBER


class AlikeTaker:
    """Takes of one batch what comes out alike."""

    def __init__(self, shard: Shard, numbering: Numbering) -> None:
        self._shard = shard
        self._numbering = numbering
        self.taken: list[Taken] = []

    def take(
        self,
        events: EventColumns,
        offsets: Int64s,
        rows: Mapping[BeneficiaryId, Any],
        opened: Container[BeneficiaryId],
    ) -> None:
        """Take those that fit a form, each of another person; the others must be decided one by one.

        `offsets`: of all records of the batch; `rows`: people's states by id; `opened`: who is looked at already.
        """
        form = form_of(self._shard, events.example.data)
        if form is None or not self._fits(form):
            return
        ids = events.owners
        fits = may_be_taken(self._shard, events.times)
        fits &= np.array([person not in opened for person in ids])
        states = [rows.get(person) for person in ids]
        if form.of is Granted:
            fits &= np.array([state is None for state in states])
            promised_at: Int64s | Instant = FAR_PAST
        else:
            fits &= np.array([state is not None for state in states])
        events, states = events.only(fits), [state for state, fit in zip(states, fits, strict=True) if fit]
        if not states:
            return
        identities = _identities(events)
        if form.of is Issued:
            promised_at, fits = self._untouched(form, events, states, sliced(identities))
            events, states = events.only(fits), [state for state, fit in zip(states, fits, strict=True) if fit]
            if not states:
                return
            promised_at, identities = promised_at[fits], identities[fits]
        moved_at = effective(self._shard, events.times, promised_at)
        self.taken.append(Taken(form, events, offsets[events.places], moved_at, identities, states))

    def _fits(self, form: Form) -> bool:
        """Whether the numbers of all such entries fit into narrow rows."""
        now = self._shard.now
        return (
            len(form.lots) <= WHOLE_MAX
            and all(lot.benefit.amount <= INT4_MAX for lot in form.lots)
            and (now is None or 0 <= now <= LAST_MAX)
            and self._shard.next_seq <= VERSION_MAX // 2  # a batch adds far less than the other half
        )

    def _untouched(
        self, form: Form, events: EventColumns, states: list[Any], identities: list[bytes]
    ) -> tuple[Int64s, NDArray[np.bool_]]:
        """When what each of these people has was promised; whether it is this wave's alone, due, and as it was then."""
        wave = self._numbering.waves.get((form.wave.opened.programme, form.wave.opened.wave), -1)
        parts = _vouchers(form.lots, self._numbering, 0, Account.ENTITLEMENT)
        width = 1 + len(parts) * VOUCHER.size
        fits = np.array(
            [
                len(state["grants"]) == GRANT.size
                and len(state["vouchers"]) == width
                and len(state["seen"]) < SEEN_IN_ROW_MAX * SEEN_BYTES
                and event not in state["seen"]  # also where it stands across two, by chance
                and not state["strays"]
                and not state["spilled"]
                for state, event in zip(states, identities, strict=True)
            ]
        )
        grants = alike_bytes(
            [state["grants"] if fit else bytes(GRANT.size) for state, fit in zip(states, fits, strict=True)]
        )
        fits &= _int_of(grants[:, :2]) == wave
        fits &= np.isin(grants[:, 2], _MAY_BE_ISSUED)
        fits &= grants[:, 3 : 3 + INT8].any(axis=1)
        vouchers = alike_bytes(
            [state["vouchers"] if fit else bytes(width) for state, fit in zip(states, fits, strict=True)]
        )
        moved = vouchers[:, width - MOVED_BYTES :]
        promised = np.empty_like(vouchers)
        promised[:] = np.frombuffer(
            bytes([len(parts)]) + b"".join(part + bytes(MOVED_BYTES) for part in parts), np.uint8
        )
        for end in range(1 + VOUCHER.size, width + 1, VOUCHER.size):
            promised[:, end - MOVED_BYTES : end] = moved
        fits &= (vouchers == promised).all(axis=1)
        for lot, voucher in zip(form.lots, events.vouchers, strict=True):
            fits &= (voucher == voucher_texts(lot, events.beneficiaries)).all(axis=1)
        return _int_of(moved[:, MOVED_BYTES - LAST_BYTES :]) & LAST_MAX, fits


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
        for each in taken:
            writer = _TakenWriter(each, shard, batch, numbering)
            self.journal.append(writer.journal(sources[each.events.example.source]))
            self.bytes += writer.canonical()
            if each.form.of is Granted:
                self.new_states.append(writer.new_states())
            else:
                self.states += writer.issued_states()
            writer.count_lines(self.lines)
        self.bytes.sort(key=itemgetter(0))


class _TakenWriter:
    """Writes entries of one form."""

    def __init__(self, taken: Taken, shard: int, batch: int, numbering: Numbering) -> None:
        self._taken = taken
        self._form = form = taken.form
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
        self._seqs = int8s(taken.seqs)

    def journal(self, source: int) -> bytes:
        """As `entry_rows.to_row`, in order of `JOURNAL`."""
        taken, events = self._taken, self._taken.events
        columns: list[Column] = [
            self._seqs,
            int8s(taken.offsets),
            instants(events.times),
            instants(taken.effective),
            None if self._form.of is Granted else int8s([row["last_seq"] for row in taken.rows]),
            self._batch,
            source.to_bytes(4, "big"),
            self._form.wave.terms.version.to_bytes(4, "big"),
            self._shard,
            KINDS[self._form.of].to_bytes(2, "big"),
            _ACCEPTED.to_bytes(2, "big"),
            events.people,
            events.uuids,
            events.ids if events.uuids is None else None,
            events.fingerprints,
            events.traceparents,
            self._details(),
            self._lines,
        ]
        return copy_rows(len(events), columns)

    def canonical(self) -> list[tuple[int, bytes]]:
        """By seq, as `digest.entry_bytes`."""
        taken, events = self._taken, self._taken.events
        numbers = {"seq": taken.seqs, "offset": taken.offsets, "time": events.times, "effective": taken.effective}
        digits = [decimals(column) for column in numbers.values()]
        widths = np.array([widths for widths, _ in digits])
        shapes = 20 ** np.arange(len(numbers)) @ widths
        texts = {
            "id": events.ids,
            "fingerprint": hexadecimal(events.fingerprints),
            "beneficiary": events.beneficiaries,
            **{f"voucher {n}": column for n, column in enumerate(events.vouchers)},
        }
        found: list[tuple[int, bytes]] = []
        for shape in np.unique(shapes):
            these = shapes == shape
            some = {name: column[these] for name, column in texts.items()}
            for name, width, (_, column) in zip(numbers, widths[:, these.argmax()], digits, strict=True):
                some[name] = column[these, -width:]
            rows = self._canonical_text({name: column.shape[1] for name, column in some.items()}).fill(some)
            found += zip(taken.seqs[these].tolist(), sliced(rows), strict=True)
        return found

    def new_states(self) -> bytes:
        """As `person_rows.state_row`, of people who have this grant and nothing else; in order of `STATE`."""
        taken, number = self._taken, len(self._taken.events)
        grants = np.zeros((number, GRANT.size), np.uint8)
        grants[:, :2] = np.frombuffer(self._wave.to_bytes(2, "big"), np.uint8)
        grants[:, 2] = 0 if taken.is_due else FORMER_MEMBER
        grants[:, 3:11] = self._seqs if taken.is_due else 0
        grants[:, 11:] = int8s(taken.effective if taken.is_due else [FAR_PAST] * number)
        columns: list[Column] = [
            self._seqs,
            bytes(4),
            self._shard,
            taken.events.people,
            grants,
            self._moved(),
            self._seen(),
        ]
        return copy_rows(number, columns)

    def issued_states(self) -> list[Row]:
        """As `person_rows.state_row`, of the people of `rows` after the issue."""
        taken = self._taken
        people = zip(
            taken.events.owners,
            taken.seqs.tolist(),
            taken.rows,
            sliced(self._moved()),
            sliced(self._seen()),
            strict=True,
        )
        return [
            (person, seq, 0, _issued(row["grants"]), vouchers, row["seen"] + seen, None)
            for person, seq, row, vouchers, seen in people
        ]

    def count_lines(self, lines: dict[tuple[int, int, date], tuple[int, int]]) -> None:
        """Add amount and number of all lines, by lot, posting and day."""
        minutes, numbers = np.unique(self._taken.effective // MINUTE, return_counts=True)
        for minute, n in zip(minutes.tolist(), numbers.tolist(), strict=True):
            day = day_of(Instant(minute * MINUTE), self._timezone)
            for no, lot in self._lots.items():
                key = no, self._form.posting.code, day
                amount, before = lines.get(key, (0, 0))
                lines[key] = amount + n * lot.benefit.amount, before + n

    def _canonical_text(self, widths: Mapping[str, int]) -> Blanks:
        """What `digest.entry_bytes` gives for all of them, with blanks so wide for what differs."""
        form, posting = self._form, self._form.posting
        entry = [
            "(seq)",
            TYPES[KINDS[form.of]],
            "(source)",
            "(id)",
            "(offset)",
            "(fingerprint)",
            "(beneficiary)",
            Outcome.ACCEPTED,
            None,
            "(time)",
            "(effective)",
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
                    f"(voucher {n})" if form.of is Issued else None,
                    "(effective)",
                    False,
                ]
                for n, lot in enumerate(form.lots)
            ],
        ]
        source = self._taken.events.example.source.encode()
        pieces = _BLANK.split(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE).decode())
        text = bytearray()
        places: dict[str, list[slice]] = {}
        for said, name in zip_longest(pieces[::2], pieces[1::2]):
            text += said.encode()
            quote = b"" if name is None or name in _NUMBERS else b'"'
            text += quote
            if name == "source":
                text += source
            elif name is not None:
                places.setdefault(name, []).append(slice(len(text), len(text) + widths[name]))
                text += bytes(widths[name])
            text += quote
        return Blanks(bytes(text), places)

    def _details(self) -> Bytes | None:
        """What the lines do not tell of a former member's grant."""
        if self._taken.is_due or self._form.of is Issued:
            return None
        example = self._taken.events.example
        detail = JSONB + orjson.dumps(to_wire(example.data)[1])
        text = Blanks.of_strings(detail, {"beneficiary": (example.beneficiary, 1)})
        return text.fill({"beneficiary": self._taken.events.beneficiaries})

    def _seen(self) -> Bytes:
        """The event, as a row of state remembers it."""
        return np.hstack((self._taken.identities, self._taken.events.fingerprints[:, :FINGERPRINT_BYTES]))

    def _moved(self) -> Bytes:
        """The vouchers of each, last moved by these entries at these times."""
        template = bytes([len(self._vouchers)]) + b"".join(voucher + bytes(MOVED_BYTES) for voucher in self._vouchers)
        packed = np.empty((len(self._seqs), len(template)), np.uint8)
        packed[:] = np.frombuffer(template, np.uint8)
        moved_by = np.hstack((self._seqs[:, 3:], int8s(self._taken.effective)[:, 1:]))
        for end in range(1 + VOUCHER.size, len(template) + 1, VOUCHER.size):
            packed[:, end - MOVED_BYTES : end] = moved_by
        return packed


_BLANK = re.compile(r'"\(([a-z]+(?: [0-9]+)?)\)"')
"""A blank of a canonical text in the making: no code and no type has brackets. What fills one needs no escape: the
contracts allow no such character."""
_NUMBERS = frozenset({"seq", "offset", "time", "effective"})


def _vouchers(lots: Iterable[Lot], numbering: Numbering, flags: int, account: Account) -> list[bytes]:
    """By lot, packed whole vouchers up to where their version begins."""
    place = VOUCHER_ACCOUNTS.index(account)
    numbered = sorted((numbering.lots[lot.key], lot.benefit.amount) for lot in lots)
    return [VOUCHER.pack(no, flags, place, amount, b"")[:-MOVED_BYTES] for no, amount in numbered]


def _issued(grant: bytes) -> bytes:
    """A packed grant after its issue, which is due no more."""
    return grant[:2] + bytes((grant[2] | GRANT_ISSUED,)) + bytes(INT8) + grant[3 + INT8 :]


def _identities(events: EventColumns) -> Bytes:
    """As `seen.identity`, of each."""
    source = f"{events.example.source}\n".encode()
    texts = np.empty((len(events), len(source) + events.ids.shape[1]), np.uint8)
    texts[:, : len(source)] = np.frombuffer(source, np.uint8)
    texts[:, len(source) :] = events.ids
    return hashes(texts)[:, :ID_BYTES]


def _int_of(packed: Bytes) -> Int64s:
    """The integer that each row is."""
    return np.asarray(packed.astype(np.int64) @ (256 ** np.arange(packed.shape[1] - 1, -1, -1, dtype=np.int64)))
