"""Entries to rows of the journal and back. A row with its lots' names is all that `evolve` needs."""

import re
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any, Final

import msgspec

from redress.contracts.encode import native
from redress.contracts.registry import INPUTS
from redress.domain.entry import Cause, Entry, Happening, Lapsed, Line, LotClosing, LotKey, Outcome, TimedOut
from redress.domain.event import Coordinates, Granted, Issued, IssuedVoucher, Standing
from redress.domain.ids import BeneficiaryId, ProgrammeCode, RedemptionId
from redress.ledger.codes import (
    KIND_BY_CODE,
    KINDS,
    OUTCOME_BY_CODE,
    OUTCOMES,
    REASON_BY_CODE,
    REASONS,
    TYPES,
    topic_of,
)
from redress.ledger.connection import to_postgres
from redress.ledger.copying import (
    INT2,
    INT4,
    INT8,
    INT8_OID,
    JSONB,
    NULL,
    UUID_OID,
    array_field,
    field,
    uuid_field,
)
from redress.ledger.numbering import Numbering
from redress.ledger.packing import pack_lines, unpack_lines

COLUMNS = (
    "seq",
    "record_offset",
    "occurred_at",
    "effective_at",
    "batch",
    "source",
    "shard",
    "kind",
    "outcome",
    "prev_seq",
    "booked_at",
    "closed_at",
    "terms_version",
    "reason",
    "beneficiary",
    "cause_uuid",
    "cause_text",
    "fingerprint",
    "redemption",
    "traceparent",
    "strays",
    "balances",
    "detail",
    "lines",
)
"""Those that no row leaves empty stand first, up to the outcome."""
Row = tuple[Any, ...]
_ALWAYS: Final = Struct(">h" + "iq" * 4 + "ii" * 2 + "ih" * 3)
BALANCES_KEPT: Final = 2**10
"""Most answers show one of a few balances: nothing left, or all of a voucher."""
_to_json: Final = msgspec.json.Encoder().encode
"""Of values in half of the time that orjson takes; in what order their fields come is the same to a jsonb."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def to_row(entry: Entry, shard: int, batch: int, source: int, numbering: Numbering) -> Row:
    """The entry's row, in order of `COLUMNS`. `source`: the number of the cause's source."""
    cause_uuid, cause_text = split_id(entry.cause.id)
    lines, strays = pack_lines(entry.lines, entry.effective_at, numbering)
    closing = entry.lot_closing
    return (
        entry.seq,
        entry.cause.at.offset,
        entry.occurred_at,
        entry.effective_at,
        batch,
        source,
        shard,
        KINDS[type(entry.happening)],
        OUTCOMES[entry.outcome],
        entry.prev_seq,
        closing.booked_at if closing else None,
        closing.closed_at if closing else None,
        entry.terms_version,
        REASONS[entry.reason] if entry.reason else None,
        entry.beneficiary,
        cause_uuid,
        cause_text,
        entry.cause.fingerprint,
        entry.redemption,
        entry.cause.traceparent,
        strays,
        entry.balances or None,
        _detail(entry),
        lines,
    )


def copied(row: Row) -> bytes:
    """A row as COPY reads it."""
    seq, offset, occurred_at, effective_at, batch, source, shard, kind, outcome, prev_seq, booked_at, closed_at = row[
        :12
    ]
    version, reason, beneficiary, uuid, text, fingerprint, redemption, trace, strays, balances, detail, lines = row[12:]
    occurred, effective = to_postgres(occurred_at), to_postgres(effective_at)
    return b"".join(
        (
            _ALWAYS.pack(
                *(len(row), 8, seq, 8, offset, 8, occurred, 8, effective),
                *(4, batch, 4, source, 2, shard, 2, kind, 2, outcome),
            ),
            NULL if prev_seq is None else INT8.pack(8, prev_seq),
            NULL if booked_at is None else INT8.pack(8, to_postgres(booked_at)),
            NULL if closed_at is None else INT8.pack(8, to_postgres(closed_at)),
            NULL if version is None else INT4.pack(4, version),
            NULL if reason is None else INT2.pack(2, reason),
            NULL if beneficiary is None else uuid_field(beneficiary),
            NULL if uuid is None else uuid_field(uuid),
            NULL if text is None else field(text.encode()),
            field(fingerprint),
            NULL if redemption is None else field(redemption.encode()),
            NULL if trace is None else field(trace.encode()),
            NULL if strays is None else array_field(UUID_OID, [uuid_field(stray) for stray in strays]),
            NULL if balances is None else _balances(balances),
            NULL if detail is None else field(JSONB + _to_json(detail)),
            field(lines),
        )
    )


@dataclass(slots=True, eq=False)
class RowForm:
    """What the rows of entries that come out alike have in common."""

    kind: int
    outcome: int
    closing_to_reason: bytes
    strays_and_balances: bytes
    lines: bytes


def row_form(entry: Entry, numbering: Numbering) -> RowForm:
    """The form of the rows of such entries about a person, whose every line is effective when its entry is."""
    lines, _ = pack_lines(entry.lines, entry.effective_at, numbering)
    version, reason = entry.terms_version, entry.reason
    return RowForm(
        KINDS[type(entry.happening)],
        OUTCOMES[entry.outcome],
        NULL * 2
        + (NULL if version is None else INT4.pack(4, version))
        + (INT2.pack(2, REASONS[reason]) if reason else NULL),
        NULL + (_balances(entry.balances) if entry.balances else NULL),
        field(lines),
    )


def by_form(form: RowForm, entry: Entry, shard: int, batch: int, source: int) -> bytes:
    """As `copied` of `to_row`."""
    cause, prev_seq, redemption = entry.cause, entry.prev_seq, entry.redemption
    event_id, trace = cause.id, cause.traceparent
    occurred, effective = to_postgres(entry.occurred_at), to_postgres(entry.effective_at)
    return b"".join(
        (
            _ALWAYS.pack(
                *(len(COLUMNS), 8, entry.seq, 8, cause.at.offset, 8, occurred, 8, effective),
                *(4, batch, 4, source, 2, shard, 2, form.kind, 2, form.outcome),
            ),
            NULL if prev_seq is None else INT8.pack(8, prev_seq),
            form.closing_to_reason,
            uuid_field(entry.beneficiary or ""),
            uuid_field(event_id) + NULL if _UUID.fullmatch(event_id) else NULL + field(event_id.encode()),
            field(cause.fingerprint),
            NULL if redemption is None else field(redemption.encode()),
            NULL if trace is None else field(trace.encode()),
            form.strays_and_balances,
            field(JSONB + _to_json(entry.happening)),
            form.lines,
        )
    )


@lru_cache(maxsize=BALANCES_KEPT)
def _balances(balances: tuple[int, ...]) -> bytes:
    return array_field(INT8_OID, [INT8.pack(8, balance) for balance in balances])


def from_row(row: Any, source: str, numbering: Numbering) -> Entry:
    """The entry of a row of the journal (a record with `COLUMNS`)."""
    beneficiary = BeneficiaryId(row["beneficiary"]) if row["beneficiary"] else None
    lines = unpack_lines(row["lines"], row["effective_at"], beneficiary, row["strays"], numbering)
    kind = row["kind"]
    topic = topic_of(kind)
    partition = 0 if kind <= KINDS[TimedOut] else row["shard"]
    closing = LotClosing(row["booked_at"], row["closed_at"]) if row["booked_at"] is not None else None
    return Entry(
        seq=row["seq"],
        cause=Cause(
            source,
            row["cause_text"] or row["cause_uuid"],
            TYPES[kind],
            Coordinates(topic, partition, row["record_offset"]),
            row["fingerprint"],
            row["traceparent"],
        ),
        happening=_happening(kind, row["detail"], beneficiary, lines),
        beneficiary=beneficiary,
        outcome=OUTCOME_BY_CODE[row["outcome"]],
        reason=REASON_BY_CODE[row["reason"]] if row["reason"] else None,
        occurred_at=row["occurred_at"],
        effective_at=row["effective_at"],
        terms_version=row["terms_version"],
        redemption=RedemptionId(row["redemption"]) if row["redemption"] else None,
        lines=lines,
        lot_closing=closing,
        balances=tuple(row["balances"] or ()),
        prev_seq=row["prev_seq"],
    )


def split_id(event_id: str) -> tuple[str | None, str | None]:
    """An id that is a UUID in its usual text takes 16 bytes; any other stays text."""
    return (event_id, None) if _UUID.fullmatch(event_id) else (None, event_id)


def _detail(entry: Entry) -> Any:
    """What the lines do not tell, for JSON.

    An accepted grant of a member, and an accepted issue, are told by their lines.
    """
    happening = entry.happening
    match happening:
        case Lapsed(lot):
            return lot._asdict()
        case TimedOut():
            return {"programme": happening.programme, "redemption": happening.redemption}
        case Granted(standing=Standing.MEMBER) | Issued() if entry.outcome is Outcome.ACCEPTED:
            return None
        case _:
            return native(happening)


def _happening(
    kind: int, detail: dict[str, Any] | None, beneficiary: BeneficiaryId | None, lines: list[Line]
) -> Happening:
    of = KIND_BY_CODE[kind]
    if detail is None:
        return _from_lines(of, beneficiary, lines)
    if of is Lapsed:
        return Lapsed(LotKey(**detail))
    if of is TimedOut and beneficiary is not None:
        return TimedOut(ProgrammeCode(detail["programme"]), RedemptionId(detail["redemption"]), beneficiary)
    return INPUTS[TYPES[kind]].model.model_validate(detail).to_domain()


def _from_lines(of: type[Happening], beneficiary: BeneficiaryId | None, lines: list[Line]) -> Happening:
    if beneficiary is None or not lines:
        raise ValueError("an entry without detail has a beneficiary and lines")
    first = lines[0].lot
    if of is Granted:
        return Granted(first.programme, first.wave, beneficiary, Standing.MEMBER)
    vouchers = tuple(
        IssuedVoucher(line.voucher, line.lot.benefit, line.amount)
        for line in lines
        if line.voucher is not None and not line.by_lot
    )
    return Issued(first.programme, first.wave, beneficiary, vouchers)
