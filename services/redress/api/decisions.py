"""Decisions as they come from Kafka, handed to who waits for them.

Uncommitted ones too: everything published was durable first, so this is safe and saves the wait for a transaction's
end. Whoever waits longer than usual also looks into the ledger, so that a decision missed here costs time only.
"""

import asyncio
from collections import defaultdict
from typing import Any, Final, NamedTuple

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

log = structlog.get_logger()

KAFKA_AWAY: Final = (KafkaError, OSError, TimeoutError)
RETRY_SECONDS_MAX: Final = 2
"""Pause between two tries while Kafka is away: callers wait meanwhile, and are answered from Postgres."""
START_SECONDS_MAX: Final = 10
"""Connecting to Kafka."""
POLL_MS: Final = 1_000
FETCH_WAIT_MS: Final = 250


class Cause(NamedTuple):
    """The event that is answered: ids are unique per source and partition key."""

    source: str
    id: str
    beneficiary: str


Decision = dict[str, Any]
"""The data of `redress.redemption.decided.v1`."""


class DecisionListener:
    """Reads `redress.decision`, all partitions, from the end on."""

    def __init__(self, kafka: str, topic: str, partitions: int) -> None:
        self._kafka = kafka
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]
        self._positions: dict[TopicPartition, int] = {}
        self._waiting: defaultdict[Cause, list[asyncio.Future[Decision]]] = defaultdict(list)
        self._consumer: AIOKafkaConsumer | None = None

    def expect(self, cause: Cause) -> "asyncio.Future[Decision]":
        """The decision on an event, once it is there. Every call is ended by `forget`."""
        waiting: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting[cause].append(waiting)
        return waiting

    def forget(self, cause: Cause, waiting: "asyncio.Future[Decision]") -> None:
        """Nobody waits with this future any more."""
        waiting.cancel()
        left = self._waiting.get(cause, [])
        if waiting in left:
            left.remove(waiting)
        if not left:
            self._waiting.pop(cause, None)

    @property
    def listening(self) -> bool:
        """Whether it stands in the topic."""
        return self._consumer is not None

    async def check(self, seconds_max: float) -> None:
        """See that Kafka answers.

        Raises:
            KafkaError, OSError, TimeoutError: it does not.
        """
        if self._consumer is None:
            raise TimeoutError("not listening yet")
        await asyncio.wait_for(self._consumer.end_offsets(self._partitions[:1]), seconds_max)

    async def run(self) -> None:
        """Listen until cancelled; with Kafka away, until it is back."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(KAFKA_AWAY), wait=wait_random_exponential(0.1, RETRY_SECONDS_MAX)
        )
        async for attempt in retrying:
            with attempt:
                await self._listen()

    async def _listen(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            client_id="redress-api",
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_uncommitted",
            auto_offset_reset="latest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await asyncio.wait_for(self._start(consumer), START_SECONDS_MAX)
            log.info("listening for decisions", partitions=len(self._partitions))
            self._consumer = consumer
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                    for record in records:
                        self._hand_out(record.value)
                    self._positions[partition] = records[-1].offset + 1
        except KAFKA_AWAY as error:
            log.warning("decisions: Kafka is away", why=type(error).__name__)
            raise
        finally:
            self._consumer = None
            await consumer.stop()

    async def _start(self, consumer: AIOKafkaConsumer) -> None:
        """Stand where it stood, at first at the end: what was decided before is asked of the ledger."""
        await consumer.start()
        consumer.assign(self._partitions)
        ends = await consumer.end_offsets(self._partitions)
        for partition, end in ends.items():
            consumer.seek(partition, self._positions.setdefault(partition, end))

    def _hand_out(self, value: bytes | None) -> None:
        if not self._waiting or value is None:
            return
        try:
            decision = orjson.loads(value)["data"]
            cause = Cause(decision["cause"]["source"], decision["cause"]["id"], decision["beneficiary"])
        except (ValueError, KeyError, TypeError):
            log.warning("a record on the decision topic is no decision")  # somebody else's: the next ones still count
            return
        for waiting in self._waiting.get(cause, ()):
            if not waiting.done():
                waiting.set_result(decision)
