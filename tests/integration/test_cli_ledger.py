"""The command line on a running ledger: from terms to the proof line, and every look at a person."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from redress.contracts.instants import format_instant
from redress.domain.ids import Instant
from redress.runtime.local import Stack
from tests.harness.command import Command
from tests.harness.events import DAY, START, Envelope, Events, Record
from tests.harness.running_ledger import RunningLedger
from tests.oracle import instant

FIRST_PERSON = "f5b16522-4a58-4791-9f6a-f1d8303e61cd"
SECOND_PERSON = "0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9"


@pytest.fixture
async def ledger(stack: Stack, database: str, topic_prefix: str) -> AsyncIterator[RunningLedger]:
    async with RunningLedger(stack.kafka, database, topic_prefix, issues=True) as running:
        yield running


def write(folder: Path, *events: Record | Envelope | str) -> Path:
    """A file of these events; text is a line as it is."""
    file = folder / "events.ndjson"
    lines = []
    for event in events:
        envelope = event[1] if isinstance(event, tuple) else event
        lines.append(envelope if isinstance(envelope, str) else orjson.dumps(envelope).decode())
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def uuids(number: int) -> list[str]:
    random = Random(7)
    raw = [bytearray(random.randbytes(16)) for _ in range(number)]
    for each in raw:
        each[6], each[8] = 0x40 | each[6] & 0x0F, 0x80 | each[8] & 0x3F
    return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in (bytes(each).hex() for each in raw)]


async def test_a_programme_from_its_terms_to_the_proof(ledger: RunningLedger, redress: Command, tmp_path: Path) -> None:
    events = Events()
    events.at = START
    begin = [*events.begin(), *(events.granted(person) for person in (FIRST_PERSON, SECOND_PERSON))]
    issued = [events.tick(START + DAY), events.claimed(FIRST_PERSON)]
    request = [events.requested(FIRST_PERSON, "r-1", 15_000), events.captured(FIRST_PERSON, "r-1", 15_000)]
    file = write(tmp_path, *begin, *issued, *request, events.tick(START + 2 * DAY))

    sent = await redress("publish", str(file), "--json")

    assert (sent.status, sent.json["sent"], sent.json["unrouted"]) == (0, 10, 0)
    assert sent.json["barriers"] == 2
    assert (await redress("publish", str(file), "--json")).json["sent"] == 10  # finished, so it begins anew
    await ledger.settled()

    owed = await redress("liability", "--json")
    total = owed.json["totals"]["KRW"]
    assert (owed.status, total["outstanding"]) == (0, 80_000)
    assert total["unclaimed"] == total["outstanding"]  # the claimed voucher was spent and its rest forfeited
    by = await redress("liability", "--by", "wave,benefit", "--json")
    assert sum(row["outstanding"] for row in by.json["rows"]) == 80_000
    before = await redress("liability", "--as-of", instant.write(START + DAY), "--json")
    assert before.json["totals"]["KRW"]["outstanding"] == 100_000
    assert [position["batch"] > 0 for position in owed.json["position"]] == [True] * 4

    statement = await redress("roll-forward", "--json")
    (row,) = statement.json["rows"]
    assert (statement.status, row["difference"], row["closing"]) == (0, 0, 80_000)
    assert (row["entitled"], row["redeemed"], row["forfeited"]) == (100_000, 15_000, 5_000)
    assert "= difference 0" in (await redress("roll-forward")).out

    funnel = (await redress("wave", "show", "first", "--json")).json
    assert (funnel["granted"], funnel["issued"], funnel["not_issued"], funnel["missing"]) == (2, 2, 0, None)

    voucher = events.voucher(FIRST_PERSON, "travel")
    seen = await redress("voucher", voucher, "--json")
    assert (seen.json["voucher"]["beneficiary"], seen.json["voucher"]["status"]) == (FIRST_PERSON, "redeemed")
    moved = [line["movement"] for entry in seen.json["history"] for line in entry["lines"]]
    assert moved == ["entitled", "issued", "claimed", "reserved", "redeemed", "forfeited"]

    person = (await redress("beneficiary", FIRST_PERSON, "--json")).json
    assert [grant["issued"] for grant in person["grants"]] == [True]
    assert sum(voucher["face"] for voucher in person["vouchers"]) == 50_000
    assert [redemption["redemption"] for redemption in person["redemptions"]] == ["r-1"]
    assert person["history"][0]["type"] == "redress.eligibility.granted.v1"

    spent = (await redress("redemption", "r-1", "--beneficiary", FIRST_PERSON, "--json")).json
    (redemption,) = spent["redemptions"]
    assert (redemption["status"], redemption["lines"][0]["redeemed"]) == ("settled", 15_000)
    assert [entry["outcome"] for entry in spent["history"]] == ["accepted", "accepted"]

    status = (await redress("status", "--json")).json
    assert len(status["workers"]) == 1
    assert sum(shard["lag_total"] for shard in status["shards"]) == 0
    assert all(shard["owner"] in status["workers"] for shard in status["shards"])


async def test_every_command_has_a_form_for_people(ledger: RunningLedger, redress: Command, tmp_path: Path) -> None:
    events = Events()
    file = write(tmp_path, *events.begin(), events.granted(FIRST_PERSON), events.tick(START + DAY))
    assert (await redress("publish", str(file))).status == 0
    await ledger.settled()
    voucher = events.voucher(FIRST_PERSON, "travel")

    for arguments, said in (
        (("liability", "--by", "benefit"), "50,000"),
        (("roll-forward",), "difference 0"),
        (("programme", "show"), "Asia/Seoul"),
        (("wave", "show", "first"), "missing"),
        (("voucher", voucher), "unclaimed"),
        (("beneficiary", FIRST_PERSON), "member, issued"),
        (("status",), "1 worker alive"),
    ):
        result = await redress(*arguments)
        assert result.status == 0, result.err
        assert said in result.out
        assert "Traceback" not in result.err


async def test_what_is_not_there_is_said_plainly(ledger: RunningLedger, redress: Command) -> None:
    for arguments in (
        ("voucher", FIRST_PERSON),
        ("beneficiary", FIRST_PERSON),
        ("redemption", "r-1", "--beneficiary", FIRST_PERSON),
        ("wave", "show", "first"),
        ("programme", "show", "nothing"),
        ("liability", "--programme", "nothing"),
    ):
        result = await redress(*arguments)
        assert (result.status, result.out) == (1, "")
        assert result.err.startswith("redress: no ")
        assert len(result.err.splitlines()) == 1


async def test_lines_that_go_nowhere_are_reported_and_the_rest_is_sent(
    ledger: RunningLedger, redress: Command, tmp_path: Path
) -> None:
    events = Events()
    invalid = events.granted(SECOND_PERSON)
    invalid[1]["data"]["standing"] = "nobody"
    file = write(tmp_path, *events.begin(), '{"broken', events.granted(FIRST_PERSON), '{"type": "x"}', invalid)

    result = await redress("publish", str(file), "--json")

    assert (result.status, result.json["sent"], result.json["unrouted"]) == (1, 5, 2)
    assert result.json["unrouted_lines"] == [
        {"line": 4, "reason": "not JSON"},
        {"line": 6, "reason": "type: not one of an event that comes in"},
    ]
    assert f"{file}:4: not JSON\n" in result.err
    await ledger.settled()
    status = (await redress("status", "--json")).json
    assert status["dead_letters"] == {"invalid": 1}
    funnel = (await redress("wave", "show", "first", "--json")).json
    assert (funnel["granted"], funnel["dead_lettered"]) == (1, 1)
    await redress("publish", str(write(tmp_path, events.granted(SECOND_PERSON))))
    await ledger.settled()
    funnel = (await redress("wave", "show", "first", "--json")).json
    assert (funnel["granted"], funnel["dead_lettered"]) == (2, 0)  # who was granted after all is not counted twice


async def test_a_control_event_in_a_file_waits_for_what_stands_before_it(
    ledger: RunningLedger, redress: Command, tmp_path: Path
) -> None:
    """Were the tick that ends the lot taken before the claims, they would be refused as expired."""
    events = Events()
    people = uuids(300)
    begin = [events.published(), events.opened(valid_until=START + 2 * DAY), events.tick()]
    granted = [events.granted(person) for person in people]
    day = events.tick(START + DAY)
    claims = [events.claimed(person) for person in people]
    spent = [events.requested(person, f"r-{n}", 20_000) for n, person in enumerate(people)]
    captured = [events.captured(person, f"r-{n}", 20_000) for n, person in enumerate(people)]
    file = write(tmp_path, *begin, *granted, day, *claims, *spent, *captured, events.tick(START + 3 * DAY))

    result = await redress("publish", str(file), "--json")
    await ledger.settled()

    assert (result.status, result.json["barriers"]) == (0, 2)
    (row,) = (await redress("roll-forward", "--json")).json["rows"]
    assert (row["redeemed"], row["expired"], row["closing"]) == (300 * 20_000, 300 * 30_000, 0)


async def test_an_interrupted_file_goes_on_where_it_stopped(
    stack: Stack, database: str, topic_prefix: str, redress: Command, tmp_path: Path
) -> None:
    events = Events()
    first, second = events.granted(FIRST_PERSON), events.granted(SECOND_PERSON)
    ticks = [events.tick(START + DAY), events.tick(START + 2 * DAY)]
    async with RunningLedger(stack.kafka, database, topic_prefix, issues=True) as running:
        await running.send_all(events.begin())
        await running.settled()
        await running.stop_workers()  # now nothing lets the barrier pass
        file = write(tmp_path, first, ticks[0], second, ticks[1])
        async with redress.process("publish", str(file)) as publishing:
            await publishing.says("no worker is alive: start one with `redress run worker`")
            stopped = await publishing.stop()
        assert stopped.status == 130
        assert "sent up to line 1; the same command goes on there" in stopped.err
        running.start_worker()

        result = await redress("publish", str(file), "--json")

        assert "going on after line 1" in result.err
        assert (result.status, result.json["sent"], result.json["lines"]) == (0, 3, 4)
        await running.settled()
        again = await redress("publish", str(file), "--json", "--from-line", "4")
        assert again.json["sent"] == 1


async def test_standard_input_is_a_file_too(ledger: RunningLedger, redress: Command, tmp_path: Path) -> None:
    events = Events()
    file = write(tmp_path, *events.begin(), events.granted(FIRST_PERSON))
    reading, writing = os.pipe()
    os.write(writing, file.read_bytes())
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:

        class Piped:
            buffer = pipe

        redress.monkeypatch.setattr("sys.stdin", Piped())
        result = await redress("publish", "-", "--json")

    assert (result.status, result.json["sent"]) == (0, 4)


async def test_the_shipped_programme_is_published_once(ledger: RunningLedger, redress: Command) -> None:
    example = Path(__file__).parents[2] / "deploy" / "examples" / "voucher-programme.toml"

    first = await redress("programme", "publish", str(example), "--json")
    second = await redress("programme", "publish", str(example), "--json")

    assert first.status == second.status == 0
    assert [event["taken"] for event in first.json["events"]] == [True, True, True]
    assert [event["id"] for event in first.json["events"]] == [event["id"] for event in second.json["events"]]
    shown = (await redress("programme", "show", "relief-2026", "--json")).json["programmes"][0]
    assert [wave["wave"] for wave in shown["waves"]] == ["first", "second"]
    assert {lot["state"] for lot in shown["lots"]} == {"open"}
    funnel = (await redress("wave", "show", "second", "--json")).json
    assert (funnel["expected"], funnel["missing"]) == (165_000, 165_000)


async def test_a_wave_that_makes_no_sense_is_refused_with_the_reason(ledger: RunningLedger, redress: Command) -> None:
    opening = ["wave", "open", "third", "--programme", "nobody-knows"]
    dates = ["--valid-from", "2026-03-01T10:00:00+09:00", "--valid-until", "2026-04-16T00:00:00+09:00"]

    refused = await redress(*opening, *dates, "--json")
    backwards = await redress(*opening, "--valid-from", dates[3], "--valid-until", dates[1])

    assert refused.status == 1
    assert refused.json["events"][0]["refused"].startswith("invalid: ")
    assert (backwards.status, backwards.err) == (2, "redress: valid_until is not after valid_from\n")


async def test_the_clock_is_moved_by_hand_and_never_back(ledger: RunningLedger, redress: Command) -> None:
    begun = await redress("clock", "advance", instant.write(START), "--json")
    assert (begun.status, begun.json["reached"]) == (0, True)

    assert (await redress("clock", "advance", "+1d", "--json")).json["now"] == format_instant(Instant(START + DAY))
    back = await redress("clock", "advance", instant.write(START))

    assert back.status == 2
    assert "never goes back" in back.err
    clocks = await ledger.database.fetch("select now from redress.head")
    assert {row["now"] for row in clocks} == {START + DAY}


async def test_figures_as_of_a_moment_stay_what_they_were(
    ledger: RunningLedger, redress: Command, tmp_path: Path
) -> None:
    """What was published as of a moment, known at a moment, is the same figure after more has happened."""
    events = Events()
    await redress("publish", str(write(tmp_path, *events.begin(), events.granted(FIRST_PERSON))))
    await ledger.settled()
    first = await redress("liability", "--json")
    known = max(position["recorded_at"] for position in first.json["position"])
    asked = ["liability", "--as-of", instant.write(START + DAY), "--known-at", known.replace("Z", "+00:00"), "--json"]
    before = (await redress(*asked)).json

    await redress("publish", str(write(tmp_path, events.granted(SECOND_PERSON), events.tick(START + 40 * DAY))))
    await ledger.settled()
    after: dict[str, Any] = (await redress(*asked)).json

    assert after["totals"] == before["totals"]
    assert after["final"] is True
    assert (await redress("liability", "--json")).json["totals"]["KRW"]["outstanding"] == 0
    assert hashlib.sha256(orjson.dumps(after["rows"])).digest() == hashlib.sha256(orjson.dumps(before["rows"])).digest()
