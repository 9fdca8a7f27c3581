"""The AsyncAPI document: what the specification's own schema takes, with every topic, type, key and schema, and with
references that lead somewhere.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from redress.contracts.asyncapi import asyncapi_document
from redress.contracts.registry import TYPES
from redress.contracts.topics import declared_topics

SCHEMAS = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = json.loads((SCHEMAS / "asyncapi.json").read_text(encoding="utf-8"))
SPECIFICATION = Draft7Validator(
    json.loads(Path(__file__).with_name("asyncapi-3.0.0.schema.json").read_text(encoding="utf-8"))
)
"""Kafka's bindings included."""


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


def test_the_specifications_own_schema_takes_it() -> None:
    assert [f"{list(error.absolute_path)}: {error.message}" for error in SPECIFICATION.iter_errors(DOCUMENT)] == []


TOPIC, TYPE = "redress.redemption", "redress.voucher.claimed.v1"


def _kafka(document: dict[str, Any]) -> dict[str, Any]:
    kafka: dict[str, Any] = document["channels"][TOPIC]["bindings"]["kafka"]
    return kafka


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda document: document.update(asyncapi="2.6.0"),
    "no title": lambda document: document["info"].pop("title"),
    "a part it does not know": lambda document: document.update(topics={}),
    "a channel with a part it does not know": lambda document: document["channels"][TOPIC].update(partitions=4),
    "an operation that neither sends nor receives": lambda document: document["operations"][f"receive-{TOPIC}"].update(
        action="publish"
    ),
    "a message of a channel in full": lambda document: document["channels"][TOPIC]["messages"].update({TYPE: "there"}),
    "headers that are no object": lambda document: document["components"]["messages"][TYPE].update(headers=[]),
    "an example that is a text": lambda document: document["components"]["messages"][TYPE].update(examples=["claimed"]),
    "no partition": lambda document: _kafka(document).update(partitions=0),
    "a clean-up Kafka does not have": lambda document: _kafka(document)["topicConfiguration"].update(
        {"cleanup.policy": ["keep"]}
    ),
    "a binding of no version": lambda document: _kafka(document).update(bindingVersion="5"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_specifications_own_schema_takes_nothing_wrong(wrong: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    WRONG[wrong](document)

    assert not SPECIFICATION.is_valid(document)


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
        assert f"{action}-{topic.name}" in operations


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
