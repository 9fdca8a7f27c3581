"""An independent oracle: what a ledger books, written from the rules alone."""

from collections.abc import Callable
from heapq import heappop
from typing import Any, Final, Literal

from tests.oracle import control_rules, entitlement_rules, figures, instant, redemption_rules, voucher_rules
from tests.oracle.audit import Audit
from tests.oracle.books import Books
from tests.oracle.decision import ACCEPTED, Decision
from tests.oracle.event import (
    CAPTURED,
    CLAIMED,
    CONTROL,
    DECLINED,
    ENROLLED,
    GRANTED,
    ISSUED,
    RECORDED,
    REINSTATED,
    RELEASED,
    REQUESTED,
    REVERSED,
    SETTLING,
    TICKED,
    VOUCHER_REVOKED,
    WITHDRAWN,
    Event,
    Identity,
)
from tests.oracle.figures import Row
from tests.oracle.instant import DAY_US, SECOND_US
from tests.oracle.lot import Lot, LotKey
from tests.oracle.parking import Parked, Parking
from tests.oracle.redemption import Redemption, State

Entry = dict[str, Any]
Rule = Callable[[Books, Event], Decision | None]

RULES: Final[dict[str, Rule]] = {
    GRANTED: entitlement_rules.granted,
    ENROLLED: entitlement_rules.enrolled,
    WITHDRAWN: entitlement_rules.withdrawn,
    REINSTATED: entitlement_rules.reinstated,
    ISSUED: entitlement_rules.issued,
    VOUCHER_REVOKED: voucher_rules.revoked,
    CLAIMED: voucher_rules.claimed,
    DECLINED: voucher_rules.declined,
    REQUESTED: redemption_rules.requested,
    CAPTURED: redemption_rules.captured,
    RELEASED: redemption_rules.released,
    RECORDED: redemption_rules.recorded,
    REVERSED: redemption_rules.reversed_,
}


class Oracle:
    """One shard of a ledger, as the rules describe it, in memory."""

    def __init__(
        self,
        *,
        ledger: str = "main",
        shard: int = 0,
        shards: int = 1,
        parking_seconds: int = 86_400,
        clock: Literal["system", "manual"] = "manual",
    ) -> None:
        self.ledger = ledger
        self.shard = shard
        self.shards = shards
        self.entries: list[Entry] = []
        self.dead_letters: list[dict[str, Any]] = []
        self.books = Books()
        self._parking = Parking()
        self._parking_us = parking_seconds * SECOND_US
        self._has_system_clock = clock == "system"
        self._known: dict[Identity, str] = {}
        self._audit = Audit()

    def feed(self, topic: str, event: dict[str, Any], *, partition: int, offset: int) -> list[Entry]:
        """Takes a record with all that follows from it; returns the new entries."""
        before = len(self.entries)
        read = Event.read(topic, event, partition, offset)
        if read.type == TICKED:
            self._tick(read)
        else:
            self._take(read)
        return self.entries[before:]

    # --- queries

    def liability(self) -> dict[LotKey, dict[str, int]]:
        return figures.liability(self.books)

    def liability_as_of(self, t_us: int) -> dict[LotKey, dict[str, int]]:
        return figures.liability_as_of(self.books, self.entries, t_us)

    def accounts(self) -> dict[LotKey, dict[str, int]]:
        return figures.accounts(self.entries)

    def vouchers(self) -> dict[str, Row]:
        return figures.vouchers(self.books)

    def waves(self) -> dict[tuple[str, str], Row]:
        return figures.waves(self.books)

    def roll_forward(self) -> dict[tuple[str, str, str, str], int]:
        return figures.roll_forward(self.entries)

    def roll_forward_by_day(self) -> dict[tuple[str, str, str, str, str], tuple[int, int]]:
        return figures.roll_forward_by_day(self.books, self.entries)

    def parked(self) -> list[dict[str, Any]]:
        return [
            {**parked.event.cause, "beneficiary": parked.event.key, "since": parked.since}
            for parked in self._parking.waiting(None)
        ]

    def check(self) -> None:
        """Raises AssertionError if an invariant is broken, now or at any earlier effective instant."""
        self._audit.follow(self.books, self.entries)

    # --- one record

    def _take(self, event: Event) -> None:
        known, fingerprint = self._known.get(event.identity), event.fingerprint
        if known == fingerprint:
            return
        if self._is_invalid(event):
            self._dead_letter(event, "invalid")
        elif known is not None or (event.type in CONTROL and control_rules.is_conflict(self.books, event)):
            self._dead_letter(event, "conflict")
        elif event.type in CONTROL:
            self._known[event.identity] = fingerprint
            decision = control_rules.decide(self.books, event)
            version = control_rules.terms_version(self.books, event)
            self._enter(event.cause, decision, None, event.x, version, None)
            self._drain(None)
        elif not self._is_blocked(event) and self._decide(event, RULES[event.type]):
            self._known[event.identity] = fingerprint
            self._drain(event.key)
        elif self._parking.is_full(event.key):
            self._dead_letter(event, "parked_too_long")
        else:
            self._known[event.identity] = fingerprint
            self._parking.add(event, self.books.now_or(event.x))

    def _is_invalid(self, event: Event) -> bool:
        if event.type in CONTROL:
            return control_rules.is_invalid(self.books, event)
        return event.type != REQUESTED and event.x > self.books.now_or(event.x) + DAY_US

    def _decide(self, event: Event, rule: Rule) -> bool:
        """Makes the event's entry, unless it cannot be decided yet."""
        decision = rule(self.books, event)
        if decision is None:
            return False
        redemption = event.data.get("redemption")
        self._enter(event.cause, decision, event.key, event.x, self._terms_version(event), redemption)
        return True

    def _terms_version(self, event: Event) -> int | None:
        """The terms the entry was made under: those of the wave, the lot or, of a redemption, the latest."""
        data, books = event.data, self.books
        if "redemption" in data:
            programme = books.programmes.get(data["programme"])
            return programme.latest.version if programme else None
        if "wave" in data:
            wave = books.waves.get((data["programme"], data["wave"]))
            return wave.terms.version if wave else None
        piece = books.voucher(event.key, data["programme"], data["voucher"])
        return piece.lot.terms.version if piece else None

    def _enter(
        self,
        cause: dict[str, Any],
        decision: Decision,
        beneficiary: str | None,
        x: int,
        terms_version: int | None,
        redemption: str | None,
    ) -> None:
        lines, self.books.lines = self.books.lines, []
        self.entries.append(
            {
                "seq": len(self.entries) + 1,
                "shard": self.shard,
                "beneficiary": beneficiary,
                "outcome": decision.outcome,
                "reason": decision.reason,
                "cause": cause,
                "occurred_at": x,
                "effective_at": max((line["effective_at"] for line in lines), default=min(x, self.books.now_or(x))),
                "terms_version": terms_version,
                "redemption": redemption,
                "lines": lines,
            }
        )

    def _dead_letter(self, event: Event, reason: str) -> None:
        if event.type in CONTROL and self.shard != 0:
            return
        where = {"topic": event.topic, "partition": event.partition, "offset": event.offset}
        self.dead_letters.append({**where, "reason": reason})

    # --- what waits

    def _is_blocked(self, event: Event, arrival: int | None = None) -> bool:
        return self._parking.blocks(event, arrival)

    def _drain(self, beneficiary: str | None) -> None:
        """Decides what can be decided now, the earliest first, until nothing more can."""
        while (parked := self._decide_first(beneficiary)) is not None:
            self._parking.remove(parked)

    def _decide_first(self, beneficiary: str | None) -> Parked | None:
        for parked in self._parking.waiting(beneficiary):
            event = parked.event
            if not self._is_blocked(event, parked.arrival) and self._decide(event, RULES[event.type]):
                return parked
        return None

    def _end(self, parked: Parked) -> None:
        """Ends a parking that has lasted too long."""
        event = parked.event
        self._parking.remove(parked)
        if event.type not in SETTLING or not self._decide(event, redemption_rules.settled_without):
            del self._known[event.identity]
            self._dead_letter(event, "parked_too_long")
        self._drain(event.key)

    # --- the clock

    def _tick(self, tick: Event) -> None:
        now = instant.read(tick.data["now"])
        if self.books.now is not None:
            if now <= self.books.now:
                return
            if self._has_system_clock and now > self.books.now + DAY_US:
                self._dead_letter(tick, "invalid")
                return
        self.books.now = now
        self._lapse_lots(tick, now)
        self._time_out_reservations(tick, now)
        while (first := self._parking.first()) is not None and first.since + self._parking_us <= now:
            self._end(first)

    def _lapse_lots(self, tick: Event, now: int) -> None:
        due = [lot for lot in self.books.lots.values() if not lot.is_closed and lot.valid_until <= now]
        for lot in sorted(due, key=_codes):
            control_rules.lapse(self.books, lot)
            self._enter(tick.cause, ACCEPTED, None, lot.booked_at, lot.terms.version, None)

    def _time_out_reservations(self, tick: Event, now: int) -> None:
        heap = self.books.reservations
        while heap and heap[0][0] + redemption_rules.GRACE_US <= now:
            expires_at, key = heappop(heap)
            redemption = self.books.redemptions[key]
            if redemption.state is State.HELD:
                self._time_out(tick, redemption, expires_at)

    def _time_out(self, tick: Event, redemption: Redemption, expires_at: int) -> None:
        beneficiary, programme, code = redemption.key
        redemption_rules.release(self.books, expires_at, redemption, State.TIMED_OUT)
        version = self.books.programmes[programme].latest.version
        self._enter(tick.cause, ACCEPTED, beneficiary, expires_at, version, code)
        self._drain(beneficiary)


def _codes(lot: Lot) -> LotKey:
    return lot.key
