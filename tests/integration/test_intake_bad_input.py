"""Bad records on real topics: each ends as the named dead letter with its bytes, and its neighbours are processed."""

from dataclasses import replace
from hashlib import sha256

from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.bad_records import OTHER, PERSON, SHARD, USED_ID, bad_records
from tests.harness.events import PROGRAMME, REDEMPTION, SECOND, Events, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger

CROWD = people_of_shard(12, SHARD, TEST_LEDGER.shards)[2:]


async def test_each_bad_record_is_kept_with_its_reason_and_its_neighbours_are_processed(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all([*events.begin(), *events.welcomed(PERSON), *events.welcomed(OTHER)])
        used = events.requested(PERSON, "r-used", 100)
        used[1]["id"] = USED_ID
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
