"""A record as it came from Kafka."""

from dataclasses import dataclass

from redress.domain.event import Coordinates
from redress.ledger.batch import RawRecord


@dataclass(slots=True)
class Record:
    """Where a record stands, and its bytes."""

    at: Coordinates
    raw: RawRecord

    @property
    def offset(self) -> int:
        """Its offset in its partition."""
        return self.at.offset

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.raw.key or b"") + len(self.raw.value or b"")
