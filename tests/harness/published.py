"""What a consumer finds on the topics a ledger writes."""

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.registry import OUTPUTS, OutTopic
from tests.harness.running_ledger import RunningLedger

Isolation = Literal["read_committed", "read_uncommitted"]

_IN_ONE_PARTITION = (OutTopic.DEAD_LETTER, OutTopic.SIGNAL)


@dataclass(slots=True)
class Published:
    """Records of one topic by partition, in order: (key, event)."""

    partitions: dict[int, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)

    def events(self, type_name: str) -> list[dict[str, Any]]:
        """`data` of all events of a type, by partition and offset."""
        return [
            event["data"]
            for partition in sorted(self.partitions)
            for _, event in self.partitions[partition]
            if event["type"] == type_name
        ]

    def latest(self) -> dict[tuple[int, str], dict[str, Any]]:
        """What compaction would leave: the last event of each key, by partition."""
        return {(p, key): event for p, records in self.partitions.items() for key, event in records}


async def published(ledger: RunningLedger, topic: OutTopic, isolation: Isolation = "read_committed") -> Published:
    """Everything on a topic up to its end as it is now; each event is checked against its model."""
    partitions = 1 if topic in _IN_ONE_PARTITION else ledger.identity.shards
    assigned = [TopicPartition(ledger.prefix + topic.value, n) for n in range(partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=ledger.kafka, isolation_level=isolation, auto_offset_reset="none", enable_auto_commit=False
    )
    await consumer.start()
    found = Published({n: [] for n in range(partitions)})
    try:
        ends = await consumer.end_offsets(assigned)
        consumer.assign(assigned)
        for partition in assigned:
            consumer.seek(partition, 0)
        while any([await consumer.position(partition) < ends[partition] for partition in assigned]):
            for partition, records in (await consumer.getmany(*assigned, timeout_ms=200)).items():
                for record in records:
                    event = orjson.loads(record.value)
                    OUTPUTS[event["type"]].model.model_validate(event["data"])
                    assert event["partitionkey"] == record.key.decode()
                    found.partitions[partition.partition].append((record.key.decode(), event))
    finally:
        await consumer.stop()
    return found
