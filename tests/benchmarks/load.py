"""A load: events of many people that wait on Kafka behind open transactions, until they are let go all at once."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.processes import Crew, crew

GENERATORS: Final = 2


@dataclass(frozen=True, slots=True)
class Load:
    """Records that are on Kafka, and that nobody can read before `let_go`."""

    generators: Crew

    async def let_go(self) -> float:
        """Commit them; when that began, in seconds since 1970."""
        begun = time.time()
        self.generators.go()
        await self.generators.say("done")
        return begun


@asynccontextmanager
async def waiting_load(ledger: BenchLedger, kind: str, first: int, end: int) -> AsyncIterator[Load]:
    """The events of one kind of people `first` to `end`, made by processes that do nothing more once they wait."""
    bounds = [first + (end - first) * n // GENERATORS for n in range(GENERATORS + 1)]
    entries = [
        ("tests.benchmarks.generator", kind, str(begin), str(stop), str(number))
        for number, (begin, stop) in enumerate(pairwise(bounds))
    ]
    async with crew(entries, ledger.environment(), ledger.stack.folder / "generators.log") as generators:
        await generators.say("ready")
        yield Load(generators)
