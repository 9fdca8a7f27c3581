"""Which events were taken: short digests, so that a duplicate is found without a table of random ids."""

from functools import lru_cache
from hashlib import sha256

ID_BYTES = 8
FINGERPRINT_BYTES = 4
BATCH_EVENTS = 2**13
"""How many identities are kept: those of a batch, which asks for each three times."""


@lru_cache(maxsize=BATCH_EVENTS)
def identity(source: str, event_id: str) -> bytes:
    """8 bytes of SHA-256 over source and id: who an event is, within its partition key."""
    return sha256(f"{source}\n{event_id}".encode()).digest()[:ID_BYTES]


class Seen(dict[bytes, bytes]):
    """identity → first 4 bytes of the fingerprint, of every event that was decided or is parked."""

    __slots__ = ()

    def add(self, source: str, event_id: str, fingerprint: bytes) -> None:
        """Remember an event."""
        self[identity(source, event_id)] = fingerprint[:FINGERPRINT_BYTES]

    def forget(self, source: str, event_id: str) -> None:
        """A dead-lettered event is not remembered: a corrected one may come under its id."""
        self.pop(identity(source, event_id), None)
