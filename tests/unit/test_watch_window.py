"""What is said of ten seconds of a shard."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redress.contracts.examples import example_events
from redress.contracts.instants import parse_instant
from redress.contracts.signal import Anomaly, Rate, Velocity
from redress.watch.records import Cause, Entry, Line, Marker, UnreadableRecordError, read
from redress.watch.window import REFUSALS_FROM, VELOCITY_FROM, WINDOW, ShardWatch, Signal

T = TypeVar("T")

START = datetime(2026, 2, 1, 11, 2, 50, tzinfo=UTC)
ANN, BEN = "3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f", "00000000-0000-4000-8000-000000000000"
REQUESTED, CAPTURED = "redress.redemption.requested.v1", "redress.redemption.captured.v1"


def line(movement: str, amount: int, programme: str = "relief") -> Line:
    return Line(movement, programme, "KRW", amount)


class Stream:
    """Entries, each with the next seq."""

    def __init__(self) -> None:
        self._seqs = count(1)

    def entry(self, *lines: Line, at: float = 0, by: str | None = ANN, cause: str = CAPTURED, **other: Any) -> Entry:
        outcome = other.get("outcome", "accepted")
        return Entry(next(self._seqs), by, outcome, Cause(cause), START + timedelta(seconds=at), lines)

    def request(self, accepted: bool = True, at: float = 0, by: str = ANN) -> Entry:
        if accepted:
            return self.entry(line("reserved", 100), at=at, by=by, cause=REQUESTED)
        return self.entry(at=at, by=by, cause=REQUESTED, outcome="refused")


def told(records: Iterable[Entry | Marker]) -> list[Signal]:
    """All signals of these records and of a marker long after them."""
    watch = ShardWatch("main", 3)
    after = Marker(START + timedelta(days=1))
    return [signal for record in [*records, after] for signal in watch.take(record) or []]


def only(kind: type[T], signals: Iterable[Signal]) -> list[T]:
    return [signal for signal in signals if isinstance(signal, kind)]


def test_a_window_is_told_when_something_later_comes_and_not_before() -> None:
    stream, watch = Stream(), ShardWatch("main", 0)

    assert watch.take(stream.entry(line("redeemed", 5))) is None
    assert watch.take(stream.entry(line("redeemed", 5), at=9.999_999)) is None
    assert watch.take(Marker(START + timedelta(seconds=9.5))) is None
    ended = watch.take(Marker(START + WINDOW))

    assert ended is not None
    assert [signal.first_seq for signal in ended] == [1]
    assert watch.take(Marker(START + 2 * WINDOW)) == []


def test_a_rate_has_what_moved_in_its_programme() -> None:
    stream = Stream()
    rates = only(
        Rate,
        told(
            [
                stream.entry(line("reserved", 100, "eu"), by=BEN),
                stream.entry(line("redeemed", 15_000), line("forfeited", 5_000), by=ANN),
                stream.entry(line("redeemed", 700), line("redeemed", 300), by=ANN),
                stream.entry(line("expired", 40), by=None),
                stream.entry(by=BEN, outcome="refused"),
                stream.entry(line("redeemed", 9), at=10),
            ]
        ),
    )

    assert [(rate.programme, rate.window.start, rate.first_seq) for rate in rates] == [
        ("eu", parse_instant("2026-02-01T11:02:50Z"), 1),
        ("relief", parse_instant("2026-02-01T11:02:50Z"), 2),
        ("relief", parse_instant("2026-02-01T11:03:00Z"), 6),
    ]
    assert rates[1].window.end == rates[2].window.start
    assert (rates[1].entries, rates[1].beneficiaries, rates[1].currency, rates[1].shard) == (3, 1, "KRW", 3)
    assert [(m.movement, m.lines, m.amount) for m in rates[1].movements] == [
        ("expired", 1, 40),
        ("forfeited", 1, 5_000),
        ("redeemed", 3, 16_000),
    ]


def test_who_asks_more_often_than_a_person_can_is_told() -> None:
    stream = Stream()
    requests = [stream.request(accepted=n % 3 == 0, at=n / 2) for n in range(VELOCITY_FROM)]
    others = [stream.request(at=5, by=BEN) for _ in range(VELOCITY_FROM - 1)]
    captures = [stream.entry(line("redeemed", 1), at=6, by=BEN) for _ in range(VELOCITY_FROM)]

    [velocity] = only(Velocity, told([*requests, *others, *captures]))

    assert (velocity.beneficiary, velocity.first_seq, velocity.programme) == (ANN, 1, "relief")
    assert (velocity.requests, velocity.refused) == (VELOCITY_FROM, VELOCITY_FROM - len(range(0, VELOCITY_FROM, 3)))


def test_of_whom_all_is_refused_the_programme_is_not_known() -> None:
    stream = Stream()

    [velocity] = only(Velocity, told([stream.request(accepted=False) for _ in range(VELOCITY_FROM)]))

    assert velocity.programme is None


def test_exceptions_are_told_with_their_sum() -> None:
    stream = Stream()
    [anomaly] = only(
        Anomaly,
        told(
            [
                stream.entry(line("redeemed", 10)),
                stream.entry(line("exception", 7), line("exception", 3)),
                stream.entry(line("exception", 1), line("redeemed", 4)),
            ]
        ),
    )

    assert (anomaly.kind, anomaly.programme, anomaly.first_seq) == ("exceptions", "relief", 2)
    assert (anomaly.entries, anomaly.amount, anomaly.of) == (2, 11, None)


@pytest.mark.parametrize(
    ("asked", "refused", "is_told"),
    [
        (REFUSALS_FROM, REFUSALS_FROM // 2 + 1, True),
        (REFUSALS_FROM, REFUSALS_FROM // 2, False),
        (REFUSALS_FROM - 1, REFUSALS_FROM - 1, False),
    ],
)
def test_refusals_are_told_if_most_of_many_requests_are(asked: int, refused: int, is_told: bool) -> None:
    stream = Stream()
    requests = [stream.request(accepted=n >= refused, by=f"{n:08}-0000-4000-8000-000000000000") for n in range(asked)]

    found = only(Anomaly, told(requests))

    assert [(a.kind, a.entries, a.of) for a in found] == ([("refusals", refused, asked)] if is_told else [])


def test_missing_entries_are_told_and_repeated_ones_count_once() -> None:
    stream = Stream()
    first, second, _lost, _too, fifth = (stream.entry(line("redeemed", 10**n), at=n) for n in range(5))

    signals = told([first, second, first, second, fifth])

    [gap] = only(Anomaly, signals)
    assert (gap.kind, gap.first_seq, gap.entries) == ("gap", 3, 2)
    [rate] = only(Rate, signals)
    assert [m.amount for m in rate.movements] == [10_011]


def test_a_watch_that_begins_late_takes_nothing_for_missing() -> None:
    stream = Stream()
    entries = [stream.entry(line("redeemed", 1)) for _ in range(3)]

    assert only(Anomaly, told(entries[1:])) == []


def test_a_clock_set_back_reopens_no_window() -> None:
    stream = Stream()
    [first, second] = only(
        Rate,
        told(
            [stream.entry(line("redeemed", amount), at=at) for amount, at in ((1, 0), (20, 11), (300, 3), (4_000, 12))]
        ),
    )

    assert ([m.amount for m in first.movements], [m.amount for m in second.movements]) == ([1], [4_320])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=12), st.randoms(use_true_random=False))
def test_whatever_a_relay_repeats_nothing_else_is_told(steps: list[tuple[int, int]], random: Any) -> None:
    stream = Stream()
    at = 0
    records: list[Entry | Marker] = []
    repeated: list[Entry | Marker] = []
    for pause, amount in steps:
        at += pause
        record = stream.entry(line("redeemed", amount), at=at)
        records.append(record)
        repeated.append(record)
        if random.random() < 0.3:
            repeated += records[random.randrange(len(records)) :]

    assert told(repeated) == told(records)


def test_what_is_read_is_what_the_ledger_writes() -> None:
    events = example_events()
    entry = read(orjson.dumps(events["redress.entry.appended.v1"]))
    marker = read(orjson.dumps(events["redress.batch.committed.v1"]))

    assert isinstance(entry, Entry)
    assert [(x.movement, x.programme, x.currency, x.amount) for x in entry.lines] == [
        ("redeemed", "relief-2026", "KRW", 15_000),
        ("forfeited", "relief-2026", "KRW", 5_000),
    ]
    assert (entry.seq, entry.outcome, entry.cause.type) == (4213, "accepted", CAPTURED)
    assert isinstance(marker, Marker)
    assert marker.recorded_at == entry.recorded_at == datetime(2026, 2, 1, 11, 3, 0, 734_512, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seq": -1}, "$.data.seq"),
        ({"seq": 1.5}, "$.data.seq"),
        ({"recorded_at": "yesterday"}, "$.data.recorded_at"),
        ({"recorded_at": "2026-02-01T11:03:00"}, "$.data.recorded_at"),
        ({"lines": [{"movement": "redeemed"}]}, "`programme` - at `$.data.lines[0]"),
        ({"cause": None}, "$.data.cause"),
    ],
)
def test_what_it_never_writes_is_named_by_its_field(change: dict[str, Any], said: str) -> None:
    event = example_events()["redress.entry.appended.v1"]
    event["data"] |= change

    with pytest.raises(UnreadableRecordError) as refused:
        read(orjson.dumps(event))

    assert said in str(refused.value)


@pytest.mark.parametrize("value", [None, b"", b"not json", b"[]", b'{"type": "redress.other.v1", "data": {}}'])
def test_what_is_no_event_of_the_ledger_is_refused(value: bytes | None) -> None:
    with pytest.raises(UnreadableRecordError):
        read(value)
