"""`evolve` alone, over the entries, rebuilds the shard that made them; and the rebuilt one goes on as the first would.

What entries do not hold is carried over: the clock, and what is parked with its place in `seen`.
"""

from copy import deepcopy
from random import Random
from typing import Any

import pytest

from redress.domain.beneficiary import Beneficiary, RedemptionStatus
from redress.domain.entry import DeadLetterReason, Entry
from redress.domain.evolve import evolve
from redress.domain.seen import identity
from redress.domain.shard import Deadline, Results, Shard
from redress.domain.step import take_all
from tests.oracle.scenario import Scenario
from tests.property import fuzzing
from tests.property.twin import Clock, read


def rebuild(entries: list[Entry], live: Shard) -> Shard:
    """From the entries, with what they do not hold taken from the live one."""
    shard = Shard(number=live.number, parking_seconds=live.parking_seconds, system_clock=live.system_clock)
    for entry in entries:
        evolve(shard, deepcopy(entry))
    shard.now, shard.tick, shard.falling_due = live.now, live.tick, live.falling_due
    shard.next_arrival = live.next_arrival
    for waiting in live.parked.values():
        parked = shard.parked[waiting.arrival] = deepcopy(waiting)
        person = shard.beneficiary(parked.beneficiary)
        person.parked.append(parked)
        person.seen.add(parked.event.source, parked.event.id, parked.event.fingerprint)
    return shard


def state(shard: Shard) -> dict[str, Any]:
    """All that decisions depend on. What was only asked about and is empty does not count."""
    people = [person for person in shard.beneficiaries.values() if person != Beneficiary(person.id)]
    return {
        "programmes": shard.programmes,
        "people": {person.id: person for person in people},
        "order of lines": {
            (person.id, key): list(redemption.lines)
            for person in people
            for key, redemption in person.redemptions.items()
        },
        "deadlines": sorted(deadline for deadline in shard.deadlines if _is_held(shard, deadline)),
        "parked": list(shard.parked.items()),
        "clock": (shard.now, shard.tick, shard.falling_due),
        "next": (shard.next_seq, shard.next_arrival),
    }


def _is_held(shard: Shard, deadline: Deadline) -> bool:
    _, beneficiary, programme, redemption = deadline
    return shard.beneficiaries[beneficiary].redemptions[programme, redemption].status is RedemptionStatus.HELD


def assert_same(one: Shard, other: Shard) -> None:
    expected = state(other)
    for part, value in state(one).items():
        assert value == expected[part], part


def run(shard: Shard, records: list[Any], offset: int) -> list[Results]:
    made = []
    for number, (topic, envelope) in enumerate(records, start=offset):
        event = read(topic, envelope, number)
        take_all(shard, event, event.data)
        made.append(shard.take_results())
    return made


def rebuild_and_go_on(seed: int, clock: Clock) -> None:
    random = Random(seed)
    beneficiaries = random.choice([1, 3, 6])
    records = list(Scenario(random, events=240, beneficiaries=beneficiaries, clock=clock))
    half = random.randrange(len(records))
    live = Shard(number=0, parking_seconds=random.choice([600, 86_400]), system_clock=clock == "system")
    entries = [entry for results in run(live, records[:half], 0) for entry in results.entries]

    rebuilt = rebuild(entries, live)

    assert_same(rebuilt, live)
    assert run(rebuilt, records[half:], half) == run(live, records[half:], half)
    assert_same(rebuilt, live)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("clock", ["manual", "system"])
@pytest.mark.parametrize("group", range(3))
def test_a_shard_rebuilt_from_its_entries_goes_on_as_it_would_have(group: int, clock: Clock) -> None:
    for seed in fuzzing.seeds(group, per_group=8, fuzz_per_group=300):
        with fuzzing.named(seed):
            rebuild_and_go_on(seed, clock)


def test_what_waits_is_remembered_until_its_parking_ends() -> None:
    shard = Shard(number=0, parking_seconds=600, system_clock=False)
    kept = forgotten = 0
    for topic, envelope in Scenario(Random(3), events=400, beneficiaries=4):
        results = run(shard, [(topic, envelope)], 0)[0]
        for parked in results.parked.values():
            assert identity(parked.event.source, parked.event.id) in shard.beneficiaries[parked.beneficiary].seen
            kept += 1
        for dead in results.dead_letters:
            if dead.reason is DeadLetterReason.PARKED_TOO_LONG:
                person = shard.beneficiaries[dead.event.data.beneficiary]  # type: ignore[union-attr]
                assert identity(dead.event.source, dead.event.id) not in person.seen
                forgotten += 1
    assert kept
    assert forgotten
