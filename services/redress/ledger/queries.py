"""SQL by name: statements live in `sql/*.sql`, each under a line `-- name: what it is for`."""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_HEAD = re.compile(r"^-- ([a-z_]+): (.+)$", re.MULTILINE)


class Statement(NamedTuple):
    """A statement with what it is for; `file` is the name of the file it stands in."""

    file: str
    purpose: str
    sql: str


@cache
def statements(package: str) -> dict[str, Statement]:
    """All statements of a package by name, file by file, in the order in which they stand there.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, Statement] = {}
    for file in sorted(files(package).joinpath("sql").iterdir(), key=lambda file: file.name):
        parts = _HEAD.split(file.read_text(encoding="utf-8"))
        for name, purpose, sql in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if name in found:
                raise ValueError(f"two statements are called {name}")
            found[name] = Statement(file.name, purpose, sql.strip().removesuffix(";"))
    return found


def query(name: str, package: str = "redress.ledger") -> str:
    """The statement of that name.

    Raises:
        KeyError: there is none.
    """
    return statements(package)[name].sql
