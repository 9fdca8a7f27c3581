"""Many records of one partition at once: packed into batches here, instead of one by one by the producer's queue."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from redress.contracts.encode import HEADERS

_HEADERS = list(HEADERS)


async def send_in_bulk(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[tuple[bytes, bytes]]
) -> int:
    """Send keys and values in this order; the offset after the last, once Kafka has all. There is at least one.

    Raises:
        KafkaError: some of them may not be there.
    """
    sent = []
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(timestamp=None, key=key, value=value, headers=_HEADERS) is None:  # it is full
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=_HEADERS)
    batch.close()  # goes out at once, however long the producer would wait for more
    sent.append(await producer.send_batch(batch, topic, partition=partition))
    acknowledged = await asyncio.gather(*sent)
    end: int = acknowledged[-1].offset + batch.record_count()
    return end
