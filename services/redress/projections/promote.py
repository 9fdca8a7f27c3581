"""Rebuild shards from their journals, several at a time: to compare them with the live rows, or to put them in place.

To compare, each shard is read in one snapshot, and workers go on undisturbed. To put in place, its lease is taken, as
a worker would take it: while another has it that is refused, and whoever wrote to the shard before is fenced by its
epoch. A shard is put in place in one transaction, or not at all; no transaction spans two. Nothing is published.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import asyncpg

from redress.ledger import lease
from redress.ledger.connection import Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.projections.scratch import Rebuilt, Scratch, Told

CONNECTIONS: Final = 2
"""Shards at a time. Each keeps one core of the database's machine busy, which may have others to serve."""
SHOWN_MAX: Final = 10
"""Problems shown of each table of a shard: enough to see the pattern."""

Progress = Callable[[int, str], None]
"""Called with the shard and the name of each step as it begins."""
_ENDED: Final = (asyncpg.AdminShutdownError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)
"""How the end of our backend shows: whoever takes a shard over ends it first."""


class ServedError(Exception):
    """A shard belongs to somebody else: nothing of it was put in place."""


async def compare_shards(
    postgres: str, ledger: LedgerIdentity, shards: Sequence[int], progress: Progress
) -> list[Rebuilt]:
    """Rebuild them beside the live rows, and tell what differs. It can change nothing.

    Raises:
        BrokenJournalError: a journal is not whole, or does not make sense.
    """

    async def compare(connection: Connection, scratch: Scratch, shard: int) -> Rebuilt:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await scratch.rebuild(shard, SHOWN_MAX, lambda step: progress(shard, step))

    return await _each(postgres, ledger, shards, compare)


async def promote_shards(
    postgres: str, ledger: LedgerIdentity, shards: Sequence[int], progress: Progress
) -> list[Rebuilt]:
    """Rebuild them, and put in place what differs: each in a transaction of its own, under its lease.

    Raises:
        BrokenJournalError: a journal is not whole, or does not make sense; nothing of that shard was put in place.
        ServedError: somebody else has one of the shards, or took it meanwhile.
    """
    async with _leased(postgres, shards) as (name, epochs):

        async def promote(connection: Connection, scratch: Scratch, shard: int) -> Rebuilt:
            await lease.write_backend(connection, name, shard, connection.get_server_pid())
            try:
                return await _promote(connection, scratch, shard, epochs[shard], lambda step: progress(shard, step))
            except _ENDED as error:
                owner = await _owner_of(postgres, shard)
                if owner == name:
                    raise
                raise ServedError(f"shard {shard} was taken over by {owner}: nothing of it was put in place") from error

        return await _each(postgres, ledger, shards, promote)


async def _promote(connection: Connection, scratch: Scratch, shard: int, epoch: int, told: Told) -> Rebuilt:
    async with connection.transaction():
        head = await connection.fetchrow(query("lock_head"), shard)
        if head is None or head["epoch"] != epoch:
            raise ServedError(f"shard {shard} was taken over: nothing of it was put in place")
        rebuilt = await scratch.rebuild(shard, SHOWN_MAX, told)
        await scratch.put(rebuilt, told)
    return replace(rebuilt, promoted=bool(rebuilt.rows))


Work = Callable[[Connection, Scratch, int], Coroutine[Any, Any, Rebuilt]]


async def _each(postgres: str, ledger: LedgerIdentity, shards: Sequence[int], work: Work) -> list[Rebuilt]:
    """Do the work with every shard, some at a time; the first failure ends all."""
    left = list(reversed(shards))
    done: list[Rebuilt] = []

    async def take_turns() -> None:
        connection = await connect(postgres, application_name="redress-rebuild")
        try:
            scratch = Scratch(connection, ledger)
            await scratch.make()
            while left:
                done.append(await work(connection, scratch, left.pop()))
        finally:
            connection.terminate()

    tasks = [asyncio.create_task(take_turns()) for _ in range(min(CONNECTIONS, len(shards)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(done, key=lambda rebuilt: rebuilt.shard)


@asynccontextmanager
async def _leased(postgres: str, shards: Sequence[int]) -> AsyncIterator[tuple[str, dict[int, int]]]:
    """Lease all of them, or none; and keep them meanwhile. Under which name, and the epochs by shard."""
    name = f"rebuild:{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    control = await connect(postgres, application_name="redress-rebuild")
    keeping: asyncio.Task[None] | None = None
    try:
        epochs = {shard: await _take(control, name, shard) for shard in shards}
        keeping = asyncio.create_task(_keep(postgres, name, frozenset(shards)))
        yield name, epochs
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await lease.leave(control, name)
        control.terminate()


async def _take(control: Connection, name: str, shard: int) -> int:
    epoch = await lease.take(control, name, shard)
    if epoch is None:
        owner = await control.fetchval(query("lease_owner"), shard)
        raise ServedError(
            f"shard {shard} is served by {owner}: stop the workers first (the lease of one that was killed lasts "
            f"{lease.LEASE_SECONDS} s). Without --promote, shards can be compared while they are served"
        )
    return epoch


async def _owner_of(postgres: str, shard: int) -> str | None:
    connection = await connect(postgres, application_name="redress-rebuild")
    try:
        owner: str | None = await connection.fetchval(query("lease_owner"), shard)
        return owner
    finally:
        connection.terminate()


async def _keep(postgres: str, name: str, shards: frozenset[int]) -> None:
    """Renew the leases. Where that fails they run out: the next owner ends our backend, and with it our transaction."""
    connection = await connect(postgres, application_name="redress-lease")
    try:
        while True:
            await lease.renew(connection, name, shards)
            await asyncio.sleep(lease.SURVEY_SECONDS)
    finally:
        connection.terminate()
