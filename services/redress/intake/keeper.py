"""Keeps a worker's leases from a thread of its own, as long as the worker's loop makes progress.

A thread, because a busy loop must not lose its shards; with the loop's progress stamp, because a loop that hangs
must lose them.
"""

import asyncio
import threading
import time
from collections.abc import Callable

import asyncpg

from redress.ledger.connection import connect
from redress.ledger.lease import SURVEY_SECONDS, renew

PROGRESS_SECONDS_MAX = 5
"""A loop that has not moved for so long counts as hung."""


class LeaseKeeper:
    """The renewing thread. `stamp` is called by the loop, `owned` tells which shards to keep."""

    def __init__(self, dsn: str, worker: str, owned: Callable[[], frozenset[int]]) -> None:
        self._dsn = dsn
        self._worker = worker
        self._owned = owned
        self._stamp = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Begin renewing."""
        self.stamp()
        self._thread.start()

    def stamp(self) -> None:
        """The loop moved."""
        self._stamp = time.monotonic()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                asyncio.run(self._keep())
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                TimeoutError,
            ):
                # The database is away; the worker's own loop says so. Leases run out, epochs keep the ledger safe.
                self._stopping.wait(SURVEY_SECONDS)

    async def _keep(self) -> None:
        connection = await connect(self._dsn, application_name="redress-lease")
        try:
            while not self._stopping.is_set():
                owned = self._owned()
                if owned and time.monotonic() - self._stamp < PROGRESS_SECONDS_MAX:
                    await renew(connection, self._worker, owned)
                self._stopping.wait(SURVEY_SECONDS)
        finally:
            connection.terminate()
