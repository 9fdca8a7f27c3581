"""What is written is read back the same, for every type of event."""

from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redress.contracts.encode import encode_record, to_wire
from redress.contracts.examples import INPUT_EVENTS, example_events
from redress.contracts.registry import INPUTS, OUTPUTS
from redress.domain.event import ClockTicked, Coordinates, Data
from redress.domain.ids import Instant
from tests.contract import strategies
from tests.contract.records import EXAMPLES, OFFSET, accepted, decode_event, decode_value

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_every_content_an_event_can_have_has_its_type() -> None:
    assert {known.domain for known in INPUTS.values()} == set(get_args(Data))


def test_every_type_has_an_example() -> None:
    assert example_events().keys() == {*INPUTS, *OUTPUTS}


@pytest.mark.parametrize("data", [data for _, _, data in INPUT_EVENTS], ids=lambda data: type(data).__name__)
def test_an_example_is_read_as_it_was_meant(data: Data) -> None:
    name, wire = to_wire(data)

    event = accepted(decode_event(EXAMPLES[name]))

    assert (event.type, event.data, EXAMPLES[name]["data"]) == (name, data, wire)


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_an_outgoing_example_keeps_all_its_fields(name: str) -> None:
    wire = example_events()[name]["data"]

    model = OUTPUTS[name].model.model_validate(wire)

    assert model.model_dump(mode="json") == wire


@given(data=strategies.data, event_id=strategies.event_id, source=strategies.source, time=strategies.instants)
def test_any_content_comes_back(data: Data, event_id: str, source: str, time: Instant) -> None:
    when = data.now if isinstance(data, ClockTicked) else time
    record = encode_record(data, event_id=event_id, source=source, time=when, traceparent=TRACEPARENT)

    event = accepted(decode_value(record.value, record.topic, record.key.decode()))

    assert (event.data, event.id, event.source, event.time) == (data, event_id, source, when)
    assert event.traceparent == TRACEPARENT
    assert event.at == Coordinates(record.topic, event.at.partition, OFFSET)


@given(data=strategies.data)
def test_the_wire_form_alone_comes_back(data: Data) -> None:
    name, wire = to_wire(data)

    assert INPUTS[name].model.model_validate(wire).to_domain() == data
    assert orjson.loads(orjson.dumps(wire)) == wire


@pytest.mark.parametrize(
    "value",
    ["00-0-0-01", "ff" + TRACEPARENT[2:], "00-" + "0" * 32 + "-00f067aa0ba902b7-01", TRACEPARENT.upper(), 7, None],
)
def test_a_wrong_trace_header_costs_no_event(value: object) -> None:
    event = accepted(decode_event(EXAMPLES["redress.voucher.claimed.v1"] | {"traceparent": value}))

    assert event.traceparent is None


@given(
    extensions=st.dictionaries(st.from_regex(r"[a-z0-9]{8,20}", fullmatch=True), st.integers() | st.text(max_size=9))
)
def test_extension_attributes_are_ignored(extensions: dict[str, object]) -> None:
    example = EXAMPLES["redress.voucher.claimed.v1"]

    assert accepted(decode_event(extensions | example)) == accepted(decode_event(example))
