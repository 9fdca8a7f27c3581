"""What a command says when it cannot do as asked: one clear line, the right exit status, never a secret."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from redress.runtime.topics import apply_topics
from tests.conftest import TEST_LEDGER, kafka_admin
from tests.harness.command import Command

NOBODY = "127.0.0.1:1"
PASSWORD = "open-sesame"
EVERY_READ = (
    ("liability",),
    ("roll-forward",),
    ("programme", "show"),
    ("wave", "show", "first"),
    ("voucher", "3f6c1d2e-8a4b-8f6e-9c1d-0a2b3c4d5e6f"),
    ("beneficiary", "3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f"),
    ("redemption", "r-1", "--beneficiary", "3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f"),
    ("status",),
    ("verify",),
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command"),
        (("liability", "--as-of", "yesterday"), "--as-of: "),
        (("liability", "--by", "person"), "--by: person: only wave and benefit are known"),
        (("roll-forward", "--from", "2026-02-01", "--to", "2026-01-31"), "--to: is before --from"),
        (("roll-forward", "--from", "2026-02-01", "--to", "2026-01-30T00:00:00Z"), "--to: is before --from"),
        (("voucher", "not-a-uuid"), "ID: not a UUID"),
        (("redemption", "r-1"), "Missing option '--beneficiary'"),
        (("clock", "advance", "soon"), "T: "),
        (("publish", "/no/such/file"), "/no/such/file: No such file"),
        (("programme", "publish", "/no/such/file"), "/no/such/file: No such file"),
        (("run", "clock"), "redress clock advance"),
        (("wave", "open", "x", "--programme", "p", "--valid-from", "now", "--valid-until", "now"), "--valid-from: "),
    ],
)
async def test_wrong_use_is_said_in_a_line(redress: Command, arguments: tuple[str, ...], said: str) -> None:
    result = await redress(*arguments)

    assert (result.status, result.out) == (2, "")
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1


async def test_a_wrong_argument_is_json_where_json_is_asked_for(redress: Command) -> None:
    result = await redress("liability", "--as-of", "yesterday", "--json")

    assert result.status == 2
    assert result.json["error"].startswith("--as-of: ")


@pytest.mark.parametrize("arguments", EVERY_READ)
async def test_a_database_that_is_away_is_named_without_its_password(
    redress: Command, arguments: tuple[str, ...]
) -> None:
    result = await redress(*arguments, REDRESS_POSTGRES=f"postgresql://redress:{PASSWORD}@{NOBODY}/redress")

    assert (result.status, result.out) == (2, "")
    assert f"Postgres at postgresql://redress@{NOBODY}/redress" in result.err
    assert PASSWORD not in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", EVERY_READ)
async def test_a_database_that_takes_nobody_any_more_is_named(
    redress: Command, database: str, arguments: tuple[str, ...]
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = f"nobody_{connection.info.dbname}"
        connection.execute(f"create role {name} login connection limit 0 password '{PASSWORD}'".encode())
        try:
            host = urlsplit(database).netloc.rpartition("@")[2]
            full = urlunsplit(urlsplit(database)._replace(netloc=f"{name}:{PASSWORD}@{host}"))
            result = await redress(*arguments, REDRESS_POSTGRES=full)
        finally:
            connection.execute(f"drop role {name}".encode())

    assert (result.status, result.out) == (2, "")
    assert "TooManyConnectionsError" in result.err
    assert len(result.err.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [("status",), ("clock", "advance", "2026-01-10T00:00:00Z")])
async def test_a_broker_that_is_away_is_named(redress: Command, arguments: tuple[str, ...]) -> None:
    result = await redress(*arguments, REDRESS_KAFKA=NOBODY)

    assert (result.status, result.out) == (2, "")
    assert f"Kafka at {NOBODY}" in result.err
    assert len(result.err.splitlines()) == 1


async def test_finance_reads_while_kafka_is_away(redress: Command) -> None:
    assert (await redress("liability", "--json", REDRESS_KAFKA=NOBODY)).json["rows"] == []
    assert (await redress("roll-forward", REDRESS_KAFKA=NOBODY)).status == 0


@pytest.mark.parametrize("arguments", EVERY_READ)
async def test_a_database_without_a_ledger_says_what_to_run(
    redress: Command, stack: Stack, database: str, arguments: tuple[str, ...]
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "drop schema redress cascade; drop schema finance cascade; drop table _yoyo_migration cascade"
        )

    result = await redress(*arguments)

    assert result.status == 2
    assert "run `redress migrate`" in result.err


@pytest.mark.parametrize("arguments", [("liability",), ("verify",)])
async def test_a_schema_of_yesterday_says_what_it_lacks(
    redress: Command, database: str, arguments: tuple[str, ...]
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from _yoyo_migration where migration_id = '0002.finance'")

    result = await redress(*arguments)

    assert result.status == 2
    assert "lacks 0002.finance: run `redress migrate`" in result.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDRESS_LEDGER", "other"),
        ("REDRESS_SHARDS", "8"),
        ("REDRESS_CLOCK", "system"),
        ("REDRESS_PARKING_SECONDS", "60"),
    ],
)
@pytest.mark.parametrize("arguments", [("migrate",), ("liability",), ("verify",)])
async def test_a_setting_that_differs_from_the_ledgers_is_an_error(
    redress: Command, arguments: tuple[str, ...], variable: str, value: str
) -> None:
    result = await redress(*arguments, **{variable: value})

    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"redress: {variable} is ")


async def test_migrate_begins_a_ledger_once(redress: Command, database: str) -> None:
    again = await redress("migrate", "--json")

    assert again.status == 0
    assert again.json["applied"] == []
    assert again.json["ledger"]["shards"] == TEST_LEDGER.shards
    assert migrate(database, TEST_LEDGER) == []


async def test_missing_topics_say_what_to_run(redress: Command) -> None:
    result = await redress("clock", "advance", "2026-01-10T00:00:00Z")

    assert result.status == 2
    assert "`redress topics apply`" in result.err


async def test_topics_are_made_for_no_other_number_of_shards_than_the_ledger_has(
    redress: Command, stack: Stack, empty_database: str, topic_prefix: str
) -> None:
    other = {"REDRESS_SHARDS": str(TEST_LEDGER.shards * 2)}

    refused = await redress("topics", "apply", **other)

    assert refused.status == 2
    assert f"REDRESS_SHARDS is {TEST_LEDGER.shards * 2}, but this ledger began with {TEST_LEDGER.shards}" in refused.err
    async with kafka_admin(stack.kafka) as admin:
        assert not [name for name in await admin.list_topics() if name.startswith(topic_prefix)]

    # before there is a ledger there is nothing to differ from
    assert (await redress("topics", "apply", REDRESS_POSTGRES=empty_database, **other)).status == 0


async def test_a_malformed_programme_names_file_table_and_field(redress: Command, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text('[programme]\nprogramme = "p"\nversion = "one"\n', encoding="utf-8")

    result = await redress("programme", "publish", str(file), "--json")

    assert result.status == 2
    assert result.json["error"].startswith(f"{file}: [programme]: version: ")


async def test_without_a_worker_a_programme_is_sent_and_said_to_wait(
    redress: Command, stack: Stack, topic_prefix: str
) -> None:
    await apply_topics(stack.kafka, topic_prefix, TEST_LEDGER.shards)
    example = Path(__file__).parents[2] / "deploy" / "examples" / "voucher-programme.toml"

    result = await redress("programme", "publish", str(example), "--json")

    assert result.status == 0
    assert "no worker is alive" in result.err
    assert [event["taken"] for event in result.json["events"]] == [None, None, None]


@pytest.mark.parametrize("arguments", [(), ("run",), ("programme",), ("wave",), ("clock",), ("topics",)])
async def test_help_is_shown_where_a_command_is_missing(redress: Command, arguments: tuple[str, ...]) -> None:
    result = await redress(*arguments, "--help")

    assert result.status == 0
    assert "Usage: redress" in result.out
