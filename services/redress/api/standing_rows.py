"""Who has been seen by the ledger, read for all who ask at the same time together.

Each write asks this before it publishes. One question for each would take longer than all else that a write costs here
and in Postgres.
"""

import asyncio
from typing import Any, Final

from redress.api.problems import ProblemError, unavailable
from redress.api.queries import query
from redress.api.reader import Reader

PEOPLE_MAX: Final = 500
"""People of one question; those who are left are in the next."""
QUESTION_SECONDS_MAX: Final = 4.0
"""How long the question may take: less than a connection of the pool, so that the caller hears why."""

Key = tuple[int, str]
"""Shard and beneficiary."""


class StandingRows:
    """One question at a time; whoever comes while it is under way is in the next one."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._wanted: dict[Key, asyncio.Future[Any]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def row(self, shard: int, beneficiary: str) -> Any:
        """The row of `standings`, read after this was called.

        Raises:
            ProblemError: the database is away, or too busy.
        """
        wanted = self._wanted.get((shard, beneficiary))
        if wanted is None:
            wanted = self._wanted[shard, beneficiary] = asyncio.get_running_loop().create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        found = await asyncio.shield(wanted)  # others wait for the same
        if isinstance(found, ProblemError):
            raise ProblemError(found.kind, found.detail)
        if isinstance(found, Exception):
            raise found
        return found

    async def _ask(self) -> None:
        try:
            while self._wanted:
                asked = {key: self._wanted.pop(key) for key in list(self._wanted)[:PEOPLE_MAX]}
                for wanted, found in zip(asked.values(), await self._read(list(asked)), strict=True):
                    wanted.set_result(found)
        finally:
            self._asking = None

    async def _read(self, keys: list[Key]) -> list[Any]:
        """A row, or what is wrong, for each."""
        shards, people = zip(*keys, strict=True)
        try:
            async with asyncio.timeout(QUESTION_SECONDS_MAX):
                async with self._reader.through(self._reader.gates.answer) as connection:
                    return await connection.fetch(query("standings"), shards, people)
        except TimeoutError:
            return [unavailable("Postgres")] * len(keys)
        except Exception as error:  # whoever waits is told; nobody waits for ever
            return [error] * len(keys)
