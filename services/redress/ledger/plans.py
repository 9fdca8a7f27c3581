"""Plans of a writer's statements, which are kept while batches are small, and not for long.

Of what a batch of few entries costs Postgres, 40 % was planning. But a writer's tables grow a thousandfold while it
runs: a plan from when one of them was nearly empty may read all of it, again with each batch. Within a second no table
grows so far that this would matter, and a large batch is worth a plan of its own.
"""

import time
from typing import Final

from redress.ledger.connection import Connection

KEPT_SECONDS: Final = 1.0
"""How old a plan may become: some tens of thousands of rows that it has not seen, and 30 batches that did not plan."""


class Plans:
    """Keeps the plans of one connection, which without it plans each statement anew."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._made_at = 0.0

    async def renew(self, *, at_once: bool = False) -> None:
        """Forget those that are old, or all: what comes next is planned for the tables as they are now."""
        now = time.monotonic()
        if at_once or now - self._made_at >= KEPT_SECONDS:
            self._made_at = now
            await self._connection.execute("set plan_cache_mode = force_generic_plan; discard plans")
