"""The AsyncAPI document: every topic, type, key and schema, with references that lead somewhere.

No package that could be installed here checks AsyncAPI 3 with Kafka's bindings without a network, so the structure is
checked by hand; the document was also held against the specification's own JSON Schema.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from redress.contracts.asyncapi import UNTYPED_TOPICS, asyncapi_document
from redress.contracts.registry import TYPES
from redress.contracts.topics import declared_topics

SCHEMAS = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = json.loads((SCHEMAS / "asyncapi.json").read_text(encoding="utf-8"))
CHANNEL_FIELDS = {"address", "title", "description", "messages", "bindings"}
OPERATION_FIELDS = {"action", "channel", "summary", "messages"}
MESSAGE_FIELDS = {"name", "title", "summary", "contentType", "headers", "payload", "bindings", "examples"}
BINDING_FIELDS = {"topic", "partitions", "topicConfiguration", "bindingVersion"}


def resolve(reference: str) -> Any:
    """What a reference leads to, in the document or in a file beside it."""
    file, _, pointer = reference.partition("#")
    found = json.loads((SCHEMAS / file).read_text(encoding="utf-8")) if file else DOCUMENT
    for part in filter(None, pointer.split("/")):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(piece: Any) -> list[str]:
    if isinstance(piece, list):
        return [reference for item in piece for reference in references(item)]
    if not isinstance(piece, dict):
        return []
    own = [piece["$ref"]] if "$ref" in piece else []
    return own + [reference for value in piece.values() for reference in references(value)]


def test_it_is_generated() -> None:
    assert asyncapi_document() == DOCUMENT


def test_it_has_the_fields_of_the_specification_and_no_others() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert DOCUMENT.keys() == {"asyncapi", "id", "info", "defaultContentType", "channels", "operations", "components"}
    for channel in DOCUMENT["channels"].values():
        assert {name for name in channel if not name.startswith("x-")} == CHANNEL_FIELDS
        assert channel["bindings"]["kafka"].keys() <= BINDING_FIELDS
    for operation in DOCUMENT["operations"].values():
        assert operation.keys() == OPERATION_FIELDS
        assert operation["action"] in {"send", "receive"}
    for message in DOCUMENT["components"]["messages"].values():
        assert message.keys() == MESSAGE_FIELDS


def test_every_reference_leads_somewhere() -> None:
    found = references({name: part for name, part in DOCUMENT.items() if name != "info"})

    assert len(found) > 3 * len(TYPES)
    for reference in found:
        assert resolve(reference), reference


def test_channels_are_the_declared_topics() -> None:
    channels = DOCUMENT["channels"]

    assert channels.keys() == {topic.name for topic in declared_topics()}
    for topic in declared_topics():
        binding = channels[topic.name]["bindings"]["kafka"]
        assert binding["topic"] == channels[topic.name]["address"] == topic.name
        assert binding.get("partitions", "ledger") == topic.partitions
        assert binding["topicConfiguration"]["cleanup.policy"] == [topic.config["cleanup.policy"]]
        assert binding["topicConfiguration"]["retention.ms"] == topic.config["retention.ms"]
        placed = topic.partitions == "ledger" and topic.direction == "in"
        assert ("murmur2" in channels[topic.name]["description"]) == placed


def test_every_type_is_a_message_of_its_topic_and_of_one_operation() -> None:
    channels, operations = DOCUMENT["channels"], DOCUMENT["operations"]

    assert DOCUMENT["components"]["messages"].keys() == TYPES.keys()
    for name, known in TYPES.items():
        assert [channel for channel in channels if name in channels[channel]["messages"]] == [known.topic.value]
    carried = [message["$ref"].rpartition("/")[2] for o in operations.values() for message in o["messages"]]
    assert sorted(carried) == sorted(TYPES)
    for topic in declared_topics():
        action = "receive" if topic.direction == "in" else "send"
        assert (f"{action}-{topic.name}" in operations) == (topic.name not in UNTYPED_TOPICS)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_an_example_is_a_payload_and_its_key_a_key(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    [example] = message["examples"]
    payload = Draft202012Validator(resolve(message["payload"]["schema"]["$ref"]))
    key = message["bindings"]["kafka"]["key"]

    Draft202012Validator.check_schema(key)
    payload.validate(example["payload"])
    Draft202012Validator(key).validate(example["payload"]["partitionkey"])
    assert not Draft202012Validator(key).is_valid("somebody@example.com")
    assert not payload.is_valid({**example["payload"], "type": "redress.other.v1"})
