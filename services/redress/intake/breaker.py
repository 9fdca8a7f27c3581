"""The breaker: too many unreadable records in a row are a bug upstream, and the shard stops (RULES section 9)."""

from collections.abc import Iterable
from dataclasses import dataclass

from redress.domain.entry import DeadLetterReason

COUNTED = frozenset({DeadLetterReason.MALFORMED, DeadLetterReason.UNKNOWN_TYPE, DeadLetterReason.INVALID})
"""What a producer with a bug sends; what is misrouted, in conflict or parked too long speaks of something else."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """The shard stops once `count` records in a row were unreadable, the readable among them below 1 - `ratio`."""

    count: int = 1_000
    """Records: half a batch of nothing but rubbish, which no upstream sends by accident of one event."""
    ratio: float = 0.5
    """Of the records since they were last mostly readable."""


DEFAULT_LIMITS = BreakerLimits()


class Breaker:
    """Counts a shard's records and dead letters since they were last mostly readable."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self.records = 0
        self.letters = 0

    def count(self, records: int, reasons: Iterable[DeadLetterReason]) -> bool:
        """Count a batch; whether the shard must stop."""
        self.records += records
        self.letters += sum(reason in COUNTED for reason in reasons)
        if self.letters < self._limits.ratio * self.records:
            self.reset()
        return self.letters >= self._limits.count

    def reset(self) -> None:
        """Begin anew."""
        self.records = self.letters = 0
