"""Where the programme topic ends: asked after each fetch, by every shard of a worker."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from redress.domain.event import Topic

START_SECONDS_MAX = 30
"""How long Kafka may take to answer before it is given up for now."""


class ProgrammeEnd:
    """The end of what is committed on the programme topic; one question at a time, for all who came before it.

    On a connection of its own: a broker answers a connection's requests one after the other, and behind a fetch that
    waits for records the question would wait as long.
    """

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._partition = TopicPartition(prefix + Topic.PROGRAMME.value, 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._asking = asyncio.Lock()
        self._begun = 0
        self._answered = 0
        self._found: int | Exception = 0

    async def now(self) -> int:
        """The next offset after the last committed record; the question begins after this was called.

        Raises:
            KafkaError, OSError, TimeoutError: Kafka is away.
        """
        came = self._begun
        async with self._asking:
            if self._answered <= came:  # else a question that began since then has been answered meanwhile
                self._begun += 1
                self._found = await self._ask()
                self._answered = self._begun
            if isinstance(self._found, Exception):
                raise self._found
            return self._found

    async def stop(self) -> None:
        """Leave Kafka."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _ask(self) -> int | Exception:
        """The end, or why it could not be had: all who wait are told, so that none waits for Kafka after the other."""
        try:
            consumer = self._consumer = self._consumer or await self._started()
            ends = await consumer.end_offsets([self._partition])
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            return error
        return int(ends[self._partition])

    async def _started(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, isolation_level="read_committed"
        )
        try:
            await asyncio.wait_for(consumer.start(), START_SECONDS_MAX)
        except BaseException:
            await consumer.stop()
            raise
        return consumer
