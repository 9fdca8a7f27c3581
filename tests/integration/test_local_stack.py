"""The local stack, for real: what runs, what it promises, how it stops and what it says when it cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from redress.cli import main
from redress.runtime.local import External, Stack, StackError, down, running, status, up
from redress.runtime.local.kafka import KafkaServer
from redress.runtime.local.postgres import PostgresServer
from redress.runtime.local.process import runs, wait_until
from redress.runtime.local.stack import servers
from tests.conftest import TEST_SIZE, OwnStack, kafka_admin

READ_MS_MAX = 20_000


async def produce(bootstrap: str, topic: str, value: bytes, transactional_id: str | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, transactional_id=transactional_id)
    await producer.start()
    try:
        if transactional_id is None:
            await producer.send_and_wait(topic, value)
        else:
            async with producer.transaction():
                await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def first_value(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        batches = await consumer.getmany(timeout_ms=READ_MS_MAX, max_records=1)
    finally:
        await consumer.stop()
    return next((record.value for records in batches.values() for record in records), None)


async def make_topic(bootstrap: str, topic: str) -> None:
    async with kafka_admin(bootstrap) as admin:
        await admin.create_topics([NewTopic(name=topic, num_partitions=1, replication_factor=1)])


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(arguments)
    output = capsys.readouterr()
    return code, output.out, output.err


# --- what it promises -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transactional_id", [None, "writer"], ids=["plain", "transaction"])
async def test_a_record_comes_back_from_the_broker(
    stack: Stack, topic_prefix: str, transactional_id: str | None
) -> None:
    topic = f"{topic_prefix}round-trip"
    await make_topic(stack.kafka, topic)

    await produce(stack.kafka, topic, b"50000", transactional_id and topic_prefix + transactional_id)

    assert await first_value(stack.kafka, topic) == b"50000"


async def test_a_topic_nobody_declared_does_not_come_into_being(stack: Stack, topic_prefix: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, request_timeout_ms=1_500)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{topic_prefix}mistyped", b"lost?")
    finally:
        await producer.stop()

    async with kafka_admin(stack.kafka) as admin:
        assert f"{topic_prefix}mistyped" not in await admin.list_topics()


async def test_what_postgres_acknowledges_is_on_the_disk(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        shown = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "timezone")
        }
        version = connection.get_server_version()
    finally:
        await connection.close()

    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "timezone": "UTC",
    }
    assert version.major == 18


async def test_every_test_has_a_database_of_its_own(stack: Stack, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()

    assert name not in {"redress", "postgres"}
    assert database != stack.postgres


async def test_postgres_refuses_a_wrong_password(stack: Stack) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(stack.postgres, password="guessed")


# --- up, down, status -------------------------------------------------------------------------------------------------


def process_ids(own: OwnStack) -> tuple[int | None, int | None]:
    return own.kafka_server.daemon.pid(), own.postgres_server.daemon.pid()


async def test_up_down_up_keeps_addresses_and_data_and_leaves_no_process_behind(own_stack: OwnStack) -> None:
    before = process_ids(own_stack)
    assert None not in before
    await make_topic(own_stack.kafka, "kept")
    await produce(own_stack.kafka, "kept", b"still here")
    with psycopg.connect(own_stack.postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    again = up(own_stack.folder, options=TEST_SIZE)
    assert (again.kafka, again.postgres, again.state) == (own_stack.kafka, own_stack.postgres, "up")
    assert process_ids(own_stack) == before

    assert down(own_stack.folder).state == "down"
    assert not any(runs(pid) for pid in before if pid)
    assert status(own_stack.folder).state == "down"
    with pytest.raises(StackError, match="redress local up"):
        running(own_stack.folder)
    assert down(own_stack.folder).state == "down"

    # A process id left in the file by a crash, in use by another program by now: this one.
    own_stack.kafka_server.daemon.pid_file.write_text(str(os.getpid()), encoding="utf-8")
    restarted = up(own_stack.folder, options=TEST_SIZE, provider="processes")
    assert (restarted.kafka, restarted.postgres) == (own_stack.kafka, own_stack.postgres)
    assert await first_value(own_stack.kafka, "kept") == b"still here"
    with psycopg.connect(own_stack.postgres) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)

    # A port taken while the stack was down is no obstacle: that server moves, the other keeps its place.
    down(own_stack.folder)
    with socket.create_server(("127.0.0.1", int(own_stack.kafka.rpartition(":")[2]))):
        moved = up(own_stack.folder, options=TEST_SIZE, provider="processes")
    assert moved.kafka != own_stack.kafka
    assert moved.postgres == own_stack.postgres
    assert await first_value(moved.kafka, "kept") == b"still here"


async def test_after_kill_9_up_starts_what_is_missing_and_nothing_acknowledged_is_lost(own_stack: OwnStack) -> None:
    await make_topic(own_stack.kafka, "kept")
    await produce(own_stack.kafka, "kept", b"acknowledged")
    _, postgres_before = process_ids(own_stack)

    await own_stack.kill_kafka()
    found = own_stack.status()
    assert (found.state, found.kafka_state, found.postgres_state) == ("down", "down", "up")

    assert up(own_stack.folder, options=TEST_SIZE).kafka == own_stack.kafka
    assert process_ids(own_stack)[1] == postgres_before
    assert await first_value(own_stack.kafka, "kept") == b"acknowledged"

    with psycopg.connect(own_stack.postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'committed' AS word")
        await own_stack.kill_postgres()
    await own_stack.start_postgres()
    with psycopg.connect(own_stack.postgres) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("committed",)


def test_ctrl_c_while_starting_ends_with_one_line_and_leaves_nothing_running(run_folder: Path) -> None:
    folder = run_folder / "interrupted"
    kafka, postgres = servers(folder, "processes", TEST_SIZE)
    assert isinstance(kafka, KafkaServer)
    assert isinstance(postgres, PostgresServer)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REDRESS_")}
    command = subprocess.Popen(
        [sys.executable, "-m", "redress.cli.main", "local", "up"],
        env=environment | {"REDRESS_STATE": str(folder), "DOCKER_HOST": f"unix://{folder}/no-engine"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_until(lambda: kafka.daemon.pid() is not None, 60)

    command.send_signal(signal.SIGINT)
    _, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (130, "redress: interrupted\n")
    assert (kafka.daemon.pid(), postgres.daemon.pid()) == (None, None)


# --- when it cannot start ---------------------------------------------------------------------------------------------


def test_a_server_that_cannot_start_shows_its_logs_tail_and_leaves_nothing_running(own_stack: OwnStack) -> None:
    down(own_stack.folder)
    identity = own_stack.folder / "kafka" / "data" / "meta.properties"
    sound = identity.read_text(encoding="utf-8")

    identity.write_text(sound.replace("node.id=1", "node.id=7"), encoding="utf-8")
    with pytest.raises(StackError, match=r"(?s)^Kafka ended while starting.*server\.log.*node id 7"):
        up(own_stack.folder, options=TEST_SIZE, provider="processes")
    assert process_ids(own_stack) == (None, None)

    identity.write_text(sound, encoding="utf-8")
    (own_stack.folder / "postgres" / "data" / "PG_VERSION").write_text("9.6\n", encoding="utf-8")
    with pytest.raises(StackError, match=r"(?s)^PostgreSQL ended while starting.*postgres\.log.*incompatible"):
        up(own_stack.folder, options=TEST_SIZE, provider="processes")
    assert process_ids(own_stack) == (None, None)


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StackError, match="REDRESS_STATE"):
        up(tmp_path / "file" / "state")


# --- servers that somebody else runs ----------------------------------------------------------------------------------


def test_named_servers_are_used_and_never_stopped(stack: Stack, tmp_path: Path) -> None:
    theirs = External(stack.kafka, stack.postgres)

    used = up(tmp_path, theirs)
    assert (used.kafka, used.postgres, used.provider, used.state) == (stack.kafka, stack.postgres, "external", "up")
    assert down(tmp_path, theirs).state == "up"
    assert status(tmp_path, theirs).state == "up"


def test_a_named_server_that_does_not_answer_is_named_without_its_password(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"REDRESS_KAFKA.*127\.0\.0\.1:1$"):
        up(tmp_path, External("127.0.0.1:1", stack.postgres))

    with pytest.raises(StackError, match="REDRESS_POSTGRES") as failed:
        up(tmp_path, External(stack.kafka, "postgresql://me:open-sesame@127.0.0.1:1/db"))
    assert "open-sesame" not in failed.value.message


# --- the command ------------------------------------------------------------------------------------------------------


def test_status_says_where_the_servers_are(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDRESS_KAFKA", stack.kafka)
    monkeypatch.setenv("REDRESS_POSTGRES", stack.postgres)

    code, out, _ = run_command(capsys, "local", "status", "--json")

    assert code == 0
    shown = json.loads(out)
    assert (shown["kafka"], shown["postgres"], shown["state"]) == (stack.kafka, stack.postgres, "up")


def test_status_of_a_stack_that_is_down_is_exit_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REDRESS_KAFKA", raising=False)
    monkeypatch.delenv("REDRESS_POSTGRES", raising=False)
    monkeypatch.setenv("REDRESS_STATE", str(tmp_path))

    code, out, _ = run_command(capsys, "local", "status", "--json")

    assert code == 1
    assert json.loads(out)["state"] == "down"


def test_an_expected_error_is_one_line_or_one_json_object_and_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDRESS_SHARDS", "none")

    code, out, err = run_command(capsys, "local", "status")
    assert (code, out) == (2, "")
    assert err.startswith("redress: REDRESS_SHARDS:")
    assert err.count("\n") == 1

    code, out, _ = run_command(capsys, "local", "status", "--json")
    assert code == 2
    assert json.loads(out)["error"].startswith("REDRESS_SHARDS:")


def test_wrong_use_is_exit_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_command(capsys, "local", "sideways")

    assert code == 2
    assert "sideways" in err
