"""A worker process with chosen companions, to see one path alone: `python -m tests.benchmarks.serve [relay]`.

All else is as in `redress run worker`.
"""

import asyncio
import gc
import signal
import sys

from redress.cli.run import COLLECT_AFTER
from redress.intake.worker import Companion, Worker
from redress.relay.relay import Relay
from redress.runtime.logging import configure_logging
from redress.runtime.settings import load_settings
from redress.runtime.wiring import identity_of, servers_by_address


async def serve(*, relays: bool) -> None:
    """Serve shards until SIGTERM."""
    settings = load_settings()
    servers, identity = servers_by_address(settings), identity_of(settings)
    companions: tuple[Companion, ...] = ()
    if relays:
        companions = (Relay(servers.kafka, servers.topic_prefix, identity),)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await Worker(servers, identity, companions=companions).run(stopping)


if __name__ == "__main__":
    configure_logging("text")
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    asyncio.run(serve(relays="relay" in sys.argv[1:]))
