"""A worker process to which something happens when it comes to a named point for the n-th time.

Run as `python -m tests.harness.faulty_worker KAFKA POSTGRES PREFIX POINT HIT FAULT`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import asyncpg
import psycopg

from redress.intake.source import ShardSource
from redress.intake.worker import Servers, Worker
from redress.ledger import batch
from redress.ledger.head import Position
from redress.ledger.shard_ledger import Checkpoint
from redress.relay.relay import Relay
from tests.conftest import TEST_LEDGER

POINTS: Final = (
    "opened",
    "fetched",
    "programme_read",
    "decided",
    "encoded",
    "begun",
    "fenced",
    "copying",
    "copied",
    "written",
    "unanswered",
    "committed",
    "answered",
    "before_hint",
    "hinted",
)
"""Every point of a batch's life that a worker passes, in order. At "copying" Postgres is inside COPY and waits for more
rows. At "unanswered" a batch of few entries, or COMMIT, has been sent, and whatever Postgres answers has not been read.
"""
INSIDE: Final = ("begun", "fenced", "copying", "copied", "written")
"""Points inside a transaction of several statements, as large batches have it: a worker that fails there takes each
batch for a large one."""
RELAY_POINTS: Final = ("relay_opened", "relay_read", "relay_sent", "relay_committed", "relay_hinted")
"""Every point of a group's life that a relay passes, in order."""
RE_EMISSION_POINTS: Final = ("re_emission_read", "re_emission_sent", "re_emission_moved")
"""Every further point of a group of balances that are published again, in order."""
NEVER: Final = "never"
ROOT: Final = Path(__file__).parents[2]


class Fault(StrEnum):
    """What happens to the worker."""

    KILL = "kill"
    """As by `kill -9`."""
    STOP = "stop"
    """As by SIGSTOP, until somebody sends SIGCONT."""
    DROP = "drop"
    """Postgres ends all its connections that write."""
    RAISE = "raise"
    """An exception nobody expects."""
    HANG = "hang"
    """The event loop stands still, as by a call that blocks, until somebody sends SIGUSR1. Threads go on."""


class PlantedError(Exception):
    """Raised by `Fault.RAISE`."""


def faulty_at(point: str, hit: int, fault: Fault, postgres: str) -> Checkpoint:
    """Lets the fault happen when `point` is reached for the `hit`-th time, once."""
    passed: Counter[str] = Counter()

    def reached(name: str) -> None:
        passed[name] += 1
        if passed[name] != hit:
            return
        if name == point:
            happen()
        elif (name, point) in (("sending", "unanswered"), ("written", "unanswered")):
            # The loop turns when the statement is on its way, and calls this before it reads what comes back.
            asyncio.get_running_loop().call_soon(happen)

    def happen() -> None:
        match fault:
            case Fault.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Fault.STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Fault.DROP:
                with psycopg.connect(postgres, autocommit=True) as connection:
                    connection.execute(_DROP)
            case Fault.RAISE:
                raise PlantedError(point)
            case Fault.HANG:
                _hang(postgres)

    return reached


def tell_more(reached: Checkpoint) -> None:
    """Let this process pass, beside the points that the code names, those inside a library's call."""
    copy, commit = asyncpg.Connection.copy_to_table, ShardSource.commit_hint

    async def copy_and_tell(self: "asyncpg.Connection[Any]", table: str, *, source: Any, **options: Any) -> Any:
        async def told() -> AsyncIterator[bytes]:
            async for part in source:
                yield part[: len(part) // 2]
                reached("copying")
                yield part[len(part) // 2 :]

        return await copy(self, table, source=told() if table == "journal" else source, **options)

    async def commit_and_tell(self: ShardSource, position: Position) -> None:
        await commit(self, position)
        reached("hinted")

    asyncpg.Connection.copy_to_table = copy_and_tell  # type: ignore[method-assign,assignment]
    ShardSource.commit_hint = commit_and_tell  # type: ignore[method-assign]


def _hang(postgres: str) -> None:
    """Until SIGUSR1. A connection tells that it hangs: see HUNG."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    of_loop = signal.set_wakeup_fd(write)  # the loop's own pipe is read by nobody while it hangs
    with psycopg.connect(postgres, application_name="hung"):
        while os.read(read, 1) != bytes([signal.SIGUSR1]):
            pass
    signal.set_wakeup_fd(of_loop)
    os.close(read)
    os.close(write)


HUNG: Final = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'hung'"
"""How many workers hang."""
_DROP: Final = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name like 'redress-%' and pid <> pg_backend_pid()
"""


def start_faulty_worker(
    kafka: str, postgres: str, prefix: str, point: str = NEVER, hit: int = 1, fault: Fault = Fault.KILL
) -> "subprocess.Popen[bytes]":
    """The process; its output goes where the test's goes."""
    # Before the path as it is, not in its place: the code under test may be a copy, with a bug planted in it.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", __name__, kafka, postgres, prefix, point, str(hit), fault.value],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


async def died_by(doomed: "subprocess.Popen[bytes]", seconds_max: float) -> int:
    """The signal that ended it. One that the fault did not find is ended too: it would go on for ever.

    Raises:
        subprocess.TimeoutExpired: nothing ended it.
    """
    try:
        return -await asyncio.to_thread(doomed.wait, seconds_max)
    finally:
        doomed.kill()


async def _run(kafka: str, postgres: str, prefix: str, reached: Checkpoint, *, copies: bool) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    companions = (Relay(kafka, prefix, TEST_LEDGER, reached=reached),)
    servers = Servers(kafka, postgres, prefix)
    tell_more(reached)
    if copies:
        batch.FEW_ENTRIES_MAX = 0
    worker = Worker(servers, TEST_LEDGER, companions=companions, reached=reached)
    await worker.run(stopping)


if __name__ == "__main__":
    kafka, postgres, prefix, point, hit, fault = sys.argv[1:]
    checkpoint = faulty_at(point, int(hit), Fault(fault), postgres)
    asyncio.run(_run(kafka, postgres, prefix, checkpoint, copies=point in INSIDE))
