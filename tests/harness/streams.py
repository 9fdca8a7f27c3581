"""One programme's events as an orderly company sends them, and the same stream as it really arrives.

A stream is a list of moments. Each begins with its control events, the clock's tick among them, and ends when the
ledger has taken all of it: within a moment nothing is promised about what is read first.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from tests.harness.bad_records import USED_ID, Bad, bad_records
from tests.harness.events import DAY, HOUR, SECOND, START, Envelope, Events, Record
from tests.harness.running_ledger import RunningLedger, Sent, chunks

MINUTE: Final = 60 * SECOND
ENDS: Final = START + 10 * DAY
TIMES: Final = (
    BEGIN := START,
    GRANT := START + 1 * HOUR,
    ENROL := START + 2 * HOUR,
    ISSUE := START + 3 * HOUR,
    CLAIM := START + 4 * HOUR,
    COMPLETE := START + 5 * HOUR,
    REQUEST := START + 6 * HOUR,
    CAPTURE := REQUEST + 5 * MINUTE,
    TIMED_OUT := REQUEST + 30 * MINUTE,
    REVERSE := START + 8 * HOUR,
    AGAIN := START + 9 * HOUR,
    CAPTURE_AGAIN := AGAIN + 5 * MINUTE,
    LAST_DAY := ENDS - 10 * MINUTE,
    LAPSE := ENDS,
    AFTERWARDS := ENDS + 2 * HOUR,
)
"""The moments, in microseconds. The holds of REQUEST and AGAIN run out by TIMED_OUT and LAST_DAY, the lots by LAPSE."""
BOUNDS: Final = (TIMED_OUT, LAST_DAY, LAPSE)
"""Moments before which something ended by the clock. A fact that comes later is settled by other lines."""

DUPLICATES: Final = 0.30
LATE: Final = 0.10
CONFLICTING: Final = 0.01
POISON: Final = 0.01


class Planned(NamedTuple):
    """An event of one person: when it happens, and the last moment at which its arrival ends in the same balances."""

    at: int
    latest: int
    record: Record
    person: str


@dataclass
class Stream:
    """What is sent, by moment."""

    control: dict[int, list[Record]]
    personal: dict[int, list[Record]] = field(default_factory=lambda: {at: [] for at in TIMES})
    poison: dict[int, list[Bad]] = field(default_factory=lambda: {at: [] for at in TIMES})
    conflicting: list[Envelope] = field(default_factory=list)
    """Which of `personal` use an id again, with other content."""
    past_a_bound: set[str] = field(default_factory=set)
    """People of whom an event came after something had ended, though it happened before."""

    async def feed(self, ledger: RunningLedger) -> list[tuple[Sent, Bad]]:
        """Send everything, moment by moment; the poison, and where it stands."""
        poisoned = []
        for at in TIMES:
            await ledger.send_all(self.control[at])
            records, bad = self.personal[at], self.poison[at]
            parts = list(chunks(records, len(records) // (len(bad) + 1) + 1))
            for number in range(max(len(parts), len(bad))):
                await ledger.send_all(record for part in parts[number : number + 1] for record in part)
                for b in bad[number : number + 1]:
                    poisoned.append((await ledger.send_raw(b.topic, b.partition, b.key, b.value), b))
            await ledger.settled()
        return poisoned


class Company:
    """A programme of two waves, the second of which opens after its people were granted."""

    def __init__(self, crowd: Iterable[str]) -> None:
        self._first, self._second = Events(source="/first"), Events(wave="second", source="/second")
        self._events = self._first
        self._control = {at: self._control_at(at) for at in TIMES}
        self._plan: list[Planned] = []
        for number, person in enumerate(crowd):
            self._events = self._second if number % 5 == 4 else self._first
            self._live(person, number)

    def clean(self) -> Stream:
        """Everything once and in order, in the moment in which it happens."""
        stream = Stream(self._control)
        for planned in self._plan:
            stream.personal[planned.at].append(planned.record)
        return stream

    def dirty(self, random: Random) -> Stream:
        """The same with duplicates, late, conflicting and poisonous records."""
        stream = Stream(dict(self._control))
        arrivals = self._deliver(stream, random)
        taken = [(at, record) for at, record in arrivals if at < AFTERWARDS]
        for at, (topic, event) in random.sample(taken, round(CONFLICTING * len(arrivals))):
            stream.conflicting.append(_with_other_content(event))
            later = [moment for moment in TIMES if moment > at]  # by then its id is known, parked or decided
            _slip_in(random, stream.personal[random.choice(later)], (topic, stream.conflicting[-1]))
        for at, record in random.sample(arrivals, round(DUPLICATES * len(arrivals))):
            since = [moment for moment in TIMES if moment >= at]
            _slip_in(random, stream.personal[random.choice(since)], record)
        stream.control[AFTERWARDS] = [record for records in self._control.values() for record in records] * 2
        while sum(map(len, stream.poison.values())) < POISON * len(arrivals):
            self._first.at = random.choice(TIMES[1:])
            kinds = bad_records(self._first)
            stream.poison[self._first.at] += [
                bad for bad in kinds.values() if USED_ID.encode() not in (bad.value or b"")
            ]
        return stream

    def _deliver(self, stream: Stream, random: Random) -> list[tuple[int, Record]]:
        """Every event once, some of them late; when each arrives."""
        may_be_late = [n for n, planned in enumerate(self._plan) if planned.latest > planned.at]
        late = set(random.sample(may_be_late, round(LATE * len(self._plan))))
        arrivals = []
        for number, planned in enumerate(self._plan):
            at = planned.at
            if number in late:
                at = random.choice([moment for moment in TIMES if planned.at < moment <= planned.latest])
                if any(planned.at < bound <= at for bound in BOUNDS):
                    stream.past_a_bound.add(planned.person)
            else:
                stream.personal[at].append(planned.record)
            arrivals.append((at, planned.record))
        for number in sorted(late):
            at, record = arrivals[number]
            _slip_in(random, stream.personal[at], record)
        return arrivals

    def _control_at(self, at: int) -> list[Record]:
        self._first.at = self._second.at = at
        records = [self._first.published()] if at == BEGIN else []
        if at in (BEGIN, ISSUE):
            records.append((self._first if at == BEGIN else self._second).opened(valid_until=ENDS))
        return [*records, self._first.tick()]

    def _live(self, person: str, number: int) -> None:
        """What one person gets and does. Every seventh does the same."""
        kind = number % 7
        if kind == 6:
            self._is_withdrawn(person, comes_back=number % 2 == 0)
            return
        is_former = number % 3 == 0
        self._add(GRANT, COMPLETE, person, "granted", "former_member" if is_former else "member")
        if is_former:
            self._add(ENROL, COMPLETE, person, "enrolled")
        self._add(ENROL if kind == 0 else ISSUE, COMPLETE, person, "issued")
        if kind == 0:  # spends and cancels early: where the issue is late, one waits for it, and the other for the one
            self._add(ISSUE, ISSUE, person, "recorded", "r-0", 4_000, "eats")
            self._add(CLAIM, COMPLETE, person, "reversed", "r-0")
        self._add(CLAIM, COMPLETE, person, "claimed", "travel")
        self._add(CLAIM, COMPLETE, person, "claimed", "all")
        self._add(REQUEST, REQUEST, person, "requested", "r-1", 15_000)
        if kind in (0, 1, 2):
            self._add(CAPTURE, TIMED_OUT, person, "captured", "r-1", 15_000)
        if kind == 1:  # cancels the whole order, and spends the voucher again
            self._add(REVERSE, REVERSE, person, "reversed", "r-1")
            self._add(AGAIN, AGAIN, person, "requested", "r-2", 20_000)
            self._add(CAPTURE_AGAIN, LAST_DAY, person, "captured", "r-2", 20_000)
        if kind == 2:  # sends a part back
            self._add(REVERSE, LAST_DAY, person, "reversed", "r-1", 4_000)
        if kind == 3:  # lets the hold time out
            self._add(CAPTURE, LAST_DAY, person, "recorded", "r-3", 3_000, "all")
        if kind == 4:  # gives it back
            self._add(CAPTURE, CAPTURE_AGAIN, person, "released", "r-1")
            self._add(LAST_DAY, AFTERWARDS, person, "declined", "beauty")
        if kind == 5:  # spends without asking or claiming, also on the last day
            self._add(CAPTURE, LAST_DAY, person, "recorded", "r-4", 4_000, "eats")
            self._add(LAST_DAY, AFTERWARDS, person, "recorded", "r-5", 5_000, "all")
        if kind in (0, 3, 5):
            self._add(LAST_DAY, AFTERWARDS, person, "claimed", "beauty")

    def _is_withdrawn(self, person: str, *, comes_back: bool) -> None:
        self._add(GRANT, COMPLETE, person, "granted")
        self._add(ENROL, ENROL, person, "issued")
        self._add(ISSUE, ISSUE if comes_back else COMPLETE, person, "withdrawn")
        if comes_back:
            self._add(CLAIM, COMPLETE, person, "reinstated")
        self._add(CAPTURE, LAST_DAY, person, "recorded", "r-6", 5_000, "eats")

    def _add(self, at: int, latest: int, person: str, what: str, *details: object) -> None:
        self._events.at = at
        self._plan.append(Planned(at, latest, getattr(self._events, what)(person, *details), person))


def _slip_in(random: Random, records: list[Record], record: Record) -> None:
    records.insert(random.randint(0, len(records)), record)


def _with_other_content(event: Envelope) -> Envelope:
    """The same id, and something else said."""
    other = deepcopy(event)
    data = other["data"]
    if data.get("lines"):
        data["lines"][0]["amount"] += 1
    elif "vouchers" in data:
        data["vouchers"][0]["amount"] += 1
    elif "standing" in data:
        data["standing"] = "former_member" if data["standing"] == "member" else "member"
    elif "wave" in data and "reason" not in data:
        data["wave"] = "third"
    else:
        data["channel" if "channel" in data else "reason"] = "other"
    return other


def facts_alone(persons: list[str]) -> list[Record]:
    """Parked and late and after the end of a lot, but nothing that another cut could decide otherwise."""
    events, late = Events(), Events(wave="second", source="/late")
    others, persons = persons[20:], persons[:20]
    records = [*events.begin()]
    for number, person in enumerate(persons):
        events.at = START + number * SECOND
        records += [events.granted(person), events.claimed(person), events.issued(person)]
        records += [events.recorded(person, f"r-{number}", 1000 + number), events.claimed(person, "all")]
        if number % 3 == 0:
            records += [events.captured(person, f"c-{number}", 5000, "eats")]
            records.append(events.tick(START + HOUR + number * SECOND))
    late.at = events.at = START + 2 * HOUR
    records += [late.claimed(person, "beauty") for person in others]  # of a wave that is not open yet
    records.append(late.opened(START, START + 60 * DAY))
    for person in others:
        records += [late.recorded(person, "early", 300, "all"), late.granted(person), late.issued(person)]
    records.append(events.tick(START + 40 * DAY))  # their lots have lapsed
    events.at = late.at = START + 3 * DAY
    records += [events.recorded(person, "late", 300, "all") for person in persons[::2]]
    records += [late.recorded(person, "late", 500, "beauty") for person in others]
    return records + [records[index] for index in range(4, len(records), 7)]  # and again
