"""Bad records on real topics: each ends as the named dead letter with its bytes, and its neighbours are processed."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

from redress.contracts.partitioner import partition_of
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import DAY, ELIGIBILITY, PROGRAMME, REDEMPTION, SECOND, Events, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger
from tests.oracle import instant

SHARDS = TEST_LEDGER.shards
SHARD = 1
PERSON, OTHER, *CROWD = people_of_shard(12, SHARD, SHARDS)
STRANGER = people_of_shard(1, SHARD + 1, SHARDS)[0]


class Bad(NamedTuple):
    """Bytes on a topic, and the dead letter they end as."""

    reason: str
    detail: str
    value: bytes | None
    key: bytes | None = PERSON.encode()
    topic: str = REDEMPTION
    partition: int = SHARD


def bad_records(events: Events) -> dict[str, Bad]:
    """Every kind that the ledger must survive. `events` made the good ones before."""
    good = events.captured(PERSON, "r-bad", 5000)[1]
    text = json.dumps(good)

    def edited(edit: Callable[[dict[str, Any]], object]) -> bytes:
        event = copy.deepcopy(good)
        edit(event)
        return json.dumps(event).encode()

    def amount(value: object) -> bytes:
        return edited(lambda event: event["data"]["lines"][0].update(amount=value))

    elsewhere = partition_of(STRANGER.encode(), SHARDS)
    wave = json.dumps(events.opened(terms_version=9)[1]).encode()
    terms = json.dumps(events.published(vouchers_per_order=7)[1]).encode()
    programme = events.programme.encode()
    return {
        "broken line": Bad("malformed", "value: not JSON", text[:-7].encode()),
        "unknown type": Bad(
            "unknown_type", "type: not a type", edited(lambda e: e.update(type="redress.gift.sent.v1"))
        ),
        "type of another topic": Bad("unknown_type", "type: not a type", text.encode(), topic=ELIGIBILITY),
        "float": Bad("invalid", "data.lines.0.amount: int_type", amount(5000.0)),
        "negative": Bad("invalid", "data.lines.0.amount: greater_than_equal 1", amount(-1)),
        "too large": Bad("invalid", "data.lines.0.amount: less_than_equal 1000000000000", amount(10**12 + 1)),
        "key twice": Bad(
            "malformed", "value: a key is given twice", text.replace('"id"', '"id": "x", "id"', 1).encode()
        ),
        "control character": Bad("invalid", "data.redemption: ", edited(lambda e: e["data"].update(redemption="a\0b"))),
        "id used again": Bad("conflict", "id: used before", edited(lambda e: e.update(id="t-used"))),
        "wrong partition": Bad("misrouted", "key: not the partition", text.encode(), partition=elsewhere),
        "key of another": Bad("invalid", "key: not the partitionkey", text.encode(), key=OTHER.encode()),
        "300 KB": Bad(
            "malformed", "value: more than 262144 bytes", edited(lambda e: e.update(padding="x" * 300 * 1024))
        ),
        "not UTF-8": Bad("malformed", "value: not UTF-8", text.encode().replace(b"r-bad", b"r-\xff\xfe")),
        "time without offset": Bad("malformed", "time: ", edited(lambda e: e.update(time="2026-01-10T00:00:00"))),
        "two days ahead": Bad(
            "invalid", "time: more than 24 h ahead", edited(lambda e: e.update(time=instant.write(events.at + 2 * DAY)))
        ),
        "no key": Bad("malformed", "key: missing", text.encode(), key=None),
        "no value": Bad("malformed", "value: missing", None),
        "nothing": Bad("malformed", "value: not JSON", b""),
        "rubbish for all shards": Bad("malformed", "value: not JSON", b"{", b"clock", PROGRAMME, 0),
        "unknown terms": Bad("invalid", "", wave, programme, PROGRAMME, 0),
        "terms changed": Bad("conflict", "", terms, programme, PROGRAMME, 0),
    }


async def test_each_bad_record_is_kept_with_its_reason_and_its_neighbours_are_processed(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all([*events.begin(), *events.welcomed(PERSON), *events.welcomed(OTHER)])
        used = events.requested(PERSON, "r-used", 100)
        used[1]["id"] = "t-used"
        await ledger.send_all([used])
        expected = {}
        neighbours = []
        for number, (name, bad) in enumerate(bad_records(events).items()):
            sent = await ledger.send_raw(bad.topic, bad.partition, bad.key, bad.value)
            expected[sent.topic, sent.partition, sent.offset] = (name, bad)
            neighbours.append(events.claimed(OTHER, ("all", "eats", "beauty")[number % 3]))
            await ledger.send(*neighbours[-1])
        await ledger.settled()

        letters = {
            (row["topic"], row["record_partition"], row["record_offset"]): row for row in await ledger.dead_letters()
        }
        assert letters.keys() == expected.keys()
        for where, (name, bad) in expected.items():
            row = letters[where]
            assert (row["reason"], row["detail"][: len(bad.detail)]) == (bad.reason, bad.detail), name
            assert (row["key"], row["value"]) == (bad.key, bad.value), name
            assert (row["size"], row["sha256"]) == (len(bad.value or b""), sha256(bad.value or b"").digest()), name
            assert row["shard"] == (0 if bad.topic == PROGRAMME else bad.partition), name
        taken = {entry["cause"]["id"] for entry in await ledger.entries()}
        assert {envelope["id"] for _, envelope in neighbours} <= taken
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


REFUSE_SOME_VALUES = """
create function refuse_poison() returns trigger language plpgsql as $$
begin
    if new.redemption like 'poison%' or new.detail ->> 'wave' = 'poison' then
        raise exception 'no such value' using errcode = 'invalid_parameter_value';
    end if;
    return new;
end
$$;
create trigger refuse_poison before insert on redress.journal for each row execute function refuse_poison();
"""


async def test_a_value_that_postgres_refuses_is_set_aside_and_the_shard_goes_on(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    poisoned = Events(wave="poison", source="/poison")
    identity = replace(TEST_LEDGER, clock="system")
    async with RunningLedger(stack.kafka, database, topic_prefix, identity, workers_at_start=0) as ledger:
        await ledger.database.execute(REFUSE_SOME_VALUES)
        await ledger.send_all(events.begin())
        for number, person in enumerate(CROWD):
            await ledger.send_all([*events.welcomed(person), events.recorded(person, f"fine-{number}", 1000)])
        bad = [
            events.requested(CROWD[3], "poison-1", 10, "all")[1],
            events.recorded(CROWD[7], "poison-2", 10, "eats")[1],
        ]
        letters = await ledger.send(REDEMPTION, *bad)
        # A control event of that kind, and a tick that moves nothing but the clock while the search goes on.
        letters += await ledger.send(*poisoned.opened())
        await ledger.send(*events.tick(events.at + 5 * SECOND))
        await ledger.send_all([events.claimed(person, "all") for person in CROWD])
        await ledger.send(*events.opened())  # a batch that only moves a system clock waits: this one does more
        ledger.start_worker()
        await ledger.settled()

        found = {
            (row["topic"], row["record_partition"], row["record_offset"]): row for row in await ledger.dead_letters()
        }
        assert found.keys() == {(sent.topic, sent.partition, sent.offset) for sent in letters}
        assert {(row["reason"], row["detail"]) for row in found.values()} == {
            ("invalid", "value: refused by the database")
        }
        booked = {entry["cause"]["id"] for entry in await ledger.entries(SHARD)}
        sent = {s.event["id"] for s in ledger.sent if s.event and s not in letters and s.topic != PROGRAMME}
        assert sent <= booked
        assert await ledger.database.fetchval(
            "select count(*) from redress.redemption where status = 'settled'"
        ) == len(CROWD)
    await assert_ledger_sound(database)
