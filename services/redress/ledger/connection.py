"""Connections of the ledger: instants travel as exact integers, UUIDs as text, JSON as Python values."""

from typing import Any, TypeAlias

import asyncpg
import orjson

from redress.domain.ids import FAR_FUTURE, FAR_PAST, Instant

POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 UTC, where Postgres counts its microseconds from."""
_INFINITY = 2**63 - 1
_MINUS_INFINITY = -(2**63)

WRITER_ROLE = "redress_writer"
_WRITER_SETTINGS = {"plan_cache_mode": "force_custom_plan", "max_parallel_workers_per_gather": "0"}
"""A writer's tables grow a thousandfold while it runs: a plan kept from when they were small would read all of them, so
keeping one is for `Plans` alone. And to start a process for a part of a batch takes longer than the batch."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_BY_KEY = "set enable_seqscan = off"
"""A writer asks for rows by their keys alone. A plan that was made while a table was nearly empty would read it whole
until the next ANALYZE, and meanwhile it grows by thousands of rows a second."""

CONNECT_SECONDS_MAX = 5
"""How long a reader waits for a connection: its caller waits with it."""
IDLE_SECONDS_MAX = 300
"""How long a reader's connection stays open unused."""


async def connect(
    dsn: str, *, application_name: str, role: str | None = None, timeout_seconds: float = 10
) -> Connection:
    """Open a connection; with `role`, every statement runs under that role's rights.

    Raises:
        OSError, asyncpg.PostgresError: the server cannot be reached, or does not let us in.
    """
    settings = {"application_name": application_name, "jit": "off"}
    if role == WRITER_ROLE:
        settings |= _WRITER_SETTINGS
    connection = await asyncpg.connect(dsn, timeout=timeout_seconds, server_settings=settings)
    await _set_codecs(connection)
    if role is not None:
        await connection.execute(f"set role {role}")  # a constant of this module: no user text gets here
        await connection.execute(_BY_KEY)
    return connection


async def open_pool(dsn: str, *, application_name: str, connections_max: int, statement_seconds_max: float) -> Pool:
    """A pool for readers; no connection is made before one is needed, so the server may be away.

    Statements are prepared once per connection. What a reader leaves behind is nothing, so connections are given back
    without a round trip to reset them.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=connections_max,
        max_inactive_connection_lifetime=IDLE_SECONDS_MAX,
        init=_set_codecs,
        reset=_keep_as_it_is,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=statement_seconds_max,
        server_settings={
            "application_name": application_name,
            "jit": "off",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(statement_seconds_max * 1000)),
        },
    )


async def _keep_as_it_is(_connection: object) -> None:
    """A reader changes nothing of its connection."""


async def _set_codecs(connection: Connection) -> None:
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="tuple", encoder=_encode_instant, decoder=_decode_instant
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_json, decoder=_decode_json
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", format="binary", encoder=orjson.dumps, decoder=orjson.loads
    )
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", format="binary", encoder=_encode_uuid, decoder=_decode_uuid
    )


def _encode_uuid(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def _decode_uuid(raw: bytes) -> str:
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def to_postgres(instant: Instant) -> int:
    """The instant as Postgres counts it."""
    if instant <= FAR_PAST:
        return _MINUS_INFINITY
    if instant >= FAR_FUTURE:
        return _INFINITY
    return instant - POSTGRES_EPOCH


def _encode_instant(instant: Instant) -> tuple[int]:
    return (to_postgres(instant),)


def _decode_instant(raw: tuple[int]) -> Instant:
    if raw[0] == _MINUS_INFINITY:
        return FAR_PAST
    if raw[0] == _INFINITY:
        return FAR_FUTURE
    return Instant(raw[0] + POSTGRES_EPOCH)


def _encode_json(value: Any) -> bytes:
    return b"\x01" + orjson.dumps(value)


def _decode_json(raw: bytes) -> Any:
    return orjson.loads(raw[1:])
