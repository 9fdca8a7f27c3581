"""The page of limits says what the code does."""

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(redress\.[A-Za-z_.]+)` \| ([0-9.]+) \|", PAGE, re.MULTILINE)


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) == PAGE.count("| `redress.")


@pytest.mark.parametrize(("name", "value"), ROWS, ids=[name for name, _ in ROWS])
def test_a_limit_is_what_the_page_says(name: str, value: str) -> None:
    parts = name.split(".")
    first = next(index for index, part in enumerate(parts) if part.isupper())
    found: object = reduce(getattr, parts[first:], import_module(".".join(parts[:first])))

    assert found == float(value)
