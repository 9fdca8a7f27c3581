"""Where the lines of a file go, and which go nowhere."""

from io import BytesIO

import pytest

from redress.contracts.partitioner import partition_of
from redress.domain.event import Topic
from redress.runtime.publish.lines import CHUNK_LINES_MAX, Chunk, Place, Unrouted, chunks, skip
from redress.runtime.publish.route import RECORD_BYTES_MAX, Route, UnroutableError, route

GRANT = b'{"type":"redress.eligibility.granted.v1","partitionkey":"somebody"}'
TICK = b'{"type":"redress.clock.ticked.v1","partitionkey":"clock"}'
SHARDS = 4


def cut(*lines: bytes, begin: Place | None = None) -> list[Chunk]:
    file = BytesIO(b"".join(line + b"\n" for line in lines))
    start = begin or Place()
    file.seek(start.offset)
    return list(chunks(file, SHARDS, start))


def test_type_and_partitionkey_are_all_that_counts() -> None:
    assert route(GRANT) == Route(Topic.ELIGIBILITY, b"somebody")
    assert route('{"type":"redress.voucher.claimed.v1","partitionkey":"열쇠","x":1}'.encode()) == Route(
        Topic.REDEMPTION, "열쇠".encode()
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"broken', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"type":"redress.clock.ticked.v1","partitionkey":NaN}', "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"partitionkey":"a"}', "type: "),
        (b'{"type":["redress.clock.ticked.v1"],"partitionkey":"a"}', "type: "),
        (b'{"type":"redress.entry.appended.v1","partitionkey":"a"}', "type: "),
        (b'{"type":"redress.clock.ticked.v1"}', "partitionkey: "),
        (b'{"type":"redress.clock.ticked.v1","partitionkey":7}', "partitionkey: "),
        (b'{"type":"redress.clock.ticked.v1","partitionkey":""}', "partitionkey: "),
        (b'{"type":"redress.clock.ticked.v1","partitionkey":"\\ud800"}', "partitionkey: "),
        (GRANT[:-1] + b"," + b" " * RECORD_BYTES_MAX + b'"x":1}', "more than"),
    ],
)
def test_a_line_without_topic_or_key_is_said_to_have_none(line: bytes, reason: str) -> None:
    with pytest.raises(UnroutableError, match=reason):
        route(line)


def test_what_is_json_is_routed_even_if_the_ledger_will_refuse_it() -> None:
    line = b'{"type":"redress.clock.ticked.v1","partitionkey":"clock","data":"\\ud800"}'

    assert route(line).topic is Topic.PROGRAMME


def test_a_record_is_its_line_byte_for_byte_in_the_partition_of_its_key() -> None:
    odd = b' {"partitionkey" : "somebody", "type":"redress.eligibility.granted.v1", "data":{"a":1,"a":2}}\r'
    (chunk,) = cut(odd)
    (record,) = chunk.records

    assert (record.value, record.key) == (odd, b"somebody")
    assert record.partition == partition_of(b"somebody", SHARDS)


def test_a_control_event_stands_alone_between_what_is_before_and_after_it() -> None:
    found = cut(GRANT, GRANT, TICK, TICK, GRANT)

    assert [(len(chunk.records), chunk.control) for chunk in found] == [
        (2, False),
        (1, True),
        (1, True),
        (1, False),
    ]
    assert [chunk.end.line for chunk in found] == [2, 3, 4, 5]


def test_lines_that_go_nowhere_keep_their_numbers_and_blank_ones_are_passed_over() -> None:
    (first, tick, last) = cut(b"", b"broken", GRANT, b"  ", TICK, b"{}")

    assert first.unrouted == [Unrouted(2, "not JSON")]
    assert [len(chunk.records) for chunk in (first, tick, last)] == [1, 1, 0]
    assert last.unrouted[0].line == 6


def test_a_file_cut_at_any_chunk_goes_on_there() -> None:
    lines = [GRANT] * (CHUNK_LINES_MAX + 3) + [TICK, GRANT]
    whole = cut(*lines)

    for done in range(len(whole)):
        rest = cut(*lines, begin=whole[done].end)
        assert [chunk.end for chunk in rest] == [chunk.end for chunk in whole[done + 1 :]]


def test_skipping_lines_stands_before_the_next_one() -> None:
    file = BytesIO(b"one\ntwo\nthree")

    assert skip(file, 2) == Place(2, 8)
    assert file.read() == b"three"
    assert skip(BytesIO(b"one\n"), 5) == Place(1, 4)
