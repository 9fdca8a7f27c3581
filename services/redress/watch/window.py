"""What is to be said of ten seconds of a shard. Pure: the same entries give the same signals, ids included.

A window ends by the time that the ledger itself wrote down (`recorded_at`), never by a clock: the first record of a
later one ends it, at the latest the marker of the next tick. So signals can be made again from the topic, and whoever
knows `(source, id)` has seen it.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from redress.contracts.instants import format_instant
from redress.contracts.signal import Anomaly, AnomalyKind, MovementRate, Rate, Velocity, Window
from redress.domain.accounts import Movement
from redress.domain.entry import Outcome
from redress.domain.ids import Instant
from redress.watch.records import Entry, Marker

WINDOW: Final = timedelta(seconds=10)
"""Short enough to be live, long enough for a figure."""
VELOCITY_FROM: Final = 10
"""Requests of one beneficiary in a window that are told: one a second, which no person at a checkout makes."""
REFUSALS_FROM: Final = 20
"""Requests in a window from which on their share of refusals says something."""
REFUSALS_SHARE: Final = 2
"""Refusals are told if more than one request in so many is refused."""

REQUESTED: Final = "redress.redemption.requested.v1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROS: Final = int(WINDOW / timedelta(microseconds=1))

Signal = Rate | Velocity | Anomaly


@dataclass(slots=True)
class _Moved:
    """What moved in one programme."""

    first_seq: int
    currency: str
    entries: int = 0
    people: set[str] = field(default_factory=set)
    lines: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Count:
    """Entries of a kind, from the first on."""

    first_seq: int
    entries: int = 0
    amount: int = 0


@dataclass(slots=True)
class _Requests:
    """What one beneficiary asked for."""

    first_seq: int
    asked: int = 0
    refused: int = 0
    programmes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Open:
    """The window that is being filled; `number` counts windows since 1970."""

    number: int
    moved: dict[str, _Moved] = field(default_factory=dict)
    exceptions: dict[str, _Count] = field(default_factory=dict)
    requests: dict[str, _Requests] = field(default_factory=dict)
    gaps: list[_Count] = field(default_factory=list)


class ShardWatch:
    """One shard's entries in the order of the topic. Whatever is repeated there counts once."""

    def __init__(self, ledger: str, shard: int) -> None:
        self._ledger = ledger
        self._shard = shard
        self._next_seq: int | None = None
        self._open: _Open | None = None

    def take(self, record: Entry | Marker) -> list[Signal] | None:
        """Count the record in. If it begins a window: what is to be said of the one before; else None."""
        told = self._turn((record.recorded_at - _EPOCH) // WINDOW)
        if isinstance(record, Entry):
            self._count(record)
        return told

    def _turn(self, number: int) -> list[Signal] | None:
        """Go on to that window. A database's clock that was set back reopens none."""
        if self._open is not None and number <= self._open.number:
            return None
        ended, self._open = self._open, _Open(number)
        return None if ended is None else self._signals(ended)

    def _count(self, entry: Entry) -> None:
        expected = entry.seq if self._next_seq is None else self._next_seq
        if entry.seq < expected:
            return  # seen: a relay that was cut off published it, and the next one again
        assert self._open is not None, "a window is opened by whatever comes"
        if entry.seq > expected:
            self._open.gaps.append(_Count(expected, entry.seq - expected))
        self._next_seq = entry.seq + 1
        self._count_lines(self._open, entry)
        if entry.cause.type == REQUESTED and entry.beneficiary is not None:
            requests = self._open.requests.setdefault(entry.beneficiary, _Requests(entry.seq))
            requests.asked += 1
            requests.refused += entry.outcome == Outcome.REFUSED
            requests.programmes.update(line.programme for line in entry.lines)

    def _count_lines(self, window: _Open, entry: Entry) -> None:
        for line in entry.lines:
            moved = window.moved.setdefault(line.programme, _Moved(entry.seq, line.currency))
            moved.lines[line.movement] += 1
            moved.amounts[line.movement] += line.amount
            if line.movement == Movement.EXCEPTION:
                window.exceptions.setdefault(line.programme, _Count(entry.seq)).amount += line.amount
        for programme in {line.programme for line in entry.lines}:
            moved = window.moved[programme]
            moved.entries += 1
            if entry.beneficiary is not None:
                moved.people.add(entry.beneficiary)
        for programme in {line.programme for line in entry.lines if line.movement == Movement.EXCEPTION}:
            window.exceptions[programme].entries += 1

    def _signals(self, ended: _Open) -> list[Signal]:
        window = _window(ended.number)
        return [
            *(self._rate(window, programme, moved) for programme, moved in sorted(ended.moved.items())),
            *(
                self._velocity(window, beneficiary, requests)
                for beneficiary, requests in ended.requests.items()
                if requests.asked >= VELOCITY_FROM
            ),
            *(
                self._anomaly(window, AnomalyKind.EXCEPTIONS, count, programme=programme, amount=count.amount)
                for programme, count in sorted(ended.exceptions.items())
            ),
            *self._refusals(window, list(ended.requests.values())),
            *(self._anomaly(window, AnomalyKind.GAP, gap) for gap in ended.gaps),
        ]

    def _rate(self, window: Window, programme: str, moved: _Moved) -> Rate:
        return Rate(
            ledger=self._ledger,
            shard=self._shard,
            programme=programme,
            window=window,
            first_seq=moved.first_seq,
            entries=moved.entries,
            beneficiaries=len(moved.people),
            currency=moved.currency,
            movements=[
                MovementRate(movement=Movement(name), lines=lines, amount=moved.amounts[name])
                for name, lines in sorted(moved.lines.items())
            ],
        )

    def _velocity(self, window: Window, beneficiary: str, requests: _Requests) -> Velocity:
        return Velocity(
            ledger=self._ledger,
            shard=self._shard,
            programme=_only(requests.programmes),
            window=window,
            first_seq=requests.first_seq,
            beneficiary=beneficiary,
            requests=requests.asked,
            refused=requests.refused,
        )

    def _refusals(self, window: Window, requests: list[_Requests]) -> list[Anomaly]:
        asked = sum(each.asked for each in requests)
        refused = _Count(min((each.first_seq for each in requests), default=0), sum(each.refused for each in requests))
        if asked < REFUSALS_FROM or refused.entries * REFUSALS_SHARE <= asked:
            return []
        return [self._anomaly(window, AnomalyKind.REFUSALS, refused, of=asked)]

    def _anomaly(
        self,
        window: Window,
        kind: AnomalyKind,
        count: _Count,
        *,
        programme: str | None = None,
        of: int | None = None,
        amount: int | None = None,
    ) -> Anomaly:
        return Anomaly(
            ledger=self._ledger,
            shard=self._shard,
            programme=programme,
            window=window,
            first_seq=count.first_seq,
            kind=kind,
            entries=count.entries,
            of=of,
            amount=amount,
        )


def _window(number: int) -> Window:
    start, end = (format_instant(Instant(edge * _MICROS)) for edge in (number, number + 1))
    return Window.model_validate({"start": start, "end": end})


def _only(programmes: set[str]) -> str | None:
    """The programme, where there is no doubt."""
    return next(iter(programmes)) if len(programmes) == 1 else None
