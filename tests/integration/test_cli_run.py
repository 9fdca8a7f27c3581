"""The processes: they start, say what they do, wait for servers that are away, and stop cleanly."""

import signal
import uuid
from itertools import pairwise
from pathlib import Path

import asyncpg
import orjson
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.instants import parse_instant
from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from redress.runtime.topics import apply_topics
from tests.conftest import TEST_LEDGER, OwnStack, with_database
from tests.harness.command import Command, environment_of
from tests.harness.waiting import until

SYSTEM = LedgerIdentity("live", 2, "system", 86_400)


async def owners(database: str) -> set[str | None]:
    connection = await asyncpg.connect(database)
    try:
        return {row["owner"] for row in await connection.fetch("select owner from redress.lease")}
    finally:
        await connection.close()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_gives_its_shards_back_when_it_is_stopped(
    redress: Command, stack: Stack, database: str, topic_prefix: str, by: signal.Signals
) -> None:
    await apply_topics(stack.kafka, topic_prefix, TEST_LEDGER.shards)
    async with redress.process("run", "worker") as worker:
        for shard in range(TEST_LEDGER.shards):
            await worker.says(f"shard={shard} ")
        assert None not in await owners(database)

        stopped = await worker.stop(by)

    assert stopped.status == 0, stopped.err
    assert stopped.err.rstrip().endswith("stopped")
    assert await owners(database) == {None}


async def test_what_is_missing_ends_a_process_with_what_to_run(redress: Command) -> None:
    async with redress.process("run", "worker") as worker:
        ended = await worker.ends()

    assert ended.status == 2
    assert "`redress topics apply`" in ended.err
    assert "Traceback" not in ended.err


async def test_json_logs_are_one_object_a_line(redress: Command, stack: Stack, topic_prefix: str) -> None:
    await apply_topics(stack.kafka, topic_prefix, TEST_LEDGER.shards)
    async with redress.process("run", "worker", "--json") as worker:
        await worker.says("shard taken")
        stopped = await worker.stop()

    assert stopped.status == 0
    events = [orjson.loads(line) for line in stopped.err.splitlines()]
    assert {"started", "shard taken", "stopped"} <= {event["event"] for event in events}


async def test_the_system_clock_ticks_every_second_from_where_the_ledger_stands(
    stack: Stack, topic_prefix: str, redress: Command, tmp_path: Path
) -> None:
    name = f"redress_clock_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(stack.postgres, autocommit=True) as server:
        server.execute(f'create database "{name}"')
    database = with_database(stack.postgres, name)
    migrate(database, SYSTEM)
    await apply_topics(stack.kafka, topic_prefix, SYSTEM.shards)
    environment = environment_of(stack, database, topic_prefix, tmp_path, SYSTEM)
    try:
        async with (
            redress.process("run", "worker", **environment) as worker,
            redress.process("run", "clock", **environment) as clock,
        ):
            await until(lambda: has_begun(database))
            await until(lambda: enough(stack, topic_prefix, 4))
            assert (await clock.stop()).status == 0
            assert (await worker.stop()).status == 0
        ticks = await ticked(stack, topic_prefix)
        async with redress.process("run", "clock", **environment) as clock:
            await until(lambda: enough(stack, topic_prefix, len(ticks) + 2))
            assert (await clock.stop()).status == 0
        refused = await redress("clock", "advance", "+1d", **environment)
    finally:
        with psycopg.connect(stack.postgres, autocommit=True) as server:
            server.execute(f'drop database "{name}" with (force)')

    ticks = sorted(set(await ticked(stack, topic_prefix)))
    assert all(later - earlier == 1_000_000 for earlier, later in pairwise(ticks))
    assert ticks[0] % 1_000_000 == 0
    assert refused.status == 2
    assert "redress run clock" in refused.err


async def test_a_worker_waits_for_servers_that_are_away_and_goes_on_by_itself(
    own_stack: OwnStack, redress: Command, tmp_path: Path
) -> None:
    migrate(own_stack.postgres, TEST_LEDGER)
    await apply_topics(own_stack.kafka, "", TEST_LEDGER.shards)
    await own_stack.stop_kafka()
    await own_stack.stop_postgres()
    environment = environment_of(own_stack.status(), own_stack.postgres, "", tmp_path)
    environment["REDRESS_KAFKA"] = own_stack.kafka
    async with redress.process("run", "worker", **environment) as worker:
        await worker.says("server away, trying again")
        await own_stack.start_postgres()
        await own_stack.start_kafka()
        for shard in range(TEST_LEDGER.shards):
            await worker.says(f"shard={shard} ")
        await own_stack.stop_postgres()
        stopped = await worker.stop()

    assert stopped.status == 0, stopped.err
    assert "Traceback" not in stopped.err


async def has_begun(database: str) -> bool:
    connection = await asyncpg.connect(database)
    try:
        return bool(await connection.fetchval("select bool_and(now is not null) from redress.head"))
    finally:
        await connection.close()


async def enough(stack: Stack, prefix: str, ticks: int) -> bool:
    return len(await ticked(stack, prefix)) >= ticks


async def ticked(stack: Stack, prefix: str) -> list[int]:
    partition = TopicPartition(f"{prefix}redress.programme", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[int] = []
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, []):
                assert record.value is not None
                found.append(parse_instant(orjson.loads(record.value)["data"]["now"]))
        return found
    finally:
        await consumer.stop()
