"""What is filled in from packed rows is, to the byte, what the contract's models say of the same entry or person."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redress.contracts.balance import BeneficiaryBalance
from redress.contracts.encode import encode_event
from redress.contracts.instants import format_instant
from redress.contracts.ledger import EntryAppended
from redress.contracts.registry import OutTopic
from redress.contracts.template import Template, blank
from redress.domain.accounts import POSTINGS, Account
from redress.domain.beneficiary import VOUCHER_ACCOUNTS, Beneficiary, Voucher
from redress.domain.entry import Cause, Entry, Happening, Lapsed, Line, LotKey, Outcome, Reason, TimedOut
from redress.domain.event import ClockTicked, Coordinates, Granted, Issued, Standing, Topic
from redress.domain.ids import (
    UNKNOWN_BENEFIT,
    UNKNOWN_WAVE,
    BeneficiaryId,
    BenefitCode,
    Instant,
    ProgrammeCode,
    WaveCode,
    voucher_id,
)
from redress.ledger.codes import KINDS, TYPES, topic_of
from redress.ledger.entry_rows import COLUMNS, to_row
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import state_row
from redress.relay.row_writer import LotTerms, RowWriter
from tests.contract.strategies import (
    amounts,
    beneficiaries,
    event_id,
    instants,
    redemptions,
    source,
    versions,
    vouchers,
)
from tests.contract.strategies import data as any_data

LEDGER: Final = "main"
SHARD: Final = 3
PROGRAMME: Final = ProgrammeCode("relief-2026")
LOTS: Final = [
    LotKey(PROGRAMME, WaveCode("first"), BenefitCode("travel")),
    LotKey(PROGRAMME, WaveCode("first"), BenefitCode("food")),
    LotKey(PROGRAMME, UNKNOWN_WAVE, UNKNOWN_BENEFIT),
]
TERMS: Final = {
    LOTS[0]: LotTerms(LOTS[0], "travel", "KRW"),
    LOTS[1]: LotTerms(LOTS[1], "*", "EUR"),
    LOTS[2]: LotTerms(LOTS[2], "*", "KRW"),
}
TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

_NOTHING: Final = dict.fromkeys(VOUCHER_ACCOUNTS, 0)

amounts_by_account = st.dictionaries(
    st.sampled_from(VOUCHER_ACCOUNTS), st.just(5_000) | st.integers(1, 10**11), min_size=1, max_size=3
)
numbers = st.integers(1, 2**63 - 1)
alike: st.SearchStrategy[Happening] = st.builds(
    Granted, st.just(PROGRAMME), st.just(LOTS[0].wave), beneficiaries, st.sampled_from(Standing)
) | st.builds(Issued, st.just(PROGRAMME), st.just(LOTS[0].wave), beneficiaries, st.just(()))
others: st.SearchStrategy[Happening] = (
    any_data.filter(lambda data: not isinstance(data, ClockTicked))
    | st.builds(Lapsed, st.sampled_from(LOTS[:2]))
    | st.builds(TimedOut, st.just(PROGRAMME), redemptions, beneficiaries)
)
uri = source | st.just("/crm?at=2026-01-01T00:00:00Z&to=%20(%25s)")
"""One has what means something in a template."""


@pytest.fixture(scope="module")
def numbering() -> Numbering:
    made = Numbering()
    for lot in LOTS:
        made.add_lot(lot)
    made.add_wave((PROGRAMME, WaveCode("first")))
    return made


@pytest.fixture(scope="module")
def writer(numbering: Numbering) -> RowWriter:
    """One for all examples, so that its templates are used again."""
    return RowWriter(LEDGER, SHARD, {numbering.lots[lot]: terms for lot, terms in TERMS.items()})


@st.composite
def lines(draw: st.DrawFn, person: BeneficiaryId | None, effective: st.SearchStrategy[Instant]) -> Line:
    lot = draw(st.sampled_from(LOTS))
    line = Line(
        draw(st.sampled_from(POSTINGS)),
        lot,
        None,
        draw(st.just(5_000) | amounts),
        draw(effective),
        by_lot=draw(st.booleans()),
    )
    if person is not None and lot.wave == UNKNOWN_WAVE:
        return replace(line, voucher=draw(vouchers))
    if person is not None and draw(st.booleans()):
        return replace(
            line, voucher=voucher_id(lot.programme, lot.wave, person, lot.benefit), promised=draw(st.booleans())
        )
    return line


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    happening = draw(draw(st.sampled_from([alike, others])))
    kind = KINDS[type(happening)]
    person = getattr(happening, "beneficiary", None)
    effective_at = draw(instants)
    effective = draw(st.sampled_from([st.just(effective_at), instants]))
    topic = topic_of(kind)
    partition = 0 if topic is Topic.PROGRAMME else SHARD
    return Entry(
        seq=draw(numbers),
        cause=Cause(
            draw(uri),
            draw(event_id | st.uuids().map(str)),
            TYPES[kind],
            Coordinates(topic, partition, draw(numbers)),
            bytes(32),
            draw(st.none() | st.just(TRACE)),
        ),
        happening=happening,
        beneficiary=person,
        outcome=draw(st.sampled_from(Outcome)),
        reason=draw(st.none() | st.sampled_from(Reason)),
        occurred_at=draw(instants),
        effective_at=effective_at,
        terms_version=draw(st.none() | versions),
        redemption=draw(st.none() | redemptions),
        lines=draw(st.lists(lines(person, effective), max_size=4)),
    )


@st.composite
def people(draw: st.DrawFn) -> Beneficiary:
    person = Beneficiary(draw(beneficiaries), last_seq=draw(numbers))
    for lot in draw(st.sampled_from([LOTS[:2], LOTS[:1], LOTS[:0]])):  # a row has them by lot
        slot = voucher_id(lot.programme, lot.wave, person.id, lot.benefit)
        voucher = Voucher(
            slot,
            lot,
            _NOTHING | draw(amounts_by_account),
            draw(instants),
            draw(numbers),
            *(draw(st.booleans()) for _ in range(5)),
        )
        person.vouchers[slot] = voucher
    return person


def named(columns: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(columns, row, strict=True))


def event_of(
    type_name: str, name: str, key: str, time: Instant, data: dict[str, Any], trace: str | None = None
) -> bytes:
    return encode_event(
        type_name=type_name,
        event_id=f"{LEDGER}-{SHARD}-{name}",
        source=f"/redress/{LEDGER}",
        time=time,
        partitionkey=key,
        data=data,
        traceparent=trace,
    )


def entry_by_model(entry: Entry, batch: int, recorded_at: Instant) -> dict[str, Any]:
    cause = entry.cause
    lines = [
        {
            "movement": line.posting.movement,
            "debit": line.posting.debit,
            "credit": line.posting.credit,
            "amount": line.amount,
            "currency": TERMS[line.lot].currency,
            **line.lot._asdict(),
            "voucher": line.shown_voucher,
            "effective_at": format_instant(line.effective),
            "by_lot": line.by_lot,
        }
        for line in entry.lines
    ]
    data = {
        "ledger": LEDGER,
        "shard": SHARD,
        "seq": entry.seq,
        "batch": batch,
        "beneficiary": entry.beneficiary,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "cause": {
            "source": cause.source,
            "id": cause.id,
            "type": cause.type,
            "topic": cause.at.topic,
            "partition": cause.at.partition,
            "offset": cause.at.offset,
        },
        "occurred_at": format_instant(entry.occurred_at),
        "effective_at": format_instant(entry.effective_at),
        "recorded_at": format_instant(recorded_at),
        "terms_version": entry.terms_version,
        "redemption": entry.redemption,
        "lines": lines,
    }
    return EntryAppended.model_validate(data).model_dump(mode="json")


def balance_by_model(person: Beneficiary) -> dict[str, Any]:
    vouchers = [
        {
            "voucher": voucher.id,
            **voucher.lot._asdict(),
            "service": TERMS[voucher.lot].service,
            "status": status_of(voucher),
            "face": sum(voucher.amounts.values()),
            "available": voucher.amounts[Account.AVAILABLE],
            "held": voucher.amounts[Account.HELD],
            "redeemed": voucher.amounts[Account.REDEMPTION_CLEARING],
            "forfeited": voucher.amounts[Account.BREAKAGE_FORFEITED],
            "version": voucher.version,
        }
        for voucher in person.vouchers.values()
        if voucher.issued
    ]
    return BeneficiaryBalance.model_validate(
        {"beneficiary": person.id, "shard": SHARD, "seq": person.last_seq, "vouchers": vouchers}
    ).model_dump(mode="json")


def status_of(voucher: Voucher) -> str:
    """RULES section 6, without what the lot did."""
    amounts = voucher.amounts
    order = {
        "held": amounts[Account.HELD] > 0,
        "declined": voucher.declined,
        "revoked": voucher.revoked or voucher.withdrawn,
        "redeemed": amounts[Account.UNCLAIMED] == amounts[Account.AVAILABLE] == 0,
        "available": amounts[Account.AVAILABLE] > 0,
        "unclaimed": True,
    }
    return next(status for status, applies in order.items() if applies)


@given(entry=entries(), batch=numbers, recorded_at=instants)
def test_an_entry_from_its_row_is_what_the_model_says(
    writer: RowWriter, numbering: Numbering, entry: Entry, batch: int, recorded_at: Instant
) -> None:
    row = named(COLUMNS, to_row(entry, SHARD, batch, 7, numbering)) | {"source_text": entry.cause.source}
    key = entry.beneficiary or "programme/relief-2026"

    outgoing = writer.entry(row, key, batch, format_instant(recorded_at))

    data = entry_by_model(entry, batch, recorded_at)
    name = str(entry.seq)
    assert outgoing.value == event_of(
        "redress.entry.appended.v1", name, key, recorded_at, data, entry.cause.traceparent
    )
    assert (outgoing.topic, outgoing.partition, outgoing.key) == (OutTopic.LEDGER, SHARD, key.encode())


@given(person=people(), recorded_at=instants, trace=st.none() | st.just(TRACE))
def test_a_balance_from_its_row_is_what_the_model_says(
    writer: RowWriter, numbering: Numbering, person: Beneficiary, recorded_at: Instant, trace: str | None
) -> None:
    columns = ("beneficiary", "last_seq", "spilled", "grants", "vouchers", "seen", "strays")
    row = named(columns, state_row(person, 0, numbering))

    outgoing = writer.balance(row, format_instant(recorded_at), trace)

    if not any(voucher.issued for voucher in person.vouchers.values()):
        assert outgoing is None
        return
    assert outgoing is not None
    data = balance_by_model(person)
    name = f"{person.last_seq}-balance"
    assert outgoing.value == event_of("redress.beneficiary.balance.v1", name, person.id, recorded_at, data, trace)
    assert (outgoing.topic, outgoing.partition, outgoing.key) == (OutTopic.BALANCE, SHARD, person.id.encode())


def test_a_template_takes_its_blanks_in_any_order_and_twice() -> None:
    template = Template(
        b'{"a":"100% ' + blank(1).encode() + b'","b":[' + blank(0).encode() + b"," + blank(1).encode() + b"]}"
    )

    assert template.fill((3, "x")) == '{"a":"100% x","b":[3,x]}'
