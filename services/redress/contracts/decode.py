"""A record as Kafka gives it, to an event as the rules see it, or to the reason why it is none.

Tests in the order of RULES section 9; the first that fails counts. No bytes make this raise.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from redress.contracts.dead_letter import DETAIL_LENGTH_MAX
from redress.contracts.detail import detail
from redress.contracts.document import DocumentError, read_object
from redress.contracts.envelope import Envelope, misnamed_attribute, valid_traceparent
from redress.contracts.fingerprint import fingerprint
from redress.contracts.partitioner import partition_of
from redress.contracts.registry import INPUTS
from redress.domain.entry import DeadLetterReason
from redress.domain.event import ClockTicked, Coordinates, Data, Event, ProgrammePublished, Topic

VALUE_BYTES_MAX = 256 * 1024
CLOCK_KEY = "clock"


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
    try:
        _check_place(topic, partition, key, partitions)
        document, envelope = _read_envelope(_check_presence(key, value))
        data = _read_data(topic, envelope)
        _check_key(key, envelope, data)
    except _RejectedError as error:
        return error.rejected
    return Event(
        source=envelope.source,
        id=envelope.id,
        type=envelope.type,
        time=envelope.time,
        fingerprint=fingerprint(envelope.type, envelope.source, envelope.partitionkey, document["data"]),
        at=Coordinates(topic, partition, offset),
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


def _check_place(topic: Topic, partition: int, key: bytes | None, partitions: int) -> None:
    among = 1 if topic is Topic.PROGRAMME else partitions
    if key is not None and partition_of(key, among) != partition:
        _reject(DeadLetterReason.MISROUTED, "key: not the partition of this key")


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
