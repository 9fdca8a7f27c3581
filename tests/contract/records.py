"""Records as Kafka would give them, made from whole events."""

import json
from typing import Any

from redress.contracts.decode import Rejected, decode
from redress.contracts.examples import example_events
from redress.contracts.partitioner import partition_of
from redress.contracts.registry import INPUTS
from redress.domain.event import Event, Topic

PARTITIONS = 16
OFFSET = 41

EXAMPLES = {name: event for name, event in example_events().items() if name in INPUTS}


def decode_event(event: dict[str, Any], *, key: str | None = None) -> Event | Rejected:
    """What becomes of the event in the topic of the example's type, in the right partition of its key."""
    return decode_value(json.dumps(event).encode(), topic_of(event), event["partitionkey"] if key is None else key)


def decode_value(value: bytes | None, topic: Topic, key: str) -> Event | Rejected:
    """What becomes of the bytes, in the right partition of the key."""
    among = 1 if topic is Topic.PROGRAMME else PARTITIONS
    return decode(topic, partition_of(key.encode(), among), OFFSET, key.encode(), value, PARTITIONS)


def topic_of(event: dict[str, Any]) -> Topic:
    """Where events of this type go; for an unknown type, redemptions."""
    known = INPUTS.get(str(event.get("type")))
    return known.topic if known else Topic.REDEMPTION


def rejected(outcome: Event | Rejected) -> tuple[str, str]:
    """Reason and detail; the outcome must be a rejection."""
    assert isinstance(outcome, Rejected)
    return outcome.reason.value, outcome.detail


def accepted(outcome: Event | Rejected) -> Event:
    """The event; the outcome must be one."""
    assert isinstance(outcome, Event), outcome
    return outcome
