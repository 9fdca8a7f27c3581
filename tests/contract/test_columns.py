"""Events that are read together are those that the models read one by one, and nothing else is read together."""

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from redress.contracts.columns import TOGETHER_MIN, Blanks, ColumnReader, EventColumns
from redress.contracts.decode import decode_alike, decode_by_model
from redress.contracts.encode import encode_record
from redress.contracts.instants import MAX_INSTANT, format_instant
from redress.contracts.plain import PlainReader
from redress.domain.event import Coordinates, Event, Granted, Issued, IssuedVoucher, Standing, Topic
from redress.domain.ids import BeneficiaryId, BenefitCode, Instant, ProgrammeCode, VoucherId, WaveCode

PROGRAMME, WAVE = ProgrammeCode("breach"), WaveCode("first")
GRANTED = "redress.eligibility.granted.v1"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOW = Instant(1_767_225_600_000_000)


def uuid(n: int, kind: int = 0) -> str:
    return str(UUID(bytes=Random(n * 64 + kind).randbytes(16), version=4))


def envelope(
    data: Granted | Issued, n: int, *, event_id: str | None = None, trace: str | None = None
) -> dict[str, Any]:
    record = encode_record(
        data, event_id=event_id or uuid(n, 63), source="/test", time=Instant(NOW + n), traceparent=trace
    )
    found: dict[str, Any] = json.loads(record.value)
    return found


def grant(n: int, standing: Standing = Standing.MEMBER) -> Granted:
    return Granted(PROGRAMME, WAVE, BeneficiaryId(uuid(n)), standing)


def issue(n: int, vouchers: int = 3) -> Issued:
    each = [IssuedVoucher(VoucherId(uuid(n, v + 1)), BenefitCode(f"benefit-{v}"), 5_000 + v) for v in range(vouchers)]
    return Issued(PROGRAMME, WAVE, BeneficiaryId(uuid(n)), tuple(each))


def read(topic: Topic, sent: Sequence[tuple[bytes | None, bytes | None]]) -> list[EventColumns]:
    return list(decode_alike(topic, [key for key, _ in sent], [value for _, value in sent], range(len(sent))))


def as_events(topic: Topic, columns: EventColumns) -> dict[int, Event]:
    """Each of them as an event of its own."""
    found = {}
    for row, place in enumerate(columns.places.tolist()):
        person = columns.owners[row]
        assert UUID(person).bytes == columns.people[row].tobytes()
        event_id = columns.ids[row].tobytes().decode()
        if columns.uuids is not None:
            assert UUID(event_id).bytes == columns.uuids[row].tobytes()
        data = replace(columns.example.data, beneficiary=person)
        if isinstance(data, Issued):
            ids = [VoucherId(column[row].tobytes().decode()) for column in columns.vouchers]
            data = replace(data, vouchers=tuple(replace(v, voucher=i) for v, i in zip(data.vouchers, ids, strict=True)))
        found[place] = Event(
            columns.example.source,
            event_id,
            columns.example.type,
            Instant(int(columns.times[row])),
            columns.fingerprints[row].tobytes(),
            Coordinates(topic, 3, place),
            data,
            None if columns.traceparents is None else columns.traceparents[row].tobytes().decode(),
        )
    return found


def assert_read_alike(topic: Topic, sent: Sequence[tuple[bytes | None, bytes | None]]) -> set[int]:
    """What is read together is as the models read it; which these are."""
    places: set[int] = set()
    for columns in read(topic, sent):
        assert len(columns) >= TOGETHER_MIN
        for place, event in as_events(topic, columns).items():
            assert place not in places
            places.add(place)
            key, value = sent[place]
            assert event == decode_by_model(Coordinates(topic, 3, place), key, value, is_placed=True)
    return places


def sent_as(events: Sequence[dict[str, Any]], **form: Any) -> list[tuple[bytes | None, bytes | None]]:
    return [(event["partitionkey"].encode(), json.dumps(event, **form).encode()) for event in events]


@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": 2}, {"sort_keys": True}], ids=str)
@pytest.mark.parametrize("trace", [None, TRACE], ids=["plain", "traced"])
@pytest.mark.parametrize("vouchers", [0, 1, 4, 32])
def test_all_of_a_producer_are_read_together(vouchers: int, trace: str | None, form: dict[str, Any]) -> None:
    topic = Topic.ISSUANCE if vouchers else Topic.ELIGIBILITY
    made = [issue(n, vouchers) if vouchers else grant(n) for n in range(1, 21)]
    events = [envelope(data, n, trace=trace) for n, data in enumerate(made, 1)]

    assert assert_read_alike(topic, sent_as(events, **form)) == set(range(20))


def test_what_differs_otherwise_is_of_another_group() -> None:
    both = [envelope(grant(n, list(Standing)[n % 2]), n) for n in range(1, 41)]
    ids = [envelope(grant(n), n, event_id=f"{'x' * (n % 2)}{n:02}") for n in range(41, 81)]
    sent = sent_as(both + ids)

    assert assert_read_alike(Topic.ELIGIBILITY, sent) == set(range(80))
    assert len(read(Topic.ELIGIBILITY, sent)) == 4


def test_few_are_left_to_be_read_one_by_one() -> None:
    sent = sent_as([envelope(grant(n), n) for n in range(TOGETHER_MIN - 1)])

    assert assert_read_alike(Topic.ELIGIBILITY, sent) == set()


def test_an_id_that_is_also_something_else_is_no_template() -> None:
    for odd in ("breach", uuid(5), "time", ":"):
        sent = sent_as([envelope(grant(5), 5, event_id=odd)] * TOGETHER_MIN, separators=(",", ":"))
        fresh = ColumnReader(PlainReader({GRANTED: Granted}), 10_000)
        assert not list(fresh.read([key for key, _ in sent], [value for _, value in sent], range(len(sent)))), odd
        assert_read_alike(Topic.ELIGIBILITY, sent)
    with pytest.raises(ValueError, match="id"):
        Blanks.of_strings(b'{"id":"id"}', {"id": ("id", 1)})


ODD = [b'"', b"\\", b"\n", b"\x00", b"\xff", b"g", b"G", b"A", b"-", b" ", b"0", b"9", b"\xc3"]


@pytest.mark.parametrize("ids", ["uuid", "text"])
@pytest.mark.parametrize("topic", [Topic.ELIGIBILITY, Topic.ISSUANCE])
def test_any_byte_may_be_any_other(topic: Topic, ids: str) -> None:
    made = [issue(n) if topic is Topic.ISSUANCE else grant(n) for n in range(1, 10)]
    sent = sent_as(
        [
            envelope(data, n, trace=TRACE, event_id=f"event/{n}" if ids == "text" else None)
            for n, data in enumerate(made, 1)
        ],
        separators=(",", ":"),
    )
    key, value = sent[-1]
    assert value is not None
    broken = [(key, value[:at] + odd + value[at + 1 :]) for at in range(len(value)) for odd in ODD]

    together = assert_read_alike(topic, [*sent, *broken])

    assert together >= set(range(len(sent)))
    assert len(sent) < len(together) < len(broken) / 4, "some only say another id or time"


@pytest.mark.parametrize("width", [19, 20, 25])
@given(data=st.data())
def test_times_are_read_as_one_by_one(width: int, data: st.DataObject) -> None:
    digits = st.text("0123456789", min_size=2, max_size=2)
    odd = st.text("0123456789TZ:.-+ tz/", min_size=width, max_size=width)
    near = st.builds(
        "20{}-{}-{}T{}:{}:{}{}".format, *[digits] * 6, st.just("." + "7" * (width - 21) if width > 20 else "")
    )
    good = (
        st.integers(0, MAX_INSTANT // 10**6)
        .map(lambda s: format_instant(Instant(s * 10**6))[:19])
        .map(lambda text: text + ("." + "1" * (width - 21) if width > 20 else ""))
    )
    ends = st.sampled_from(["Z", "Z", "Z", "z", "."]) if width >= 20 else st.just("")
    times = data.draw(
        st.lists((odd | near | good).flatmap(lambda t: ends.map(lambda e: (t + e)[: width + 1])), max_size=12)
    )
    events = [envelope(grant(n), n) for n in range(TOGETHER_MIN)]
    for event in events:
        event["time"] = ("2026-01-10T09:00:00" + ("." + "5" * (width - 21) if width > 20 else "") + "Z")[: width + 1]
    for n, time in enumerate(times, 100):
        events.append(envelope(grant(n), n) | {"time": time})

    assert_read_alike(Topic.ELIGIBILITY, sent_as(events))


@pytest.mark.parametrize(
    "time",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T23:59:60Z",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T00:00:00Z",
        "9999-12-30T23:59:59Z",
        "2028-02-29T00:00:00Z",
        "2026-01-01t00:00:00z",
        "2026-01-01 00:00:00Z",
    ],
)
def test_odd_times_among_good_ones(time: str) -> None:
    events = [envelope(grant(n), n) | {"time": f"2026-01-1{n}T00:00:00Z"} for n in range(TOGETHER_MIN)]
    sent = sent_as([*events, envelope(grant(99), 99) | {"time": time}])

    assert assert_read_alike(Topic.ELIGIBILITY, sent) >= set(range(TOGETHER_MIN))


@given(seeds=st.lists(st.integers(0, 10**6), min_size=9, max_size=30, unique=True), cut=st.integers(0, 8))
@example(seeds=list(range(9)), cut=0)
def test_keys_and_values_that_are_missing_or_of_somebody_else(seeds: list[int], cut: int) -> None:
    sent = sent_as([envelope(grant(n), n) for n in seeds])
    sent[0] = None, sent[0][1]
    sent[1] = sent[1][0], None
    sent[2] = sent[3][0], sent[2][1]
    sent[4] = b"short", sent[4][1]
    sent[5] = sent[5][0], (sent[5][1] or b"")[:-cut] if cut else b""

    assert assert_read_alike(Topic.ELIGIBILITY, sent) <= set(range(3, len(seeds))) - {4}
