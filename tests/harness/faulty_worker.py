"""A worker process to which something happens when it comes to a named point for the n-th time.

Run as `python -m tests.harness.faulty_worker KAFKA POSTGRES PREFIX POINT HIT FAULT`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Final

import psycopg

from redress.intake.worker import Servers, Worker
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
    "copied",
    "written",
    "committed",
    "answered",
    "before_hint",
)
"""Every point of a batch's life that a worker passes, in order."""
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


class PlantedError(Exception):
    """Raised by `Fault.RAISE`."""


def faulty_at(point: str, hit: int, fault: Fault, postgres: str) -> Checkpoint:
    """Lets the fault happen when `point` is reached for the `hit`-th time, once."""
    passed: Counter[str] = Counter()

    def reached(name: str) -> None:
        passed[name] += 1
        if name != point or passed[name] != hit:
            return
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

    return reached


_DROP: Final = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name like 'redress-%' and pid <> pg_backend_pid()
"""


def start_faulty_worker(
    kafka: str, postgres: str, prefix: str, point: str = NEVER, hit: int = 1, fault: Fault = Fault.KILL
) -> "subprocess.Popen[bytes]":
    """The process; its output goes where the test's goes."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, kafka, postgres, prefix, point, str(hit), fault.value],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def _run(kafka: str, postgres: str, prefix: str, reached: Checkpoint) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    companions = (Relay(kafka, prefix, TEST_LEDGER, reached=reached),)
    servers = Servers(kafka, postgres, prefix)
    worker = Worker(servers, TEST_LEDGER, companions=companions, reached=reached)
    await worker.run(stopping)


if __name__ == "__main__":
    kafka, postgres, prefix, point, hit, fault = sys.argv[1:]
    asyncio.run(_run(kafka, postgres, prefix, faulty_at(point, int(hit), Fault(fault), postgres)))
