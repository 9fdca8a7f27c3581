"""The page of limits says what the code does, and leaves out no bound that the code names."""

import ast
import re
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(redress\.[A-Za-z0-9_.]+)` \| ([0-9.]+) \|", PAGE, re.MULTILINE)


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) == PAGE.count("| `redress.")


@pytest.mark.parametrize(("name", "value"), ROWS, ids=[name for name, _ in ROWS])
def test_a_limit_is_what_the_page_says(name: str, value: str) -> None:
    parts = name.split(".")
    first = next(index for index, part in enumerate(parts) if part.isupper())
    found: object = reduce(getattr, parts[first:], import_module(".".join(parts[:first])))

    assert found == (float(value) if "." in value else int(value))


def test_every_bound_is_on_the_page_with_its_reason_in_the_code() -> None:
    bounds = dict(_bounds())

    assert len(bounds) > 50
    assert sorted(bounds.keys() - {name for name, _ in ROWS}) == []
    assert sorted(name for name, is_explained in bounds.items() if not is_explained) == []


def _bounds() -> Iterator[tuple[str, bool]]:
    """Every constant of a module that is named as a bound, and whether the line behind it says why."""
    for file in (ROOT / "services").rglob("*.py"):
        module = ".".join(file.relative_to(ROOT / "services").with_suffix("").parts)
        statements = ast.parse(file.read_text(encoding="utf-8")).body
        for statement, following in pairwise([*statements, ast.Pass()]):
            match statement:
                case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                    if re.search(r"^MAX_|_MAX$", name):
                        yield f"{module}.{name}", _is_text(following)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
