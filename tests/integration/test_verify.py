"""`verify` finds nothing in a sound ledger, and each of its checks finds what was tampered with."""

import json
from pathlib import Path
from random import Random

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from redress.cli.verify import verify_command
from redress.ledger.connection import Connection, connect
from redress.projections.checks import sql_checks
from redress.projections.verify import NoLedgerError, verify
from redress.runtime.local import Stack
from tests.harness.command import environment_of
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger
from tests.oracle.scenario import Scenario

ONE_OF_THE_STATES = """
select shard, beneficiary from redress.state where octet_length(vouchers) > 20 order by shard, last_seq limit 1
"""
SAME_WAVE = "substring(granted.lines for 3) = substring(issued.lines for 3)"
"""The first of their lots is the same."""
ONE_OF_THE_GRANTS = f"""
select granted.shard, granted.seq
from redress.journal as granted
join redress.journal as issued on issued.shard = granted.shard and issued.beneficiary = granted.beneficiary
where granted.kind = 7 and granted.outcome = 1 and issued.kind = 11 and issued.outcome = 1 and {SAME_WAVE}
  and substring(granted.lines for 1) = '\\x08'  -- its lines have no times of their own
order by granted.shard, granted.seq
limit 1
"""
ONE_GRANT_LATER = f"update redress.journal set effective_at = '2100-01-01' where (shard, seq) in ({ONE_OF_THE_GRANTS})"
THEIR_ISSUE = f"""
select issued.beneficiary, issued.effective_at::text as effective_at
from redress.journal as issued
join redress.journal as granted on granted.shard = issued.shard and granted.beneficiary = issued.beneficiary
where issued.kind = 11 and issued.outcome = 1 and {SAME_WAVE} and (granted.shard, granted.seq) in ({ONE_OF_THE_GRANTS})
"""
TAMPERED: list[tuple[str, str]] = [
    ("lot_balances", "update redress.lot set held = held + 1, exception = exception - 1 where no = 2 and shard = 0"),
    ("lot_balances", "delete from redress.lot where programme_grant < 0 and shard = 1"),
    ("roll_ups", "update redress.rollup set amount = amount + 1 where shard = 1"),
    ("roll_ups", "delete from redress.rollup where shard = 2"),
    ("roll_ups", "update redress.rollup set recorded_day = recorded_day - 1"),
    ("vouchers", "update redress.state set vouchers = set_byte(vouchers, 8, 7) where octet_length(vouchers) > 20"),
    ("vouchers", f"update redress.state set vouchers = '' where (shard, beneficiary) in ({ONE_OF_THE_STATES})"),
    (
        "vouchers",
        "update redress.journal set lines = overlay(lines placing int4send(1) from 6 for 4) "
        f"where (shard, seq) in ({ONE_OF_THE_GRANTS})",
    ),
    ("vouchers_and_lots", "update redress.lot set vouchers_open = vouchers_open + 1 where no = 2"),
    ("vouchers_and_lots", "update redress.state set vouchers = '' where shard = 1"),
    ("waves", "update redress.wave set granted = granted + 1 where shard = 1 and no = 1"),
    ("waves", "update redress.wave set issued_amount = issued_amount + 1 where shard = 1 and no = 1"),
    ("waves", "update redress.state set grants = set_byte(grants, 2, 8) where octet_length(grants) > 0 and shard = 2"),
    ("once", "update redress.state set grants = grants || grants where octet_length(grants) > 0 and shard = 1"),
    ("numbering", "delete from redress.journal where seq = 5 and shard = 1"),
    ("numbering", "update redress.head set next_seq = next_seq + 1 where shard = 1"),
    ("numbering", "delete from redress.batch where batch = 2 and shard = 1"),
    ("numbering", "update redress.journal set batch = batch + 1 where seq = 1 and shard = 1"),
    ("offsets", "update redress.batch set programme_offset = programme_offset + 1 where batch = 1 and shard = 1"),
    ("offsets", "update redress.head set redemption_offset = redemption_offset + 1 where shard = 1"),
    ("offsets", "update redress.batch set recorded_at = recorded_at - interval '1 day' where batch = 2 and shard = 1"),
    ("effective_axis", "update redress.journal set effective_at = '2100-01-01' where kind = 7"),
    ("effective_axis", ONE_GRANT_LATER),
    (
        "holds",
        """update redress.redemption set lines = jsonb_set(lines::jsonb, '{0,1}', '7') where lines::text <> '[]'""",
    ),
    ("holds", "update redress.redemption set status = 'held' where status = 'settled'"),
    ("tally", "update redress.tally set entries = entries + 1 where shard = 1"),
    ("tally", "delete from redress.tally where shard = 1"),
    ("histories", "update redress.journal set prev_seq = 1 where prev_seq is not null and shard = 1"),
    ("histories", "update redress.state set last_seq = last_seq + 1 where shard = 1"),
    ("histories", "delete from redress.state where shard = 1"),
    ("append_only", "drop trigger append_only on redress.journal"),
    ("append_only", "alter table redress.batch disable trigger append_only_truncate"),
    ("append_only", "drop trigger append_only_truncate on redress.journal_1"),
    ("append_only", "grant update on redress.batch to redress_writer"),
    ("append_only", "grant truncate on redress.journal_2 to redress_writer"),
    ("digests", "update redress.batch set digest = sha256('another') where batch = 2 and shard = 1"),
    ("digests", "update redress.journal set fingerprint = sha256('another') where seq = 3 and shard = 1"),
    ("digests", "update redress.journal set outcome = 3 where seq = 1 and shard = 1"),
    (
        "digests",
        "update redress.journal set lines = overlay(lines placing int4send(1) from 6 for 4) "
        "where kind = 7 and shard = 1",
    ),
    ("digests", "update redress.source set source = source || '/other'"),
    ("digests", "update redress.lot set currency = 'JPY'"),
    ("rebuild", "update redress.state set seen = seen || '\\x000102030405060708090a0b' where shard = 1"),
    ("rebuild", "update redress.state set vouchers = set_byte(vouchers, 18, 9) where octet_length(vouchers) > 0"),
    ("rebuild", "update redress.redemption set status = 'released' where status = 'refused'"),
    ("rebuild", "delete from redress.redemption where shard = 1"),
    ("rebuild", "update redress.lot set reopened_at = now() where shard = 1"),
    ("rebuild", "update redress.wave set opened = opened || '{\"terms_version\": 9}' where shard = 1"),
    ("rebuild", "update redress.programme set seen = '' where shard = 1"),
    ("rebuild", "delete from redress.parked"),
]


async def test_each_check_finds_what_was_tampered_with(stack: Stack, database: str, topic_prefix: str) -> None:
    # given a ledger in which verify finds nothing
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(Scenario(Random(5), events=500, beneficiaries=25, has_big_ticks=False))
        await ledger.settled()
        await assert_agrees(ledger)
    await assert_ledger_sound(database)

    # when it is tampered with by somebody whom no trigger stops, then the check says so
    missed = []
    connection = await connect(database, application_name="test")
    try:
        for check, statement in TAMPERED:
            if check not in await _failed_after(connection, statement):
                missed.append((check, statement))
        # and who it is about, with the time that it was told of, though people who are alike are looked at once
        ((person, issued_at),) = await connection.fetch(THEIR_ISSUE)
        shown = (await _failed_after(connection, ONE_GRANT_LATER))["effective_axis"]
        assert any(f"beneficiary {person} " in problem and f"as of {issued_at}" in problem for problem in shown), shown
    finally:
        await connection.close()
    assert missed == []
    assert {check for check, _ in TAMPERED} == {*sql_checks(), "digests", "rebuild"}
    await assert_ledger_sound(database)


async def _failed_after(connection: Connection, statement: str) -> dict[str, tuple[str, ...]]:
    """The checks that fail after the statement, which is undone again, with the problems they show."""
    tampering = connection.transaction(isolation="repeatable_read")
    await tampering.start()
    try:
        await connection.execute("set local session_replication_role = replica")
        changed = await connection.execute(statement)
        assert changed not in ("UPDATE 0", "DELETE 0"), statement
        report = await verify(connection, everything=True, rebuild=True)
    finally:
        await tampering.rollback()
    assert all(check.problems for check in report.checks if not check.passed)
    return {check.name: check.problems for check in report.checks if not check.passed}


async def test_a_sample_finds_a_last_batch_that_was_changed_and_shows_the_first_problems(database: str) -> None:
    connection = await connect(database, application_name="test")
    try:
        await connection.execute("update redress.head set next_seq = 2")

        report = await verify(connection, shown_max=1)
    finally:
        await connection.close()

    numbering = next(check for check in report.checks if check.name == "numbering")
    assert (numbering.wrong, len(numbering.problems)) == (4, 1)
    assert not report.passed


async def test_a_database_without_ledger_is_told_apart(stack: Stack) -> None:
    connection = await connect(stack.postgres, application_name="test")
    try:
        with pytest.raises(NoLedgerError, match="redress migrate"):
            await verify(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("statement", "status"),
    [("select 1", 0), ("update redress.head set redemption_offset = 7 where shard = 2", 1)],
    ids=["sound", "tampered"],
)
def test_the_command_says_what_it_found(
    stack: Stack, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, status: int
) -> None:
    for name, value in environment_of(stack, database, "", tmp_path).items():
        monkeypatch.setenv(name, value)
    app = typer.Typer()
    app.command()(verify_command)
    with psycopg.connect(database) as connection:
        connection.execute(statement)

    shown = CliRunner().invoke(app, ["--all", "--rebuild"])
    as_json = CliRunner().invoke(app, ["--json"])

    assert (shown.exit_code, as_json.exit_code) == (status, status)
    assert ("all green" in shown.output) == (status == 0)
    report = json.loads(as_json.output)
    assert report["passed"] == (status == 0)
    assert [check["name"] for check in report["checks"] if not check["passed"]] == ["offsets"][:status]
