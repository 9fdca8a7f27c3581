"""The server: uvicorn on one address, until told to stop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI

from redress.api.errors import ServeError

log = structlog.get_logger()

DRAIN_SECONDS_MAX: Final = 10
"""How long requests under way may take once a stop was asked for."""
CONNECTIONS_MAX: Final = 8_192
"""Connections, idle ones too. The last resort: past it uvicorn itself turns requests away, in plain text. Twice the
requests that may be under way, which are bounded first and told so as every error is."""
KEEP_ALIVE_SECONDS: Final = 30


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, host: str, port: int, stopping: asyncio.Event) -> None:
    """Answer requests until `stopping` is set; those under way are finished.

    Raises:
        ServeError: the address is taken, or is none of this machine's.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            limit_concurrency=CONNECTIONS_MAX,
        )
    )
    running = asyncio.create_task(_run(server, host, port))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    await running


async def _run(server: uvicorn.Server, host: str, port: int) -> None:
    try:
        await server.serve()
    except SystemExit:
        # So uvicorn ends a process it cannot serve in; here others may run beside it.
        raise ServeError(f"REDRESS_API_HOST, REDRESS_API_PORT: {host}:{port} cannot be served") from None
