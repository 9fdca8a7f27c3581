"""A ledger replayed along its batch log is the same to the byte: entries, digests, state."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from redress.domain.event import Event
from redress.intake.batch_log import DatabaseLog
from redress.intake.replay import Replay
from redress.ledger.alike_rows import AlikeTaker
from redress.ledger.connection import connect
from redress.ledger.migrate import migrate
from redress.ledger.precedents import Precedents
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import HOUR, START, Events, Record, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import EURO, WON, Scenario

SAME = {
    "batch": "select * from redress.batch order by shard, batch",
    "journal": "select v.*, j.fingerprint from finance.journal v join redress.journal j using (shard, seq) "
    "order by shard, seq, line",
    "state": "select * from redress.state order by shard, beneficiary",
    "redemption": "select * from redress.redemption order by shard, beneficiary, programme, redemption",
    "lot": "select * from redress.lot order by shard, no",
    "wave": "select * from redress.wave order by shard, no",
    "tally": "select * from redress.tally order by shard, kind, outcome, reason",
    "rollup": "select * from redress.rollup order by shard, lot, posting, effective_day, recorded_day",
    "parked": "select * from redress.parked order by shard, arrival",
    "dead letters": "select * from redress.dead_letter order by shard, topic, record_offset",
}


@pytest.fixture
async def target(empty_database: str) -> str:
    """Another ledger of the same name, empty."""
    await asyncio.to_thread(migrate, empty_database, TEST_LEDGER)
    return empty_database


async def _content(dsn: str) -> dict[str, list[str]]:
    connection = await connect(dsn, application_name="test")
    try:
        return {name: [str(tuple(row)) for row in await connection.fetch(sql)] for name, sql in SAME.items()}
    finally:
        await connection.close()


async def test_a_replay_along_the_batch_log_gives_the_same_bytes(
    stack: Stack, database: str, target: str, topic_prefix: str
) -> None:
    events = list(Scenario(Random(6), events=600, beneficiaries=15))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=2) as ledger:
        for records in chunks(events, 100):
            await ledger.send_all(records)
            await ledger.settled()
        await ledger.send_raw("redress.redemption", 2, b"nobody", b"{")
        await ledger.settled()
        assert len(await ledger.batch_log(1)) > 6

    await Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER).run()

    origin, replayed = await _content(database), await _content(target)
    for name, rows in origin.items():
        assert rows, name
        assert replayed[name] == rows, name
    await assert_ledger_sound(target)


async def test_what_comes_out_alike_is_what_the_rules_decide_one_by_one(
    stack: Stack, database: str, target: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    won, euro = Events(), Events(EURO, source="/euro")
    crowd = people(480, seed=11)
    first, second = crowd[:320], crowd[160:]
    around = Random(5)

    def at_any_time(events: Events, make: Callable[..., Record], *arguments: str) -> Record:
        """Before and after what went before, and ahead of the clock, which stands at START."""
        events.at = START + around.randrange(-2 * HOUR, 2 * HOUR)
        return make(*arguments)

    begin = [*won.begin(), euro.published(), euro.opened()]
    standings = ("former_member", "member", "member", "member", "member")
    grants = [at_any_time(won, won.granted, p, standings[n % 5]) for n, p in enumerate(first)]
    issues = [at_any_time(won, won.issued, p) for p in first]
    wrong = won.issued(first[1])
    wrong[1]["data"]["vouchers"][0]["amount"] += 1
    reused = [won.issued(person) for person in first[20:80]]
    for (_, again), (_, granted) in zip(reused, grants[20:80], strict=True):
        again["id"], again["source"] = granted["id"], granted["source"]
    of: Counter[tuple[str, str]] = Counter()
    take = AlikeTaker.take

    def counted(self: AlikeTaker, *arguments: Any) -> None:
        before = len(self.taken)
        take(self, *arguments)
        for taken in self.taken[before:]:
            of[taken.form.of.__name__, taken.form.wave.opened.programme] += len(taken.events)

    monkeypatch.setattr(AlikeTaker, "take", counted)
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        rounds: list[list[Record]] = [
            begin,
            grants,
            [*(at_any_time(euro, euro.granted, p) for p in second), won.withdrawn(first[3]), *grants[:3]],
            [*(won.enrolled(p) for p in first[::10]), won.claimed(first[7]), wrong],
            [*reused, *issues[:20], *issues[80:160]],
            [*issues[20:80], *issues[160:], *(at_any_time(euro, euro.issued, p) for p in second), *issues[:5]],
            [won.lot_revoked("travel"), *(won.granted(p) for p in second[-10:])],
        ]
        for records in rounds:
            await ledger.send_all(records)
            await ledger.settled()
    assert min(of.values()) > 100, of
    assert len(of) == 4, of

    monkeypatch.setattr(AlikeTaker, "take", lambda *_: None)
    await Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER).run()

    origin, replayed = await _content(database), await _content(target)
    for name, rows in origin.items():
        assert replayed[name] == rows, name
    await assert_ledger_sound(target)


async def test_who_comes_twice_in_a_batch_is_not_taken_together_with_others(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events, crowd = Events(), people(80)
    grants = [events.granted(person) for person in crowd]
    once, twice = grants[:40], grants[40:]
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        await ledger.send_all([*events.begin(), *once, *twice, *twice])
        ledger.start_worker()
        await ledger.settled()

        # all that is about people in one batch of each shard, as it was there before the worker
        batches = "select count(distinct (shard, batch)) from redress.journal where beneficiary is not null"
        assert await ledger.database.fetchval(batches) == TEST_LEDGER.shards
        assert [entry["outcome"] for entry in await ledger.entries() if entry["beneficiary"]] == ["accepted"] * 80
    await assert_ledger_sound(database)


async def test_what_is_done_by_precedent_is_what_the_rules_decide_each_time(
    stack: Stack, database: str, target: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    won, euro = Events(), Events(EURO, source="/euro")
    around = Random(8)
    crowd = people(250, seed=12)
    followed: Counter[tuple[str, str]] = Counter()
    follow = Precedents._follow

    def counted(self: Precedents, event: Event, data: Any, *rest: Any) -> None:
        followed[type(data).__name__, data.programme] += 1
        follow(self, event, data, *rest)

    def things_done(number: int) -> list[Record]:
        """Each does a few things to a few vouchers, mostly in an order that makes sense; some at odd times."""
        lives: list[list[Record | None]] = []
        for person in crowd:
            events, benefits = (won, ("all", "travel")) if around.random() < 0.7 else (euro, ("ride", "all"))
            benefit, other = around.choice(benefits), around.choice(benefits)
            amount, less = around.choice((5_000, 1_000)), 400
            events.at = START + number * HOUR + around.choice((0, 0, 0, 0, 1, -1, -HOUR, HOUR))
            spent = events.captured(person, f"r-{number}", around.choice((amount, amount, less)), benefit)
            life = [
                events.claimed(person, benefit),
                events.requested(person, f"r-{number}", amount, benefit),
                around.choice((spent, spent, events.released(person, f"r-{number}"))),
                events.reversed(person, f"r-{number}", around.choice((None, None, less)), benefit),
                events.recorded(person, f"s-{number}", amount, around.choice((benefit, other, other))),
                events.declined(person, around.choice((benefit, other))),
                events.captured(person, f"s-{number}", less, other),
            ]
            if around.random() < 0.1:
                life[4][1]["id"] = life[1][1]["id"]  # a conflict
            if around.random() < 0.1:
                life[1][1]["data"]["programme"] = "nowhere"
            lives.append([event if around.random() < 0.7 else None for event in life])
        if number % 3 == 2:
            return [event for life in lives for event in life if event]
        records = [event for stage in zip(*lives, strict=True) for event in stage if event]
        records += around.sample(records, 50)  # duplicates
        if number % 3 == 1:
            around.shuffle(records)
        return records

    monkeypatch.setattr(Precedents, "_follow", counted)
    rounds: list[list[Record]] = [
        [*won.begin(), euro.published(), euro.opened()],
        [each for person in crowd for each in (won.granted(person), euro.granted(person))],
        [each for person in crowd for each in (won.issued(person), euro.issued(person))],
    ]
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        for records in rounds:
            await ledger.send_all(records)
            await ledger.settled()
        for number in range(6):
            won.at = euro.at = START + number * HOUR
            control = [won.tick()]
            if number == 2:
                control += [won.published(version=2, vouchers_per_order=None, reservation_ttl_seconds=7200)]
            if number == 4:
                control += [won.lot_revoked("travel")]
            await ledger.send_all(control)
            await ledger.settled()
            for part in chunks(things_done(number), 300):
                await ledger.send_all(part)
                await ledger.settled()
    kinds = {"Claimed", "Requested", "Captured", "Recorded", "Released", "Reversed", "Declined"}
    assert {kind for kind, _ in followed} == kinds, followed
    assert sum(followed[kind, WON["programme"]] for kind in kinds) > 200, followed
    assert sum(followed[kind, EURO["programme"]] for kind in kinds) > 100, followed

    monkeypatch.setattr(Precedents, "_case", lambda *_: None)
    followed.clear()
    await Replay(stack.kafka, topic_prefix, DatabaseLog(database), target, TEST_LEDGER).run()

    assert not followed
    origin, replayed = await _content(database), await _content(target)
    for name, rows in origin.items():
        assert replayed[name] == rows, name
    await assert_ledger_sound(target)
