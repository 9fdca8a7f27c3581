"""What is taken by the form of its wave leaves lots and waves as the rules do one by one; what may not be, is not."""

from copy import deepcopy
from dataclasses import replace
from random import Random
from uuid import UUID

import numpy as np
import pytest

from redress.domain.alike import book, effective, form_of, may_be_taken, voucher_texts
from redress.domain.event import Coordinates, Event, Granted, Issued, IssuedVoucher, Standing, Topic
from redress.domain.ids import FAR_PAST, BeneficiaryId, Instant, ProgrammeCode, WaveCode, voucher_id
from redress.domain.shard import Shard
from redress.domain.step import take_personal
from redress.domain.time import FACT_TOLERANCE
from tests.unit.domain.given import ALL, EATS, KR, TRAVEL, Given, at

TERMS = replace(KR, benefits=(TRAVEL, EATS, ALL))
WAVE = ProgrammeCode("kr"), WaveCode("w1")
PEOPLE = [BeneficiaryId(str(UUID(int=n, version=4))) for n in range(1, 6)]
TIMES = [at("01-16 12:00"), at("01-16 09:00"), at("01-16 11:59:59", 7), at("01-15 10:00"), at("01-16 13:00")]
"""Before and after each other, the last one ahead of the clock."""


@pytest.fixture
def shard() -> Shard:
    given = Given()
    given.publishes(TERMS)
    given.opens()
    given.tick("01-16 12:30")
    return given.shard


def _event(data: Granted | Issued, x: Instant) -> Event:
    topic = Topic.ELIGIBILITY if isinstance(data, Granted) else Topic.ISSUANCE
    return Event("/test", f"{topic}-{data.beneficiary}", "type", x, bytes(32), Coordinates(topic, 0, 0), data)


def _grant(person: BeneficiaryId) -> Granted:
    return Granted(*WAVE, person, Standing.MEMBER)


def _issue(person: BeneficiaryId) -> Issued:
    ids = [voucher_id(*WAVE, person, benefit.code) for benefit in TERMS.benefits]
    vouchers = [IssuedVoucher(v, b.code, b.amount) for v, b in zip(ids, TERMS.benefits, strict=True)]
    return Issued(*WAVE, person, tuple(vouchers))


def test_lots_and_waves_end_as_by_the_rules_one_by_one(shard: Shard) -> None:
    ruled = deepcopy(shard)
    granting = form_of(shard, _grant(PEOPLE[0]))
    issuing = form_of(shard, _issue(PEOPLE[0]))
    assert granting is not None
    assert issuing is not None
    for person, x in zip(PEOPLE, TIMES, strict=True):
        take_personal(ruled, _event(_grant(person), x), _grant(person))
    for person, x in zip(PEOPLE, reversed(TIMES), strict=True):
        take_personal(ruled, _event(_issue(person), x), _issue(person))

    times = np.array(TIMES, np.int64)
    granted = effective(shard, times, FAR_PAST)
    book(granting, granted)
    issued = effective(shard, times[::-1], granted)
    book(issuing, issued)
    seqs = [*shard.next_seqs(len(PEOPLE)), *shard.next_seqs(len(PEOPLE))]

    entries = ruled.results.entries
    assert seqs == [entry.seq for entry in entries]
    assert [*granted, *issued] == [entry.effective_at for entry in entries]
    assert len(set(granted) | set(issued)) > 2
    assert shard.programmes == ruled.programmes
    assert shard.next_seq == ruled.next_seq


def test_voucher_ids_of_many_are_those_of_each(shard: Shard) -> None:
    people = [BeneficiaryId(str(UUID(bytes=Random(n).randbytes(16), version=4))) for n in range(300)]
    texts = np.frombuffer("".join(people).encode(), np.uint8).reshape(len(people), 36)
    form = form_of(shard, _issue(PEOPLE[0]))
    assert form is not None
    for lot in form.lots:
        found = [row.tobytes().decode() for row in voucher_texts(lot, texts)]
        assert found == [voucher_id(*WAVE, person, lot.key.benefit) for person in people]


def test_before_the_first_tick_an_event_says_what_time_it_is() -> None:
    given = Given()
    times = np.array(TIMES, np.int64)

    assert given.shard.now is None
    assert may_be_taken(given.shard, times).all()
    assert effective(given.shard, times, times + 1).tolist() == TIMES


def test_a_lot_that_was_ever_closed_has_no_form(shard: Shard) -> None:
    given = Given()
    given.publishes(TERMS)
    given.opens()
    given.tick("01-16")
    assert form_of(given.shard, _grant(PEOPLE[0])) is not None
    given.revokes_lot()
    assert form_of(given.shard, _grant(PEOPLE[0])) is None
    given.opens("w2")
    given.tick("04-17")
    in_w2 = Granted(WAVE[0], WaveCode("w2"), PEOPLE[0], Standing.MEMBER)
    assert form_of(given.shard, in_w2) is None
    for benefit in TERMS.benefits:
        given.extends("05-01", wave="w2", benefit=benefit.code)
    assert all(lot.is_open for lot in given.shard.lots() if lot.key.wave == "w2")
    assert form_of(given.shard, in_w2) is None, "a reopened lot's lines count from its reopening"


def test_no_wave_no_form(shard: Shard) -> None:
    assert form_of(shard, Granted(WAVE[0], WaveCode("w9"), PEOPLE[0], Standing.MEMBER)) is None


def test_what_is_too_far_ahead_or_not_as_entitled_is_left_to_the_rules(shard: Shard) -> None:
    now = shard.now
    assert now is not None
    ahead = np.array([now + FACT_TOLERANCE, now + FACT_TOLERANCE + 1], np.int64)
    assert may_be_taken(shard, ahead).tolist() == [True, False]
    issued = _issue(PEOPLE[0])
    fewer = replace(issued, vouchers=issued.vouchers[1:])
    turned = replace(issued, vouchers=issued.vouchers[::-1])
    dearer = replace(issued, vouchers=(replace(issued.vouchers[0], amount=1), *issued.vouchers[1:]))
    assert form_of(shard, issued) is not None
    assert [form_of(shard, data) for data in (fewer, turned, dearer)] == [None] * 3
