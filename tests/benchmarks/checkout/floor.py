"""The floor: the same way through the same servers without Redress, in the shape that Redress has.

Per partition: consume, one fsynced commit for what came, one Kafka transaction for what was committed since the last.
The two halves run side by side, as intake and relay do. Run as `python -m tests.benchmarks.checkout.floor OPTIONS`, a
`Floor` as JSON; says `ready`, and ends by SIGTERM.
"""

import asyncio
import signal
import sys
from dataclasses import dataclass
from typing import Final

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

TABLE: Final = """
create schema if not exists floor;
create table if not exists floor.record (id bigint generated always as identity, partition integer, value bytea);
"""
INSERT: Final = "insert into floor.record (partition, value) select $1, unnest($2::bytea[])"
FETCH_WAIT_MS: Final = 250


@dataclass(frozen=True, slots=True)
class Floor:
    """Where it reads and writes."""

    kafka: str
    postgres: str
    requests: str
    answers: str
    partitions: int


class Partition:
    """One partition's way."""

    def __init__(self, options: Floor, number: int) -> None:
        self._options = options
        self._number = number
        self._committed: list[bytes] = []
        self._some = asyncio.Event()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=options.kafka,
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=options.kafka, transactional_id=f"floor-{number}", acks="all", linger_ms=0
        )

    async def start(self) -> None:
        self._connection = await asyncpg.connect(self._options.postgres)
        await self._consumer.start()
        await self._producer.start()
        partition = TopicPartition(self._options.requests, self._number)
        self._consumer.assign([partition])
        await self._consumer.seek_to_end(partition)

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()
        await self._connection.close()

    async def take_in(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=1_000)).values():
                values = [record.value for record in records]
                await self._connection.execute(INSERT, self._number, values)
                self._committed += values
                self._some.set()

    async def give_out(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            values, self._committed = self._committed, []
            async with self._producer.transaction():
                await asyncio.gather(*[await self._send(value) for value in values])

    async def _send(self, value: bytes) -> "asyncio.Future[object]":
        event = orjson.loads(value)
        answer = orjson.dumps({"data": {"cause": {"id": event["id"]}, "lines": event["data"]["lines"]}})
        sent: asyncio.Future[object] = await self._producer.send(
            self._options.answers, answer, key=event["partitionkey"].encode(), partition=self._number
        )
        return sent


async def run(options: Floor) -> None:
    connection = await asyncpg.connect(options.postgres)
    await connection.execute(TABLE)
    await connection.close()
    partitions = [Partition(options, number) for number in range(options.partitions)]
    await asyncio.gather(*(partition.start() for partition in partitions))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    work = [asyncio.create_task(each) for p in partitions for each in (p.take_in(), p.give_out())]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, *work], return_when=asyncio.FIRST_COMPLETED)
    for task in work:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*(partition.stop() for partition in partitions))


if __name__ == "__main__":
    uvloop.run(run(Floor(**orjson.loads(sys.argv[1]))))
