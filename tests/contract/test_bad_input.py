"""Every kind of bad record ends with its reason (RULES section 9), and the detail says where and which rule."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from redress.contracts.dead_letter import DETAIL_LENGTH_MAX
from redress.contracts.decode import VALUE_BYTES_MAX, decode
from redress.contracts.partitioner import partition_of
from redress.domain.event import Topic
from tests.contract.records import EXAMPLES, OFFSET, PARTITIONS, accepted, decode_event, decode_value, rejected

CLAIMED = EXAMPLES["redress.voucher.claimed.v1"]
ISSUED = EXAMPLES["redress.voucher.issued.v1"]
CAPTURED = EXAMPLES["redress.redemption.captured.v1"]
REVERSED = EXAMPLES["redress.redemption.reversed.v1"]
WAVE = EXAMPLES["redress.wave.opened.v1"]
PUBLISHED = EXAMPLES["redress.programme.published.v1"]
TICKED = EXAMPLES["redress.clock.ticked.v1"]
KEY = CLAIMED["partitionkey"]
OTHER_PERSON = "7b2d9c4e-1f60-4a83-b5d7-0c9e8f1a2b3c"


def with_data(event: dict[str, Any], *path: str | int, to: object) -> dict[str, Any]:
    """The event with one value in `data` replaced or added."""
    changed = copy.deepcopy(event)
    place = changed["data"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return changed


def text(event: dict[str, Any], old: str, new: str) -> bytes:
    """The event's bytes with one text replaced by another."""
    before = json.dumps(event)
    assert old in before
    return before.replace(old, new, 1).encode()


def without(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}


MALFORMED_BYTES = [
    pytest.param(None, "value: missing", id="no value"),
    pytest.param(b"", "value: not JSON", id="empty"),
    pytest.param(b'{"a":1', "value: not JSON", id="cut off"),
    pytest.param(b"\xff\xfe{}", "value: not UTF-8", id="not UTF-8"),
    pytest.param(json.dumps(CLAIMED).encode().replace(b'"app"', b'"\xe9"'), "value: not UTF-8", id="latin-1"),
    pytest.param(b"\xef\xbb\xbf" + json.dumps(CLAIMED).encode(), "value: not JSON", id="byte order mark"),
    pytest.param(text(CLAIMED, '"app"', "NaN"), "value: not JSON", id="NaN"),
    pytest.param(text(CLAIMED, '"app"', "-Infinity"), "value: not JSON", id="Infinity"),
    pytest.param(text(CAPTURED, "15000", "1e999"), "value: not JSON", id="a number beyond any"),
    pytest.param(text(CLAIMED, '"app"', '"\\ud800"'), "value: not JSON", id="lone surrogate"),
    pytest.param(text(CLAIMED, '"app"', '"\x00"'), "value: not JSON", id="raw control character"),
    pytest.param(json.dumps(CLAIMED).encode() * 2, "value: not JSON", id="two documents"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, "value: not JSON", id="nested too deep"),
    pytest.param(b"[" * 900 + b"]" * 900, "value: not a JSON object", id="nested deep"),
    pytest.param(b'{"a":' * 900 + b"1" + b"}" * 900, "specversion: missing", id="objects nested deep"),
    pytest.param(b"7", "value: not a JSON object", id="a number"),
    pytest.param(text(CLAIMED, '"channel"', '"voucher"'), "value: a key is given twice", id="a key twice in data"),
    pytest.param(text(CLAIMED, '"source"', '"id"'), "value: a key is given twice", id="a key twice in the envelope"),
    pytest.param(
        text(CAPTURED, '"amount": 15000', '"amount": 1, "\\u0061mount": 15000'),
        "value: a key is given twice",
        id="a key twice, once escaped",
    ),
    pytest.param(
        text(CAPTURED, '"amount": 15000', '"amount": 15000, "amount": 15000'),
        "value: a key is given twice",
        id="a key twice with the same value",
    ),
    pytest.param(
        json.dumps(CLAIMED | {"comment": "x" * 300 * 1024}).encode(), "value: more than 262144 bytes", id="300 KB"
    ),
]


@pytest.mark.parametrize(("value", "detail"), MALFORMED_BYTES)
def test_bytes_that_are_no_event_are_malformed(value: bytes | None, detail: str) -> None:
    reason, said = rejected(decode_value(value, Topic.REDEMPTION, KEY))

    assert reason == "malformed"
    assert said.startswith(detail)


MALFORMED_ENVELOPES = [
    pytest.param(without(CLAIMED, "id"), "id: missing", id="no id"),
    pytest.param(without(CLAIMED, "data"), "data: missing", id="no data"),
    pytest.param(without(CLAIMED, "partitionkey"), "partitionkey: missing", id="no partition key"),
    pytest.param(without(CLAIMED, "specversion"), "specversion: missing", id="no specversion"),
    pytest.param(CLAIMED | {"specversion": "0.3"}, "specversion: literal_error '1.0'", id="old specversion"),
    pytest.param(CLAIMED | {"specversion": 1.0}, "specversion: literal_error '1.0'", id="specversion is no text"),
    pytest.param(CLAIMED | {"type": 7}, "type: string_type", id="type is no text"),
    pytest.param(CLAIMED | {"id": ""}, "id: string_pattern_mismatch", id="empty id"),
    pytest.param(CLAIMED | {"id": "a b"}, "id: string_pattern_mismatch", id="a space in the id"),
    pytest.param(CLAIMED | {"id": "a\n"}, "id: string_pattern_mismatch", id="a line break after the id"),
    pytest.param(CLAIMED | {"id": "x" * 65}, "id: string_pattern_mismatch", id="a long id"),
    pytest.param(CLAIMED | {"source": ""}, "source: string_too_short 1", id="empty source"),
    pytest.param(CLAIMED | {"source": "/" * 129}, "source: string_too_long 128", id="a long source"),
    pytest.param(CLAIMED | {"source": "/a b"}, "source: string_pattern_mismatch", id="a space in the source"),
    pytest.param(CLAIMED | {"source": "/%zz"}, "source: string_pattern_mismatch", id="a bad escape in the source"),
    pytest.param(CLAIMED | {"source": "/앱"}, "source: string_pattern_mismatch", id="a source beyond ASCII"),
    pytest.param(CLAIMED | {"time": 1768439900}, "time: string_type", id="time is a number"),
    pytest.param(CLAIMED | {"time": "2026-01-16T08:15:00"}, "time: instant not RFC 3339", id="no offset"),
    pytest.param(CLAIMED | {"time": "2026-01-16T08:15:00.1234567Z"}, "time: instant not RFC 3339", id="seven digits"),
    pytest.param(CLAIMED | {"time": "2026-02-30T08:15:00Z"}, "time: instant no such date", id="no such day"),
    pytest.param(CLAIMED | {"datacontenttype": "text/xml"}, "datacontenttype: literal_error", id="not JSON data"),
    pytest.param(CLAIMED | {"partitionKey": KEY}, "envelope: an attribute's name", id="misspelt attribute"),
    pytest.param(CLAIMED | {"data_base64": "e30="}, "envelope: an attribute's name", id="binary data"),
]


@pytest.mark.parametrize(("event", "detail"), MALFORMED_ENVELOPES)
def test_an_envelope_that_is_none_is_malformed(event: dict[str, Any], detail: str) -> None:
    reason, said = rejected(decode_event(event, key=KEY))

    assert reason == "malformed"
    assert said.startswith(detail)


INVALID = [
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to=5000.0), "data.lines.0.amount: int_type", id="5000.0"),
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to=5000.5), "data.lines.0.amount: int_type", id="5000.5"),
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to="5000"), "data.lines.0.amount: int_type", id="text"),
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to=True), "data.lines.0.amount: int_type", id="true"),
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to=None), "data.lines.0.amount: int_type", id="null"),
    pytest.param(
        with_data(CAPTURED, "lines", 0, "amount", to=-1), "data.lines.0.amount: greater_than_equal 1", id="-1"
    ),
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to=0), "data.lines.0.amount: greater_than_equal 1", id="0"),
    pytest.param(
        with_data(CAPTURED, "lines", 0, "amount", to=10**12 + 1),
        "data.lines.0.amount: less_than_equal 1000000000000",
        id="too much",
    ),
    pytest.param(
        with_data(CAPTURED, "lines", 0, "amount", to=2**63),
        "data.lines.0.amount: less_than_equal 1000000000000",
        id="beyond 63 bits",
    ),
    pytest.param(with_data(CAPTURED, "lines", 0, "amount", to=10**30), "data.lines.0.amount: int_type", id="beyond 64"),
    pytest.param(with_data(CAPTURED, "lines", to=[]), "data.lines: too_short 1", id="no lines"),
    pytest.param(
        with_data(CAPTURED, "lines", to=[{"voucher": f"{n:08x}{KEY[8:]}", "amount": 1} for n in range(33)]),
        "data.lines: too_long 32",
        id="33 lines",
    ),
    pytest.param(
        with_data(CAPTURED, "lines", to=CAPTURED["data"]["lines"] * 2),
        "data.lines: voucher_twice",
        id="a voucher twice",
    ),
    pytest.param(
        with_data(ISSUED, "vouchers", to=ISSUED["data"]["vouchers"] * 2),
        "data.vouchers: voucher_twice",
        id="issued twice",
    ),
    pytest.param(with_data(CAPTURED, "note", to="x"), "data: unknown field", id="an unknown field"),
    pytest.param(with_data(CAPTURED, "lines", 0, "note", to="x"), "data.lines.0: unknown field", id="one deep inside"),
    pytest.param(CAPTURED | {"data": []}, "data: model_type", id="data is no object"),
    pytest.param(CAPTURED | {"data": None}, "data: model_type", id="data is null"),
    pytest.param(CAPTURED | {"data": without(CAPTURED["data"], "lines")}, "data.lines: missing", id="a missing field"),
    pytest.param(with_data(CLAIMED, "channel", to="a\u0000"), "data.channel: string_pattern_mismatch", id="NUL"),
    pytest.param(with_data(CLAIMED, "channel", to="app\n"), "data.channel: string_pattern_mismatch", id="line break"),
    pytest.param(with_data(CLAIMED, "channel", to="App"), "data.channel: string_pattern_mismatch", id="capital letter"),
    pytest.param(with_data(CLAIMED, "channel", to="a" * 41), "data.channel: string_pattern_mismatch", id="long code"),
    pytest.param(with_data(CLAIMED, "channel", to="٣"), "data.channel: string_pattern_mismatch", id="Arabic digit"),
    pytest.param(with_data(CAPTURED, "redemption", to="a/b"), "data.redemption: string_pattern_mismatch", id="slash"),
    pytest.param(with_data(CLAIMED, "voucher", to="x"), "data.voucher: string_pattern_mismatch", id="no voucher id"),
    pytest.param(
        with_data(CLAIMED, "voucher", to=CLAIMED["data"]["voucher"].upper()),
        "data.voucher: string_pattern_mismatch",
        id="upper-case voucher",
    ),
    pytest.param(
        with_data(CLAIMED, "beneficiary", to="3f6c1d2e-8a4b-1c5d-9e6f-7a8b9c0d1e2f"),
        "data.beneficiary: string_pattern_mismatch",
        id="beneficiary of version 1",
    ),
    pytest.param(with_data(CLAIMED, "beneficiary", to=OTHER_PERSON), "partitionkey: not", id="another beneficiary"),
    pytest.param(with_data(REVERSED, "scope", to="whole_order"), "data: lines_of_scope", id="whole order with lines"),
    pytest.param(with_data(REVERSED, "lines", to=[]), "data: lines_of_scope", id="partial without lines"),
    pytest.param(with_data(REVERSED, "scope", to="half"), "data.scope: enum", id="an unknown word"),
    pytest.param(with_data(WAVE, "valid_until", to=WAVE["data"]["valid_from"]), "data: ends_before", id="no validity"),
    pytest.param(with_data(WAVE, "valid_from", to="2026-01-15"), "data.valid_from: instant not RFC", id="only a date"),
    pytest.param(with_data(WAVE, "terms_version", to=0), "data.terms_version: greater_than_equal 1", id="version 0"),
    pytest.param(with_data(WAVE, "roster_sha256", to="AB"), "data.roster_sha256: string_pattern", id="no hash"),
    pytest.param(with_data(PUBLISHED, "timezone", to="Asia/Nowhere"), "data.timezone: timezone", id="no such zone"),
    pytest.param(with_data(PUBLISHED, "timezone", to="../etc/passwd"), "data.timezone: timezone", id="a path"),
    pytest.param(with_data(PUBLISHED, "currency", to="won"), "data.currency: string_pattern", id="no currency"),
    pytest.param(
        with_data(PUBLISHED, "benefits", to=PUBLISHED["data"]["benefits"] * 2),
        "data: benefit_twice",
        id="benefit twice",
    ),
    pytest.param(with_data(TICKED, "now", to="2026-01-10T00:00:01+09:00"), "data.now: not the event's time", id="tick"),
    pytest.param(TICKED | {"partitionkey": "klok"}, "partitionkey: not what data is about", id="key of a tick"),
]


@pytest.mark.parametrize(("event", "detail"), INVALID)
def test_what_breaks_the_schema_is_invalid(event: dict[str, Any], detail: str) -> None:
    reason, said = rejected(decode_event(event))

    assert reason == "invalid"
    assert said.startswith(detail)


def test_an_amount_with_an_exponent_is_no_integer() -> None:
    value = text(CAPTURED, "15000", "5e3")

    assert rejected(decode_value(value, Topic.REDEMPTION, KEY)) == ("invalid", "data.lines.0.amount: int_type")


def test_a_record_key_that_is_not_the_partition_key_is_invalid() -> None:
    assert rejected(decode_event(CLAIMED, key=OTHER_PERSON)) == ("invalid", "key: not the partitionkey")


def test_a_record_key_that_is_not_utf8_is_malformed() -> None:
    key = b"\xff\xfe"
    value = json.dumps(CLAIMED).encode()

    outcome = decode(Topic.REDEMPTION, partition_of(key, PARTITIONS), OFFSET, key, value, PARTITIONS)

    assert rejected(outcome) == ("malformed", "key: not UTF-8")


@pytest.mark.parametrize("key", [None, b""])
def test_a_record_without_key_is_malformed(key: bytes | None) -> None:
    partition = partition_of(key or b"", PARTITIONS)

    outcome = decode(Topic.REDEMPTION, partition, OFFSET, key, json.dumps(CLAIMED).encode(), PARTITIONS)

    assert rejected(outcome) == ("malformed", "key: missing")


def test_a_record_elsewhere_than_its_key_belongs_is_misrouted_before_anything_else() -> None:
    wrong = (partition_of(KEY.encode(), PARTITIONS) + 1) % PARTITIONS

    outcome = decode(Topic.REDEMPTION, wrong, OFFSET, KEY.encode(), b"\xff", PARTITIONS)

    assert rejected(outcome) == ("misrouted", "key: not the partition of this key")


@pytest.mark.parametrize("name", ["redress.voucher.claimed.v2", "redress.voucher.issued.v1", "claimed", "a\u0000"])
def test_a_type_that_the_topic_does_not_carry_is_unknown_before_its_data_are_looked_at(name: str) -> None:
    event = CLAIMED | {"type": name, "data": 7}

    outcome = decode_value(json.dumps(event).encode(), Topic.REDEMPTION, KEY)

    assert rejected(outcome) == ("unknown_type", "type: not a type of this topic")


def test_an_event_of_256_kib_is_read_and_one_byte_more_is_not() -> None:
    padded = json.dumps(CLAIMED).encode()
    padded += b" " * (VALUE_BYTES_MAX - len(padded))

    accepted(decode_value(padded, Topic.REDEMPTION, KEY))
    assert rejected(decode_value(padded + b" ", Topic.REDEMPTION, KEY))[0] == "malformed"


SECRET = "zq-secret-zq"
SPOILED: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda event: event | dict.fromkeys(("id", "source", "time"), f" {SECRET}"),
    lambda event: event | {"specversion": SECRET},
    lambda event: event | {"datacontenttype": SECRET},
    lambda event: event | {"type": SECRET},
    lambda event: event | {SECRET: 1},
    lambda event: event | {"data": SECRET},
    lambda event: event | {"partitionkey": SECRET},
    lambda event: event | {"data": event["data"] | {SECRET: 1}},
    *(
        lambda event, name=name: event | {"data": event["data"] | {name: f" {SECRET}"}}
        for name in ("programme", "beneficiary", "voucher", "channel")
    ),
]


@pytest.mark.parametrize("spoil", SPOILED)
def test_the_detail_never_repeats_what_was_sent(spoil: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    _, detail = rejected(decode_event(spoil(CLAIMED), key=KEY))

    assert SECRET not in detail
    assert 0 < len(detail) <= DETAIL_LENGTH_MAX
