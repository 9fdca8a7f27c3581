"""R3: however the topics are cut into batches, the same balances come out, as long as nothing decided is raced."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import pytest

from redress.domain.event import Topic
from redress.domain.shard import Shard
from redress.domain.step import take_all
from tests.harness.events import Record, people
from tests.harness.streams import TIMES, Company, facts_alone
from tests.oracle.event import TICKED
from tests.property import fuzzing
from tests.property.twin import read, show_liability, show_vouchers, show_waves

PERSONAL = tuple(topic for topic in Topic if topic is not Topic.PROGRAMME)
TAKEN_MAX = 9
"""Records of a topic in a batch: a few, so that there are many batches, and topics are far from abreast."""
GROUPS = range(2)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("group", GROUPS)
def test_facts_end_in_the_same_balances_however_their_topics_are_cut(group: int) -> None:
    records = facts_alone(people(24, seed=group))
    control_first = sorted(records, key=lambda record: record[0] != Topic.PROGRAMME)
    ticks = {event["data"]["now"]: n for n, (_, event) in reversed(list(enumerate(records))) if event["type"] == TICKED}
    last_tick = ticks[max(ticks)]
    in_order = _figures([record] for record in records)
    for seed in fuzzing.seeds(group, per_group=40, fuzz_per_group=2_000):
        with fuzzing.named(seed):
            random = Random(seed)
            # The last tick ends all parking: it comes before all facts or after those that were there before it.
            moments = random.choice([[control_first], [records[:last_tick], records[last_tick:]]])
            assert _figures(batch for moment in moments for batch in _cut(moment, random)) == in_order


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("group", GROUPS)
def test_a_programme_ends_in_the_same_balances_however_its_moments_are_cut(group: int) -> None:
    """Requests, too: what each needs was there a moment before."""
    clean = Company(people(21, seed=group)).clean()
    moments = [[*clean.control[at], *clean.personal[at]] for at in TIMES]
    in_order = _figures([record] for moment in moments for record in moment)
    for seed in fuzzing.seeds(group, per_group=40, fuzz_per_group=2_000):
        with fuzzing.named(seed):
            random = Random(seed)
            assert _figures(batch for moment in moments for batch in _cut(moment, random)) == in_order


def _cut(records: Sequence[Record], random: Random) -> Iterator[list[Record]]:
    """Batches as RULES section 2 allows them: so far of each topic about people, then the programme topic to its end.

    The end is anywhere behind the control events that were there before one of those records was.
    """
    left = {topic: [(n, record) for n, record in enumerate(records) if record[0] == topic] for topic in Topic}
    while any(left.values()):
        taken = {topic: _take(left[topic], random.randint(0, TAKEN_MAX)) for topic in PERSONAL}
        newest = max((numbered[-1][0] for numbered in taken.values() if numbered), default=-1)
        there = sum(n < newest for n, _ in left[Topic.PROGRAMME])
        controls = _take(left[Topic.PROGRAMME], there + random.choice([0, 0, 0, 1, 3]))
        yield [record for numbered in (controls, *taken.values()) for _, record in numbered]


def _take(numbered: list[tuple[int, Record]], count: int) -> list[tuple[int, Record]]:
    taken, numbered[:] = numbered[:count], numbered[count:]
    return taken


def _figures(batches: Iterable[Sequence[Record]]) -> dict[str, Any]:
    """What a shard shows in the end, and what it could not take."""
    shard = Shard(number=0, parking_seconds=86_400, system_clock=False)
    offsets = dict.fromkeys(Topic, 0)
    letters = []
    for batch in batches:
        for topic, envelope in batch:
            event = read(topic, envelope, offsets[Topic(topic)])
            offsets[Topic(topic)] += 1
            take_all(shard, event, event.data)
            letters += [letter.event.id for letter in shard.take_results().dead_letters]
    assert not shard.parked
    return {
        "vouchers": show_vouchers(shard),
        "liability": show_liability(shard),
        "accounts": {lot.key: {a: n for a, n in lot.balances.items() if n} for lot in shard.lots()},
        "waves": show_waves(shard),
        "dead letters": sorted(letters),
    }
