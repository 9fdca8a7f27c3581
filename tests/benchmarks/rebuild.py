"""Everything made anew from the journal, and compared: `python -m tests.benchmarks.rebuild`.

As `redress verify --all --rebuild`; it writes JSON: seconds of the rebuild alone, CPU and memory of all, and what
was found.
"""

import asyncio
import os
import sys
import time
from typing import Any

import orjson

from redress.ledger.connection import connect
from redress.projections.verify import verify
from redress.runtime.settings import load_settings
from redress.runtime.wiring import servers_by_address
from tests.benchmarks.machine import peak_mib


async def rebuild() -> dict[str, Any]:
    """Time it by what it says of its progress."""
    times: dict[str, float] = {}

    def progress(name: str, _done: int, _steps: int) -> None:
        times.setdefault("begun" if name.startswith("rebuild") else name, time.monotonic())

    connection = await connect(servers_by_address(load_settings()).postgres, application_name="bench-rebuild")
    try:
        report = await verify(connection, everything=True, rebuild=True, progress=progress)
    finally:
        await connection.close()
    return {
        "seconds": times["done"] - times["begun"],
        "cpu_seconds": time.process_time(),
        "peak_mib": peak_mib([os.getpid()]),
        "problems": [f"{check.name}: {problem}" for check in report.checks for problem in check.problems],
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(asyncio.run(rebuild())))
