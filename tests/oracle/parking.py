"""Parked events, in order of arrival (section 8 of the rules)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.oracle.event import Event, Name

PARKED_PER_BENEFICIARY_MAX = 100


@dataclass(frozen=True, slots=True)
class Parked:
    arrival: int
    since: int
    event: Event
    names: frozenset[Name]
    """What it blocks: nothing, if it is a grant or an issue."""


class Parking:
    def __init__(self) -> None:
        self._all: dict[int, Parked] = {}
        self._of: defaultdict[str, dict[int, Parked]] = defaultdict(dict)
        self._arrivals = 0

    def add(self, event: Event, since: int) -> None:
        names = event.names() if event.is_fact else frozenset()
        parked = Parked(self._arrivals, since, event, names)
        self._arrivals += 1
        self._all[parked.arrival] = self._of[event.key][parked.arrival] = parked

    def remove(self, parked: Parked) -> None:
        del self._all[parked.arrival]
        del self._of[parked.event.key][parked.arrival]

    def first(self) -> Parked | None:
        return next(iter(self._all.values()), None)

    def waiting(self, beneficiary: str | None) -> Iterable[Parked]:
        """One beneficiary's, or all, in order of arrival."""
        return self._all.values() if beneficiary is None else self._of[beneficiary].values()

    def is_full(self, beneficiary: str) -> bool:
        return len(self._of[beneficiary]) >= PARKED_PER_BENEFICIARY_MAX

    def blocks(self, event: Event, arrival: int | None = None) -> bool:
        """Whether an earlier parked fact of the beneficiary names what this fact names."""
        if not event.is_fact or not self._of[event.key]:
            return False
        names = event.names()
        earlier = (parked for parked in self._of[event.key].values() if arrival is None or parked.arrival < arrival)
        return any(not names.isdisjoint(parked.names) for parked in earlier)
