"""A worker process that kills itself with SIGKILL when it comes to a named point for the n-th time.

Run as `python -m tests.harness.faulty_worker KAFKA POSTGRES PREFIX POINT HIT`; without a point it lives on.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

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
NEVER: Final = "never"
ROOT: Final = Path(__file__).parents[2]


def dying_at(point: str, hit: int) -> Checkpoint:
    """Kills this process, as `kill -9` would, when `point` is reached for the `hit`-th time."""
    passed: Counter[str] = Counter()

    def reached(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == hit:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def start_faulty_worker(
    kafka: str, postgres: str, prefix: str, point: str = NEVER, hit: int = 1
) -> "subprocess.Popen[bytes]":
    """The process; its output goes where the test's goes."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, kafka, postgres, prefix, point, str(hit)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


async def _run(kafka: str, postgres: str, prefix: str, point: str, hit: int) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    companions = (Relay(kafka, prefix, TEST_LEDGER, reached=dying_at(point, hit)),)
    servers = Servers(kafka, postgres, prefix)
    worker = Worker(servers, TEST_LEDGER, companions=companions, reached=dying_at(point, hit))
    await worker.run(stopping)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])))
