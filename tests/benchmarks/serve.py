"""A worker process that does intake and nothing else, to see one path alone: `python -m tests.benchmarks.serve`.

It neither issues nor relays; all else is as in `redress run worker`.
"""

import asyncio
import gc
import signal
import sys

import uvloop

from redress.cli.run import COLLECT_AFTER
from redress.intake.worker import Worker
from redress.runtime.logging import configure_logging
from redress.runtime.settings import load_settings
from redress.runtime.wiring import identity_of, servers_by_address


async def serve() -> None:
    """Serve shards until SIGTERM."""
    settings = load_settings()
    servers, identity = servers_by_address(settings), identity_of(settings)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    asyncio.get_running_loop().add_reader(sys.stdin, stopping.set)  # its end: whoever began this is gone
    await Worker(servers, identity).run(stopping)


if __name__ == "__main__":
    configure_logging("text")
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    uvloop.run(serve())
