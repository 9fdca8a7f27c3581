"""Where a ledger's clock stands, for the process that moves it."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.decode import decode
from redress.domain.event import ClockTicked, Event, Topic
from redress.domain.ids import Instant
from redress.intake.worker import Servers
from redress.ledger.connection import connect
from redress.ledger.queries import query

FETCH_WAIT_MS = 250


async def last_tick(servers: Servers) -> Instant | None:
    """A time from which the clock can go on, None if the ledger has had no tick yet.

    What the ledger has taken is never later than what is on the topic, and ticking again what is there does no harm.
    A ledger that has taken nothing yet may have its first tick waiting on the topic: what follows that one must keep
    to its distance.
    """
    connection = await connect(servers.postgres, application_name="redress-clock")
    try:
        rows = await connection.fetch(query("shard_positions"))
    finally:
        await connection.close()
    taken = [Instant(row["now"]) for row in rows if row["now"] is not None]
    return max(taken) if taken else await _first_waiting(servers)


async def _first_waiting(servers: Servers) -> Instant | None:
    """The first tick on the topic. Before a ledger begins, there is little else on it."""
    partition = TopicPartition(servers.topic_prefix + Topic.PROGRAMME.value, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers.kafka,
        client_id="redress",
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=FETCH_WAIT_MS)).get(partition, []):
                event = decode(Topic.PROGRAMME, 0, record.offset, record.key, record.value, 1)
                if isinstance(event, Event) and isinstance(event.data, ClockTicked):
                    return event.data.now
    finally:
        await consumer.stop()
    return None
