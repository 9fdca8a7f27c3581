"""Rows for COPY in Postgres' binary format, made column by column for many rows at once.

A column is None (null in every row), bytes (the same in every row), or an array with a row of bytes for each. All rows
of a call have the same widths.
"""

from collections.abc import AsyncIterator, Sequence
from struct import Struct
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from redress.ledger.connection import POSTGRES_EPOCH

Bytes: TypeAlias = NDArray[np.uint8]
Column: TypeAlias = bytes | Bytes | None

_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"


def copy_rows(number: int, columns: Sequence[Column]) -> bytes:
    """So many rows of these columns."""
    template = bytearray(len(columns).to_bytes(2, "big"))
    places: list[tuple[int, Bytes]] = []
    for column in columns:
        if column is None:
            template += _NULL
            continue
        width = len(column) if isinstance(column, bytes) else column.shape[1]
        template += width.to_bytes(4, "big")
        if isinstance(column, bytes):
            template += column
        else:
            places.append((len(template), column))
            template += bytes(width)
    rows = np.empty((number, len(template)), np.uint8)
    rows[:] = np.frombuffer(template, np.uint8)
    for at, column in places:
        rows[:, at : at + column.shape[1]] = column
    return rows.tobytes()


async def copy_stream(rows: Sequence[bytes]) -> AsyncIterator[bytes]:
    """What COPY reads: rows as `copy_rows` makes them."""
    yield b"".join((_BEGIN, *rows, _END))


def int8s(values: Sequence[int] | NDArray[np.int64]) -> Bytes:
    """A bigint each."""
    return np.array(values, ">i8").view(np.uint8).reshape(len(values), 8)


def instants(values: NDArray[np.int64]) -> Bytes:
    """A timestamptz each."""
    return (values - POSTGRES_EPOCH).astype(">i8").view(np.uint8).reshape(len(values), 8)


def alike_bytes(values: Sequence[bytes]) -> Bytes:
    """What has the same width in every row."""
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), len(values[0]))


def sliced(rows: Bytes) -> list[bytes]:
    """Each row's bytes."""
    width = rows.shape[1]
    packed = rows.tobytes()
    return [packed[at : at + width] for at in range(0, len(packed), width)]


def hexadecimal(rows: Bytes) -> Bytes:
    """Each row's bytes as text."""
    return np.frombuffer(rows.tobytes().hex().encode(), np.uint8).reshape(len(rows), 2 * rows.shape[1])


def decimals(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], Bytes]:
    """How many digits each has, of integers not below 0; their digits as text, flush right."""
    width = len(str(values.max()))
    digits = np.empty((len(values), width), np.uint8)
    if (values == values[0]).all():
        digits[:] = np.frombuffer(str(values[0]).encode(), np.uint8)
        return np.full(len(values), width), digits
    rest = values
    for at in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        digits[:, at] = digit + ord("0")
    leading = np.cumsum(digits != ord("0"), axis=1) == 0
    return width - leading[:, :-1].sum(axis=1), digits


# One row at a time, for rows of which none is like the other: each field behind its length.

NULL: Final = _NULL
INT2: Final = Struct(">ih")
INT4: Final = Struct(">ii")
INT8: Final = Struct(">iq")
JSONB: Final = b"\x01"
"""Before the text of a jsonb."""
INT8_OID: Final = 20
UUID_OID: Final = 2950
"""What Postgres knows types by inside an array."""
_UUID_LENGTH: Final = (16).to_bytes(4, "big")
_ARRAY: Final = Struct(">iiIii")
"""Dimensions, whether there are nulls, type, length, index of the first."""


def field(value: bytes) -> bytes:
    """A field of these bytes."""
    return len(value).to_bytes(4, "big") + value


def uuid_field(text: str) -> bytes:
    """A uuid, from its usual text."""
    return _UUID_LENGTH + bytes.fromhex(text.replace("-", ""))


def array_field(of: int, fields: Sequence[bytes]) -> bytes:
    """An array of one dimension, of fields of this type; it has some."""
    return field(_ARRAY.pack(1, 0, of, len(fields), 1) + b"".join(fields))
