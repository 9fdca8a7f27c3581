"""Python processes of a benchmark: each ends with the block that began it, also when that block fails.

They speak a line at a time: a process says that it is ready, waits for a line on standard input, says that it is done.
What they write on standard error stands in the log of the benchmark's folder.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

LOG_SHOWN: Final = 1_000
"""Characters of a log's end that an error shows."""


class BenchmarkError(Exception):
    """A measurement that does not hold; the message says why."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Processes that run."""

    processes: list[Process]
    log: Path

    @property
    def pids(self) -> tuple[int, ...]:
        """Their ids."""
        return tuple(process.pid for process in self.processes)

    def go(self) -> None:
        """Give all the word they wait for."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")

    async def say(self, word: str) -> None:
        """Wait until each has said this.

        Raises:
            BenchmarkError: one said something else, or ended.
        """
        for process in self.processes:
            assert process.stdout is not None
            if (await process.stdout.readline()).decode().strip() != word:
                raise self.failure(f"a process did not say {word}")

    def assert_alive(self) -> None:
        """Raises BenchmarkError if one has ended."""
        if any(process.returncode is not None for process in self.processes):
            raise self.failure("a process has ended")

    def failure(self, what: str) -> BenchmarkError:
        """What happened, with the end of the log."""
        return BenchmarkError(f"{what}; the end of its log:\n{self.log.read_text(encoding='utf-8')[-LOG_SHOWN:]}")


@asynccontextmanager
async def crew(entries: Iterable[tuple[str, ...]], environment: dict[str, str], log: Path) -> AsyncIterator[Crew]:
    """A process for each entry: a module's name and its arguments. They are told to end after the block."""
    processes: list[Process] = []
    with log.open("wb") as errors:
        try:
            for entry in entries:
                processes.append(  # one by one: those begun before one that fails must end, too
                    await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-m",
                        *entry,
                        env=environment,
                        start_new_session=True,  # Ctrl-C is for the benchmark, which ends them
                        stdin=PIPE,
                        stdout=PIPE,
                        stderr=errors,
                    )
                )
            yield Crew(processes, log)
        finally:
            for process in processes:
                if process.returncode is None:
                    process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))


async def json_of(entry: tuple[str, ...], environment: dict[str, str], log: Path) -> Any:
    """The JSON that a process writes.

    Raises:
        BenchmarkError: it wrote none.
    """
    async with crew([entry], environment, log) as running:
        out, _ = await running.processes[0].communicate()
        try:
            return orjson.loads(out)
        except orjson.JSONDecodeError:
            raise running.failure(f"{' '.join(entry)} failed") from None
