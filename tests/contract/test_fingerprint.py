"""An honest retry has the same fingerprint, whatever its bytes look like; another content has another."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from redress.contracts.encode import encode_record, to_wire
from redress.contracts.fingerprint import fingerprint
from redress.domain.event import Data
from redress.domain.ids import Instant
from tests.contract import strategies
from tests.contract.records import EXAMPLES, accepted, decode_value, topic_of

CAPTURED = EXAMPLES["redress.redemption.captured.v1"]


def fingerprint_of(event: dict[str, Any], text: str | None = None) -> bytes:
    value = (json.dumps(event) if text is None else text).encode()
    return accepted(decode_value(value, topic_of(event), event["partitionkey"])).fingerprint


def backwards(value: Any) -> Any:
    """The same JSON value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {name: backwards(value[name]) for name in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@given(data=strategies.data, source=strategies.source)
def test_it_is_sha256_over_the_canonical_json_of_rfc_8785(data: Data, source: str) -> None:
    name, wire = to_wire(data)
    record = encode_record(data, event_id="1", source=source, time=getattr(data, "now", Instant(0)))
    key = record.key.decode()
    canonical = rfc8785.dumps({"type": name, "source": source, "partitionkey": key, "data": wire})

    event = accepted(decode_value(record.value, record.topic, key))

    assert event.fingerprint == fingerprint(name, source, key, wire) == sha256(canonical).digest()


@given(data=strategies.data, indent=st.integers(0, 3))
def test_key_order_and_white_space_do_not_matter(data: Data, indent: int) -> None:
    record = encode_record(data, event_id="1", source="/s", time=getattr(data, "now", Instant(0)))
    event = json.loads(record.value)

    assert fingerprint_of(event, json.dumps(backwards(event), indent=indent)) == fingerprint_of(event)


def test_escapes_do_not_matter() -> None:
    text = json.dumps(CAPTURED)
    escaped = text.replace("relief", "\\u0072elief").replace("/checkout/", "\\/checkout\\/")

    assert escaped != text
    assert fingerprint_of(CAPTURED, escaped) == fingerprint_of(CAPTURED)


@pytest.mark.parametrize(
    "change",
    [
        {"time": datetime(2026, 3, 1, tzinfo=UTC).isoformat()},
        {"id": "another"},
        {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {"someextension": "x"},
        {"datacontenttype": None},
    ],
)
def test_what_is_not_content_does_not_matter(change: dict[str, object]) -> None:
    assert fingerprint_of(CAPTURED | change) == fingerprint_of(CAPTURED)


@pytest.mark.parametrize(
    "change",
    [{"source": "/elsewhere"}, {"data": CAPTURED["data"] | {"redemption": "r-2"}}],
)
def test_content_matters(change: dict[str, object]) -> None:
    assert fingerprint_of(CAPTURED | change) != fingerprint_of(CAPTURED)


def test_the_order_of_lines_is_content() -> None:
    voucher = CAPTURED["data"]["lines"][0]["voucher"]
    lines = [{"voucher": voucher, "amount": 1}, {"voucher": voucher[:-1] + "0", "amount": 2}]
    one = CAPTURED | {"data": CAPTURED["data"] | {"lines": lines}}
    other = CAPTURED | {"data": CAPTURED["data"] | {"lines": lines[::-1]}}

    assert fingerprint_of(one) != fingerprint_of(other)
