"""Columns of text made by numpy are what Python makes of each value."""

from random import Random

import numpy as np
import pytest

from redress.ledger.copying import decimals, hexadecimal

AROUND_POWERS = [10**power + near for power in range(18) for near in (-1, 0, 1)]


@pytest.mark.parametrize("values", [[0], [7, 7, 7], AROUND_POWERS, [0, 1, 10**18], [999, 1000]], ids=len)
def test_integers_are_written_as_python_writes_them(values: list[int]) -> None:
    Random(1).shuffle(values)

    widths, digits = decimals(np.array(values, np.int64))

    assert [row[-width:].tobytes().decode() for width, row in zip(widths, digits, strict=True)] == [*map(str, values)]


def test_bytes_are_written_in_hexadecimal() -> None:
    rows = [Random(n).randbytes(32) for n in range(5)]

    written = hexadecimal(np.frombuffer(b"".join(rows), np.uint8).reshape(5, 32))

    assert [row.tobytes().decode() for row in written] == [row.hex() for row in rows]
