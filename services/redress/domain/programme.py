"""A programme as one shard sees it: its terms by version, and its waves with their lots."""

from dataclasses import dataclass, field

from redress.domain.event import WaveOpened
from redress.domain.ids import BenefitCode, ProgrammeCode, WaveCode
from redress.domain.lot import Lot
from redress.domain.seen import Seen
from redress.domain.terms import Terms


@dataclass(slots=True)
class WaveCount:
    """People of a wave by how their grants stand, and the amounts likewise (minor units)."""

    granted: int = 0
    refused: int = 0
    withdrawn: int = 0
    enrolled: int = 0
    issued: int = 0
    withdrawn_unissued: int = 0
    entitled_amount: int = 0
    issued_amount: int = 0


@dataclass(slots=True)
class Wave:
    """A cohort entitled together; pins a version of the terms."""

    opened: WaveOpened
    terms: Terms
    lots: dict[BenefitCode, Lot]
    count: WaveCount = field(default_factory=WaveCount)

    @property
    def amount(self) -> int:
        """What each person of the wave is granted, in minor units."""
        return sum(benefit.amount for benefit in self.terms.benefits)


@dataclass(slots=True)
class Programme:
    """One programme."""

    code: ProgrammeCode
    versions: dict[int, Terms]
    reserved: Lot
    waves: dict[WaveCode, Wave] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    @property
    def latest(self) -> Terms:
        """The highest version: its time limits and its limit per order count for every request."""
        return self.versions[max(self.versions)]
