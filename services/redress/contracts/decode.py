"""A record as Kafka gives it, to an event as the rules see it, or to the reason why it is none.

Tests in the order of RULES section 9; the first that fails counts. No bytes make this raise. What is plain is read fast
(`plain`); the models read the rest, and alone say what is wrong with a record.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from pydantic import ValidationError

from redress.contracts.columns import ColumnReader, EventColumns
from redress.contracts.dead_letter import DETAIL_LENGTH_MAX
from redress.contracts.detail import detail
from redress.contracts.document import DocumentError, read_object
from redress.contracts.envelope import Envelope, misnamed_attribute, valid_traceparent
from redress.contracts.fingerprint import fingerprint
from redress.contracts.partitioner import partition_of
from redress.contracts.plain import PlainReader
from redress.contracts.registry import INPUTS
from redress.domain.entry import DeadLetterReason
from redress.domain.event import ClockTicked, Coordinates, Data, Event, ProgrammePublished, Topic

VALUE_BYTES_MAX = 256 * 1024
"""Bytes of a record's value: 80 times what a request of 32 lines takes."""
CLOCK_KEY = "clock"
_PLAIN: dict[Topic, PlainReader] = {
    topic: PlainReader({known.name: known.domain for known in INPUTS.values() if known.topic is topic})
    for topic in Topic
    if topic is not Topic.PROGRAMME
}
_COLUMNS: dict[Topic, ColumnReader] = {
    topic: ColumnReader(_PLAIN[topic], VALUE_BYTES_MAX) for topic in (Topic.ELIGIBILITY, Topic.ISSUANCE)
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is no event. `detail` names field and rule, never a value."""

    reason: DeadLetterReason
    detail: str


class _RejectedError(Exception):
    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.detail)
        self.rejected = rejected


def decode(
    topic: Topic, partition: int, offset: int, key: bytes | None, value: bytes | None, partitions: int
) -> Event | Rejected:
    """Reads one record. `partitions`: how many the ledger has; the programme topic always has one."""
    among = 1 if topic is Topic.PROGRAMME else partitions
    is_placed = key is None or partition_of(key, among) == partition
    return decode_placed(Coordinates(topic, partition, offset), key, value, is_placed=is_placed)


def decode_placed(at: Coordinates, key: bytes | None, value: bytes | None, *, is_placed: bool) -> Event | Rejected:
    """Reads one record. `is_placed`: whether it stands in the partition of its key; so does one without a key."""
    if is_placed and value is not None and len(value) <= VALUE_BYTES_MAX:
        reader = _PLAIN.get(at.topic)
        plain = reader.read(value) if reader else None
        if plain is not None and key == plain.beneficiary.encode():
            said = sha256(plain.said).digest()
            return Event(plain.source, plain.id, plain.type, plain.time, said, at, plain.data, plain.traceparent)
    return decode_by_model(at, key, value, is_placed=is_placed)


def decode_alike(
    topic: Topic, keys: Sequence[bytes | None], values: Sequence[bytes | None], places: Iterable[int]
) -> Iterator[EventColumns]:
    """Reads at once those records of these places that are alike; the others are left to `decode_placed`.

    All of them stand in the partition of their keys.
    """
    reader = _COLUMNS.get(topic)
    return reader.read(keys, values, places) if reader else iter(())


def decode_by_model(at: Coordinates, key: bytes | None, value: bytes | None, *, is_placed: bool) -> Event | Rejected:
    """Reads one record in whatever form, or says what is wrong with it."""
    try:
        if not is_placed:
            _reject(DeadLetterReason.MISROUTED, "key: not the partition of this key")
        document, envelope = _read_envelope(_check_presence(key, value))
        data = _read_data(at.topic, envelope)
        _check_key(key, envelope, data)
    except _RejectedError as error:
        return error.rejected
    return Event(
        source=envelope.source,
        id=envelope.id,
        type=envelope.type,
        time=envelope.time,
        fingerprint=fingerprint(envelope.type, envelope.source, envelope.partitionkey, document["data"]),
        at=at,
        data=data,
        traceparent=valid_traceparent(envelope.traceparent),
    )


def partition_key(data: Data) -> str:
    """The key that such an event must have: who or what it is about."""
    match data:
        case ClockTicked():
            return CLOCK_KEY
        case ProgrammePublished():
            return data.terms.programme
    return str(getattr(data, "beneficiary", None) or data.programme)


def _reject(reason: DeadLetterReason, what: str) -> NoReturn:
    raise _RejectedError(Rejected(reason, what[:DETAIL_LENGTH_MAX]))


def _check_presence(key: bytes | None, value: bytes | None) -> bytes:
    """The value, if there are both and neither is beyond its bounds."""
    if not key:
        _reject(DeadLetterReason.MALFORMED, "key: missing")
    if value is None:
        _reject(DeadLetterReason.MALFORMED, "value: missing")
    if len(value) > VALUE_BYTES_MAX:
        _reject(DeadLetterReason.MALFORMED, f"value: more than {VALUE_BYTES_MAX} bytes")
    try:
        key.decode()
    except UnicodeDecodeError:
        _reject(DeadLetterReason.MALFORMED, "key: not UTF-8")
    return value


def _read_envelope(value: bytes) -> tuple[dict[str, Any], Envelope]:
    try:
        document = read_object(value)
    except DocumentError as error:
        _reject(DeadLetterReason.MALFORMED, f"value: {error}")
    if misnamed_attribute(document):
        _reject(DeadLetterReason.MALFORMED, "envelope: an attribute's name is not [a-z0-9]+")
    try:
        return document, Envelope.model_validate(document)
    except ValidationError as error:
        _reject(DeadLetterReason.MALFORMED, detail((), error))


def _read_data(topic: Topic, envelope: Envelope) -> Data:
    known = INPUTS.get(envelope.type)
    if known is None or known.topic is not topic:
        _reject(DeadLetterReason.UNKNOWN_TYPE, "type: not a type of this topic")
    try:
        return known.model.model_validate(envelope.data).to_domain()
    except ValidationError as error:
        _reject(DeadLetterReason.INVALID, detail(("data",), error))


def _check_key(key: bytes | None, envelope: Envelope, data: Data) -> None:
    expected = partition_key(data)
    if envelope.partitionkey != expected:
        _reject(DeadLetterReason.INVALID, "partitionkey: not what data is about")
    if key != expected.encode():
        _reject(DeadLetterReason.INVALID, "key: not the partitionkey")
    if isinstance(data, ClockTicked) and data.now != envelope.time:
        _reject(DeadLetterReason.INVALID, "data.now: not the event's time")
