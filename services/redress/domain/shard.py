"""A shard: one independent strand of the ledger, with what a run of it produced."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from redress.domain.beneficiary import Beneficiary, Parked
from redress.domain.entry import Cause, DeadLetterReason, Entry, LotKey
from redress.domain.event import Coordinates, Event
from redress.domain.ids import UNKNOWN_WAVE, BeneficiaryId, Instant, ProgrammeCode, RedemptionId, WaveCode
from redress.domain.lot import Lot
from redress.domain.programme import Programme, Wave
from redress.domain.value import value

Deadline = tuple[Instant, BeneficiaryId, ProgrammeCode, RedemptionId]
"""When a hold runs out, and whose it is: holds time out in this order."""


@value
class DeadLetter:
    """An event that was understood and could not be taken; `detail` names field and rule, never a value."""

    at: Coordinates
    reason: DeadLetterReason
    detail: str
    event: Event


@dataclass(slots=True)
class Results:
    """What was decided since the results were last taken: the ledger writes it in one transaction."""

    entries: list[Entry] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    parked: dict[int, Parked] = field(default_factory=dict)
    """Newly parked, or waiting for something else now, by arrival."""
    unparked: set[int] = field(default_factory=set)
    duplicates: int = 0


@dataclass(slots=True)
class Shard:
    """One shard's state. `beneficiaries`, `parked` and `deadlines` may hold only those that the work at hand concerns.

    `now` is the shard's clock: None until the ledger's first tick. `tick` is the last tick applied: the cause of what
    falls due.
    """

    number: int
    parking_seconds: int
    system_clock: bool
    now: Instant | None = None
    tick: Cause | None = None
    falling_due: bool = False
    """Whether that tick has let more fall due than was decided so far."""
    next_seq: int = 1
    next_arrival: int = 1
    programmes: dict[ProgrammeCode, Programme] = field(default_factory=dict)
    beneficiaries: dict[BeneficiaryId, Beneficiary] = field(default_factory=dict)
    parked: dict[int, Parked] = field(default_factory=dict)
    """By arrival, in that order."""
    deadlines: list[Deadline] = field(default_factory=list)
    """A heap; an entry whose hold has ended meanwhile is passed over when it comes up."""
    refused: AbstractSet[Coordinates] = frozenset()
    """Parked events that cannot be booked, whatever is decided: the ledger's store refuses a value of theirs."""
    results: Results = field(default_factory=Results)
    _lots: dict[LotKey, Lot] = field(default_factory=dict, compare=False, repr=False)
    """Those that were asked for: a lot, once there, is never another one."""

    def clock(self, x: Instant) -> Instant:
        """The shard's clock; before the first tick, the event's own time."""
        return x if self.now is None else self.now

    def next_seqs(self, entries: int) -> range:
        """The numbers of the next so many entries."""
        first = self.next_seq
        self.next_seq += entries
        return range(first, self.next_seq)

    def beneficiary(self, beneficiary: BeneficiaryId) -> Beneficiary:
        """What is known of a person; empty for a new one."""
        found = self.beneficiaries.get(beneficiary)
        if found is None:
            found = self.beneficiaries[beneficiary] = Beneficiary(beneficiary)
        return found

    def wave(self, programme: ProgrammeCode, wave: WaveCode) -> Wave | None:
        """The wave, if it was opened."""
        found = self.programmes.get(programme)
        return found.waves.get(wave) if found else None

    def lot(self, key: LotKey) -> Lot:
        """The lot of a voucher or a line.

        Raises:
            KeyError: no such lot; lines and vouchers name only lots that exist.
        """
        found = self._lots.get(key)
        if found is None:
            programme = self.programmes[key.programme]
            is_reserved = key.wave == UNKNOWN_WAVE
            found = programme.reserved if is_reserved else programme.waves[key.wave].lots[key.benefit]
            self._lots[key] = found
        return found

    def lots(self) -> list[Lot]:
        """All lots of waves, ordered by codes."""
        lots = [lot for p in self.programmes.values() for w in p.waves.values() for lot in w.lots.values()]
        return sorted(lots, key=lambda lot: lot.key)

    def count_lots(self) -> int:
        """How many lots there are, with those that programmes have for vouchers that are not there."""
        return sum(1 + sum(len(wave.lots) for wave in p.waves.values()) for p in self.programmes.values())

    def take_results(self) -> Results:
        """Hand over what was decided, and begin anew."""
        results, self.results = self.results, Results()
        return results
