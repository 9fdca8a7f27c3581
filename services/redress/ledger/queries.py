"""SQL by name: statements live in `sql/*.sql`, each under a line `-- name: what it is for`."""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_HEAD = re.compile(r"^-- ([a-z_]+): (.+)$", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+)")


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


@cache
def together(*names: str) -> str:
    """These statements as one, in one round trip; none sees what another one of them writes.

    All have the same $1; the further parameters of each follow those of the one before.
    """
    parts = []
    behind = 0
    for name in names:
        sql = query(name)
        numbers = {int(number) for number in _PARAMETER.findall(sql)}
        parts.append(_PARAMETER.sub(lambda found, n=behind: f"${int(found[1]) + n * (found[1] != '1')}", sql))  # type: ignore[misc]
        behind += max(numbers, default=1) - 1
    before = ",\n".join(f"{name} as (\n{sql}\n)" for name, sql in zip(names[:-1], parts[:-1], strict=True))
    return f"with {before}\n{parts[-1]}" if before else parts[-1]
