"""Bare COPY of what a ledger just wrote: `python -m tests.benchmarks.peers.bare_copy RANGES`.

Rows of `journal` and `state` are read out first, in binary, then copied into empty copies of the same tables, a batch's
worth to a transaction, on two connections: what Postgres alone takes for these bytes. RANGES is JSON: first and last
seq of each shard. It writes JSON: entries and seconds.
"""

import asyncio
import io
import sys
import time
from collections.abc import Iterator

import asyncpg
import orjson

from redress.runtime.settings import load_settings
from redress.runtime.wiring import servers_by_address

ENTRIES_OF_A_BATCH = 5_000
CONNECTIONS = 2
_CREATE = """
drop schema if exists bench_copy cascade;
create schema bench_copy;
create table bench_copy.journal (like redress.journal including all);
create table bench_copy.state (like redress.state including all) with (fillfactor = 50);
"""
_JOURNAL = "select * from redress.journal where shard = $1 and seq between $2 and $3"
_STATE = "select * from redress.state where shard = $1 and last_seq between $2 and $3"

Blobs = tuple[bytes, bytes]


async def run(ranges: list[tuple[int, int, int]]) -> dict[str, float]:
    """Copy the entries of these ranges, and the state rows they left."""
    address = servers_by_address(load_settings()).postgres
    connections = [await asyncpg.connect(address) for _ in range(CONNECTIONS)]
    first = connections[0]
    await first.execute(_CREATE)
    blobs = [
        (await _read(first, _JOURNAL, shard, begin, end), await _read(first, _STATE, shard, begin, end))
        for shard, begin, end in _batches(ranges)
    ]
    left = iter(blobs)
    begun = time.monotonic()
    await asyncio.gather(*(_write(connection, left) for connection in connections))
    seconds = time.monotonic() - begun
    entries = await first.fetchval("select count(*) from bench_copy.journal")
    await first.execute("drop schema bench_copy cascade")
    for connection in connections:
        await connection.close()
    return {"entries": entries, "seconds": seconds}


def _batches(ranges: list[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    for shard, first, last in ranges:
        for begin in range(first, last + 1, ENTRIES_OF_A_BATCH):
            yield shard, begin, min(last, begin + ENTRIES_OF_A_BATCH - 1)


async def _read(connection: "asyncpg.Connection[asyncpg.Record]", statement: str, *arguments: int) -> bytes:
    into = io.BytesIO()
    await connection.copy_from_query(statement, *arguments, output=into, format="binary")
    return into.getvalue()


async def _write(connection: "asyncpg.Connection[asyncpg.Record]", left: Iterator[Blobs]) -> None:
    for journal, state in left:
        async with connection.transaction():
            for table, blob in (("journal", journal), ("state", state)):
                await connection.copy_to_table(
                    table, schema_name="bench_copy", source=io.BytesIO(blob), format="binary"
                )


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(run(orjson.loads(sys.argv[1])))))
