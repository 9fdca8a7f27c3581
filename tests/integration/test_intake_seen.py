"""What was seen of somebody with more events than fit the row is known as well as the rest."""

from redress.ledger.person_rows import SEEN_IN_ROW_MAX
from redress.runtime.local import Stack
from tests.harness.events import DAY, ELIGIBILITY, START, Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger

[PERSON] = people(1)
SPILLED = "select count(*) from redress.seen_spill"


async def test_events_are_remembered_and_forgotten_however_many_came_since(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given somebody of whom a decided, a refused and a parked event were followed by so many that they left the row
    events, other = Events(), Events(wave="second")
    decided, refused, waits = events.granted(PERSON), events.granted(PERSON), other.enrolled(PERSON)
    waits[1]["id"] = "waits"
    many = [events.declined(PERSON, "travel") for _ in range(SEEN_IN_ROW_MAX + 5)]
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all([*events.begin(), decided])
        await ledger.settled()
        for records in ([refused, waits], [events.issued(PERSON), *many[:40]], many[40:]):
            await ledger.send_all(records)
            await ledger.settled()
        assert await ledger.database.fetchval(SPILLED) > 4
        entries = len(await ledger.entries())

        # when they come again, they are duplicates, also the one that still waits, and another under its id a conflict
        conflicting = (ELIGIBILITY, {**waits[1], "data": {**waits[1]["data"], "wave": "third"}})
        await ledger.send_all([decided, refused, waits, many[0], conflicting])
        await ledger.settled()
        assert len(await ledger.entries()) == entries
        assert await ledger.database.fetchval("select count(*) from redress.parked") == 1
        assert [row["reason"] for row in await ledger.dead_letters()] == ["conflict"]

        # and when it has waited too long it is forgotten, so that a corrected one may come under its id
        await ledger.send_all([events.tick(START + DAY)])
        await ledger.settled()
        assert {row["reason"] for row in await ledger.dead_letters()} == {"conflict", "parked_too_long"}
        other.at = events.at
        corrected = other.granted(PERSON)
        corrected[1]["id"] = "waits"
        await ledger.send_all([other.opened(), corrected])
        await ledger.settled()
        assert "waits" in {entry["cause"]["id"] for entry in await ledger.entries()}
        await assert_agrees(ledger)
    await assert_ledger_sound(database)
