"""A load: events of many people that wait on Kafka behind open transactions, until they are let go all at once."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

from tests.benchmarks.ledger import BenchLedger, BenchmarkError

GENERATORS = 2


@dataclass(slots=True)
class Load:
    """Records that are on Kafka, and that nobody can read before `let_go`."""

    generators: list[asyncio.subprocess.Process]

    async def let_go(self) -> float:
        """Commit them; when that began, in seconds since 1970."""
        begun = time.time()
        for process in self.generators:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        for process in self.generators:
            await says(process, b"done")
        return begun


@asynccontextmanager
async def waiting_load(ledger: BenchLedger, kind: str, first: int, end: int) -> AsyncIterator[Load]:
    """The events of one kind of people `first` to `end`, made by processes that do nothing more once they wait."""
    bounds = [first + (end - first) * n // GENERATORS for n in range(GENERATORS + 1)]
    generators = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.generator", kind, str(begin), str(stop), str(number),
            env=ledger.environment(), start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for number, (begin, stop) in enumerate(pairwise(bounds))
    ]  # fmt: skip
    try:
        for process in generators:
            await says(process, b"ready")
        yield Load(generators)
    finally:
        for process in generators:
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in generators))


async def says(process: asyncio.subprocess.Process, word: bytes) -> None:
    """Wait for a word of the protocol.

    Raises:
        BenchmarkError: it said something else, or ended.
    """
    assert process.stdout is not None
    line = await process.stdout.readline()
    if line.strip() != word:
        raise BenchmarkError(f"a process ended without saying {word.decode()}: see what it wrote")
