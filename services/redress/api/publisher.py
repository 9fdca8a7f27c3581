"""Events into the stream, with a bound on how long a caller waits for Kafka."""

import asyncio
from typing import Final

from aiokafka.errors import KafkaError

from redress.api.problems import Kind, ProblemError, unavailable
from redress.contracts.encode import Record
from redress.runtime.wiring import SharedProducer

PUBLISH_SECONDS_MAX: Final = 4.0
"""How long a caller waits until Kafka has its event."""
UNFINISHED_MAX: Final = 5_000
"""Events on their way: with Kafka away they pile up until the producer gives them up, after 40 s."""
OUTCOME_UNKNOWN: Final = ": whether it has the event is not known; ask again with the same key"


class Publisher:
    """Publishes each event once; an event that is late arrives all the same, which its key makes harmless."""

    def __init__(self, producer: SharedProducer, topic_prefix: str) -> None:
        self._producer = producer
        self._prefix = topic_prefix
        self._unfinished: set[asyncio.Task[int]] = set()

    def begin(self, record: Record) -> "asyncio.Task[int]":
        """Start publishing; the task's result is the record's offset.

        Raises:
            ProblemError: too many are on their way already.
        """
        if len(self._unfinished) >= UNFINISHED_MAX:
            raise ProblemError(Kind.OVERLOADED, "too many events are on their way to Kafka")
        task = asyncio.create_task(self._publish(record))
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return task

    async def wait(self, publishing: "asyncio.Task[int]") -> int:
        """The record's offset, once Kafka has it.

        Raises:
            ProblemError: Kafka is away; whether it will have the event is not known.
        """
        await asyncio.wait({publishing}, timeout=PUBLISH_SECONDS_MAX)
        if not publishing.done():
            raise unavailable("Kafka", OUTCOME_UNKNOWN)
        try:
            return publishing.result()
        except (KafkaError, OSError, TimeoutError) as error:
            raise unavailable("Kafka", OUTCOME_UNKNOWN) from error

    async def stop(self) -> None:
        """Give up what is on its way."""
        for task in self._unfinished:
            task.cancel()
        await asyncio.gather(*self._unfinished, return_exceptions=True)

    def _finished(self, task: "asyncio.Task[int]") -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, also where nobody waits any more

    async def _publish(self, record: Record) -> int:
        try:
            return await self._send(record)
        except KafkaError:
            # A producer that could not deliver something while Kafka was away is refused from then on, which the next
            # to use it finds out; twice is harmless, for the ledger knows a duplicate.
            return await self._send(record)

    async def _send(self, record: Record) -> int:
        async with self._producer.use() as producer:
            topic = self._prefix + record.topic.value
            sent = await producer.send_and_wait(topic, record.value, key=record.key, headers=list(record.headers))
        return int(sent.offset)
