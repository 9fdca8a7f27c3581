"""Leases: which worker serves which shard. The wall clock decides; what it gets wrong, the head's epoch catches."""

from dataclasses import dataclass

from redress.ledger.connection import Connection
from redress.ledger.queries import query

LEASE_SECONDS = 10
"""How long a lease lasts unless renewed: with the survey below, a dead worker's shards move within some 13 s."""
SURVEY_SECONDS = 2
"""How often a worker looks for free shards and renews its own: a lease survives four failures."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a worker sees: `own` and `free` are shard numbers."""

    workers: int
    shards: int
    own: frozenset[int]
    free: tuple[int, ...]

    @property
    def share(self) -> int:
        """How many shards a worker takes at most: ceil(shards / workers)."""
        return -(-self.shards // max(1, self.workers))


async def survey(connection: Connection, worker: str) -> Survey:
    """Say that the worker is alive, and look around."""
    await connection.execute(query("announce"), worker, LEASE_SECONDS)
    row = await connection.fetchrow(query("survey"), worker)
    if row is None:
        raise LookupError("the survey of leases returned nothing")
    return Survey(row["workers"], row["shards"], frozenset(row["own"]), tuple(row["free"]))


async def take(connection: Connection, worker: str, shard: int) -> int | None:
    """Take a free shard; its new epoch, or None if another worker was first.

    The last owner's backend is ended before the epoch is bumped: a client that hangs inside COPY keeps its lock on the
    head, and no timeout of Postgres fires. Called outside any transaction: the lease is ours from the first statement.
    """
    before = await connection.fetchrow(query("take"), shard, worker, LEASE_SECONDS)
    if before is None:
        return None
    if before["backend_pid"] is not None:
        await connection.execute(query("terminate"), before["backend_pid"], before["backend_start"])
    epoch: int = await connection.fetchval(query("bump_epoch"), shard)
    return epoch


async def write_backend(connection: Connection, worker: str, shard: int, pid: int) -> None:
    """Note which backend the shard is written with, so that a next owner can end it."""
    await connection.execute(query("write_backend"), shard, worker, pid)


async def renew(connection: Connection, worker: str, shards: frozenset[int]) -> frozenset[int]:
    """Keep shards; those that are still ours."""
    await connection.execute(query("announce"), worker, LEASE_SECONDS)
    rows = await connection.fetch(query("renew"), worker, sorted(shards), LEASE_SECONDS)
    return frozenset(row["shard"] for row in rows)


async def give_back(connection: Connection, worker: str, shards: frozenset[int]) -> None:
    """Hand shards to others, at once."""
    await connection.execute(query("give_back"), worker, sorted(shards))


async def leave(connection: Connection, worker: str) -> None:
    """A clean stop: all shards are free at once."""
    await connection.execute(query("leave"), worker)
    await connection.execute(query("forget_dead"))
