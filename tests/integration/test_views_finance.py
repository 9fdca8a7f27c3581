"""What finance reads: the views of the contract, by name, type and right."""

import asyncpg
import pytest

from redress.ledger.connection import Connection, connect
from redress.runtime.local import Stack
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger

VIEWS = {
    "voucher_balance": (
        "voucher uuid, beneficiary uuid, programme text, wave text, benefit text, service text, currency "
        "text, status text, face bigint, unclaimed bigint, available bigint, held bigint, redeemed bigint, "
        "forfeited bigint, cancelled bigint, expired bigint, revoked bigint, declined bigint, valid_from "
        "timestamptz, valid_until timestamptz, standing text, version bigint"
    ),
    "outstanding_liability": (
        "programme text, wave text, benefit text, currency text, entitlement numeric, unclaimed numeric, "
        "available numeric, held numeric, outstanding numeric, vouchers_open bigint"
    ),
    "account_balance": "programme text, wave text, benefit text, currency text, account text, balance numeric",
    "roll_forward": (
        "programme text, wave text, benefit text, currency text, effective_day date, recorded_day date, "
        "movement text, amount numeric, lines bigint"
    ),
    "journal": (
        "shard smallint, seq bigint, line integer, batch bigint, programme text, wave text, benefit text, "
        "beneficiary uuid, voucher uuid, movement text, debit text, credit text, amount bigint, currency "
        "text, occurred_at timestamptz, effective_at timestamptz, recorded_at timestamptz, by_lot boolean, "
        "terms_version integer, redemption text, outcome text, reason text, cause_source text, cause_id text, "
        "cause_type text"
    ),
    "wave": (
        "programme text, wave text, expected_beneficiaries bigint, expected_amount bigint, granted bigint, "
        "refused bigint, withdrawn bigint, enrolled bigint, issued bigint, entitled_amount numeric, "
        "issued_amount numeric"
    ),
    "position": (
        "shard smallint, batch bigint, next_seq bigint, recorded_at timestamptz, now timestamptz, "
        "programme_offset bigint, eligibility_offset bigint, issuance_offset bigint, redemption_offset "
        "bigint, digest text"
    ),
}
SHORT_NAMES = {"timestamp with time zone": "timestamptz"}


async def _as_finance(database: str) -> Connection:
    return await connect(database, application_name="test", role="redress_finance")


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_has_the_columns_of_the_contract_and_finance_may_read_it(database: str, view: str) -> None:
    connection = await _as_finance(database)
    try:
        await connection.fetch(f"select * from finance.{view}")
        columns = await connection.fetch(
            "select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute "
            "where attrelid = $1::text::regclass and attnum > 0 order by attnum",
            f"finance.{view}",
        )
    finally:
        await connection.close()

    shown = ", ".join(f"{column['name']} {SHORT_NAMES.get(column['type'], column['type'])}" for column in columns)
    assert shown == VIEWS[view]


async def test_finance_reads_the_same_as_the_owner_in_a_ledger_with_entries(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(events.begin())
        for person in people(5):
            await ledger.send_all([*events.welcomed(person), events.recorded(person, "r-1", 900)])
        await ledger.settled()
        finance = await _as_finance(database)
        try:
            for view in VIEWS:
                rows = await finance.fetch(f"select * from finance.{view}")
                assert rows, view
                assert sorted(map(str, rows)) == sorted(
                    map(str, await ledger.database.fetch(f"select * from finance.{view}"))
                )
        finally:
            await finance.close()
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_finance_may_read_the_views_only(database: str) -> None:
    connection = await _as_finance(database)
    try:
        tables = await connection.fetch(
            "select relname from pg_class where relnamespace = 'redress'::regnamespace and relkind in ('r', 'p')"
        )
        assert tables
        for table in tables:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"select * from redress.{table['relname']}")
        for view in VIEWS:
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
                await connection.execute(f"delete from finance.{view}")
    finally:
        await connection.close()
