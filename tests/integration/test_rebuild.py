"""`redress projections rebuild`: it rebuilds what stands, finds and heals damage, and changes nothing else."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import asyncpg
import psycopg
import pytest

from redress.cli.main import run
from redress.ledger import lease
from redress.ledger.connection import connect
from redress.projections.promote import ServedError, compare_shards, promote_shards
from redress.projections.rebuild import BrokenJournalError
from redress.projections.scratch import TABLES, Rebuilt
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.recovery import content
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario
from tests.property.fuzzing import named, seeds

SHARDS = list(range(TEST_LEDGER.shards))


def quiet(_shard: int, _step: str) -> None:
    """Nobody looks."""


def problems(rebuilt: list[Rebuilt]) -> list[str]:
    return [f"{each.shard} {d.table} {problem}" for each in rebuilt for d in each.differences for problem in d.problems]


async def booked(stack: Stack, database: str, prefix: str, seed: int, events: int, **options: Any) -> None:
    """A ledger with what a scenario comes to, and no worker any more."""
    async with RunningLedger(stack.kafka, database, prefix) as ledger:
        await ledger.send_all(Scenario(Random(seed), events=events, **options))
        await ledger.settled()


async def compared(database: str) -> list[Rebuilt]:
    return await compare_shards(database, TEST_LEDGER, SHARDS, quiet)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("group", range(2))
async def test_what_is_rebuilt_is_what_stands(stack: Stack, database: str, topic_prefix: str, group: int) -> None:
    for seed in seeds(group, per_group=1, fuzz_per_group=20):
        with named(seed):
            people = Random(seed).choice([4, 12, 40])
            await booked(stack, database, topic_prefix, seed, events=900, beneficiaries=people)

            rebuilt = await compared(database)

            assert problems(rebuilt) == []
            assert sum(each.lines for each in rebuilt) > 100
    await assert_ledger_sound(database)


# fmt: off
ROUNDS: list[list[tuple[int, str, str]]] = [
    [
        (0, "terms", "update redress.terms set data = data || '{\"remainder\": \"kept\"}'"),
        (0, "wave", "delete from redress.wave"),
        (0, "redemption", "update redress.redemption set status = 'released'"),
        (0, "state", "update redress.state set spilled = 0"),
        (0, "tally", "insert into redress.tally values (0, 5, 3, 31, 7)"),
        (1, "programme", "update redress.programme set seen = substring(seen from 13)"),
        (1, "lot", "update redress.lot set vouchers_open = vouchers_open + 1"),
        (1, "rollup", "update redress.rollup set amount = amount + 1, lines = lines + 1"),
        (1, "redemption", "update redress.redemption set lines = jsonb_set(lines::jsonb, '{0,1}', '7')"),
        (1, "state", "delete from redress.state"),
        (2, "lot", "update redress.lot set last_line = now(), booked_at = now()"),
        (2, "tally", "update redress.tally set entries = entries + 1"),
        (2, "state", "update redress.state set seen = substring(seen from 13)"),
        (3, "wave", "update redress.wave set enrolled = enrolled + 1"),
        (3, "redemption", "delete from redress.redemption"),
        (3, "state", "update redress.state set vouchers = set_byte(vouchers, 18, 9)"),
    ],
    [
        (0, "lot", "update redress.lot set held = held + 1, exception = exception - 1"),
        (0, "state", "delete from redress.seen_spill"),
        (1, "terms", "delete from redress.terms"),
        (1, "state", "update redress.state set strays = '[[\"a\", \"b\", 1]]'"),
        (2, "redemption", "update redress.redemption set expires_at = now(), request = '[]'"),
        (2, "state", "insert into redress.state (shard, beneficiary, last_seq, spilled, grants, vouchers, seen) "
                     "select shard, gen_random_uuid(), last_seq, 0, grants, vouchers, seen from redress.state"),
        (3, "rollup", "update redress.rollup set effective_day = effective_day + 100"),
        (3, "state", "update redress.state set grants = set_byte(grants, 2, 8)"),
    ],
]
# fmt: on
"""Shard, table that differs then, and the damage to it in that shard."""


async def test_what_was_damaged_is_found_and_healed(stack: Stack, database: str, topic_prefix: str) -> None:
    # given a ledger in which some people have more events than fit their row
    await booked(stack, database, topic_prefix, seed=12, events=900, beneficiaries=12)
    assert {table for damages in ROUNDS for _, table, _ in damages} == set(TABLES)
    connection = await connect(database, application_name="test")
    try:
        for damages in ROUNDS:
            # when rows are damaged
            for shard, _, damage in damages:
                where = "" if damage.startswith("insert into redress.tally") else f" where shard = {shard}"
                assert not (await connection.execute(damage + where)).endswith(" 0"), damage

            # then they are found, and nothing is changed
            found = await compared(database)
            assert {(each.shard, d.table) for each in found for d in each.differences} == {d[:2] for d in damages}
            assert [each.differences for each in await compared(database)] == [each.differences for each in found]

            # and they are healed, and issuance searches anew
            healed = await promote_shards(database, TEST_LEDGER, SHARDS, quiet)
            assert [each.differences for each in healed] == [each.differences for each in found]
            assert all(each.promoted for each in healed)
            assert problems(await compared(database)) == []
            assert not await connection.fetchval("select count(*) from redress.issue_cursor")
    finally:
        await connection.close()
    await assert_ledger_sound(database)


async def test_lines_of_a_settled_redemption_stand_as_they_were_settled(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    won, person = Events(), people(1, seed=3)[0]
    both = [won.requested(person, "r-1", 1_000, benefit) for benefit in ("travel", "all")]
    asked, spent = both[0], won.captured(person, "r-1", 1_000)
    lines = [event["data"]["lines"][0] for _, event in both]
    asked[1]["data"]["lines"], spent[1]["data"]["lines"] = lines, lines[::-1]
    begin = [won.published(vouchers_per_order=None), won.opened(), won.tick()]
    facts = [*won.welcomed(person), won.claimed(person, "all"), asked, spent]
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        for records in (begin, *([fact] for fact in facts)):
            await ledger.send_all(records)
            await ledger.settled()

    assert problems(await compared(database)) == []
    await assert_ledger_sound(database)
    connection = await connect(database, application_name="test")
    try:
        kept = await connection.fetch("select status, lines::text from redress.redemption")
    finally:
        await connection.close()
    assert [row["status"] for row in kept] == ["settled"]
    assert kept[0]["lines"].index(lines[1]["voucher"]) < kept[0]["lines"].index(lines[0]["voucher"])


async def test_a_rebuild_that_ends_in_the_middle_leaves_everything_as_it_was(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given damage in several tables of every shard
    await booked(stack, database, topic_prefix, seed=5, events=400, beneficiaries=20)
    connection = await connect(database, application_name="test")
    try:
        for table in ("lot", "state", "rollup"):
            await connection.execute(f"delete from redress.{table}")
    finally:
        await connection.close()
    before = await content(database)

    # when it fails, or its backend is ended, while it rebuilds or puts in place a shard (another might be done by then)
    for step in ("rebuild_slots", "put_rollup"):
        for end in (_fail, _terminate):
            ending = _Ending(database, step, end)
            with pytest.raises((_FailedError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await promote_shards(database, TEST_LEDGER, SHARDS[:1], ending)

            # then nothing was put in place, and the shards are free at once
            assert ending.reached
            assert await content(database) == before
    healed = await promote_shards(database, TEST_LEDGER, SHARDS, quiet)
    assert all(each.promoted for each in healed)
    await assert_ledger_sound(database)


async def test_who_takes_a_shard_over_ends_its_rebuild(stack: Stack, database: str, topic_prefix: str) -> None:
    await booked(stack, database, topic_prefix, seed=5, events=200, beneficiaries=20)
    connection = await connect(database, application_name="test")
    try:
        await connection.execute("delete from redress.state where shard = 1")
        before = await content(database)

        # when its lease has run out and another takes it, just as it would be put in place
        taking = _Ending(database, "put_state", _take_over)
        with pytest.raises(ServedError, match="shard 1 was taken over by another"):
            await promote_shards(database, TEST_LEDGER, [1], taking)

        # then nothing was put in place, and it is refused while the other has it
        assert taking.reached
        assert await content(database) == before
        with pytest.raises(ServedError, match="shard 1 is served by another"):
            await promote_shards(database, TEST_LEDGER, SHARDS, quiet)
        owners = await connection.fetch("select distinct owner from redress.lease")
        assert {row["owner"] for row in owners} == {"another", None}
    finally:
        await connection.close()


async def test_a_journal_that_is_not_whole_is_not_rebuilt_from(stack: Stack, database: str, topic_prefix: str) -> None:
    await booked(stack, database, topic_prefix, seed=5, events=200, beneficiaries=20)
    connection = await connect(database, application_name="test")
    try:
        before = await connection.fetch("select * from redress.state order by shard, beneficiary")
        for gap in ("delete from redress.journal where shard = 1 and seq = 5", "update redress.head set next_seq = 2"):
            await connection.execute("set session_replication_role = replica")
            await connection.execute(gap)
            with pytest.raises(BrokenJournalError, match="shard 1: the journal is not whole"):
                await promote_shards(database, TEST_LEDGER, [1], quiet)
        assert await connection.fetch("select * from redress.state order by shard, beneficiary") == before
    finally:
        await connection.close()


async def test_the_command_compares_beside_a_worker_and_heals_without_one(
    stack: Stack, database: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("KAFKA", stack.kafka), ("POSTGRES", database), ("SHARDS", "4"), ("CLOCK", "manual")):
        monkeypatch.setenv(f"REDRESS_{name}", value)

    async def redress(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(run, ["projections", "rebuild", *arguments])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(Scenario(Random(5), events=200, beneficiaries=20))
        await ledger.settled()
        sound = await redress()
        await ledger.database.execute("update redress.lot set vouchers_held = 7 where shard = 2 and no = 1")
        found = await redress("--json")
        refused = await redress("--promote")
    outside = await redress("--shard", "4")
    healed = await redress("--shard", "2", "--promote")
    again = await redress("--json")

    assert (sound[0], found[0], refused[0], outside[0], healed[0], again[0]) == (0, 1, 2, 2, 0, 0)
    assert "rebuilt is what stands" in sound[1]
    report = json.loads(found[1])
    assert (report["passed"], report["promoted"], report["rows_that_differ"]) == (False, False, 1)
    assert report["shards"][2]["differences"][0]["table"] == "lot"
    assert "stop the workers first" in refused[1]
    assert "no shard 4" in outside[1]
    assert "1 rows were put in place" in healed[1]
    assert json.loads(again[1])["passed"]
    await assert_ledger_sound(database)


# --- ends of all kinds


class _FailedError(Exception):
    """Something unforeseen."""


class _Ending:
    """Ends a rebuild at its first step of that name."""

    def __init__(self, database: str, step: str, end: Callable[[str, int], None]) -> None:
        self._database = database
        self._step = step
        self._end = end
        self.reached = False

    def __call__(self, shard: int, step: str) -> None:
        if step == self._step and not self.reached:
            self.reached = True
            self._end(self._database, shard)


def _fail(_database: str, _shard: int) -> None:
    raise _FailedError


def _terminate(database: str, shard: int) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "select pg_terminate_backend(backend_pid, 5000) from redress.lease where shard = %s", [shard]
        )


def _take_over(database: str, shard: int) -> None:
    """As a worker does it."""

    async def take() -> None:
        connection = await connect(database, application_name="test")
        try:
            await connection.execute("set statement_timeout = '10s'")  # it would wait for a rebuild that it cannot end
            await connection.execute("update redress.lease set lease_until = '-infinity' where shard = $1", shard)
            assert await lease.take(connection, "another", shard)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, take()).result()
