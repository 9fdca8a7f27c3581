"""SQL by name: statements live in `sql/*.sql` of a package, each under a line `-- name: what it is for`."""

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- ([a-z_]+): .+$", re.MULTILINE)


@cache
def statements(package: str) -> dict[str, str]:
    """All statements of a package by name, in order of files and places.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, str] = {}
    for file in sorted(files(package).joinpath("sql").iterdir(), key=lambda file: file.name):
        parts = _HEAD.split(file.read_text(encoding="utf-8"))
        for name, statement in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"two statements are called {name}")
            found[name] = statement.strip().removesuffix(";")
    return found


def query(name: str, package: str = "redress.ledger") -> str:
    """The statement of that name.

    Raises:
        KeyError: there is none.
    """
    return statements(package)[name]
