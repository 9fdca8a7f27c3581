"""Waiting for the ledger: what is on the topics now is taken, and what is due by it is issued."""

import asyncio
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.domain.event import Topic
from redress.intake.worker import AWAY, Servers
from redress.ledger.connection import Connection, connect
from redress.ledger.queries import query
from redress.runtime.publish.delivery import Tell

POLL_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 1.0
FIRST_SILENCE_SECONDS: Final = 3.0
SILENCE_SECONDS: Final = 10.0
"""How long the ledger may stand still before the user hears of it, and hears of it again."""

_COLUMNS: Final = {topic: f"{topic.value.removeprefix('redress.')}_offset" for topic in Topic}
_PARTS: Final = 2**16
_PERSONAL: Final = (Topic.ELIGIBILITY, Topic.ISSUANCE, Topic.REDEMPTION)


class LedgerProgress:
    """Reads where the ledger stands, and waits for it. A server that goes away is waited for, too."""

    def __init__(self, servers: Servers, shards: int, tell: Tell) -> None:
        self._servers = servers
        self._shards = shards
        self._tell = tell
        self._connection: Connection | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._heard = time.monotonic()

    async def has_begun(self) -> bool:
        """Whether the ledger had its first tick."""
        return any(row["now"] is not None for row in await self._fetch("shard_positions"))

    async def wait_until_taken(self) -> None:
        """Until every shard has read what now is on its topics, and issuance has done what was due by that."""
        await self._wait_for_ends(_PERSONAL, "records that were sent")
        seqs = {row["shard"]: row["last_seq"] for row in await self._patiently(self._fetch, "shard_positions")}
        await self._wait_for_issuance(seqs)
        await self._wait_for_ends((Topic.ISSUANCE,), "vouchers that were issued")

    async def wait_for_control(self, offset: int) -> None:
        """Until every shard has read the programme topic beyond this offset."""

        async def behind() -> int:
            rows = await self._fetch("shard_positions")
            return sum(row["programme_offset"] <= offset for row in rows)

        await self._wait(behind, "shards to read the programme topic")

    async def wait_for_clock(self, now: int) -> None:
        """Until every shard's clock has reached `now`."""

        async def behind() -> int:
            rows = await self._fetch("shard_positions")
            return sum(row["now"] is None or row["now"] < now or row["falling_due"] for row in rows)

        await self._wait(behind, "shards to reach that time")

    async def wait_for_re_emission(self, shards: AbstractSet[int], moved: Callable[[int, int], None]) -> None:
        """Until these shards have published their balances again; `moved` gets the percent and the people done."""

        async def behind() -> int:
            rows = [row for row in await self._fetch("re_emissions") if row["shard"] in shards]
            # Ids are random: where the last one stands among all there can be says how far it is, without counting.
            parts_left = sum(0 if row["done_at"] else _PARTS - int(row["reached"][:4], 16) for row in rows)
            percent_left = -(-100 * parts_left // (_PARTS * len(shards)))
            moved(100 - percent_left, sum(row["people"] for row in rows))
            return percent_left

        await self._wait(behind, "percent of the balances to publish")

    async def live_workers(self) -> int:
        """How many workers are alive."""
        return int((await self._fetch("live_workers"))[0][0])

    async def stop(self) -> None:
        """Leave both servers."""
        self._drop_connection()
        if self._consumer is not None:
            await self._consumer.stop()

    async def _wait_for_ends(self, topics: tuple[Topic, ...], what: str) -> None:
        ends = await self._patiently(self._ends, topics)

        async def behind() -> int:
            rows = await self._fetch("shard_positions")
            unread = sum(max(0, ends[topic, row["shard"]] - row[_COLUMNS[topic]]) for row in rows for topic in topics)
            return int(unread or sum(row["falling_due"] for row in rows))

        await self._wait(behind, what)

    async def _wait_for_issuance(self, seqs: Mapping[int, int]) -> None:
        async def behind() -> int:
            rows = await self._fetch("issuance_searched")
            return sum(max(0, seqs[row["shard"]] - row["searched"]) for row in rows)

        await self._wait(behind, "entries to be looked at by issuance")

    async def _wait(self, behind: Any, what: str) -> None:
        last, complain_at = None, time.monotonic() + FIRST_SILENCE_SECONDS
        while left := await self._patiently(behind):
            if left != last:
                last, complain_at = left, time.monotonic() + FIRST_SILENCE_SECONDS
            elif time.monotonic() >= complain_at:
                complain_at = time.monotonic() + SILENCE_SECONDS
                await self._complain(f"waiting for the ledger: {left:,} {what}")
            await asyncio.sleep(POLL_SECONDS)

    async def _complain(self, message: str) -> None:
        for row in await self._patiently(self._fetch, "stopped_shards"):
            message += f"; shard {row['shard']} is stopped ({row['reason']})"
        if await self._patiently(self.live_workers) == 0:
            message += "; no worker is alive: start one with `redress run worker`"
        self._tell(message)

    async def _patiently(self, ask: Any, *arguments: Any) -> Any:
        """What `ask` answers, tried again while a server is away."""
        while True:
            try:
                return await ask(*arguments)
            except AWAY as error:
                self._drop_connection()
                if time.monotonic() - self._heard >= SILENCE_SECONDS:
                    self._heard = time.monotonic()
                    self._tell(f"a server is away, trying again ({type(error).__name__})")
                await asyncio.sleep(RETRY_SECONDS)

    async def _ends(self, topics: tuple[Topic, ...]) -> dict[tuple[Topic, int], int]:
        partitions = {
            TopicPartition(self._servers.topic_prefix + topic.value, shard): (topic, shard)
            for topic in topics
            for shard in range(self._shards)
        }
        ends = await (await self._consumer_started()).end_offsets(list(partitions))
        return {partitions[partition]: end for partition, end in ends.items()}

    async def _consumer_started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers.kafka, client_id="redress", isolation_level="read_committed"
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer

    async def _fetch(self, name: str) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._servers.postgres, application_name="redress-progress")
        return await self._connection.fetch(query(name))

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
