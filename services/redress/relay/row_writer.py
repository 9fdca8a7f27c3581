"""Entries and balances as events, straight from their packed rows: nearly all of what a relay publishes.

What such events have in common is written once, as a template, and filled in from each row: no entry, line, voucher or
dictionary is made for it.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum, auto
from typing import Any

import orjson

from redress.contracts.encode import encode_event
from redress.contracts.instants import MIN_INSTANT, format_instant
from redress.contracts.registry import OutTopic
from redress.contracts.template import Template, bare, blank
from redress.domain.accounts import POSTING_BY_CODE, Account
from redress.domain.beneficiary import VOUCHER_ACCOUNTS
from redress.domain.entry import LotKey
from redress.domain.event import Granted, Issued, Topic
from redress.domain.ids import voucher_id
from redress.domain.value import value
from redress.ledger.codes import KINDS, OUTCOME_BY_CODE, REASON_BY_CODE, TYPES, topic_of
from redress.ledger.packing import (
    BY_LOT,
    DECLINED,
    HAS_VOUCHER,
    ISSUED,
    REVOKED,
    STRAY,
    WIDE_LINE,
    WITHDRAWN,
    line_parts,
    voucher_parts,
)
from redress.relay.events import Outgoing

ENTRY, BALANCE = "redress.entry.appended.v1", "redress.beneficiary.balance.v1"

SHAPES_MAX = 4_096
"""Shapes of a voucher that are kept: of a person who redeems each may be another, of all others there are few."""
_ALIKE = KINDS[Granted], KINDS[Issued]
"""Kinds whose lines are the same for everybody in a wave, but for vouchers and time."""
_UNCLAIMED, _AVAILABLE, _HELD, _REDEEMED, _FORFEITED = (
    VOUCHER_ACCOUNTS.index(account)
    for account in (
        Account.UNCLAIMED,
        Account.AVAILABLE,
        Account.HELD,
        Account.REDEMPTION_CLEARING,
        Account.BREAKAGE_FORFEITED,
    )
)


@value
class LotTerms:
    """What is published of a voucher's lot beside the voucher, and of a line's."""

    key: LotKey
    service: str
    currency: str


class _Entry(IntEnum):
    """Blanks of an entry, in the order in which their values are given."""

    SEQ = 0
    BATCH = auto()
    KEY = auto()
    BENEFICIARY = auto()
    SOURCE = auto()
    CAUSE = auto()
    OFFSET = auto()
    OCCURRED = auto()
    EFFECTIVE = auto()
    RECORDED = auto()
    TERMS = auto()
    REDEMPTION = auto()
    LINES = auto()
    TRACE = auto()


_EFFECTIVE, _FIRST_VOUCHER = 0, 1
"""Blanks of an entry's lines."""


class _Balance(IntEnum):
    """Blanks of a balance."""

    SEQ = 0
    BENEFICIARY = auto()
    RECORDED = auto()
    VOUCHERS = auto()
    TRACE = auto()


_VOUCHER, _VERSION = 0, 1
"""Blanks of a voucher of a balance."""

_Lines = tuple[Template, list[LotKey]]
"""Lines, and the lots whose vouchers they name."""


class RowWriter:
    """Writes entries and balances of one shard of a ledger. Raises KeyError at a lot that is not among `lots`."""

    def __init__(self, ledger: str, shard: int, lots: dict[int, LotTerms]) -> None:
        self._ledger = ledger
        self._shard = shard
        self._lots = lots
        self._entries: dict[tuple[int, int, int | None, bool], Template] = {}
        self._lines: dict[bytes, _Lines] = {}
        self._balance = self._balance_template(None)
        self._traced_balance = self._balance_template(blank(_Balance.TRACE))
        self._vouchers: dict[tuple[int, int, tuple[int, ...]], tuple[LotKey, Template]] = {}

    def entry(self, row: Any, key: str, batch: int, recorded_at: str) -> Outgoing:
        """`redress.entry.appended.v1`, from a row of `relay_entries`; `key`: whom or what it is about."""
        traceparent = row["traceparent"]
        effective_at = format_instant(row["effective_at"])
        kind = row["kind"], row["outcome"], row["reason"], traceparent is not None
        template = self._entries.get(kind)
        if template is None:
            template = self._entries[kind] = self._entry_template(*kind)
        text = template.fill(
            (
                row["seq"],
                batch,
                key,
                _quoted(row["beneficiary"]),
                row["source_text"],
                row["cause_uuid"] or row["cause_text"],
                row["record_offset"],
                format_instant(row["occurred_at"]),
                effective_at,
                recorded_at,
                _number(row["terms_version"]),
                _quoted(row["redemption"]),
                self._written_lines(row, effective_at),
                traceparent,
            )
        )
        return Outgoing(OutTopic.LEDGER, self._shard, key.encode(), text.encode())

    def balance(self, row: Any, recorded_at: str, traceparent: str | None) -> Outgoing | None:
        """`redress.beneficiary.balance.v1`, from columns of `state`: absolute, as the beneficiary stands now.

        `traceparent`: of its last event. None where no voucher was issued.
        """
        person: str = row["beneficiary"]
        vouchers = ",".join(self._written_vouchers(person, row["vouchers"]))
        if not vouchers:
            return None
        template = self._balance if traceparent is None else self._traced_balance
        text = template.fill((row["last_seq"], person, recorded_at, vouchers, traceparent))
        return Outgoing(OutTopic.BALANCE, self._shard, person.encode(), text.encode())

    def _written_lines(self, row: Any, effective_at: str) -> str:
        packed, person = row["lines"], row["beneficiary"]
        if not packed:
            return ""
        if row["kind"] not in _ALIKE or row["strays"] or packed[0] == WIDE_LINE.size:
            return self._each_line(row)  # wide lines hold their time, so that hardly two entries have the same
        alike = self._lines.get(packed)
        if alike is None:
            alike = self._lines[packed] = self._lines_template(packed)
        template, lots = alike
        vouchers = [voucher_id(lot.programme, lot.wave, person, lot.benefit) for lot in lots]
        return template.fill((effective_at, *vouchers))

    def _each_line(self, row: Any) -> str:
        person, strays = row["beneficiary"], iter(row["strays"] or ())
        lines = []
        for no, posting, flags, amount, effective in line_parts(row["lines"], row["effective_at"]):
            lot, voucher = self._lots[no].key, None
            if flags & STRAY:
                voucher = next(strays)
            elif flags & HAS_VOUCHER:
                voucher = voucher_id(lot.programme, lot.wave, person, lot.benefit)
            lines.append(self._line(no, posting, flags, amount, voucher, format_instant(effective)))
        return orjson.dumps(lines)[1:-1].decode()

    def _written_vouchers(self, person: str, packed: bytes) -> Iterator[str]:
        for no, flags, version, amounts in voucher_parts(packed):
            if not flags & ISSUED:
                continue
            shape = no, flags, amounts
            found = self._vouchers.get(shape)
            if found is None:
                if len(self._vouchers) >= SHAPES_MAX:
                    self._vouchers.clear()
                found = self._vouchers[shape] = self._voucher_template(*shape)
            lot, template = found
            yield template.fill((voucher_id(lot.programme, lot.wave, person, lot.benefit), version))

    def _entry_template(self, kind: int, outcome: int, reason: int | None, is_traced: bool) -> Template:
        topic = topic_of(kind)
        data = {
            "ledger": self._ledger,
            "shard": self._shard,
            "seq": bare(_Entry.SEQ),
            "batch": bare(_Entry.BATCH),
            "beneficiary": bare(_Entry.BENEFICIARY),
            "outcome": OUTCOME_BY_CODE[outcome],
            "reason": None if reason is None else REASON_BY_CODE[reason],
            "cause": {
                "source": blank(_Entry.SOURCE),
                "id": blank(_Entry.CAUSE),
                "type": TYPES[kind],
                "topic": topic,
                "partition": 0 if topic is Topic.PROGRAMME else self._shard,
                "offset": bare(_Entry.OFFSET),
            },
            "occurred_at": blank(_Entry.OCCURRED),
            "effective_at": blank(_Entry.EFFECTIVE),
            "recorded_at": blank(_Entry.RECORDED),
            "terms_version": bare(_Entry.TERMS),
            "redemption": bare(_Entry.REDEMPTION),
            "lines": [bare(_Entry.LINES)],
        }
        trace = blank(_Entry.TRACE) if is_traced else None
        return self._template(ENTRY, blank(_Entry.SEQ), blank(_Entry.KEY), blank(_Entry.RECORDED), data, trace)

    def _lines_template(self, packed: bytes) -> _Lines:
        lines: list[dict[str, Any]] = []
        lots: list[LotKey] = []
        for no, posting, flags, amount, _ in line_parts(packed, MIN_INSTANT):
            voucher = None
            if flags & HAS_VOUCHER:
                voucher = blank(_FIRST_VOUCHER + len(lots))
                lots.append(self._lots[no].key)
            lines.append(self._line(no, posting, flags, amount, voucher, blank(_EFFECTIVE)))
        return Template(orjson.dumps(lines)[1:-1]), lots

    def _line(
        self, no: int, posting: int, flags: int, amount: int, voucher: str | None, effective_at: str
    ) -> dict[str, Any]:
        lot, moved = self._lots[no], POSTING_BY_CODE[posting]
        return {
            "movement": moved.movement,
            "debit": moved.debit,
            "credit": moved.credit,
            "amount": amount,
            "currency": lot.currency,
            "programme": lot.key.programme,
            "wave": lot.key.wave,
            "benefit": lot.key.benefit,
            "voucher": voucher,
            "effective_at": effective_at,
            "by_lot": bool(flags & BY_LOT),
        }

    def _balance_template(self, trace: str | None) -> Template:
        data = {
            "beneficiary": blank(_Balance.BENEFICIARY),
            "shard": self._shard,
            "seq": bare(_Balance.SEQ),
            "vouchers": [bare(_Balance.VOUCHERS)],
        }
        name = f"{blank(_Balance.SEQ)}-balance"
        return self._template(BALANCE, name, blank(_Balance.BENEFICIARY), blank(_Balance.RECORDED), data, trace)

    def _voucher_template(self, no: int, flags: int, amounts: Sequence[int]) -> tuple[LotKey, Template]:
        lot = self._lots[no]
        data = {
            "voucher": blank(_VOUCHER),
            "programme": lot.key.programme,
            "wave": lot.key.wave,
            "benefit": lot.key.benefit,
            "service": lot.service,
            "status": _status(flags, amounts),
            "face": sum(amounts),
            "available": amounts[_AVAILABLE],
            "held": amounts[_HELD],
            "redeemed": amounts[_REDEEMED],
            "forfeited": amounts[_FORFEITED],
            "version": bare(_VERSION),
        }
        return lot.key, Template(orjson.dumps(data))

    def _template(
        self, type_name: str, name: str, key: str, time: str, data: dict[str, Any], trace: str | None
    ) -> Template:
        event = encode_event(
            type_name=type_name,
            event_id=f"{self._ledger}-{self._shard}-{name}",
            source=f"/redress/{self._ledger}",
            time=time,
            partitionkey=key,
            data=data,
            traceparent=trace,
        )
        return Template(event)


def _status(flags: int, amounts: Sequence[int]) -> str:
    """A voucher's own status: what its lot did is in the lot's record (RULES section 6)."""
    if amounts[_HELD] > 0:
        return "held"
    if flags & DECLINED:
        return "declined"
    if flags & (REVOKED | WITHDRAWN):
        return "revoked"
    if amounts[_UNCLAIMED] + amounts[_AVAILABLE] == 0:
        return "redeemed"
    return "available" if amounts[_AVAILABLE] > 0 else "unclaimed"


def _quoted(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


def _number(number: int | None) -> int | str:
    return "null" if number is None else number
