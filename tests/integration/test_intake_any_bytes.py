"""Any bytes on any input topic: each record is booked, parked, a duplicate or one dead letter, and none is lost."""

import asyncio
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from redress.contracts.decode import Rejected, decode
from redress.contracts.partitioner import partition_of
from redress.domain.event import ClockTicked, Event, Topic
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import PROGRAMME, Events, Record, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_ledger import Envelope, RunningLedger, chunks

RECORDS = 800
PIECES = (
    b"",
    b"{",
    b"}",
    b"[",
    b'"',
    b",",
    b":",
    b"\\",
    b"\x00",
    b"\xff",
    b"null",
    b"1e9",
    b"-1",
    b"5000.0",
    b" ",
    b"0",
    b"a",
)
Place = tuple[str, int, int]
Identity = tuple[str | None, str, str]


class Raw(NamedTuple):
    """A record as it is sent."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None


async def test_each_record_is_accounted_for_once(stack: Stack, database: str, topic_prefix: str) -> None:
    # given a programme whose people have been welcomed
    events, crowd = Events(), people(6)
    welcome = [*events.begin(), *(record for person in crowd for record in events.welcomed(person))]
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=2) as ledger:
        await ledger.send_all(welcome)
        await ledger.settled()

        # when what were events comes in pieces
        raws: dict[Place, Raw] = {}
        for part in chunks(list(_broken(events, crowd, Random(71))), 100):
            for sent, raw in zip(await asyncio.gather(*(ledger.send_raw(*raw) for raw in part)), part, strict=True):
                raws[sent.topic, sent.partition, sent.offset] = raw
        await ledger.settled()

        # then what cannot be read is a dead letter, for the reason that the decoder gives and with its bytes
        letters = {
            (row["topic"], row["record_partition"], row["record_offset"]): row for row in await ledger.dead_letters()
        }
        outcomes = {
            at: decode(Topic(raw.topic), *at[1:], raw.key, raw.value, TEST_LEDGER.shards) for at, raw in raws.items()
        }
        unreadable = {at: outcome for at, outcome in outcomes.items() if isinstance(outcome, Rejected)}
        for at, rejected in unreadable.items():
            row = letters[at]
            assert (row["reason"], row["detail"]) == (rejected.reason, rejected.detail), raws[at]
            assert (row["key"], row["value"]) == (raws[at].key, raws[at].value)

        # and all else is booked, parked or a dead letter, unless something with its id is: no record is two of these
        booked = {_place(entry["cause"]) for entry in await ledger.entries()}
        parked = {
            tuple(row) for row in await ledger.database.fetch("select topic, shard, record_offset from redress.parked")
        }
        assert not booked & parked
        assert not booked & letters.keys()
        assert not parked & letters.keys()
        taken = {_identity(event) for _, event in welcome} | {
            _identity_of(outcomes[at]) for at in (booked | parked) & outcomes.keys()
        }
        for at, outcome in outcomes.items():
            if isinstance(outcome, Event) and at not in booked | parked | letters.keys():
                assert _identity_of(outcome) in taken or isinstance(outcome.data, ClockTicked), raws[at]
        assert letters.keys() <= raws.keys()
        assert RECORDS / 2 < len(unreadable) < RECORDS * 0.9
        assert len(booked & raws.keys()) > RECORDS / 20
    await assert_ledger_sound(database)


def _broken(events: Events, crowd: list[str], random: Random) -> Iterator[Raw]:
    """Events with a piece replaced, some unharmed, some on another topic, partition or key."""
    for _ in range(RECORDS):
        topic, event = _any_event(events, random.choice(crowd), random)
        value, key = json.dumps(event).encode(), event["partitionkey"].encode()
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            start = random.randrange(len(value))
            value = value[:start] + random.choice(PIECES) + value[start + random.choice([0, 1, 1, 5, 30]) :]
        if random.random() < 0.05:
            topic = random.choice(list(Topic))
        if random.random() < 0.05:
            key = random.choice([b"", b"clock", b"\xff", random.choice(crowd).encode()])
        among = 1 if topic == PROGRAMME else TEST_LEDGER.shards
        partition = random.randrange(among) if random.random() < 0.05 else partition_of(key, among)
        yield Raw(topic, partition, None if random.random() < 0.02 else key, None if random.random() < 0.02 else value)


def _any_event(events: Events, person: str, random: Random) -> Record:
    name, amount = f"r-{random.randrange(20)}", random.randrange(1, 30_000)
    made: list[Callable[[], Record]] = [
        lambda: events.published(version=random.randrange(1, 4)),
        lambda: events.opened(wave=random.choice(["first", "second"])),
        events.tick,
        lambda: events.granted(person),
        lambda: events.enrolled(person),
        lambda: events.issued(person),
        lambda: events.claimed(person, "all"),
        lambda: events.declined(person, "beauty"),
        lambda: events.requested(person, name, amount),
        lambda: events.captured(person, name, amount),
        lambda: events.released(person, name),
        lambda: events.recorded(person, name, amount, "eats"),
        lambda: events.reversed(person, name),
    ]
    return random.choice(made)()


def _place(cause: dict[str, Any]) -> Place:
    return cause["topic"], cause["partition"], cause["offset"]


def _identity(event: Envelope) -> Identity:
    return event["data"].get("beneficiary"), event["source"], event["id"]


def _identity_of(outcome: Event | Rejected) -> Identity:
    assert isinstance(outcome, Event)
    return getattr(outcome.data, "beneficiary", None), outcome.source, outcome.id
