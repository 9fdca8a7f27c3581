"""Chunks to Kafka, a few under way at a time. What is not acknowledged when Kafka goes away is sent again.

Sent again means at least once: the ledger takes a second one for the duplicate it is. Order within a partition stays,
because everything that was not acknowledged is sent again from its first record on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from redress.contracts.encode import HEADERS
from redress.intake.worker import RETRY_SECONDS_MAX, Servers
from redress.runtime.publish.lines import Chunk
from redress.runtime.wiring import start_producer, stop_producer

UNDER_WAY_MAX: Final = 4
"""Chunks sent and not yet acknowledged: enough that Kafka never waits for us."""
RECONNECTS_MAX: Final = 5
"""Connections in a row that bring no acknowledgement: past them it is not Kafka being away, but something to mend."""
SILENCE_SECONDS: Final = 10.0
"""How long nothing is acknowledged before the user hears of it."""
_HEADERS: Final = list(HEADERS)

Tell = Callable[[str], None]
"""Says something to the user, in a line."""


@dataclass(slots=True)
class _UnderWay:
    chunk: Chunk
    sent: "list[asyncio.Future[Any]] | None" = field(default=None)


class Delivery:
    """Sends to the topics of one ledger. `done` is called for each chunk, in order, once it is acknowledged."""

    def __init__(self, servers: Servers, done: Callable[[Chunk], None], tell: Tell) -> None:
        self._servers = servers
        self._done = done
        self._tell = tell
        self._producer: AIOKafkaProducer
        self._under_way: deque[_UnderWay] = deque()
        self._reconnects = 0

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: no server answers.
        """
        self._producer = await start_producer(self._servers)

    async def send(self, chunk: Chunk) -> None:
        """Send a chunk; returns before it is acknowledged, and waits while too many are not."""
        self._under_way.append(_UnderWay(chunk))
        await self._persist(self._send_unsent)
        await self._settle(UNDER_WAY_MAX)

    async def flush(self) -> None:
        """Wait until all is acknowledged."""
        await self._settle(0)

    async def stop(self) -> None:
        """Leave Kafka."""
        await stop_producer(self._producer)

    async def _settle(self, under_way_max: int) -> None:
        while len(self._under_way) > under_way_max:
            await self._persist(self._await_oldest)
            self._reconnects = 0
            self._done(self._under_way.popleft().chunk)

    async def _send_unsent(self) -> None:
        for work in self._under_way:
            if work.sent is None:
                work.sent = []
                for record in work.chunk.records:
                    topic = self._servers.topic_prefix + record.topic.value
                    work.sent.append(
                        await self._producer.send(
                            topic, record.value, key=record.key, partition=record.partition, headers=_HEADERS
                        )
                    )

    async def _await_oldest(self) -> None:
        await self._send_unsent()
        for future in self._under_way[0].sent or ():
            await future

    async def _persist(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await self._patiently(step())
            except KafkaError as error:
                if self._reconnects >= RECONNECTS_MAX:
                    raise
                self._reconnects += 1
                self._tell(f"Kafka is away, trying again ({type(error).__name__})")
                await self._reconnect()
            else:
                return

    async def _patiently(self, step: Coroutine[Any, Any, None]) -> None:
        """Kafka's client tries again by itself for as long as it takes, and says nothing: so this does."""
        task = asyncio.ensure_future(step)
        try:
            while not (await asyncio.wait({task}, timeout=SILENCE_SECONDS))[0]:
                self._tell("Kafka acknowledges nothing; still trying")
        except asyncio.CancelledError:
            task.cancel()
            raise
        task.result()

    async def _reconnect(self) -> None:
        for work in self._under_way:
            for future in work.sent or ():
                if not future.cancel() and not future.cancelled():
                    future.exception()  # looked at, so that nobody complains that nobody did
            work.sent = None
        await stop_producer(self._producer)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((KafkaError, OSError)),
            wait=wait_random_exponential(multiplier=0.2, max=RETRY_SECONDS_MAX),
        ):
            with attempt:
                self._producer = await start_producer(self._servers)
