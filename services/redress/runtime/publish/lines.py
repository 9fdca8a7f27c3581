"""Lines of a file, in chunks, each with where it ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from redress.contracts.partitioner import partition_of
from redress.domain.event import Topic
from redress.runtime.publish.route import UnroutableError, route

CHUNK_LINES_MAX: Final = 2_000
"""Lines that are sent, and held until they are acknowledged, in one go."""
CHUNK_BYTES_MAX: Final = 4 * 1024 * 1024
"""What is sent, and held until it is acknowledged, in one go."""
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
"""A longer line is taken apart, and its parts are reported: a file without line ends must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was sent: `line` lines, `offset` bytes."""

    line: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to send, unchanged from its line. `topic` is without the prefix of an installation."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A line that has no topic or no key."""

    line: int
    reason: str


@dataclass(slots=True)
class Chunk:
    """Lines that follow each other. A control event stands alone in its chunk."""

    end: Place
    records: list[Outgoing] = field(default_factory=list)
    unrouted: list[Unrouted] = field(default_factory=list)
    control: bool = False


def chunks(file: BinaryIO, shards: int, begin: Place) -> Iterator[Chunk]:
    """Cut a file that stands at `begin` into chunks. Blank lines are passed over."""
    chunk = Chunk(begin)
    size = 0
    while raw := file.readline(LINE_BYTES_MAX):
        end = Place(chunk.end.line + 1, chunk.end.offset + len(raw))
        record = _route_line(raw, end.line, shards, chunk)
        if record is not None and record.topic is Topic.PROGRAMME:
            if chunk.records or chunk.unrouted:
                yield chunk
            yield Chunk(end, [record], control=True)
            chunk, size = Chunk(end), 0
            continue
        chunk.end = end
        size += len(raw)
        if record is not None:
            chunk.records.append(record)
        if len(chunk.records) + len(chunk.unrouted) >= CHUNK_LINES_MAX or size >= CHUNK_BYTES_MAX:
            yield chunk
            chunk, size = Chunk(end), 0
    if chunk.records or chunk.unrouted:
        yield chunk


def skip(file: BinaryIO, lines: int) -> Place:
    """Pass over so many lines from the beginning; where that is (earlier if the file ends)."""
    place = Place()
    while place.line < lines and (raw := file.readline(LINE_BYTES_MAX)):
        place = Place(place.line + 1, place.offset + len(raw))
    return place


def _route_line(raw: bytes, number: int, shards: int, chunk: Chunk) -> Outgoing | None:
    line = raw.removesuffix(b"\n")
    if not line.strip():
        return None
    try:
        found = route(line)
    except UnroutableError as error:
        chunk.unrouted.append(Unrouted(number, str(error)))
        return None
    partition = 0 if found.topic is Topic.PROGRAMME else partition_of(found.key, shards)
    return Outgoing(found.topic, partition, found.key, line)
