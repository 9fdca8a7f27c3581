"""What the ledger could not take: listed, shown with its bytes, erased; and shards that stopped for too much of it."""

from dataclasses import dataclass
from typing import Any

from redress.domain.entry import DeadLetterReason
from redress.domain.event import Coordinates, Topic
from redress.domain.ids import Instant
from redress.ledger.connection import Connection
from redress.ledger.queries import query

SHARD_MAX = 2**15 - 1
"""What the column holds."""
OFFSET_MAX = 2**63 - 1
"""What the columns hold."""


class CoordinatesError(ValueError):
    """A text that names no record."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be taken. `key` and `value` are None where they were not asked for, or were erased."""

    shard: int
    at: Coordinates
    batch: int
    reason: DeadLetterReason
    detail: str
    type: str | None
    size: int
    sha256: str
    recorded_at: Instant
    erased_at: Instant | None
    key: bytes | None = None
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a shard stood still, and since when."""

    shard: int
    since: Instant
    reason: str
    detail: str


def parse_coordinates(text: str, topic_prefix: str) -> Coordinates:
    """`TOPIC/PARTITION/OFFSET`, the topic as Kafka names it or without the prefix of this installation.

    Raises:
        CoordinatesError: it is none of a topic that the ledger reads.
    """
    topic, _, rest = text.removeprefix(topic_prefix).partition("/")
    partition, _, offset = rest.partition("/")
    if topic not in set(Topic):
        raise CoordinatesError("not TOPIC/PARTITION/OFFSET of a topic that the ledger reads")
    if not all(number.isascii() and number.isdecimal() for number in (partition, offset)):
        raise CoordinatesError("PARTITION and OFFSET must be numbers: TOPIC/PARTITION/OFFSET")
    if int(partition) > SHARD_MAX or int(offset) > OFFSET_MAX:
        raise CoordinatesError("PARTITION or OFFSET is larger than any there can be")
    return Coordinates(Topic(topic), int(partition), int(offset))


async def list_dead_letters(
    connection: Connection, reason: DeadLetterReason | None, shard: int | None, limit: int
) -> tuple[list[DeadLetter], int]:
    """The newest, and how many there are in all."""
    chosen = (reason.value if reason else None, shard)
    rows = await connection.fetch(query("list_dead_letters"), *chosen, limit)
    return [_letter(row) for row in rows], await connection.fetchval(query("count_dead_letters_like"), *chosen)


async def show_dead_letter(connection: Connection, at: Coordinates) -> DeadLetter | None:
    """One, with its bytes."""
    row = await connection.fetchrow(query("show_dead_letter"), at.partition, at.topic.value, at.offset)
    return None if row is None else _letter(row, row["key"], row["value"])


async def erase_dead_letter(connection: Connection, at: Coordinates) -> bool:
    """Erase its bytes; False if there are none. Size and SHA-256 stay."""
    erased = await connection.fetchval(query("erase_dead_letter"), at.partition, at.topic.value, at.offset)
    return erased is not None


async def resume_shard(connection: Connection, shard: int) -> Stopped | None:
    """Let a stopped shard go on, which its worker does within a second or two; None if it was not stopped."""
    row = await connection.fetchrow(query("resume_shard"), shard)
    return None if row is None else Stopped(shard, row["since"], row["reason"], row["detail"])


def _letter(row: Any, key: bytes | None = None, value: bytes | None = None) -> DeadLetter:
    return DeadLetter(
        row["shard"],
        Coordinates(Topic(row["topic"]), row["record_partition"], row["record_offset"]),
        row["batch"],
        DeadLetterReason(row["reason"]),
        row["detail"],
        row["type"],
        row["size"],
        row["sha256"],
        row["recorded_at"],
        row["erased_at"],
        key,
        value,
    )
