"""The AsyncAPI 3 document of all topics: made from the declared topics, the registry of types and their examples.

Payloads are not repeated: each message refers to the JSON Schema that is generated beside the document.
"""

from typing import Any, Final

from redress.contracts import scalars as s
from redress.contracts.decode import CLOCK_KEY, VALUE_BYTES_MAX
from redress.contracts.envelope import CONTENT_TYPE
from redress.contracts.examples import example_events
from redress.contracts.programme import ClockTicked
from redress.contracts.registry import TYPES, InputType, OutputType
from redress.contracts.topics import Topic, declared_topics
from redress.domain.event import Topic as InTopic

VERSION: Final = "3.0.0"
CONTRACT_VERSION: Final = "1.0.0"
"""Of the contract, not of the package: its major part is the `vN` of the types."""
BINDING_VERSION: Final = "0.5.0"
SCHEMA_FORMAT: Final = "application/schema+json;version=draft-2020-12"
PARTITIONER: Final = (
    "Kafka's standard partitioner: murmur2 of the key's UTF-8 bytes, modulo the partition count (librdkafka: "
    "`partitioner=murmur2_random`). A record that sits elsewhere is dead-lettered as `misrouted`."
)
_ABOUT: Final = f"""The events of Redress, the ledger for mass compensation.

Every record is a CloudEvents 1.0 event in structured mode. Its value has at most {VALUE_BYTES_MAX} bytes, its key is
the UTF-8 text of `partitionkey`. A topic's name may be prefixed by an installation (`REDRESS_TOPIC_PREFIX`).
Within a `vN` of a type only optional fields are ever added."""

_LOT_KEY: Final = r"^lot/[a-z0-9_-]{1,40}/[a-z0-9_-]{1,40}/[a-z0-9_-]{1,40}$"
_PROGRAMME_KEY: Final = r"^programme/[a-z0-9_-]{1,40}$"
_SHARD_KEY: Final = r"^shard/[0-9]{1,4}$"
_COORDINATES_KEY: Final = r"^[a-zA-Z0-9._-]{1,249}/[0-9]+/[0-9]+$"

_BENEFICIARY: Final = {"type": "string", "format": "uuid", "pattern": s.UUID4_PATTERN, "description": "beneficiary"}
_PROGRAMME: Final = {"type": "string", "pattern": s.CODE_PATTERN, "description": "programme"}
_SHARD: Final = {"type": "string", "pattern": _SHARD_KEY, "description": "the shard"}
_SIGNAL: Final = {"description": "programme, or the shard where none is known", "anyOf": [_PROGRAMME, _SHARD]}
_KEYS: Final[dict[str, dict[str, Any]]] = {
    "redress.entry.appended.v1": {
        "description": "beneficiary, or the lot or programme that the entry is about",
        "anyOf": [
            _BENEFICIARY,
            {"type": "string", "pattern": _LOT_KEY},
            {"type": "string", "pattern": _PROGRAMME_KEY},
        ],
    },
    "redress.batch.committed.v1": _SHARD,
    "redress.lot.state.v1": {"type": "string", "pattern": _LOT_KEY, "description": "the lot"},
    "redress.record.dead_lettered.v1": {
        "type": "string",
        "pattern": _COORDINATES_KEY,
        "description": "where the record stands: topic as Kafka names it, partition, offset",
    },
    "redress.signal.rate.v1": _PROGRAMME,
    "redress.signal.velocity.v1": _SIGNAL,
    "redress.signal.anomaly.v1": _SIGNAL,
}


def key_schema(known: InputType | OutputType) -> dict[str, Any]:
    """JSON Schema of the key, as text, of records of that type."""
    if known.name in _KEYS:
        return _KEYS[known.name]
    if known.model is ClockTicked:
        return {"type": "string", "const": CLOCK_KEY}
    if known.topic is InTopic.PROGRAMME:
        return _PROGRAMME
    return _BENEFICIARY


def asyncapi_document() -> dict[str, Any]:
    """The whole document; paths in it are relative to the folder `schemas`."""
    examples = example_events()
    return {
        "asyncapi": VERSION,
        "id": "urn:redress:events",
        "info": {
            "title": "Redress",
            "version": CONTRACT_VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE.decode(),
        "channels": {topic.name: _channel(topic) for topic in declared_topics()},
        "operations": {f"{_action(topic)}-{topic.name}": _operation(topic) for topic in declared_topics()},
        "components": {
            "messages": {name: _message(known, examples[name]) for name, known in TYPES.items()},
            "schemas": {"headers": _headers()},
        },
    }


def _action(topic: Topic) -> str:
    """From the side of Redress: what others write, it receives."""
    return "receive" if topic.direction == "in" else "send"


def _types(topic: Topic) -> list[str]:
    return [name for name, known in TYPES.items() if known.topic == topic.name]


def _channel(topic: Topic) -> dict[str, Any]:
    count = "as many partitions as the ledger has shards" if topic.partitions == "ledger" else "one partition"
    placed = f" {PARTITIONER}" if topic.partitions == "ledger" and topic.direction == "in" else ""
    own = " Shard = partition." if topic.partitions == "ledger" else ""
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.holds[0].upper()}{topic.holds[1:]}. Key: {topic.key}. In {count}.{own}{placed}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _types(topic)},
        "bindings": {"kafka": _topic_binding(topic)},
        "x-redress-direction": topic.direction,
        "x-redress-partitions": topic.partitions,
    }


def _topic_binding(topic: Topic) -> dict[str, Any]:
    config = topic.config
    partitions = {} if topic.partitions == "ledger" else {"partitions": topic.partitions}
    return {
        "topic": topic.name,
        **partitions,
        "topicConfiguration": {
            "cleanup.policy": [config["cleanup.policy"]],
            "retention.ms": config["retention.ms"],
            "retention.bytes": config["retention.bytes"],
            "max.message.bytes": config["max.message.bytes"],
        },
        "bindingVersion": BINDING_VERSION,
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{topic.name}"
    return {
        "action": _action(topic),
        "channel": {"$ref": channel},
        "summary": topic.holds,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _types(topic)],
    }


def _message(known: InputType | OutputType, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": known.name,
        "title": known.name,
        "summary": known.model.__doc__,
        "contentType": CONTENT_TYPE.decode(),
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {"$ref": f"./{known.topic.value}/{known.name}.schema.json"},
        },
        "bindings": {"kafka": {"key": key_schema(known), "bindingVersion": BINDING_VERSION}},
        "examples": [{"name": "example", "payload": example}],
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["content-type"],
        "properties": {"content-type": {"type": "string", "const": CONTENT_TYPE.decode()}},
    }
