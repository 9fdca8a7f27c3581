"""What to do about records that cannot be taken: shards stop and are resumed, bytes are shown and erased."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import pytest

from redress.domain.step import REFUSED_LATE
from redress.intake import batch_decider
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.command import Command
from tests.harness.events import DAY, PROGRAMME, REDEMPTION, START, Events, people_of_shard
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.recovery import empty_ledger
from tests.harness.relayed import relayed
from tests.harness.running_ledger import RunningLedger
from tests.integration.test_intake_bad_input import REFUSE_SOME_VALUES

SHARD = 1
PERSON, OTHER = people_of_shard(2, SHARD, TEST_LEDGER.shards)
ELSEWHERE = people_of_shard(1, 2, TEST_LEDGER.shards)[0]
KEY = PERSON.encode()
RUBBISH = b"{"
COUNT = 6
BREAKER = {"REDRESS_BREAKER_COUNT": str(COUNT), "REDRESS_BREAKER_RATIO": "0.8"}
WAIT_SECONDS_MAX = 30


@pytest.fixture
async def ledger(stack: Stack, database: str, topic_prefix: str) -> AsyncIterator[RunningLedger]:
    """Without worker."""
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as running:
        yield running


async def _until(ledger: RunningLedger, question: str, expected: Callable[[Any], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while not expected(answer := await ledger.database.fetchval(question)):
        assert asyncio.get_running_loop().time() < deadline, f"{question}: {answer}"
        await asyncio.sleep(0.05)


async def test_a_shard_that_reads_mostly_rubbish_stops_until_it_is_resumed(
    ledger: RunningLedger, redress: Command
) -> None:
    events = Events()
    await ledger.send_all([*events.begin(), *events.welcomed(PERSON), *events.welcomed(ELSEWHERE)])
    # what does not count, and rubbish below the ratio: nothing stops
    for _ in range(COUNT + 1):
        await ledger.send_raw(REDEMPTION, SHARD + 1, KEY, RUBBISH)  # misrouted
        await ledger.send_raw(REDEMPTION, SHARD, KEY, RUBBISH)
        await ledger.send(*events.claimed(PERSON, "all"))
    stopped = "select count(*) from redress.stopped"
    async with redress.process("run", "worker", **BREAKER) as worker:
        await ledger.settled()
        assert await ledger.database.fetchval(stopped) == 0

        # when one shard is sent nothing but rubbish
        for _ in range(COUNT):
            await ledger.send_raw(REDEMPTION, SHARD, KEY, RUBBISH)
        await _until(ledger, stopped, lambda count: count == 1)
        [unread] = await ledger.send(*events.claimed(OTHER))
        await ledger.send(*events.claimed(ELSEWHERE, "eats"))

        # then it stands still, and the others go on
        row = await ledger.database.fetchrow("select * from redress.stopped")
        assert row is not None
        assert (row["shard"], row["reason"]) == (SHARD, "unreadable_records")
        assert row["detail"] == f"{COUNT} of the last {COUNT} records could not be read"
        await _until(
            ledger, "select redemption_offset from redress.head where shard = 2", lambda at: at >= COUNT + 1 + 2
        )
        status = await redress("status", "--json")
        assert [shard["stopped"] for shard in status.json["shards"]] == [None, "unreadable_records", None, None]
        assert "STOPPED: unreadable_records" in (await redress("status")).out
        await worker.stop()
    stands = "select redemption_offset from redress.head where shard = 1"
    assert await ledger.database.fetchval(stands) == unread.offset

    # and also under a new worker
    async with redress.process("run", "worker", **BREAKER) as worker:
        await _until(
            ledger, "select count(*) from redress.lease where owner is not null", lambda n: n == TEST_LEDGER.shards
        )
        await ledger.send(*events.claimed(ELSEWHERE, "beauty"))
        await _until(
            ledger, "select redemption_offset from redress.head where shard = 2", lambda at: at >= COUNT + 1 + 3
        )
        assert await ledger.database.fetchval(stands) == unread.offset

        # until somebody resumes it: then it goes on with what came meanwhile
        resumed = await redress("shard", "resume", str(SHARD), "--json")
        assert (resumed.status, resumed.json["reason"]) == (0, "unreadable_records")
        await ledger.settled()
        assert await ledger.database.fetchval(stopped) == 0
        assert (await redress("shard", "resume", str(SHARD))).status == 1
        assert (await redress("shard", "resume", "99")).status == 2

        # and what was counted before does not count again, in a worker that saw it either
        for _ in range(COUNT):
            await ledger.send_raw(REDEMPTION, SHARD, KEY, RUBBISH)
        await _until(ledger, stopped, lambda count: count == 1)
        assert (await redress("shard", "resume", str(SHARD))).status == 0
        await ledger.send(*events.claimed(PERSON, "all"))
        await ledger.settled()
        assert await ledger.database.fetchval(stopped) == 0
        await worker.stop()
    await assert_ledger_sound(ledger.postgres)


REFUSE_TIME_OUTS = """
create function refuse_time_out() returns trigger language plpgsql as $$
begin
    raise exception 'no such value: %', new.redemption using errcode = 'invalid_parameter_value';
end
$$;
create trigger refuse_time_out before insert on redress.journal for each row
    when (new.kind = 6 and new.redemption = 'r-refused') execute function refuse_time_out();
"""


@pytest.mark.parametrize("batch", [2_000, 1], ids=["at once", "batch by batch"])
async def test_a_shard_whose_database_refuses_what_falls_due_stops_until_it_is_resumed(
    ledger: RunningLedger, redress: Command, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    # given holds, of which the database will not take one's end: no record is to blame, least of all the tick
    monkeypatch.setattr(batch_decider, "DUE_MAX", batch)
    events = Events()
    await ledger.send_all([*events.begin(), *(e for p in (PERSON, OTHER, ELSEWHERE) for e in events.welcomed(p))])
    ledger.start_worker()
    await ledger.settled()
    requests = [(OTHER, "r-1"), (PERSON, "r-refused"), (ELSEWHERE, "r-2")]
    await ledger.send_all(events.requested(person, redemption, 1_000) for person, redemption in requests)
    await ledger.settled()
    await ledger.database.execute(REFUSE_TIME_OUTS)

    # when they time out
    await ledger.send_all([events.tick(START + DAY), events.claimed(PERSON, "all")])
    await _until(ledger, "select count(*) from redress.stopped", lambda count: count == 1)

    # then the shard stands still before it, and the others go on
    row = await ledger.database.fetchrow("select * from redress.stopped")
    assert row is not None
    assert (row["shard"], row["reason"]) == (SHARD, "refused_by_database")
    assert row["detail"] == "InvalidParameterValueError (22023) by what fell due"
    await _until(
        ledger, "select count(*) from redress.redemption where shard = 2 and status = 'held'", lambda n: n == 0
    )
    assert "STOPPED: refused_by_database" in (await redress("status")).out

    # until the database takes it
    await ledger.database.execute("drop trigger refuse_time_out on redress.journal")
    assert (await redress("shard", "resume", str(SHARD))).status == 0
    await ledger.settled()
    assert await ledger.database.fetchval("select count(*) from redress.redemption where status = 'held'") == 0
    assert await ledger.dead_letters() == []
    await assert_agrees(ledger)
    await assert_ledger_sound(ledger.postgres)


async def test_dead_letters_are_listed_shown_and_erased(ledger: RunningLedger, redress: Command) -> None:
    events = Events()
    text, binary, evil = '{"이름": '.encode(), b"\xff\xfe{", b'{"\x1b[2J"'
    none = await redress("dead-letters", "list", "--json")
    assert (none.status, none.json) == (0, {"total": 0, "dead_letters": []})
    await ledger.send_all(events.begin())
    sent = [await ledger.send_raw(REDEMPTION, SHARD, KEY, value) for value in (text, binary, evil)]
    sent.append(await ledger.send_raw(PROGRAMME, 0, b"clock", RUBBISH))
    sent.append(await ledger.send_raw(REDEMPTION, 0, KEY, RUBBISH))
    ledger.start_worker()
    await ledger.settled()

    # list
    listed = await redress("dead-letters", "list", "--json")
    assert (listed.status, listed.json["total"]) == (0, 5)
    records = {letter["record"]: letter for letter in listed.json["dead_letters"]}
    assert records.keys() == {f"{ledger.prefix}{s.topic}/{s.partition}/{s.offset}" for s in sent}
    misrouted = await redress("dead-letters", "list", "--reason", "misrouted", "--json")
    assert [letter["partition"] for letter in misrouted.json["dead_letters"]] == [0]
    by_shard = await redress("dead-letters", "list", "--shard", str(SHARD), "--limit", "2")
    assert "2 of 3" in by_shard.out
    elsewhere = await redress("dead-letters", "list", "--shard", "3")
    assert (elsewhere.status, elsewhere.out) == (0, "no dead letters like that\n")

    # show: with the topic as Kafka names it, and without the prefix
    where = f"{REDEMPTION}/{SHARD}/{sent[0].offset}"
    shown = await redress("dead-letters", "show", ledger.prefix + where)
    assert shown.status == 0
    assert "malformed" in shown.out
    assert sha256(text).hexdigest() in shown.out
    assert "이름" not in shown.out
    with_bytes = await redress("dead-letters", "show", where, "--bytes")
    assert text.decode() in with_bytes.out
    for record, value in zip(sent[1:3], (binary, evil), strict=True):
        as_json = await redress("dead-letters", "show", f"{REDEMPTION}/{SHARD}/{record.offset}", "--bytes", "--json")
        assert (as_json.json["value"], as_json.json["value_encoding"]) == (b64encode(value).decode(), "base64")
        assert (as_json.json["key"], as_json.json["key_encoding"]) == (PERSON, "utf-8")
    evil_shown = await redress("dead-letters", "show", f"{REDEMPTION}/{SHARD}/{sent[2].offset}", "--bytes")
    assert "\x1b" not in evil_shown.out
    assert (await redress("dead-letters", "show", f"{PROGRAMME}/0/{sent[3].offset}")).status == 0
    assert (await redress("dead-letters", "show", f"{REDEMPTION}/{SHARD}/9999")).status == 1
    for wrong in ("redress.ledger/0/1", f"{REDEMPTION}/x/1", REDEMPTION, f"{REDEMPTION}/0/{2**63}"):
        assert (await redress("dead-letters", "show", wrong)).status == 2

    # erase
    await _assert_erases(redress, where, text)


async def _assert_erases(redress: Command, where: str, value: bytes) -> None:
    erased = await redress("dead-letters", "erase", where, "--yes", "--json")
    assert (erased.status, erased.json["size"]) == (0, len(value))
    assert (await redress("dead-letters", "erase", where, "--yes")).status == 1
    left = (await redress("dead-letters", "show", where, "--bytes", "--json")).json
    assert (left["key"], left["value"], left["value_encoding"]) == (None, None, None)
    assert (left["size"], left["sha256"], left["reason"]) == (len(value), sha256(value).hexdigest(), "malformed")
    assert left["erased_at"] is not None
    assert "erased" in (await redress("dead-letters", "list")).out


async def test_nothing_is_erased_without_a_yes(
    ledger: RunningLedger, redress: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = Events()
    await ledger.send_all(events.begin())
    sent = await ledger.send_raw(REDEMPTION, SHARD, KEY, RUBBISH)
    ledger.start_worker()
    await ledger.settled()
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)

    refused = await redress("dead-letters", "erase", f"{REDEMPTION}/{SHARD}/{sent.offset}")

    assert (refused.status, "nothing was erased" in refused.err) == (1, True)
    assert await ledger.database.fetchval("select value from redress.dead_letter") == RUBBISH


async def test_a_record_that_postgres_refused_is_set_aside_again_by_a_recovery(
    stack: Stack, database: str, topic_prefix: str, redress: Command
) -> None:
    # given a ledger whose database refused values, which another database would take: of a control event, of a fact
    # that was read, of facts that were parked and drained by an innocent event, and of one whose parking ended
    events, unknown = Events(), Events(wave="late", source="/late")
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0, relays=True) as ledger:
        await ledger.database.execute(REFUSE_SOME_VALUES)
        await ledger.send_all([*events.begin(), *events.welcomed(PERSON), events.granted(OTHER)])
        ledger.start_worker()
        await ledger.settled()
        bad = [events.recorded(PERSON, "poison-1", 10), events.recorded(OTHER, "poison-2", 10)]
        bad += [unknown.recorded(ELSEWHERE, "poison-3", 10), events.opened(wave="poison")]
        good = [
            events.claimed(OTHER, "eats"),
            events.recorded(OTHER, "fine", 10, "all"),
            events.claimed(PERSON, "eats"),
        ]
        await ledger.send_all([*bad, *good])
        await ledger.settled()
        assert await ledger.database.fetchval("select count(*) from redress.parked") == 4
        await ledger.send_all([events.issued(OTHER)])
        await ledger.settled()
        await ledger.send_all([events.tick(START + 2 * DAY)])
        await ledger.settled()
        await relayed(ledger)

        # then they are dead letters, and nothing else is
        letters = {json.loads(letter["value"])["id"]: letter for letter in await ledger.dead_letters()}
        assert letters.keys() == {event["id"] for _, event in bad}
        assert {letter["reason"] for letter in letters.values()} == {"invalid"}
        late = {name for name, letter in letters.items() if letter["detail"] == REFUSED_LATE}
        assert late == {event["id"] for _, event in bad[1:3]}
        booked = {entry["cause"]["id"] for entry in await ledger.entries()}
        assert {event["id"] for _, event in good} <= booked
        assert await ledger.database.fetchval("select count(*) from redress.parked") == 0
    await assert_ledger_sound(database)

    # and a recovery from either log sets the same records aside
    for source in ("topic", database):
        async with empty_ledger(stack) as target:
            done = await redress("recover", "--from", source, "--execute", REDRESS_POSTGRES=target)
            assert done.status == 0, done.err
            await assert_ledger_sound(target)
