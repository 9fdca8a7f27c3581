"""An event as it was read, and what identifies it."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from tests.oracle import instant

PUBLISHED: Final = "redress.programme.published.v1"
WAVE_OPENED: Final = "redress.wave.opened.v1"
LOT_EXTENDED: Final = "redress.lot.extended.v1"
LOT_REVOKED: Final = "redress.lot.revoked.v1"
TICKED: Final = "redress.clock.ticked.v1"
GRANTED: Final = "redress.eligibility.granted.v1"
ENROLLED: Final = "redress.eligibility.enrolled.v1"
WITHDRAWN: Final = "redress.eligibility.withdrawn.v1"
REINSTATED: Final = "redress.eligibility.reinstated.v1"
ISSUED: Final = "redress.voucher.issued.v1"
VOUCHER_REVOKED: Final = "redress.voucher.revoked.v1"
CLAIMED: Final = "redress.voucher.claimed.v1"
DECLINED: Final = "redress.voucher.declined.v1"
REQUESTED: Final = "redress.redemption.requested.v1"
CAPTURED: Final = "redress.redemption.captured.v1"
RELEASED: Final = "redress.redemption.released.v1"
RECORDED: Final = "redress.redemption.recorded.v1"
REVERSED: Final = "redress.redemption.reversed.v1"

CONTROL: Final = frozenset({PUBLISHED, WAVE_OPENED, LOT_EXTENDED, LOT_REVOKED, TICKED})
DECIDED: Final = frozenset({GRANTED, ISSUED, REQUESTED})
"""Events that create or promise value. All others of a beneficiary are facts."""
SETTLING: Final = frozenset({CAPTURED, RECORDED})

Identity = tuple[str, str, str]
Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One record: where it stood, what it says, and `x`, when that happened in the world."""

    topic: str
    partition: int
    offset: int
    source: str
    id: str
    type: str
    key: str
    x: int
    data: dict[str, Any]

    @classmethod
    def read(cls, topic: str, envelope: dict[str, Any], partition: int, offset: int) -> "Event":
        return cls(
            topic=topic,
            partition=partition,
            offset=offset,
            source=envelope["source"],
            id=envelope["id"],
            type=envelope["type"],
            key=envelope["partitionkey"],
            x=instant.read(envelope["time"]),
            data=envelope["data"],
        )

    @property
    def identity(self) -> Identity:
        """An id is unique per source and partition key."""
        return (self.key, self.source, self.id)

    @property
    def fingerprint(self) -> str:
        parts = [self.type, self.source, self.key, self.data]
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(canonical.encode()).hexdigest()

    @property
    def is_fact(self) -> bool:
        return self.type not in DECIDED

    @property
    def cause(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "id": self.id,
            "type": self.type,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
        }

    def names(self) -> frozenset[Name]:
        """The grants, vouchers and redemptions a fact names, each within its programme."""
        data, programme = self.data, self.data["programme"]
        found: set[Name] = set()
        if self.type in (ENROLLED, WITHDRAWN, REINSTATED):
            found.add(("grant", programme, data["wave"]))
        if "voucher" in data:
            found.add(("voucher", programme, data["voucher"]))
        if "redemption" in data:
            found.add(("redemption", programme, data["redemption"]))
        found.update(("voucher", programme, line["voucher"]) for line in data.get("lines", ()))
        return frozenset(found)
