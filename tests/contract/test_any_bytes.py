"""No bytes make the decoder raise, and what it accepts is exactly one JSON object without a key given twice."""

import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redress.contracts.decode import Rejected, decode
from redress.contracts.document import DocumentError, read_object
from redress.domain.event import Event, Topic
from tests.contract.records import EXAMPLES, PARTITIONS, decode_event, decode_value

VALUES = [json.dumps(event).encode() for event in EXAMPLES.values()]
topics = st.sampled_from(Topic)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(topic=topics, key=st.none() | st.binary(), value=st.none() | st.binary(), partition=st.integers(0, PARTITIONS))
def test_any_bytes_end_as_one_outcome(topic: Topic, key: bytes | None, value: bytes | None, partition: int) -> None:
    outcome = decode(topic, partition, 0, key, value, PARTITIONS)

    assert isinstance(outcome, Rejected)


@st.composite
def mutated(draw: st.DrawFn, values: Sequence[bytes] = VALUES) -> bytes:
    """The bytes of an example with a piece replaced by other bytes."""
    value = draw(st.sampled_from(values))
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, min(len(value), start + 30)))
    tokens = st.sampled_from([b"", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"null", b"1e9", b"\x00", b" "])
    return value[:start] + draw(tokens | st.binary(max_size=5)) + value[end:]


@given(topic=topics, value=mutated())
def test_mutated_events_end_as_one_outcome(topic: Topic, value: bytes) -> None:
    for key in ("clock", EXAMPLES["redress.voucher.claimed.v1"]["partitionkey"]):
        assert isinstance(decode_value(value, topic, key), Event | Rejected)


@given(
    name=st.sampled_from(sorted(EXAMPLES)), field=st.text() | st.sampled_from(["data", "time", "id"]), value=json_values
)
def test_any_value_in_the_envelope_ends_as_one_outcome(name: str, field: str, value: Any) -> None:
    event = EXAMPLES[name] | {field: value}

    assert isinstance(decode_event(event, key="clock"), Event | Rejected)


@given(name=st.sampled_from(sorted(EXAMPLES)), choice=st.integers(0, 11), value=json_values)
def test_any_value_in_the_data_ends_as_one_outcome(name: str, choice: int, value: Any) -> None:
    event = EXAMPLES[name]
    fields = sorted(event["data"])
    data = event["data"] | {fields[choice % len(fields)]: value}

    assert isinstance(decode_event(event | {"data": data}), Event | Rejected)


KEYS = st.sampled_from(['"a"', '"\\u0061"', '"b"', '"a\\""', '"{"', '"a:"', '""', '" "', '"\\\\"', '"é"', '"\\u00e9"'])
SPACES = st.sampled_from(["", " ", "\n\t"])
SCALARS = st.sampled_from(['"a"', '"a\\":"', '"}"', "1", "1.0", "true", "null", '"a b"', "[]", "{}"])


@st.composite
def json_text(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON text whose objects may give a key twice, escaped in other ways, with odd strings around."""
    kind = draw(st.sampled_from(["scalar", "array", "object"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALARS)
    items = [draw(json_text(depth=depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "array":
        return "[" + ",".join(draw(SPACES) + item for item in items) + "]"
    return "{" + ",".join(draw(KEYS) + draw(SPACES) + ":" + draw(SPACES) + item for item in items) + draw(SPACES) + "}"


def gives_a_key_twice(text: str) -> bool:
    """The same question answered with the standard library, slowly."""
    found = []

    def pairs(members: list[tuple[str, object]]) -> dict[str, object]:
        found.append(len({name for name, _ in members}) < len(members))
        return dict(members)

    json.loads(text, object_pairs_hook=pairs)
    return any(found)


@given(text=json_text().filter(lambda text: text.startswith("{")))
@example('{"a": 1, "a": 1}')
@example('{"a": {"b": 1}, "c": {"b": 1}}')
@example('{"a": "x", "b": ["a", {"a": 1}], "\\u0061": 2}')
def test_a_key_twice_is_found_and_only_that(text: str) -> None:
    if gives_a_key_twice(text):
        with pytest.raises(DocumentError, match="a key is given twice"):
            read_object(text.encode())
    else:
        assert read_object(text.encode()) == json.loads(text)


@given(
    value=st.dictionaries(st.text(), json_values, max_size=4),
    ascii_only=st.booleans(),
    indent=st.none() | st.integers(0, 2),
)
def test_any_object_is_read_whole_however_it_is_written(
    value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    assert read_object(text.encode()) == orjson.loads(text)
