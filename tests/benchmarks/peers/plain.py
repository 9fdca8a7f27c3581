"""The plain way: one asyncpg transaction per event: `python -m tests.benchmarks.peers.plain FIRST END`.

One event, four vouchers and four entries: nine rows. Eight connections. The events are read beforehand.
"""

import asyncio
import sys
from collections.abc import Iterator
from itertools import count

import asyncpg

from redress.runtime.settings import load_settings
from redress.runtime.wiring import servers_by_address
from tests.benchmarks import people
from tests.benchmarks.peers.events import IssuedEvent, decode, entry_rows, event_row, voucher_rows

CONNECTIONS = 8
_EVENT = """
insert into peer.event (shard, id, source, type, beneficiary, occurred_at, record_offset)
values ($1, $2, $3, $4, $5, $6, $7)
"""
_VOUCHER = "insert into peer.voucher values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
_ENTRY = "insert into peer.entry values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"


async def write_event(connection: "asyncpg.Connection[asyncpg.Record]", event: IssuedEvent, seq: int) -> None:
    """Nine rows in one transaction. `seq`: of its first entry."""
    async with connection.transaction():
        await connection.execute(_EVENT, *event_row(0, event, seq))
        await connection.executemany(_VOUCHER, voucher_rows(0, event))
        await connection.executemany(_ENTRY, entry_rows(0, event, seq))


async def run(first: int, end: int) -> None:
    """Write the issues of these people."""
    events = [decode(record.value) for record in people.issued(first, end)]
    address = servers_by_address(load_settings()).postgres
    connections = [await asyncpg.connect(address) for _ in range(CONNECTIONS)]
    print("ready", flush=True)  # noqa: T201 - the protocol
    await asyncio.to_thread(sys.stdin.readline)
    left = zip(events, count(1, people.LINES), strict=False)
    await asyncio.gather(*(_drain(connection, left) for connection in connections))
    print("done", flush=True)  # noqa: T201
    for connection in connections:
        await connection.close()


async def _drain(connection: "asyncpg.Connection[asyncpg.Record]", left: Iterator[tuple[IssuedEvent, int]]) -> None:
    for event, seq in left:
        await write_event(connection, event, seq)


if __name__ == "__main__":
    asyncio.run(run(*map(int, sys.argv[1:])))
