"""Bounded concurrency with a bounded wait: what comes on top is turned away at once, so that the rest is answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redress.api.problems import ProblemError, overloaded


class Gate:
    """So many inside at a time, so many waiting, so long."""

    def __init__(self, inside_max: int, *, waiting_max: int, wait_seconds_max: float) -> None:
        self._free = asyncio.Semaphore(inside_max)
        self._waiting = 0
        self._waiting_max = waiting_max
        self._wait_seconds_max = wait_seconds_max
        self.turned_away = 0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Be inside while the block runs.

        Raises:
            ProblemError: too many wait already, or it took too long.
        """
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()

    async def _wait(self) -> None:
        if self._waiting >= self._waiting_max:
            raise self._turn_away()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                await self._free.acquire()
        except TimeoutError:
            raise self._turn_away() from None
        finally:
            self._waiting -= 1

    def _turn_away(self) -> ProblemError:
        self.turned_away += 1
        return overloaded()
