"""Waiting for what a server has decided, or time has brought: until it is so, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tests.harness.running_ledger import POLL_SECONDS

WAIT_SECONDS_MAX: Final = 60


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await holds():  # noqa: ASYNC110 - nothing here could set an event: the server knows
            await asyncio.sleep(POLL_SECONDS)
