"""Any interleaving of all event types: the domain against the oracle, and both against their invariants, at each step.

Three people, two of whom share their neighbourhood of ids; two programmes with opposite terms; two waves of two lots
each. Small enough that everything meets everything, and that a failure shrinks to a few events.
"""

from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from redress.contracts.fingerprint import fingerprint
from tests.oracle import event, instant
from tests.oracle.instant import DAY_US, SECOND_US
from tests.oracle.scenario import ELIGIBILITY_TOPIC, ISSUANCE_TOPIC, PROGRAMME_TOPIC, REDEMPTION_TOPIC
from tests.oracle.voucher_id import voucher_id
from tests.property import fuzzing, invariants
from tests.property.twin import Clock, Envelope, Twin

START_US: Final = instant.read("2026-01-10T00:00:00+09:00")
HOUR_US: Final = 3_600 * SECOND_US

WON: Final[dict[str, Any]] = {
    "programme": "kr",
    "version": 1,
    "currency": "KRW",
    "timezone": "Asia/Seoul",
    "benefits": [
        {"code": "travel", "service": "travel", "amount": 2_000},
        {"code": "all", "service": "*", "amount": 1_000},
    ],
    "claim": "required",
    "remainder": "forfeited",
    "restore": "whole_order_before_expiry",
    "vouchers_per_order": 1,
    "once_per": "programme",
    "reservation_ttl_seconds": 900,
    "request_max_age_seconds": 600,
}
EURO: Final[dict[str, Any]] = {
    "programme": "eu",
    "version": 1,
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "benefits": [
        {"code": "ride", "service": "travel", "amount": 2_500},
        {"code": "all", "service": "*", "amount": 1_000},
    ],
    "claim": "none",
    "remainder": "kept",
    "restore": "any_before_expiry",
    "vouchers_per_order": None,
    "once_per": "wave",
    "reservation_ttl_seconds": 7_200,
    "request_max_age_seconds": 3_600,
}
TERMS: Final = {"kr": WON, "eu": EURO}
ANNA: Final = "6f1d2c3b-4a59-4e68-8777-869504132211"
BORA: Final = "0b1e2d3c-4f5a-4b69-9787-a6b5c4d3e2f1"
BORAS_NEIGHBOUR: Final = "0b1e2d3c-4f5a-4111-8222-333344445555"

people = st.sampled_from([ANNA, ANNA, BORA, BORAS_NEIGHBOUR])
programmes = st.sampled_from(["kr", "kr", "eu", "eu", "eu", "ghost"])
waves = st.sampled_from(["w1", "w1", "w1", "w2"])
standings = st.sampled_from(["member", "former_member"])
benefits = st.integers(0, 1)
redemptions = st.sampled_from(["r1", "r1", "r2", "r3"])
orders = st.sampled_from(["o1", "o2"])
services = st.sampled_from(["travel", "travel", "eats"])
amounts = st.sampled_from([1, 300, 1_000, 2_000, 2_600])
moments = st.one_of(
    st.sampled_from([0, 0, 0, -1, -SECOND_US, -61 * SECOND_US, -601 * SECOND_US, -HOUR_US, -DAY_US]),
    st.sampled_from([1, 300 * SECOND_US, 300 * SECOND_US + 1, HOUR_US, DAY_US, DAY_US + 1]),
    st.tuples(st.integers(0, 7), st.sampled_from([-1, 0, 1])),
)
"""Relative to now, or to an instant where something changes."""
steps = st.sampled_from(
    [
        0,
        SECOND_US,
        SECOND_US,
        61 * SECOND_US,
        600 * SECOND_US,
        961 * SECOND_US,
        HOUR_US,
        3 * HOUR_US,
        DAY_US,
        DAY_US + 1,
    ]
)
spends = st.lists(
    st.tuples(waves, benefits, amounts, st.sampled_from(["own"] * 12 + ["of a neighbour", "of another programme"])),
    min_size=1,
    max_size=2,
    unique_by=lambda spend: (spend[0], spend[1], spend[3]),
)
changes = st.sampled_from(
    [
        {},
        {"vouchers_per_order": 2},
        {"reservation_ttl_seconds": 60},
        {"restore": "never"},
        {"restore": "any_before_expiry"},
        {"remainder": "forfeited"},
        {"claim": "required"},
        {"once_per": "wave"},
        {"currency": "USD"},
    ]
)
Moment = int | tuple[int, int]
Spends = list[tuple[str, int, int, str]]


class Interleavings(RuleBasedStateMachine):
    """One rule per type of event, and one for the same again."""

    def __init__(self) -> None:
        super().__init__()
        self.twin = Twin()
        self.now = START_US
        self.edges = [START_US]
        self.sent: list[tuple[str, Envelope]] = []
        self.withdrawn: list[tuple[str, str, str]] = []
        self.asked: list[tuple[str, str, str, list[dict[str, Any]]]] = []
        self.number = 0

    @initialize(
        clock=st.sampled_from(["manual", "system"]),
        parking_seconds=st.sampled_from([600, 86_400]),
        strangers=st.sets(st.sampled_from(["kr", "eu"])),
        claims=st.booleans(),
    )
    def begin(self, clock: Clock, parking_seconds: int, strangers: set[str], claims: bool) -> None:
        self.twin = Twin(parking_seconds=parking_seconds, clock=clock)
        for code in TERMS:
            self._control(event.PUBLISHED, code, TERMS[code], START_US)
            self._open(code, "w1", 1, 0, START_US, START_US + DAY_US)
        self._tick(self.now)
        for code in sorted(TERMS.keys() - strangers):
            for person in (ANNA, BORA, BORAS_NEIGHBOUR):
                standing = "former_member" if person == BORA else "member"
                self._eligibility(event.GRANTED, person, code, "w1", 0, standing=standing)
                self.issue(person, code, "w1", 0, "as entitled")
                if claims:
                    self.claim(person, code, "w1", 0, 0, "app")

    # The clock

    @rule(step=steps)
    def tick(self, step: int) -> None:
        self._tick(self.now + step)

    @precondition(lambda self: self.number % 4 == 0)
    @rule(edge=st.integers(0, 7), beside=st.sampled_from([-1, 0, 1]))
    def tick_where_something_changes(self, edge: int, beside: int) -> None:
        self._tick(self._edge(edge) + beside)

    # Control

    @precondition(lambda self: self.number % 4 == 0)
    @rule(programme=programmes, version=st.integers(1, 3), change=changes, at=moments)
    def publish(self, programme: str, version: int, change: dict[str, Any], at: Moment) -> None:
        terms = {**TERMS.get(programme, WON), **change, "version": version}
        self._control(event.PUBLISHED, terms["programme"], terms, self._at(at))

    @precondition(lambda self: self.number % 4 == 0)
    @rule(
        programme=programmes,
        wave=st.sampled_from(["w1", "w2", "w2", "unknown"]),
        version=st.sampled_from([1, 1, 2]),
        starts=st.sampled_from([-HOUR_US, 0, HOUR_US]),
        lasts=st.sampled_from([1, HOUR_US, DAY_US]),
        at=moments,
    )
    def open_wave(self, programme: str, wave: str, version: int, starts: int, lasts: int, at: Moment) -> None:
        self._open(programme, wave, version, at, self.now + starts, self.now + starts + lasts)

    @precondition(lambda self: self.number % 4 == 0)
    @rule(programme=programmes, wave=waves, benefit=benefits, until=moments, at=moments)
    def extend_lot(self, programme: str, wave: str, benefit: int, until: Moment, at: Moment) -> None:
        self.edges.append(self._at(until))
        data = {**self._lot(programme, wave, benefit), "valid_until": instant.write(self._at(until))}
        self._control(event.LOT_EXTENDED, programme, {**data, "reason": "goodwill"}, self._at(at))

    @precondition(lambda self: self.number % 4 == 0)
    @rule(programme=programmes, wave=waves, benefit=benefits, at=moments)
    def revoke_lot(self, programme: str, wave: str, benefit: int, at: Moment) -> None:
        data = {**self._lot(programme, wave, benefit), "reason": "court"}
        self._control(event.LOT_REVOKED, programme, data, self._at(at))

    # Entitlement and issue

    @precondition(lambda self: self.number % 4 == 0)
    @rule(
        person=people,
        programme=programmes,
        wave=waves,
        standing=standings,
        at=moments,
    )
    def grant(self, person: str, programme: str, wave: str, standing: str, at: Moment) -> None:
        self._eligibility(event.GRANTED, person, programme, wave, at, standing=standing)

    @precondition(lambda self: self.number % 4 == 0)
    @rule(person=people, programme=programmes, wave=waves, at=moments)
    def enrol(self, person: str, programme: str, wave: str, at: Moment) -> None:
        self._eligibility(event.ENROLLED, person, programme, wave, at)

    @precondition(lambda self: self.number % 4 == 0)
    @rule(person=people, programme=programmes, wave=waves, at=moments)
    def withdraw(self, person: str, programme: str, wave: str, at: Moment) -> None:
        self.withdrawn.append((person, programme, wave))
        self._eligibility(event.WITHDRAWN, person, programme, wave, at, reason="check")

    @precondition(lambda self: self.withdrawn or self.number % 4 == 0)
    @rule(person=people, programme=programmes, wave=waves, at=moments)
    def reinstate(self, person: str, programme: str, wave: str, at: Moment) -> None:
        if self.withdrawn:
            person, programme, wave = self.withdrawn.pop()
        self._eligibility(event.REINSTATED, person, programme, wave, at, reason="appeal")

    @precondition(lambda self: self.number % 4 == 0)
    @rule(
        person=people,
        programme=programmes,
        wave=waves,
        at=moments,
        how=st.sampled_from(["as entitled"] * 6 + ["the other way round", "too much", "not all"]),
    )
    def issue(self, person: str, programme: str, wave: str, at: Moment, how: str) -> None:
        vouchers = [
            {
                "voucher": voucher_id(programme, wave, person, benefit["code"]),
                "benefit": benefit["code"],
                "amount": benefit["amount"] + (how == "too much"),
            }
            for benefit in TERMS.get(programme, WON)["benefits"]
        ]
        if how == "the other way round":
            vouchers.reverse()
        if how == "not all":
            vouchers.pop()
        data = {"programme": programme, "wave": wave, "beneficiary": person, "vouchers": vouchers}
        self._send(ISSUANCE_TOPIC, event.ISSUED, person, data, self._at(at))

    # Vouchers

    @rule(
        person=people,
        programme=programmes,
        wave=waves,
        benefit=benefits,
        at=moments,
        channel=st.sampled_from(["app", "mail"]),
    )
    def claim(self, person: str, programme: str, wave: str, benefit: int, at: Moment, channel: str) -> None:
        data = self._voucher(person, programme, wave, benefit)
        self._send(REDEMPTION_TOPIC, event.CLAIMED, person, {**data, "channel": channel}, self._at(at))

    @precondition(lambda self: self.number % 4 == 0)
    @rule(person=people, programme=programmes, wave=waves, benefit=benefits, at=moments)
    def decline(self, person: str, programme: str, wave: str, benefit: int, at: Moment) -> None:
        data = self._voucher(person, programme, wave, benefit)
        self._send(REDEMPTION_TOPIC, event.DECLINED, person, {**data, "reason": "unwanted"}, self._at(at))

    @precondition(lambda self: self.number % 4 == 0)
    @rule(person=people, programme=programmes, wave=waves, benefit=benefits, at=moments)
    def revoke_voucher(self, person: str, programme: str, wave: str, benefit: int, at: Moment) -> None:
        data = self._voucher(person, programme, wave, benefit)
        self._send(ISSUANCE_TOPIC, event.VOUCHER_REVOKED, person, {**data, "reason": "fraud"}, self._at(at))

    # Redemptions

    @precondition(lambda self: self.number % 3 == 0)
    @rule(
        person=people, programme=programmes, name=redemptions, order=orders, service=services, spend=spends, at=moments
    )
    def request(
        self, person: str, programme: str, name: str, order: str, service: str, spend: Spends, at: Moment
    ) -> None:
        x = self._at(at)
        self.edges.append(x + TERMS.get(programme, WON)["reservation_ttl_seconds"] * SECOND_US)
        data = {**self._purchase(order, service), "lines": self._lines(person, programme, spend)}
        self._redemption(event.REQUESTED, person, programme, name, x, **data)

    @precondition(lambda self: self.number % 3 == 0)
    @rule(person=people, programme=programmes, name=redemptions, spend=spends, at=moments)
    def capture(self, person: str, programme: str, name: str, spend: Spends, at: Moment) -> None:
        lines = self._lines(person, programme, spend)
        self._redemption(event.CAPTURED, person, programme, name, self._at(at), lines=lines)

    @precondition(lambda self: self.number % 3 == 0)
    @rule(person=people, programme=programmes, name=redemptions, at=moments)
    def release(self, person: str, programme: str, name: str, at: Moment) -> None:
        self._redemption(event.RELEASED, person, programme, name, self._at(at), reason="cart")

    @rule(
        person=people, programme=programmes, name=redemptions, order=orders, service=services, spend=spends, at=moments
    )
    def record(
        self, person: str, programme: str, name: str, order: str, service: str, spend: Spends, at: Moment
    ) -> None:
        data = {**self._purchase(order, service), "lines": self._lines(person, programme, spend)}
        self._redemption(event.RECORDED, person, programme, name, self._at(at), **data)

    @precondition(lambda self: self.number % 3 == 0)
    @rule(person=people, programme=programmes, name=redemptions, spend=st.one_of(st.just([]), spends), at=moments)
    def reverse(self, person: str, programme: str, name: str, spend: Spends, at: Moment) -> None:
        lines = self._lines(person, programme, spend)
        data = {"scope": "partial" if lines else "whole_order", "lines": lines, "reason": "cancelled"}
        self._redemption(event.REVERSED, person, programme, name, self._at(at), **data)

    # Redemptions of what is there, and what follows them

    @precondition(lambda self: self._spendable())
    @rule(
        which=st.integers(0, 20),
        how=st.sampled_from(["part", "part", "all", "too much"]),
        fact=st.sampled_from([False, False, False, True]),
        order=orders,
        late=st.sampled_from([0, 0, 1, 20 * SECOND_US, 300 * SECOND_US]),
    )
    def buy(self, which: int, how: str, fact: bool, order: str, late: int) -> None:
        spendable = self._spendable()
        person, voucher, programme, service, available = spendable[which % len(spendable)]
        amount = {"part": max(1, available * 2 // 5), "all": available, "too much": available + 1}[how]
        lines = [{"voucher": voucher, "amount": amount}]
        name, kind = f"b{self.number}", event.RECORDED if fact else event.REQUESTED
        self.asked.append((person, programme, name, lines))
        service = "eats" if service == "*" else service
        self.edges.append(self.now - late + TERMS[programme]["reservation_ttl_seconds"] * SECOND_US)
        data = {**self._purchase(order, service), "lines": lines}
        self._redemption(kind, person, programme, name, self.now - late, **data)

    @precondition(lambda self: self.asked)
    @rule(
        which=st.integers(0, 3),
        what=st.sampled_from(["capture", "capture", "release", "part of it", "part of it", "whole order"]),
        change=st.sampled_from([0, 0, 0, -100, 100]),
        besides=st.one_of(st.none(), st.tuples(waves, benefits)),
        at=moments,
    )
    def follow(self, which: int, what: str, change: int, besides: tuple[str, int] | None, at: Moment) -> None:
        person, programme, name, asked = self.asked[-1 - which % len(self.asked)]
        lines = [{**line, "amount": max(1, line["amount"] + change)} for line in asked]
        other = voucher_id(programme, besides[0], person, _benefit(programme, besides[1])) if besides else None
        if other and all(line["voucher"] != other for line in lines):
            lines.append({"voucher": other, "amount": 300})
        if what == "capture":
            self._redemption(event.CAPTURED, person, programme, name, self._at(at), lines=lines)
        elif what == "release":
            self._redemption(event.RELEASED, person, programme, name, self._at(at), reason="cart")
        else:
            scope = "partial" if what == "part of it" else "whole_order"
            data = {"scope": scope, "lines": lines if scope == "partial" else [], "reason": "cancelled"}
            self._redemption(event.REVERSED, person, programme, name, self._at(at), **data)

    # The same again

    @rule(which=st.integers(0, 200), how=st.sampled_from(["retry", "retry", "another id", "other content"]), at=moments)
    def send_again(self, which: int, how: str, at: Moment) -> None:
        topic, envelope = deepcopy(self.sent[which % len(self.sent)])
        before = len(self.twin.entries)
        is_known = how == "retry" and self._is_remembered(envelope)
        if envelope["type"] == event.TICKED:
            envelope["id"] = f"again-{self.number}"
        elif how == "another id":
            self.number += 1
            envelope["id"] = f"again-{self.number}"
        elif how == "other content" and "reason" in envelope["data"]:
            envelope["data"]["reason"] = "other"
        elif how == "retry":
            envelope["time"] = instant.write(self._at(at))
        results = self.twin.feed(topic, envelope)
        if is_known:
            assert (len(self.twin.entries), results.dead_letters) == (before, []), "a duplicate has no effect"

    # After each step

    @invariant()
    def the_oracle_finds_nothing_wrong(self) -> None:
        self.twin.oracle.check()
        self.twin.compare_figures()

    @invariant()
    def the_domain_keeps_its_promises(self) -> None:
        invariants.check_state(self.twin.shard)
        invariants.check_effective_axis(self.twin.entries)

    # What events are made of

    def _spendable(self) -> list[tuple[str, str, str, str, int]]:
        """Person, voucher, programme, service and what is available, in a fixed order."""
        rows = self.twin.oracle.vouchers().values()
        names = ("beneficiary", "voucher", "programme", "service", "available")
        return sorted(tuple(row[name] for name in names) for row in rows if row["available"])

    def _at(self, moment: Moment) -> int:
        return self.now + moment if isinstance(moment, int) else self._edge(moment[0]) + moment[1]

    def _edge(self, edge: int) -> int:
        return self.edges[-1 - edge % len(self.edges)]

    def _tick(self, at: int) -> None:
        data = {"now": instant.write(at)}
        self._send(PROGRAMME_TOPIC, event.TICKED, "clock", data, at)
        self.now = self.twin.shard.now or at

    def _open(self, programme: str, wave: str, version: int, at: Moment, starts: int, ends: int) -> None:
        self.edges += [starts, ends]
        data = {
            "programme": programme,
            "wave": wave,
            "terms_version": version,
            "valid_from": instant.write(starts),
            "valid_until": instant.write(ends),
            "expected": None,
            "roster_sha256": None,
        }
        self._control(event.WAVE_OPENED, programme, data, self._at(at))

    def _lot(self, programme: str, wave: str, benefit: int) -> dict[str, Any]:
        return {"programme": programme, "wave": wave, "benefit": _benefit(programme, benefit)}

    def _voucher(self, person: str, programme: str, wave: str, benefit: int) -> dict[str, Any]:
        voucher = voucher_id(programme, wave, person, _benefit(programme, benefit))
        return {"programme": programme, "beneficiary": person, "voucher": voucher}

    def _lines(self, person: str, programme: str, spend: Spends) -> list[dict[str, Any]]:
        others = {"own": (person, programme)}
        others["of a neighbour"] = (BORAS_NEIGHBOUR if person == BORA else BORA, programme)
        others["of another programme"] = (person, "eu" if programme == "kr" else "kr")
        lines = []
        for wave, benefit, amount, whose in spend:
            owner, of = others[whose]
            lines.append({"voucher": voucher_id(of, wave, owner, _benefit(of, benefit)), "amount": amount})
        return lines

    def _purchase(self, order: str, service: str) -> dict[str, Any]:
        return {"order": order, "service": service, "applied_by": "customer"}

    def _control(self, kind: str, programme: str, data: dict[str, Any], x: int) -> None:
        self._send(PROGRAMME_TOPIC, kind, programme, data, x)

    def _eligibility(self, kind: str, person: str, programme: str, wave: str, at: Moment, **data: Any) -> None:
        names = {"programme": programme, "wave": wave, "beneficiary": person}
        self._send(ELIGIBILITY_TOPIC, kind, person, {**names, **data}, self._at(at))

    def _redemption(self, kind: str, person: str, programme: str, name: str, x: int, **data: Any) -> None:
        names = {"programme": programme, "redemption": name, "beneficiary": person}
        self._send(REDEMPTION_TOPIC, kind, person, {**names, **data}, x)

    def _send(self, topic: str, kind: str, key: str, data: dict[str, Any], x: int) -> None:
        self.number += 1
        envelope = {
            "specversion": "1.0",
            "id": f"e-{self.number}",
            "type": kind,
            "source": "/test",
            "time": instant.write(x),
            "partitionkey": key,
            "datacontenttype": "application/json",
            "data": deepcopy(data),
        }
        self.sent.append((topic, envelope))
        results = self.twin.feed(topic, envelope)
        invariants.check_entries(self.twin.shard, results.entries)

    def _is_remembered(self, envelope: Envelope) -> bool:
        """Whether an event was decided or is parked: the entries and what is parked say so, not the memory itself.

        With this very content: a corrected one may have come under its id, after it was dead-lettered itself.
        """
        content = fingerprint(envelope["type"], envelope["source"], envelope["partitionkey"], envelope["data"])
        entered = {(entry.cause.id, entry.cause.fingerprint) for entry in self.twin.entries}
        parked = {(parked.event.id, parked.event.fingerprint) for parked in self.twin.shard.parked.values()}
        return envelope["type"] != event.TICKED and (envelope["id"], content) in entered | parked


def _benefit(programme: str, benefit: int) -> str:
    return str(TERMS.get(programme, WON)["benefits"][benefit]["code"])


TestInterleavings = pytest.mark.timeout(3_600)(Interleavings.TestCase)
TestInterleavings.settings = settings(
    max_examples=3_000 if fuzzing.IS_RANDOM else 150,
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
