"""The API as `redress run api` serves it, with one bare route more: `SELECT 1` behind the same token, gate and pool."""

import asyncio
import gc
import signal

import uvloop
from fastapi import Response

from redress.api.app import create_app
from redress.api.context import MayRead, The, json_response
from redress.api.serve import serve
from redress.cli.api import verifier_of
from redress.cli.run import COLLECT_AFTER
from redress.runtime.logging import configure_logging
from redress.runtime.settings import load_settings
from redress.runtime.wiring import identity_of, servers_by_address


async def bare(api: The, _caller: MayRead) -> Response:
    """The least that a look-up can be."""
    async with api.reader.through(api.reader.gates.look_up) as connection:
        return json_response(await connection.fetchval("select 1"))


async def run() -> None:
    settings = load_settings()
    configure_logging(settings.log)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    servers, identity = servers_by_address(settings), identity_of(settings)
    app = create_app(servers, identity, verifier_of(settings), connections=settings.api_connections)
    app.add_api_route("/bare", bare, methods=["GET"], response_model=None)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await serve(app, settings.api_host, settings.api_port, stopping)


if __name__ == "__main__":
    uvloop.run(run())
