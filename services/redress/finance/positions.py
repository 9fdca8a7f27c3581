"""Per shard the batch that figures were read at: the reproducible key of every published number."""

from dataclasses import dataclass

from redress.domain.ids import Instant
from redress.finance.queries import query
from redress.ledger.connection import Connection


@dataclass(frozen=True, slots=True)
class Position:
    """A shard's; `now` is its clock, `recorded_at` its last batch's. Both are None before its first."""

    shard: int
    batch: int
    next_seq: int
    recorded_at: Instant | None
    now: Instant | None


async def load_positions(connection: Connection) -> list[Position]:
    """All shards, in the snapshot of the connection."""
    return [Position(*row) for row in await connection.fetch(query("positions"))]


def is_final(positions: list[Position], known_at: Instant) -> bool:
    """Whether what was known at that moment cannot change any more. Source: RULES section 2."""
    return all(p.recorded_at is not None and p.recorded_at >= known_at for p in positions)
