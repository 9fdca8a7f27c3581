"""What is taken by the form of its wave leaves lots and waves as the rules do one by one; what may not be, is not."""

from copy import deepcopy
from dataclasses import replace
from uuid import UUID

import pytest

from redress.domain.alike import Alike, book, form_of, take_grant, take_issue
from redress.domain.event import Coordinates, Event, Granted, Issued, IssuedVoucher, Standing, Topic
from redress.domain.ids import BeneficiaryId, Instant, ProgrammeCode, WaveCode, voucher_id
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
    taken: list[Alike | None] = []
    granting = form_of(shard, _grant(PEOPLE[0]))
    issuing = form_of(shard, _issue(PEOPLE[0]))
    assert granting is not None
    assert issuing is not None
    for person, x in zip(PEOPLE, TIMES, strict=True):
        taken.append(take_grant(shard, granting, _event(_grant(person), x), _grant(person)))
        take_personal(ruled, _event(_grant(person), x), _grant(person))
    for person, x in zip(PEOPLE, reversed(TIMES), strict=True):
        granted = ruled.results.entries[PEOPLE.index(person)]
        promised = granted.effective_at, granted.seq
        taken.append(take_issue(shard, issuing, _event(_issue(person), x), _issue(person), *promised))
        take_personal(ruled, _event(_issue(person), x), _issue(person))

    alike = [each for each in taken if each is not None]
    book(alike)

    assert [(a.seq, a.effective, a.prev_seq) for a in alike] == [
        (entry.seq, entry.effective_at, entry.prev_seq) for entry in ruled.results.entries
    ]
    assert [(a.event.time, a.vouchers) for a in alike if a.vouchers] == [
        (e.occurred_at, [line.voucher for line in e.lines]) for e in ruled.results.entries[len(PEOPLE) :]
    ]
    assert shard.programmes == ruled.programmes
    assert shard.next_seq == ruled.next_seq


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
    form = form_of(shard, _grant(PEOPLE[0]))
    issuing = form_of(shard, _issue(PEOPLE[0]))
    assert form is not None
    assert issuing is not None
    ahead = _event(_grant(PEOPLE[0]), Instant(now + FACT_TOLERANCE + 1))
    assert take_grant(shard, form, ahead, _grant(PEOPLE[0])) is None
    ahead = _event(_issue(PEOPLE[0]), Instant(now + FACT_TOLERANCE + 1))
    assert take_issue(shard, issuing, ahead, _issue(PEOPLE[0]), now, 1) is None
    others = Issued(*WAVE, PEOPLE[0], _issue(PEOPLE[1]).vouchers)
    assert take_issue(shard, issuing, _event(others, now), others, now, 1) is None
    fewer = Issued(*WAVE, PEOPLE[0], _issue(PEOPLE[0]).vouchers[1:])
    assert take_issue(shard, issuing, _event(fewer, now), fewer, now, 1) is None
    turned = Issued(*WAVE, PEOPLE[0], _issue(PEOPLE[0]).vouchers[::-1])
    assert take_issue(shard, issuing, _event(turned, now), turned, now, 1) is None
    assert shard.next_seq == 3, "nothing was taken: the two control entries stand alone"
