"""How a ledger is doing: per shard its owner, its lag and what it could not book."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.domain.event import Topic
from redress.domain.ids import Instant
from redress.intake.worker import Servers
from redress.ledger.connection import Connection
from redress.ledger.queries import query

RATE_SECONDS: Final = 10.0
"""Rates are those of so many seconds before now."""

Ends = Mapping[tuple[Topic, int], int]
"""The end of each input partition that is committed, by topic and shard (the programme topic's is every shard's)."""


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard. `lag`: records on its topics that it has not read, by topic. Ages are None before the first."""

    shard: int
    owner: str | None
    epoch: int
    batch: int
    entries: int
    now: Instant | None
    clock_seconds: float | None
    batch_seconds: float | None
    lag: dict[str, int]
    falling_due: bool
    stopped: str | None
    entries_per_second: float
    records_per_second: float
    parked: int
    dead_lettered: int
    relay_batches: int
    """Batches not published yet, by a hint that is a few seconds old."""


@dataclass(frozen=True, slots=True)
class Status:
    """The ledger. `reasons`: entries by outcome and reason."""

    ledger: str
    clock: str
    workers: list[str]
    shards: list[ShardStatus]
    dead_letters: dict[str, int]
    reasons: dict[str, dict[str, int]]


async def load_status(connection: Connection, ledger: str, clock: str, ends: Ends) -> Status:
    """The status, with `ends` that were read before: a lag is never shown too small."""
    reasons: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(query("entry_reasons")):
        reasons.setdefault(row["outcome"], {})[row["reason"]] = row["entries"]
    letters = await connection.fetch(query("dead_letter_reasons"))
    return Status(
        ledger,
        clock,
        [row["name"] for row in await connection.fetch(query("worker_names"))],
        [_shard(row, ends) for row in await connection.fetch(query("shard_status"), RATE_SECONDS)],
        {row["reason"]: row["records"] for row in letters},
        reasons,
    )


async def input_ends(servers: Servers, shards: int) -> Ends:
    """Where the input topics end now.

    Raises:
        KafkaError: no server answers.
    """
    partitions = {
        TopicPartition(servers.topic_prefix + topic.value, 0 if topic is Topic.PROGRAMME else shard): (topic, shard)
        for topic in Topic
        for shard in range(1 if topic is Topic.PROGRAMME else shards)
    }
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.kafka, client_id="redress", isolation_level="read_committed")
    try:
        await consumer.start()
        ends = await consumer.end_offsets(list(partitions))
    finally:
        await consumer.stop()
    return {partitions[partition]: end for partition, end in ends.items()}


def _shard(row: Any, ends: Ends) -> ShardStatus:
    lag = {}
    for topic in Topic:
        end = ends[topic, 0 if topic is Topic.PROGRAMME else row["shard"]]
        name = topic.value.removeprefix("redress.")
        lag[name] = max(0, end - row[f"{name}_offset"])
    return ShardStatus(
        row["shard"],
        row["owner"],
        row["epoch"],
        row["batch"],
        row["entries"],
        row["now"],
        row["clock_seconds"],
        row["batch_seconds"],
        lag,
        row["falling_due"],
        row["stopped"],
        row["entries_per_second"],
        row["records_per_second"],
        row["parked"],
        row["dead_lettered"],
        row["relay_batches"],
    )
