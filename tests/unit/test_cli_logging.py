"""Log lines: one form for all, no local variables, no repeating."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from redress.runtime.logging import configure_logging


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def fail(password: str) -> None:
    raise ValueError("no such thing")


def log_a_failure() -> None:
    try:
        fail("open-sesame")
    except ValueError:
        structlog.get_logger("test").exception("it failed", shard=3)


def test_text_has_keys_and_values_and_a_plain_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")

    log_a_failure()

    said = capsys.readouterr().err
    assert "error it failed" in said
    assert "shard=3" in said
    assert "ValueError: no such thing" in said
    assert "Traceback (most recent call last)" in said


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_form_shows_local_variables(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json" if form == "json" else "text")
    password = "open-" + "sesame"

    try:
        fail(password)
    except ValueError:
        structlog.get_logger("test").exception("it failed")

    assert password not in capsys.readouterr().err


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")

    structlog.get_logger("test").info("shard taken", shard=3, epoch=7)
    logging.getLogger("aiokafka.consumer").error("Failed fetch messages from %s: %s", 1, "reset")

    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["event"], first["shard"], first["level"]) == ("shard taken", 3, "info")
    assert second["event"] == "Failed fetch messages from 1: reset"


def test_what_kafkas_client_tries_again_by_itself_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")
    aiokafka = logging.getLogger("aiokafka.producer.sender")

    aiokafka.error("Group Coordinator Request failed: %s", "[Error 15] GroupCoordinatorNotAvailableError")
    aiokafka.warning("Got error produce response on topic-partition %s, retrying. Error: %s", "t-0", "x")

    assert capsys.readouterr().err == ""


def test_its_other_lines_are_said_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")

    for node in range(50):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", node, "refused")

    assert len(capsys.readouterr().err.splitlines()) == 1
