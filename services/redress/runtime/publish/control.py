"""Control events of an operator: sent one by one, and, if somebody is there to take them, followed into the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from aiokafka import AIOKafkaProducer

from redress.contracts.decode import partition_key
from redress.contracts.encode import Record, encode_record, to_wire
from redress.contracts.fingerprint import fingerprint
from redress.domain.event import Data
from redress.domain.ids import Instant
from redress.intake.worker import Servers
from redress.ledger.connection import Connection
from redress.ledger.queries import query
from redress.runtime.wiring import start_producer, stop_producer


@dataclass(frozen=True, slots=True)
class Sent:
    """A control event on the programme topic."""

    type: str
    id: str
    offset: int


def control_record(data: Data, ledger: str, time: Instant) -> Record:
    """The event; its id follows from what it says, so that saying it again is a duplicate."""
    source = f"/redress/{ledger}/cli"
    name, wire = to_wire(data)
    digest = bytearray(fingerprint(name, source, partition_key(data), wire)[:16])
    digest[6] = 0x80 | (digest[6] & 0x0F)  # UUID version 8: made by a rule of our own
    digest[8] = 0x80 | (digest[8] & 0x3F)
    return encode_record(data, event_id=str(UUID(bytes=bytes(digest))), source=source, time=time)


async def send_controls(servers: Servers, records: Sequence[Record]) -> list[Sent]:
    """Send in order; returns when all are acknowledged.

    Raises:
        KafkaError: no server answers.
    """
    producer = await start_producer(servers)
    try:
        return [await _send(producer, servers.topic_prefix, record) for record in records]
    finally:
        await stop_producer(producer)


async def refusals(connection: Connection, offsets: Sequence[int]) -> dict[int, str]:
    """Which of these control events the ledger could not take, and why."""
    rows = await connection.fetch(query("control_refusals"), list(offsets))
    return {row["record_offset"]: f"{row['reason']}: {row['detail']}" for row in rows}


async def _send(producer: AIOKafkaProducer, prefix: str, record: Record) -> Sent:
    done = await producer.send_and_wait(
        prefix + record.topic.value, record.value, key=record.key, headers=list(record.headers)
    )
    event = orjson.loads(record.value)
    return Sent(event["type"], event["id"], done.offset)
