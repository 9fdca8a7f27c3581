"""The domain books what the oracle books, event by event, for random sequences of events."""

from random import Random
from uuid import UUID

import pytest

from redress.domain.entry import DeadLetterReason
from tests.oracle import instant, scenario
from tests.oracle.event import CAPTURED, CLAIMED, GRANTED, ISSUED, PUBLISHED, TICKED, WAVE_OPENED
from tests.oracle.parking import PARKED_PER_BENEFICIARY_MAX
from tests.oracle.scenario import Scenario
from tests.oracle.voucher_id import voucher_id
from tests.property import fuzzing, invariants
from tests.property.twin import Clock, Envelope, Twin

KR = scenario.WON["programme"]
GROUPS = range(4)
FIGURES_EVERY = 20
"""Events between two comparisons of all figures."""


def play(seed: int, *, clock: Clock, events: int, beneficiaries: int) -> None:
    random = Random(seed)
    parking_seconds = random.choice([600, 3_600, 86_400])
    twin = Twin(parking_seconds=parking_seconds, clock=clock, shard=random.choice([0, 0, 1]))
    has_big_ticks = random.random() < 0.7
    records = Scenario(random, events=events, beneficiaries=beneficiaries, has_big_ticks=has_big_ticks, clock=clock)
    for number, (topic, envelope) in enumerate(records):
        twin.feed(topic, envelope)
        if twin.shard.now is None or number % FIGURES_EVERY == 0:
            twin.oracle.check()
            twin.compare_figures()
    twin.oracle.check()
    twin.compare_figures()
    invariants.check_state(twin.shard)
    invariants.check_effective_axis(twin.entries)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("clock", ["manual", "system"])
@pytest.mark.parametrize("group", GROUPS)
def test_a_crowd(group: int, clock: Clock) -> None:
    for seed in fuzzing.seeds(group, per_group=8, fuzz_per_group=400):
        with fuzzing.named(seed):
            play(seed, clock=clock, events=250, beneficiaries=6)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("clock", ["manual", "system"])
@pytest.mark.parametrize("beneficiaries", [1, 2])
@pytest.mark.parametrize("group", GROUPS)
def test_one_or_two_people_whom_everything_happens_to(group: int, beneficiaries: int, clock: Clock) -> None:
    for seed in fuzzing.seeds(group, per_group=12, fuzz_per_group=600):
        with fuzzing.named(seed):
            play(seed, clock=clock, events=120, beneficiaries=beneficiaries)


@pytest.mark.parametrize("seed", range(4))
def test_more_events_wait_than_may(seed: int) -> None:
    """Facts about vouchers that are not there, until no more can wait; an issue lets some go, the clock the rest."""
    random = Random(seed)
    someone = str(UUID(int=random.getrandbits(128), version=4))
    twin = Twin(parking_seconds=600)
    for topic, envelope in _opening():
        twin.feed(topic, envelope)
    for number in range(3 * PARKED_PER_BENEFICIARY_MAX):
        kind, data = _waiting_fact(random, someone)
        twin.feed("redress.redemption", _envelope(f"p-{number}", kind, someone, number, data))
        if number == PARKED_PER_BENEFICIARY_MAX + 50:
            assert len(twin.shard.parked) == PARKED_PER_BENEFICIARY_MAX
            for topic, envelope in _entitlement(someone):
                twin.feed(topic, envelope)
            assert len(twin.shard.parked) < PARKED_PER_BENEFICIARY_MAX
        if number % 100 == 99:
            twin.feed("redress.programme", _tick(number * 3))
            twin.compare_figures()
    assert {dead.reason for dead in twin.dead_letters} == {DeadLetterReason.PARKED_TOO_LONG}
    twin.feed("redress.programme", _tick(86_400))
    assert not twin.shard.parked
    twin.compare_figures()
    twin.oracle.check()


def _waiting_fact(random: Random, someone: str) -> tuple[str, Envelope]:
    wave = random.choice([*scenario.WAVES, "third"])
    voucher = voucher_id(KR, wave, someone, random.choice(["all", "eats", "travel"]))
    names = {"programme": KR, "beneficiary": someone}
    if random.random() < 0.5:
        return CLAIMED, {**names, "voucher": voucher, "channel": "app"}
    lines = [{"voucher": voucher, "amount": 100}]
    return CAPTURED, {**names, "redemption": f"r-{random.randrange(90)}", "lines": lines}


def _entitlement(someone: str) -> list[tuple[str, Envelope]]:
    names = {"programme": KR, "wave": "first", "beneficiary": someone}
    vouchers = [
        {"voucher": voucher_id(KR, "first", someone, b["code"]), "benefit": b["code"], "amount": b["amount"]}
        for b in scenario.WON["benefits"]
    ]
    return [
        ("redress.eligibility", _envelope("g-1", GRANTED, someone, 0, {**names, "standing": "member"})),
        ("redress.issuance", _envelope("i-1", ISSUED, someone, 0, {**names, "vouchers": vouchers})),
    ]


def _opening() -> list[tuple[str, Envelope]]:
    opened = {
        "programme": KR,
        "wave": "first",
        "terms_version": 1,
        "valid_from": _time(0),
        "valid_until": _time(10 * 86_400),
        "expected": None,
        "roster_sha256": None,
    }
    return [
        ("redress.programme", _envelope("c-1", PUBLISHED, KR, 0, scenario.WON)),
        ("redress.programme", _envelope("c-2", WAVE_OPENED, KR, 0, opened)),
        ("redress.programme", _tick(0)),
    ]


def _tick(second: int) -> Envelope:
    return _envelope(f"t-{second}", TICKED, "clock", second, {"now": _time(second)})


def _time(second: int) -> str:
    return instant.write(scenario.START_US + second * instant.SECOND_US)


def _envelope(event_id: str, kind: str, key: str, second: int, data: Envelope) -> Envelope:
    return {
        "specversion": "1.0",
        "id": event_id,
        "type": kind,
        "source": "/test",
        "time": _time(second),
        "partitionkey": key,
        "datacontenttype": "application/json",
        "data": data,
    }
