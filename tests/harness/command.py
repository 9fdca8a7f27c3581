"""`redress …` in this process, on a test's own ledger, and as a process of its own."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from redress.cli.main import run
from redress.ledger.identity import LedgerIdentity
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER

EXIT_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON object."""
        return orjson.loads(self.out)


@dataclass(frozen=True, slots=True)
class Command:
    """Runs `redress` with the environment of one ledger."""

    environment: dict[str, str]
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    program: tuple[str, ...] = (sys.executable, "-m", "redress.cli.main")
    """What `process` starts."""

    async def __call__(self, *arguments: str, **environment: str) -> Result:
        """In this process, in a thread: a worker of the test's own event loop goes on meanwhile."""
        for name in [name for name in os.environ if name.startswith("REDRESS_")]:
            self.monkeypatch.delenv(name)
        for name, value in {**self.environment, **environment}.items():
            self.monkeypatch.setenv(name, value)
        self.capsys.readouterr()
        status = await _in_thread_of_its_own(run, list(arguments))
        said = self.capsys.readouterr()
        return Result(status, said.out, said.err)

    @contextlib.asynccontextmanager
    async def process(self, *arguments: str, **environment: str) -> AsyncIterator["Process"]:
        """As a process, until the block ends."""
        started = Process(
            await asyncio.create_subprocess_exec(
                *self.program,
                *arguments,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**_without_redress(), **self.environment, **environment},
            )
        )
        try:
            yield started
        finally:
            await started.end()


class Process:
    """A command that runs. Everything it says on standard error is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda _: self._ended())

    async def says(self, text: str) -> None:
        """Wait until it has said this."""
        async with asyncio.timeout(EXIT_SECONDS_MAX), self._news:
            await self._news.wait_for(lambda: any(text in line for line in self._said) or self._reading.done())
        if not any(text in line for line in self._said):
            raise AssertionError(f"it ended without saying {text!r}: {''.join(self._said)}")

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> Result:
        """Send a signal, and wait for its end."""
        self._process.send_signal(by)
        return await self.ends()

    async def ends(self) -> Result:
        """Wait for its end."""
        stdout = self._process.stdout
        assert stdout is not None
        async with asyncio.timeout(EXIT_SECONDS_MAX):
            out = await stdout.read()
            await self._reading
            return Result(await self._process.wait(), out.decode(), "".join(self._said))

    async def end(self) -> None:
        """Whatever it does."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._reading

    def _ended(self) -> None:
        self._waking = asyncio.create_task(self._wake())

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _read(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        async for line in stderr:
            async with self._news:
                self._said.append(line.decode())
                self._news.notify_all()


def environment_of(
    stack: Stack, database: str, prefix: str, state: Path, identity: LedgerIdentity = TEST_LEDGER
) -> dict[str, str]:
    """The settings that name a test's ledger."""
    return {
        "REDRESS_KAFKA": stack.kafka,
        "REDRESS_POSTGRES": database,
        "REDRESS_TOPIC_PREFIX": prefix,
        "REDRESS_LEDGER": identity.name,
        "REDRESS_SHARDS": str(identity.shards),
        "REDRESS_CLOCK": identity.clock,
        "REDRESS_PARKING_SECONDS": str(identity.parking_seconds),
        "REDRESS_STATE": str(state),
    }


async def _in_thread_of_its_own(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Unlike the threads of a pool, this one holds nothing up: a command that waits for ever ends with the test run."""
    loop = asyncio.get_running_loop()
    status: asyncio.Future[int] = loop.create_future()

    def tell(done: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the test has ended before its command, and its loop with it
            loop.call_soon_threadsafe(lambda: None if status.done() else done())

    def work() -> None:
        try:
            result = run(arguments)
        except BaseException as error:
            tell(lambda error=error: status.set_exception(error))  # type: ignore[misc]
        else:
            tell(lambda: status.set_result(result))

    threading.Thread(target=work, name="redress", daemon=True).start()
    return await status


def _without_redress() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REDRESS_")}
