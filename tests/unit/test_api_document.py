"""The OpenAPI document by itself: complete enough to generate a client from, and its examples are what it says."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from redress.api.app import create_app
from redress.api.auth import OPEN_PATHS, Verifier
from redress.intake.worker import Servers
from tests.conftest import TEST_LEDGER
from tests.harness.running_api import AUDIENCE, ISSUER, public_pem


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    verifier = Verifier(public_pem(), "EdDSA", issuer=ISSUER, audience=AUDIENCE)
    app = create_app(Servers("kafka:9092", "postgresql://u:p@db/redress", ""), TEST_LEDGER, verifier, connections=16)
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        yield from ((path, operation) for operation in methods.values())


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Everything that goes in or out, with where it stands."""
    yield from (("body", media) for media in operation.get("requestBody", {}).get("content", {}).values())
    for status, response in operation["responses"].items():
        yield from ((f"{status} {kind}", media) for kind, media in response["content"].items())


def examples(media: dict[str, Any]) -> list[Any]:
    return [media["example"]] if "example" in media else [each["value"] for each in media.get("examples", {}).values()]


def test_every_route_says_what_it_is_for(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for _, operation in operations(document)]

    assert len(set(names)) == len(names)
    for path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= tags, path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (path, parameter["name"])
        assert bool(operation.get("security")) == (path not in OPEN_PATHS), path


def test_whatever_goes_in_or_out_has_an_example_that_its_schema_takes(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for where, media in contents(operation):
            if where == "200 text/plain":
                continue
            assert examples(media), (path, where)
            for example in examples(media):
                schema = {**media["schema"], "components": document["components"]}
                jsonschema.validate(example, schema, format_checker=jsonschema.FormatChecker())


def test_every_error_is_a_problem_of_its_status(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            assert list(response["content"]) == ["application/problem+json"], (path, status)
            (media,) = response["content"].values()
            assert {example["status"] for example in examples(media)} == {int(status)}, (path, status)


def test_a_link_names_a_route_and_what_it_takes(document: dict[str, Any]) -> None:
    by_name = {operation["operationId"]: operation for _, operation in operations(document)}
    links = [
        link
        for operation in by_name.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]

    assert links
    for link in links:
        takes = {parameter["name"] for parameter in by_name[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= takes
