"""The tables that somebody without a ledger would write: a row per event, per voucher, and per line."""

from typing import Final

import asyncpg

DROP: Final = "drop schema if exists peer cascade"
CREATE: Final = """
create schema peer;
create table peer.event (
    shard smallint, id text, source text, type text, beneficiary uuid, occurred_at timestamptz, record_offset bigint,
    recorded_at timestamptz default clock_timestamp(),
    primary key (shard, id)
);
create table peer.voucher (
    shard smallint, id uuid, beneficiary uuid, programme text, wave text, benefit text, status text,
    face bigint, available bigint, held bigint, redeemed bigint, forfeited bigint,
    primary key (shard, id)
);
create table peer.entry (
    shard smallint, seq bigint, event_id text, voucher uuid, movement text, debit text, credit text, amount bigint,
    effective_at timestamptz,
    primary key (shard, seq)
);
"""


async def make_tables(address: str) -> None:
    """Empty ones: those of an earlier round are dropped."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(DROP)
        await connection.execute(CREATE)
    finally:
        await connection.close()


async def written(address: str) -> tuple[int, int, int]:
    """How many events, vouchers and entries there are."""
    connection = await asyncpg.connect(address)
    try:
        counts = [
            await connection.fetchval(f"select count(*) from peer.{table}") for table in ("event", "voucher", "entry")
        ]
    finally:
        await connection.close()
    return counts[0], counts[1], counts[2]
