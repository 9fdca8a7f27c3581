"""Where a shard stands, and what a batch moves it to."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from redress.domain.entry import Cause
from redress.domain.event import Coordinates, Topic
from redress.domain.ids import Instant
from redress.ledger.codes import CLOCK_TYPE
from redress.ledger.digest import Offsets


class Position(NamedTuple):
    """Next offsets to read, in the order of `Topic`."""

    programme: int
    eligibility: int
    issuance: int
    redemption: int


@dataclass(frozen=True, slots=True)
class Head:
    """The head row of a shard. `recorded_at` is the last batch's."""

    shard: int
    epoch: int
    batch: int
    next_seq: int
    next_arrival: int
    now: Instant | None
    tick: Cause | None
    falling_due: bool
    recorded_at: Instant
    position: Position
    digest: bytes


def restore_head(shard: int, row: Any) -> Head:
    """A head from its row."""
    return Head(
        shard,
        row["epoch"],
        row["batch"],
        row["next_seq"],
        row["next_arrival"],
        row["now"],
        _restore_tick(row["tick"]),
        row["falling_due"],
        row["recorded_at"],
        Position(row["programme_offset"], row["eligibility_offset"], row["issuance_offset"], row["redemption_offset"]),
        row["digest"],
    )


def tick_json(tick: Cause | None) -> dict[str, Any] | None:
    """The last tick, kept because what falls due after a restart is caused by it."""
    if tick is None:
        return None
    return {
        "source": tick.source,
        "id": tick.id,
        "offset": tick.at.offset,
        "fingerprint": tick.fingerprint.hex(),
        "traceparent": tick.traceparent,
    }


def _restore_tick(stored: dict[str, Any] | None) -> Cause | None:
    if stored is None:
        return None
    return Cause(
        stored["source"],
        stored["id"],
        CLOCK_TYPE,
        Coordinates(Topic.PROGRAMME, 0, stored["offset"]),
        bytes.fromhex(stored["fingerprint"]),
        stored["traceparent"],
    )


def as_offsets(position: Position) -> Offsets:
    """The position as the digest's header has it."""
    return position.programme, position.eligibility, position.issuance, position.redemption
