"""A record as it came from Kafka."""

from dataclasses import dataclass

from redress.domain.event import Coordinates, Topic
from redress.ledger.batch import RawRecord


@dataclass(slots=True)
class Record:
    """Where a record stands, and its bytes."""

    topic: Topic
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None

    @property
    def at(self) -> Coordinates:
        """Where it stands."""
        return Coordinates(self.topic, self.partition, self.offset)

    @property
    def raw(self) -> RawRecord:
        """Its bytes."""
        return RawRecord(self.key, self.value)

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")
