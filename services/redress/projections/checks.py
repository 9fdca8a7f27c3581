"""What a check of `redress verify` comes to, and those checks that one statement answers."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg

from redress.ledger.connection import Connection
from redress.ledger.queries import query, statements

PACKAGE: Final = "redress.projections"

BROKEN: Final = (LookupError, ValueError, TypeError, AttributeError, StopIteration, struct.error)
"""What reading or applying an entry raises that no ledger wrote."""

Figures: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`problems` are the first of `wrong` in all; `figures` say how much was looked at."""

    name: str
    meaning: str
    figures: Figures
    wrong: int
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return self.wrong == 0


class Findings:
    """Problems as they are found: all are counted, the first are kept."""

    def __init__(self, shown_max: int) -> None:
        self.wrong = 0
        self.shown: list[str] = []
        self._shown_max = shown_max

    def add(self, problems: Iterable[str]) -> None:
        """Take more problems."""
        for problem in problems:
            self.wrong += 1
            if len(self.shown) < self._shown_max:
                self.shown.append(problem)

    def result(self, name: str, meaning: str, figures: Figures) -> CheckResult:
        """The check that found them."""
        return CheckResult(name, meaning, figures, self.wrong, tuple(self.shown))


def sql_checks() -> list[str]:
    """Names of the checks that one statement each answers, in order."""
    return [name for name, statement in statements(PACKAGE).items() if statement.file == "verify.sql"]


async def run_sql_check(connection: Connection, name: str, shown_max: int) -> CheckResult:
    """Run one statement of `verify.sql`, in a transaction of the caller's."""
    meaning = statements(PACKAGE)[name].purpose
    try:
        async with connection.transaction():  # a savepoint: the next check goes on in the same snapshot
            row = await connection.fetchrow(query(name, PACKAGE), shown_max)
    except asyncpg.DataError as error:
        return CheckResult(name, meaning, {}, 1, (f"bytes that cannot be opened: {error}",))
    if row is None:
        raise LookupError(f"check {name} returned nothing")
    return CheckResult(name, meaning, row["figures"], row["wrong"], tuple(row["problems"]))
