"""Which events were taken: short digests, so that a duplicate is found without a table of random ids."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256

ID_BYTES = 8
FINGERPRINT_BYTES = 4
BOTH_BYTES = ID_BYTES + FINGERPRINT_BYTES
BATCH_EVENTS = 2**13
"""How many identities are kept: those of a batch, which asks for each three times."""


def compute_identity(source: str, event_id: str) -> bytes:
    """8 bytes of SHA-256 over source and id: who an event is, within its partition key."""
    return sha256(f"{source}\n{event_id}".encode()).digest()[:ID_BYTES]


identity = lru_cache(maxsize=BATCH_EVENTS)(compute_identity)
"""The same, kept for who asks again."""


class Seen:
    """identity → first 4 bytes of the fingerprint, of every event that was decided or is parked, oldest first.

    Kept as they are stored, 12 bytes an event: a person has few, and most are only ever carried along.
    """

    __slots__ = ("packed",)

    def __init__(self, packed: bytes = b"") -> None:
        self.packed = packed

    def get(self, event: bytes) -> bytes | None:
        """The fingerprint of the event of this identity."""
        at = self._find(event)
        return None if at < 0 else self.packed[at + ID_BYTES : at + BOTH_BYTES]

    def add(self, source: str, event_id: str, fingerprint: bytes) -> None:
        """Remember an event."""
        event = identity(source, event_id)
        if self._find(event) < 0:
            self.put_last(event, fingerprint)

    def put_last(self, event: bytes, fingerprint: bytes) -> None:
        """Remember the event of this identity, which is not among them."""
        self.packed += event + fingerprint[:FINGERPRINT_BYTES]

    def forget(self, source: str, event_id: str) -> None:
        """A dead-lettered event is not remembered: a corrected one may come under its id."""
        at = self._find(identity(source, event_id))
        if at >= 0:
            self.packed = self.packed[:at] + self.packed[at + BOTH_BYTES :]

    def put_first(self, events: Iterable[tuple[bytes, bytes]]) -> None:
        """Add events, given as `items` gives them, that are older than all these."""
        self.packed = b"".join(event + fingerprint for event, fingerprint in events) + self.packed

    def drop_first(self, number: int) -> None:
        """Forget the oldest."""
        self.packed = self.packed[number * BOTH_BYTES :]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Identities with their fingerprints."""
        for at in range(0, len(self.packed), BOTH_BYTES):
            yield self.packed[at : at + ID_BYTES], self.packed[at + ID_BYTES : at + BOTH_BYTES]

    def keys(self) -> Iterator[bytes]:
        """Identities; with `[]` all that `dict` asks for."""
        return (event for event, _ in self.items())

    def __getitem__(self, event: bytes) -> bytes:
        found = self.get(event)
        if found is None:
            raise KeyError(event)
        return found

    def __contains__(self, event: bytes) -> bool:
        return self._find(event) >= 0

    def __len__(self) -> int:
        return len(self.packed) // BOTH_BYTES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seen) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _find(self, event: bytes) -> int:
        """Where it stands; -1 if nowhere."""
        at = self.packed.find(event)
        while at > 0 and at % BOTH_BYTES:
            at = self.packed.find(event, at + 1)
        return at
