"""One step of a shard: take an event, or let fall due what the clock has reached. Everything lands in `results`.

Source: RULES sections 2, 3 and 8. Work that may be long (`fall_due`, `wake`) comes as an iterator that has applied one
entry or dead letter each time it yields, so that its caller can stop after any of them and go on in a later batch.
"""

import heapq
from collections.abc import Iterator

from redress.domain.accounts import EXPIRED, LAPSABLE
from redress.domain.answer import balances_after, is_answered
from redress.domain.beneficiary import MAX_PARKED, Beneficiary, Parked, RedemptionStatus
from redress.domain.booking import Booking
from redress.domain.decide import LastingControl, decide_control, decide_personal
from redress.domain.decide.release import let_go
from redress.domain.decision import Dead, Draft, Park, wakes_on_programme, wakes_on_wave
from redress.domain.entry import (
    Cause,
    DeadLetterReason,
    Entry,
    Happening,
    Lapsed,
    LotClosing,
    Outcome,
    TimedOut,
)
from redress.domain.event import (
    Captured,
    ClockTicked,
    Control,
    Event,
    Personal,
    ProgrammePublished,
    Recorded,
    Requested,
    WaveOpened,
)
from redress.domain.evolve import evolve
from redress.domain.ids import BeneficiaryId, Instant
from redress.domain.lot import Lot
from redress.domain.parking import is_blocked
from redress.domain.seen import FINGERPRINT_BYTES, Seen, identity
from redress.domain.shard import DeadLetter, Deadline, Shard
from redress.domain.time import FACT_TOLERANCE, SECOND, TIME_OUT_GRACE

REFUSED_LATE = "value: refused by the database once it could be decided"
"""The detail of a dead letter that was parked, and whose value the ledger's store then refused."""
CONTROL_REPORTER = 0
"""The shard that dead-letters what is wrong with a control record, so that it is done once."""


def take_tick(shard: Shard, event: Event, data: ClockTicked) -> bool:
    """Move the clock; whether it moved. What falls due is `fall_due`'s.

    A tick that is not later has no effect: so all that was ever read can be fed again, the last tick included.
    """
    if shard.now is not None:
        if data.now <= shard.now:
            return False
        if shard.system_clock and data.now > shard.now + FACT_TOLERANCE:
            _report_control(shard, event, Dead(DeadLetterReason.INVALID, "data.now: more than 24 h ahead of the clock"))
            return False
    shard.now = data.now
    shard.tick = _cause(event)
    shard.falling_due = True
    return True


def take_control(shard: Shard, event: Event, data: LastingControl) -> str | None:
    """Take a control event; what it may wake among the parked (`wakes_on`), or None."""
    code = data.terms.programme if isinstance(data, ProgrammePublished) else data.programme
    programme = shard.programmes.get(code)
    known = _known(programme.seen, event) if programme else None
    if known is True:
        shard.results.duplicates += 1
        return None
    decision = decide_control(shard, data, event.time)
    if isinstance(decision, Dead) and decision.reason is DeadLetterReason.INVALID:
        _report_control(shard, event, decision)
        return None
    if known is False:
        _report_control(shard, event, _CONFLICT)
        return None
    if isinstance(decision, Dead):
        _report_control(shard, event, decision)
        return None
    _append(shard, _cause(event), data, None, event.time, decision)
    if decision.outcome is not Outcome.ACCEPTED:
        return None
    match data:
        case ProgrammePublished():
            return wakes_on_programme(code)
        case WaveOpened():
            return wakes_on_wave(code, data.wave)
        case _:
            return None


def take_personal(shard: Shard, event: Event, data: Personal) -> None:
    """Take an event about one beneficiary, and drain what it makes decidable."""
    person = shard.beneficiary(data.beneficiary)
    known = _known(person.seen, event)
    if known is True:
        shard.results.duplicates += 1
        return
    if not isinstance(data, Requested) and event.time > shard.clock(event.time) + FACT_TOLERANCE:
        _dead_letter(shard, event, Dead(DeadLetterReason.INVALID, "time: more than 24 h ahead of the ledger's clock"))
        return
    if known is False:
        _dead_letter(shard, event, _CONFLICT)
        return
    decision = Park() if is_blocked(person, data) else decide_personal(shard, person, data, event.time)
    match decision:
        case Draft():
            _append(shard, _cause(event), data, person.id, event.time, decision)
            _drain(shard, person)
        case Park(wakes_on):
            _park(shard, person, event, wakes_on)
        case Dead():
            _dead_letter(shard, event, decision)


def take_all(shard: Shard, event: Event, data: Control | Personal) -> None:
    """Take any event with everything that follows from it, however much: for shards that are wholly in memory."""
    match data:
        case ClockTicked():
            if take_tick(shard, event, data):
                _exhaust(fall_due(shard))
        case _ if isinstance(data, LastingControl):
            woken = take_control(shard, event, data)
            if woken:
                _exhaust(wake(shard, woken))
        case _:
            take_personal(shard, event, data)


def fall_due(shard: Shard) -> Iterator[None]:
    """Lapse lots, release holds, end parking: in this order, all that the clock has reached."""
    now, tick = shard.now, shard.tick
    if now is None or tick is None:
        return
    for lot in shard.lots():
        if lot.is_open and lot.valid_until <= now:
            _lapse(shard, lot, tick)
            yield
    while shard.deadlines and shard.deadlines[0][0] + TIME_OUT_GRACE <= now:
        if _time_out(shard, heapq.heappop(shard.deadlines), tick):
            yield
    while shard.parked:
        parked = next(iter(shard.parked.values()))
        if parked.parked_at + shard.parking_seconds * SECOND > now:
            break
        _end_parking(shard, parked)
        yield
    shard.falling_due = False


def wake(shard: Shard, wakes_on: str) -> Iterator[None]:
    """Try again, in order of arrival, what waited for a wave or a programme."""
    for parked in [p for p in shard.parked.values() if p.wakes_on == wakes_on]:
        person = shard.beneficiary(parked.beneficiary)
        if parked.arrival in shard.parked and _retry(shard, person, parked):
            _drain(shard, person)
            yield


def _lapse(shard: Shard, lot: Lot, tick: Cause) -> None:
    booked_at = Instant(lot.valid_until - 1)
    booking = Booking(shard, booked_at)
    for account in LAPSABLE:
        booking.move_lot(EXPIRED[account], lot, booked_at)
    draft = Draft(
        Outcome.ACCEPTED,
        lines=booking.lines,
        terms_version=lot.terms.version,
        lot_closing=LotClosing(min(booked_at, booking.now), lot.valid_until),
    )
    _append(shard, tick, Lapsed(lot.key), None, booked_at, draft)


def _time_out(shard: Shard, deadline: Deadline, tick: Cause) -> bool:
    expires_at, beneficiary, programme, redemption = deadline
    person = shard.beneficiary(beneficiary)
    known = person.redemptions.get((programme, redemption))
    if known is None or known.status is not RedemptionStatus.HELD or known.expires_at != expires_at:
        return False
    draft = let_go(shard, person, known, expires_at, shard.programmes[programme].latest.version)
    _append(shard, tick, TimedOut(programme, redemption, beneficiary), beneficiary, expires_at, draft)
    _drain(shard, person)
    return True


def _end_parking(shard: Shard, parked: Parked) -> None:
    person = shard.beneficiary(parked.beneficiary)
    event = parked.event
    decision = None
    if isinstance(event.data, Captured | Recorded):
        decision = decide_personal(shard, person, event.data, event.time, waited_out=True)
    _unpark(shard, person, parked)
    if isinstance(decision, Draft) and event.at not in shard.refused:
        _append(shard, _cause(event), event.data, person.id, event.time, decision)
    else:
        person.seen.forget(event.source, event.id)
        _dead_letter(shard, event, _REFUSED_LATE if isinstance(decision, Draft) else _PARKED_TOO_LONG)
    _drain(shard, person)


def _drain(shard: Shard, person: Beneficiary) -> None:
    """Decide what has become decidable, in order of arrival, from the start again after each."""
    while person.parked and any(_retry(shard, person, parked) for parked in list(person.parked)):
        pass


def _retry(shard: Shard, person: Beneficiary, parked: Parked) -> bool:
    """Whether the event is parked no more."""
    event = parked.event
    if is_blocked(person, event.data, before=parked):
        return False
    decision = decide_personal(shard, person, _personal(event), event.time)
    if isinstance(decision, Park):
        if decision.wakes_on != parked.wakes_on:
            parked.wakes_on = decision.wakes_on
            shard.results.parked[parked.arrival] = parked
        return False
    _unpark(shard, person, parked)
    if event.at in shard.refused and isinstance(decision, Draft):
        decision = _REFUSED_LATE
    if isinstance(decision, Dead):
        person.seen.forget(event.source, event.id)
        _dead_letter(shard, event, decision)
    else:
        _append(shard, _cause(event), event.data, person.id, event.time, decision)
    return True


def _park(shard: Shard, person: Beneficiary, event: Event, wakes_on: str | None) -> None:
    if len(person.parked) >= MAX_PARKED:
        _dead_letter(shard, event, _TOO_MANY_PARKED)
        return
    parked = Parked(shard.next_arrival, event, person.id, shard.clock(event.time), wakes_on)
    shard.next_arrival += 1
    shard.parked[parked.arrival] = parked
    shard.results.parked[parked.arrival] = parked
    person.parked.append(parked)
    person.seen.add(event.source, event.id, event.fingerprint)


def _unpark(shard: Shard, person: Beneficiary, parked: Parked) -> None:
    person.parked.remove(parked)
    del shard.parked[parked.arrival]
    shard.results.unparked.add(parked.arrival)


def _append(
    shard: Shard,
    cause: Cause,
    happening: Happening,
    beneficiary: BeneficiaryId | None,
    x: Instant,
    draft: Draft,
) -> None:
    effective_at = draft.effective_at
    if effective_at is None:
        effective_at = min(x, shard.clock(x))
    person = shard.beneficiary(beneficiary) if beneficiary is not None else None
    entry = Entry(
        seq=shard.next_seq,
        cause=cause,
        happening=happening,
        beneficiary=beneficiary,
        outcome=draft.outcome,
        reason=draft.reason,
        occurred_at=x,
        effective_at=effective_at,
        terms_version=draft.terms_version,
        redemption=getattr(happening, "redemption", None),
        lines=draft.lines,
        lot_closing=draft.lot_closing,
        prev_seq=person.last_seq if person else None,
    )
    evolve(shard, entry)
    if person is not None and is_answered(entry):
        entry.balances = balances_after(entry, person)
    shard.results.entries.append(entry)


def _dead_letter(shard: Shard, event: Event, dead: Dead) -> None:
    shard.results.dead_letters.append(DeadLetter(event.at, dead.reason, dead.detail, event))


def _report_control(shard: Shard, event: Event, dead: Dead) -> None:
    if shard.number == CONTROL_REPORTER:
        _dead_letter(shard, event, dead)


def _known(seen: Seen, event: Event) -> bool | None:
    """True: a duplicate; False: its id was used for other content; None: never seen."""
    fingerprint = seen.get(identity(event.source, event.id))
    return None if fingerprint is None else fingerprint == event.fingerprint[:FINGERPRINT_BYTES]


def _cause(event: Event) -> Cause:
    return Cause(event.source, event.id, event.type, event.at, event.fingerprint, event.traceparent)


def _personal(event: Event) -> Personal:
    if isinstance(event.data, Control):
        raise TypeError(f"a control event cannot be parked: {event.type}")
    return event.data


def _exhaust(work: Iterator[None]) -> None:
    for _ in work:
        pass


_CONFLICT = Dead(DeadLetterReason.CONFLICT, "id: used before with other content")
_REFUSED_LATE = Dead(DeadLetterReason.INVALID, REFUSED_LATE)
_PARKED_TOO_LONG = Dead(DeadLetterReason.PARKED_TOO_LONG, "what the event waits for did not come in time")
_TOO_MANY_PARKED = Dead(DeadLetterReason.PARKED_TOO_LONG, f"more than {MAX_PARKED} parked events of the beneficiary")
