"""The fast reader and the models take the same records, and make the same events of them.

Whatever the reader does not take goes to the models, so the two could only differ where it takes a record.
"""

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redress.contracts.decode import decode_by_model, decode_placed
from redress.contracts.encode import encode_record
from redress.contracts.plain import PlainReader
from redress.contracts.registry import INPUTS
from redress.domain import event as e
from redress.domain.event import Coordinates, Topic
from redress.domain.ids import Instant
from tests.contract.records import EXAMPLES
from tests.contract.strategies import data as any_data
from tests.contract.strategies import event_id, instants, source

PERSONAL = {name: event for name, event in EXAMPLES.items() if INPUTS[name].topic is not Topic.PROGRAMME}
READERS: dict[Topic, PlainReader] = {
    topic: PlainReader({known.name: known.domain for known in INPUTS.values() if known.topic is topic})
    for topic in Topic
    if topic is not Topic.PROGRAMME
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def assert_read_alike(topic: Topic, key: bytes | None, value: bytes) -> None:
    at = Coordinates(topic, 3, 7)

    assert decode_placed(at, key, value, is_placed=True) == decode_by_model(at, key, value, is_placed=True)


def as_sent(event: dict[str, Any], **form: Any) -> tuple[Topic, bytes, bytes]:
    return INPUTS[event["type"]].topic, str(event["partitionkey"]).encode(), json.dumps(event, **form).encode()


@given(
    data=any_data.filter(lambda data: not isinstance(data, e.Control)),
    event_id=event_id,
    source=source,
    time=instants,
    traceparent=st.none() | st.just(TRACE),
)
def test_what_is_written_as_we_write_it_is_read_fast_and_as_the_models_read_it(
    data: e.Data, event_id: str, source: str, time: Instant, traceparent: str | None
) -> None:
    record = encode_record(data, event_id=event_id, source=source, time=time, traceparent=traceparent)
    at = Coordinates(record.topic, 3, 7)

    plain = READERS[record.topic].read(record.value)

    assert plain is not None
    assert plain.data == data
    assert_read_alike(record.topic, record.key, record.value)
    assert decode_placed(at, record.key, record.value, is_placed=True).data == data  # type: ignore[union-attr]


@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": 2}, {"sort_keys": True}], ids=str)
@pytest.mark.parametrize("name", PERSONAL)
def test_spaces_and_the_order_of_keys_do_not_matter(name: str, form: dict[str, Any]) -> None:
    topic, key, value = as_sent(PERSONAL[name], **form)

    assert READERS[topic].read(value) is not None
    assert_read_alike(topic, key, value)


ODD: list[Any] = [
    0,
    -1,
    1,
    10**12,
    10**12 + 1,
    10**30,
    5000.0,
    5e3,
    True,
    None,
    "",
    "a",
    "A",
    "é",
    "a b",
    'a"b',
    "a\\b",
]
ODD += ["a\nb", "\x00", "x" * 40, "x" * 41, "x" * 64, "x" * 65, "*", "-", "00000000-0000-0000-0000-000000000000"]
ODD += [
    "partial",
    "whole_order",
    "member",
    "agent",
    "3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f",
    "3F6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f",
]
ODD += ["2026-01-15T10:00:00", "2026-01-15T10:00:00Z", "2026-01-15T10:00:00.1234567Z", [], {}, [[]], ["a"], TRACE]


@pytest.mark.parametrize("name", PERSONAL)
def test_every_field_may_hold_any_odd_value(name: str) -> None:
    for place in range(len(_places(PERSONAL[name]))):
        for value in ODD:
            _assert_read_alike_with(name, place, value)


@pytest.mark.parametrize("items", [0, 1, 2, 32, 33])
@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize(
    "name", [name for name, event in PERSONAL.items() if {"lines", "vouchers"} & event["data"].keys()]
)
def test_lists_are_as_long_as_they_may_be_and_name_no_voucher_twice(name: str, distinct: bool, items: int) -> None:
    event = copy.deepcopy(PERSONAL[name])
    field = "vouchers" if "vouchers" in event["data"] else "lines"
    item = {"voucher": "3f6c1d2e-8a4b-8c5d-9e6f-7a8b9c0d1e2f", "amount": 1} | (event["data"][field] or [{}])[0]
    event["data"][field] = [item | {"voucher": f"{item['voucher'][:-2]}{n * distinct:02x}"} for n in range(items)]

    assert_read_alike(*as_sent(event, separators=(",", ":")))


@given(name=st.sampled_from(sorted(PERSONAL)), place=st.integers(0, 63), value=st.text(max_size=70) | st.integers())
def test_any_field_may_hold_anything(name: str, place: int, value: Any) -> None:
    _assert_read_alike_with(name, place, value)


def _assert_read_alike_with(name: str, place: int, value: Any) -> None:
    event = copy.deepcopy(PERSONAL[name])
    places = _places(event)
    inside, field = places[place % len(places)]
    inside[field] = [value] if isinstance(field, slice) else value
    topic, key, sent = as_sent(event, separators=(",", ":"), ensure_ascii=False)
    assert_read_alike(topic, key, sent)
    assert_read_alike(topic, PERSONAL[name]["partitionkey"].encode(), sent)


def _places(event: Any) -> list[tuple[Any, Any]]:
    """Every field of the event, however deep, an unknown one and a list with one more item."""
    found: list[tuple[Any, Any]] = []
    if isinstance(event, dict):
        found += [(event, name) for name in [*event, "traceparent", "unknown"]]
        found += [place for inner in event.values() for place in _places(inner)]
    if isinstance(event, list):
        found += [(event, slice(0, 0)), (event, slice(0, None))]
        found += [place for inner in event for place in _places(inner)]
    return [place for place in found if place[1] != "type"]


@st.composite
def rewritten(draw: st.DrawFn) -> tuple[Topic, bytes, bytes]:
    """An event's bytes with pieces replaced: numbers otherwise written, keys twice, escapes, cuts."""
    topic, key, value = as_sent(PERSONAL[draw(st.sampled_from(sorted(PERSONAL)))], separators=(",", ":"))
    for _ in range(draw(st.integers(1, 3))):
        old, new = draw(st.sampled_from(REPLACEMENTS))
        value = value.replace(old, new, 1)
    if draw(st.booleans()):
        start = draw(st.integers(0, len(value)))
        value = (
            value[:start] + draw(st.sampled_from([b"", b" ", b",", b'"', b"\\", b"\xff", b"{", b"0"])) + value[start:]
        )
    return topic, key, value


REPLACEMENTS = [
    (b"5000", b"5e3"),
    (b"5000", b"5000.0"),
    (b"15000", b"15e3"),
    (b"15000", b"015000"),
    (b":{", b":{ "),
    (b",", b", "),
    (b'"app"', b'"\\u0061pp"'),
    (b'"app"', b'"\\ud800"'),
    (b'"app"', b'"a\x01p"'),
    (b'"specversion":"1.0"', b'"specversion":"1.0","specversion":"1.0"'),
    (b'"specversion":"1.0"', b'"specversion":"1.1","specversion":"1.0"'),
    (b'"data":{', b'"data":{},"data":{'),
    (b'"programme":', b'"programme":"x","programme":'),
    (b'"reason":', b'"reason":null,"reason":'),
    (b'"time":', b'"subject":"x","time":'),
    (b'"datacontenttype":"application/json",', b""),
    (b'"datacontenttype":"application/json"', b'"datacontenttype":null'),
    (b'"datacontenttype"', b'"traceparent":"%s","datacontenttype"' % TRACE.encode()),
    (b'"datacontenttype"', b'"traceparent":"00","datacontenttype"'),
    (b"/", b"\\/"),
    (b"T", b"t"),
    (b"Z", b"+00:00"),
]


@given(sent=rewritten())
@example(sent=(Topic.REDEMPTION, b"", b"[" * 100_000))
def test_whatever_is_written_otherwise_is_read_alike(sent: tuple[Topic, bytes, bytes]) -> None:
    assert_read_alike(*sent)


def test_a_short_number_does_not_make_room_for_a_key_twice() -> None:
    """`-0` and the like must not weigh up what else stands in a record of just the right length."""
    event = PERSONAL["redress.redemption.captured.v1"]
    topic, key, value = as_sent(event, separators=(",", ":"))
    amount = b'"amount":15000'
    assert amount in value

    for written in (b'"amount":15e3 ', b'"amount": 15e3', b'"amount":1.5E4'):
        assert READERS[topic].read(value.replace(amount, written)) is None
        assert_read_alike(topic, key, value.replace(amount, written))
