"""Random but plausible sequences of events: few ids, so that everything meets everything."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.oracle import instant
from tests.oracle.event import (
    CAPTURED,
    CLAIMED,
    DECLINED,
    ENROLLED,
    GRANTED,
    ISSUED,
    LOT_EXTENDED,
    LOT_REVOKED,
    PUBLISHED,
    RECORDED,
    REINSTATED,
    RELEASED,
    REQUESTED,
    REVERSED,
    TICKED,
    VOUCHER_REVOKED,
    WAVE_OPENED,
    WITHDRAWN,
)
from tests.oracle.instant import DAY_US, SECOND_US
from tests.oracle.voucher_id import voucher_id

Envelope = dict[str, Any]
Record = tuple[str, Envelope]
"""Topic and event."""

PROGRAMME_TOPIC: Final = "redress.programme"
ELIGIBILITY_TOPIC: Final = "redress.eligibility"
ISSUANCE_TOPIC: Final = "redress.issuance"
REDEMPTION_TOPIC: Final = "redress.redemption"

HOUR_US: Final = 3_600 * SECOND_US
START_US: Final = instant.read("2026-01-10T00:00:00+09:00")
WAVES: Final = ("first", "second")
NEVER_PUBLISHED: Final = "ghost"

WON: Final[dict[str, Any]] = {
    "programme": "breach-kr",
    "version": 1,
    "currency": "KRW",
    "timezone": "Asia/Seoul",
    "benefits": [
        {"code": "all", "service": "*", "amount": 5000},
        {"code": "eats", "service": "eats", "amount": 5000},
        {"code": "travel", "service": "travel", "amount": 20000},
        {"code": "beauty", "service": "beauty", "amount": 20000},
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
    "programme": "delay-eu",
    "version": 1,
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "benefits": [
        {"code": "ride", "service": "travel", "amount": 2500},
        {"code": "all", "service": "*", "amount": 1000},
    ],
    "claim": "none",
    "remainder": "kept",
    "restore": "any_before_expiry",
    "vouchers_per_order": None,
    "once_per": "wave",
    "reservation_ttl_seconds": 7200,
    "request_max_age_seconds": 3600,
}
TERMS: Final = {WON["programme"]: WON, EURO["programme"]: EURO}
ZONES: Final = {
    "breach-kr": ZoneInfo("Asia/Seoul"),
    "delay-eu": ZoneInfo("Europe/Berlin"),
    NEVER_PUBLISHED: ZoneInfo("UTC"),
}
SERVICES: Final = ("eats", "travel", "beauty")
ORDERS: Final = ("o-1", "o-2", "o-3")
REDEMPTIONS: Final = tuple(f"r-{number}" for number in range(1, 13))


class Held(NamedTuple):
    """A voucher that was probably issued."""

    programme: str
    beneficiary: str
    voucher: str
    service: str
    amount: int


class Scenario:
    """Yields one sequence; the same `Random` yields the same. Nothing is read back from a ledger."""

    def __init__(
        self,
        random: Random,
        *,
        events: int = 200,
        beneficiaries: int = 6,
        has_big_ticks: bool = True,
        clock: Literal["system", "manual"] = "manual",
    ) -> None:
        self._random = random
        self._events = events
        self._has_big_ticks = has_big_ticks
        self._has_system_clock = clock == "system"
        self._now = START_US
        self._beneficiaries = _beneficiaries(random, beneficiaries)
        self._versions: dict[str, list[dict[str, Any]]] = {code: [terms] for code, terms in TERMS.items()}
        self._openings: dict[tuple[str, str], tuple[int, int, list[dict[str, Any]]]] = {}
        self._instants: list[int] = []
        """Where something changes: events like to fall there, or a microsecond beside."""
        self._sent: list[Record] = []
        self._granted: list[dict[str, Any]] = []
        self._issued: list[Held] = []
        self._last: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        """The lines last named by a redemption, so that what follows mostly fits."""
        self._number = 0
        self._kinds: list[tuple[Callable[[], Record | None], int]] = [
            (self._tick, 16),
            (self._terms, 1),
            (self._wave, 2),
            (self._extension, 2),
            (self._lot_revocation, 1),
            (self._grant, 9),
            (self._enrolment, 4),
            (self._withdrawal, 3),
            (self._reinstatement, 3),
            (self._issue, 12),
            (self._voucher_revocation, 2),
            (self._claim, 9),
            (self._decline, 2),
            (self._request, 26),
            (self._capture, 14),
            (self._release, 4),
            (self._record, 6),
            (self._reversal, 10),
            (self._again, 5),
        ]

    def __iter__(self) -> Iterator[Record]:
        for record in self._opening():
            yield self._remember(record)
        held_back: list[Record] = []
        for record in self._made():
            if record[0] != PROGRAMME_TOPIC and self._random.random() < 0.08:
                held_back.append(record)
                continue
            yield self._remember(record)
            if held_back and self._random.random() < 0.08:
                yield self._remember(held_back.pop(self._random.randrange(len(held_back))))
            if len(self._sent) >= self._events:
                return

    def _made(self) -> Iterator[Record]:
        """Without end."""
        if self._random.random() < 0.85:
            yield from self._warm_up()
        makers = [maker for maker, _ in self._kinds]
        weights = [weight for _, weight in self._kinds]
        while True:
            made = self._random.choices(makers, weights)[0]()
            if made is not None:
                yield made

    # --- what a ledger begins with

    def _opening(self) -> Iterator[Record]:
        random = self._random
        for code, versions in self._versions.items():
            if random.random() < 0.9:
                yield self._control(PUBLISHED, code, versions[0])
        for code in TERMS:
            for wave in WAVES:
                opened = self._open(code, wave) if random.random() < 0.8 else None
                if opened is not None:
                    yield opened
        yield self._clock_at(self._now)

    def _warm_up(self) -> Iterator[Record]:
        """Most people get what they are due, so that there is something to spend."""
        for code, wave in list(self._openings):
            for beneficiary in self._beneficiaries:
                cohort = {"programme": code, "wave": wave, "beneficiary": beneficiary}
                if self._random.random() < 0.7:
                    yield from self._welcome(cohort)
        for held in list(self._issued):
            if held.programme == WON["programme"] and self._random.random() < 0.7:
                yield self._claimed_by(held)

    def _welcome(self, cohort: dict[str, Any]) -> Iterator[Record]:
        is_former = self._random.random() < 0.3
        yield self._granted_to(cohort, "former_member" if is_former else "member")
        if is_former and self._random.random() < 0.8:
            yield self._person(ELIGIBILITY_TOPIC, ENROLLED, cohort)
        yield self._issued_to(cohort)

    def _remember(self, record: Record) -> Record:
        self._sent.append(record)
        return record

    # --- control

    def _tick(self) -> Record:
        random = self._random
        steps = [SECOND_US, 30 * SECOND_US, 61 * SECOND_US, 10 * 60 * SECOND_US, HOUR_US, 5 * HOUR_US]
        weights = [12, 12, 8, 8, 5, 2]
        if self._has_big_ticks:
            steps += [DAY_US - 1, DAY_US, DAY_US + SECOND_US, 4 * DAY_US]
            weights += [1, 1, 1, 1]
        later = sorted(at for at in self._instants if self._now < at <= self._now + 2 * DAY_US)
        if random.random() < 0.1:
            return self._clock_at(self._now - random.choice([0, SECOND_US, HOUR_US]))
        if later and random.random() < 0.25:
            at = later[0] + random.choice([0, 0, 1, -1])
        else:
            at = self._now + random.choices(steps, weights)[0]
        if not self._has_system_clock or at <= self._now + DAY_US:
            self._now = at
        return self._clock_at(at)

    def _clock_at(self, at: int) -> Record:
        data = {"now": instant.write(at)}
        return (PROGRAMME_TOPIC, self._envelope(TICKED, "clock", at, data, source="/redress/main/clock"))

    def _terms(self) -> Record:
        random = self._random
        code = random.choice(list(TERMS))
        if random.random() < 0.4:
            return self._control(PUBLISHED, code, random.choice(self._versions[code]))
        terms = deepcopy(self._versions[code][-1])
        terms["version"] = random.choice([terms["version"], terms["version"] + 1, terms["version"] + 2])
        changes: list[dict[str, Any]] = [
            {"reservation_ttl_seconds": 60},
            {"request_max_age_seconds": 7200},
            {"vouchers_per_order": 2},
            {"vouchers_per_order": None},
            {"restore": "any_before_expiry"},
            {"restore": "never"},
            {"remainder": "forfeited"},
            {"claim": "none"},
            {"claim": "required"},
            {"currency": "USD"},
            {"timezone": "UTC"},
            {"once_per": "wave"},
        ]
        change = random.choice(changes)
        terms.update(change)
        if not change.keys() & {"currency", "timezone"} and terms["version"] > self._versions[code][-1]["version"]:
            self._versions[code].append(terms)
        return self._control(PUBLISHED, code, terms)

    def _wave(self) -> Record | None:
        random = self._random
        code = random.choice(list(TERMS))
        if random.random() < 0.05:
            return self._open(code, "unknown")
        return self._open(code, random.choice(WAVES))

    def _open(self, code: str, wave: str) -> Record | None:
        random = self._random
        known = self._openings.get((code, wave))
        if known is not None and random.random() < 0.8:
            return None
        terms = random.choice(self._versions[code])
        valid_from = self._now + random.choice([-DAY_US, -DAY_US, -HOUR_US, 0, 0, HOUR_US])
        valid_until = valid_from + random.choice([HOUR_US, DAY_US, 3 * DAY_US, 10 * DAY_US, 10 * DAY_US])
        if known is not None and random.random() < 0.5:
            valid_from, valid_until = known[0], known[1]
        if known is None and wave != "unknown":
            self._openings[code, wave] = (valid_from, valid_until, terms["benefits"])
            self._instants += [valid_from, valid_until]
        data = {
            "programme": code,
            "wave": wave,
            "terms_version": terms["version"] + (random.random() < 0.05),
            "valid_from": instant.write(valid_from, ZONES[code]),
            "valid_until": instant.write(valid_until, ZONES[code]),
            "expected": random.choice([None, {"beneficiaries": 6, "amount": 300_000}]) if known is None else None,
            "roster_sha256": None,
        }
        return self._control(WAVE_OPENED, code, data)

    def _lot(self) -> dict[str, Any] | None:
        if not self._openings:
            return None
        (code, wave), (_, _, benefits) = self._random.choice(list(self._openings.items()))
        return {"programme": code, "wave": wave, "benefit": self._random.choice(benefits)["code"]}

    def _extension(self) -> Record | None:
        lot = self._lot()
        if lot is None:
            return None
        known = self._openings[lot["programme"], lot["wave"]][1]
        base = self._random.choice([known, self._now])
        until = base + self._random.choice([-HOUR_US, 0, 1, HOUR_US, DAY_US, 5 * DAY_US])
        self._instants.append(until)
        zone = ZONES[lot["programme"]]
        return self._control(
            LOT_EXTENDED, lot["programme"], {**lot, "valid_until": instant.write(until, zone), "reason": "goodwill"}
        )

    def _lot_revocation(self) -> Record | None:
        lot = self._lot()
        if lot is None or self._random.random() < 0.5:
            return None
        at = self._time()
        self._instants.append(at)
        return self._control(LOT_REVOKED, lot["programme"], {**lot, "reason": "court-order"}, at)

    def _control(self, kind: str, code: str, data: dict[str, Any], at: int | None = None) -> Record:
        at = self._time() if at is None else at
        return (PROGRAMME_TOPIC, self._envelope(kind, code, at, deepcopy(data), source="/control"))

    # --- entitlement and issue

    def _cohort(self) -> dict[str, Any]:
        random = self._random
        if self._granted and random.random() < 0.7:
            return random.choice(self._granted)
        return {
            "programme": self._programme(),
            "wave": random.choice([*WAVES, *WAVES, *WAVES, "third"]),
            "beneficiary": random.choice(self._beneficiaries),
        }

    def _grant(self) -> Record:
        return self._granted_to(self._cohort(), self._random.choice(["member", "member", "former_member"]))

    def _granted_to(self, cohort: dict[str, Any], standing: str) -> Record:
        self._granted.append(cohort)
        return self._person(ELIGIBILITY_TOPIC, GRANTED, {**cohort, "standing": standing})

    def _enrolment(self) -> Record:
        return self._person(ELIGIBILITY_TOPIC, ENROLLED, self._cohort())

    def _withdrawal(self) -> Record:
        return self._person(ELIGIBILITY_TOPIC, WITHDRAWN, {**self._cohort(), "reason": "account-invalid"})

    def _reinstatement(self) -> Record:
        """Mostly of what was withdrawn last."""
        withdrawn = [envelope["data"] for _, envelope in self._sent if envelope["type"] == WITHDRAWN]
        data = withdrawn[-1] if withdrawn and self._random.random() < 0.8 else self._cohort()
        return self._person(ELIGIBILITY_TOPIC, REINSTATED, {**data, "reason": "appeal"})

    def _issue(self) -> Record:
        return self._issued_to(self._cohort())

    def _issued_to(self, cohort: dict[str, Any]) -> Record:
        programme, wave, beneficiary = cohort["programme"], cohort["wave"], cohort["beneficiary"]
        opening = self._openings.get((programme, wave))
        vouchers: list[dict[str, Any]] = []
        for benefit in opening[2] if opening else TERMS.get(programme, WON)["benefits"]:
            voucher = voucher_id(programme, wave, beneficiary, benefit["code"])
            vouchers.append({"voucher": voucher, "benefit": benefit["code"], "amount": benefit["amount"]})
            self._issued.append(Held(programme, beneficiary, voucher, benefit["service"], benefit["amount"]))
        if self._random.random() < 0.3:
            self._random.shuffle(vouchers)
        if self._random.random() < 0.03:
            vouchers[0]["amount"] += 1
        if self._random.random() < 0.02 and len(vouchers) > 1:
            vouchers.pop()
        return self._person(ISSUANCE_TOPIC, ISSUED, {**cohort, "vouchers": vouchers})

    # --- vouchers

    def _programme(self) -> str:
        return self._random.choices(["breach-kr", "delay-eu", NEVER_PUBLISHED], [60, 40, 1])[0]

    def _any_voucher(self) -> Held:
        """Mostly one that was issued; else any that might be, one day."""
        random = self._random
        if self._issued and random.random() < 0.93:
            return random.choice(self._issued)
        programme, beneficiary = self._programme(), random.choice(self._beneficiaries)
        benefit = random.choice(TERMS.get(programme, WON)["benefits"])
        wave = random.choices([*WAVES, "third"], [20, 20, 1])[0]
        voucher = voucher_id(programme, wave, beneficiary, benefit["code"])
        return Held(programme, beneficiary, voucher, benefit["service"], benefit["amount"])

    def _voucher_of(self, programme: str, beneficiary: str) -> Held:
        mine = [held for held in self._issued if (held.programme, held.beneficiary) == (programme, beneficiary)]
        if mine and self._random.random() < 0.95:
            return self._random.choice(mine)
        return self._any_voucher()

    def _one_voucher(self) -> dict[str, Any]:
        held = self._any_voucher()
        data = {"programme": held.programme, "beneficiary": held.beneficiary, "voucher": held.voucher}
        if self._random.random() < 0.03:
            data["beneficiary"] = self._random.choice(self._beneficiaries)
        if self._random.random() < 0.03:
            data["programme"] = self._programme()
        return data

    def _voucher_revocation(self) -> Record:
        return self._person(ISSUANCE_TOPIC, VOUCHER_REVOKED, {**self._one_voucher(), "reason": "fraud"})

    def _claim(self) -> Record:
        return self._person(REDEMPTION_TOPIC, CLAIMED, {**self._one_voucher(), "channel": "app"})

    def _claimed_by(self, held: Held) -> Record:
        data = {"programme": held.programme, "beneficiary": held.beneficiary, "voucher": held.voucher}
        return self._person(REDEMPTION_TOPIC, CLAIMED, {**data, "channel": "mail"})

    def _decline(self) -> Record:
        return self._person(REDEMPTION_TOPIC, DECLINED, {**self._one_voucher(), "reason": "not-wanted"})

    # --- redemptions

    def _redemption(self) -> dict[str, Any]:
        """Mostly one of the last that were named."""
        random = self._random
        if self._last and random.random() < 0.9:
            known = list(self._last)
            beneficiary, programme, redemption = random.choice(known[-4:] if random.random() < 0.7 else known)
        else:
            beneficiary, programme = random.choice(self._beneficiaries), self._programme()
            redemption = random.choice(REDEMPTIONS)
        return {"programme": programme, "redemption": redemption, "beneficiary": beneficiary}

    def _lines(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Lines that follow what the redemption last named, or new ones."""
        random = self._random
        known = self._last.get((data["beneficiary"], data["programme"], data["redemption"]))
        if known is None or random.random() < 0.05:
            return self._new_lines(data)[0]
        lines = deepcopy(known)
        for line in lines:
            line["amount"] = max(1, random.choice([line["amount"]] * 4 + [line["amount"] // 2, line["amount"] + 700]))
        if random.random() < 0.2:
            random.shuffle(lines)
        if random.random() < 0.2 and len(lines) > 1:
            lines.pop()
        if random.random() < 0.1:
            named = {line["voucher"] for line in lines}
            lines += [line for line in self._new_lines(data)[0][:1] if line["voucher"] not in named]
        return lines

    def _new_lines(self, data: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        """Lines, and a service that fits the first of them mostly."""
        random = self._random
        count = random.choices([1, 2, 3], [8, 2, 1])[0]
        vouchers = {held.voucher: held for held in (self._voucher_of(data["programme"], data["beneficiary"]),)}
        for _ in range(count - 1):
            held = self._voucher_of(data["programme"], data["beneficiary"])
            vouchers.setdefault(held.voucher, held)
        lines = []
        for held in vouchers.values():
            amounts = [held.amount, held.amount // 2, held.amount // 4, held.amount // 10, held.amount + 100]
            lines.append({"voucher": held.voucher, "amount": random.choices(amounts, [4, 4, 4, 4, 1])[0]})
        services = {held.service for held in vouchers.values()} - {"*"}
        service = random.choice(sorted(services)) if services and random.random() < 0.9 else random.choice(SERVICES)
        return lines, service

    def _purchase(self, service: str) -> dict[str, Any]:
        random = self._random
        return {
            "order": random.choice(ORDERS),
            "service": service,
            "applied_by": random.choice(["customer", "auto", "agent"]),
        }

    def _request(self) -> Record:
        random = self._random
        held = self._any_voucher()
        data = {
            "programme": held.programme,
            "redemption": random.choice(REDEMPTIONS),
            "beneficiary": held.beneficiary,
        }
        lines, service = self._new_lines(data)
        key = (held.beneficiary, held.programme, data["redemption"])
        if key not in self._last or random.random() < 0.3:
            self._last.pop(key, None)
            self._last[key] = lines
        at = self._now - random.choice([0, 0, SECOND_US, 30 * SECOND_US, 300 * SECOND_US])
        if random.random() < 0.15:
            at = self._time()
        return self._person(REDEMPTION_TOPIC, REQUESTED, {**data, **self._purchase(service), "lines": lines}, at)

    def _capture(self) -> Record:
        data = self._redemption()
        return self._person(REDEMPTION_TOPIC, CAPTURED, {**data, "lines": self._lines(data)})

    def _release(self) -> Record:
        return self._person(REDEMPTION_TOPIC, RELEASED, {**self._redemption(), "reason": "cart-changed"})

    def _record(self) -> Record:
        random = self._random
        if random.random() < 0.5:
            held = self._any_voucher()
            data = {
                "programme": held.programme,
                "redemption": random.choice(REDEMPTIONS),
                "beneficiary": held.beneficiary,
            }
            lines, service = self._new_lines(data)
        else:
            data = self._redemption()
            lines, service = self._lines(data), random.choice(SERVICES)
        self._last.setdefault((data["beneficiary"], data["programme"], data["redemption"]), lines)
        return self._person(REDEMPTION_TOPIC, RECORDED, {**data, **self._purchase(service), "lines": lines})

    def _reversal(self) -> Record:
        data = self._redemption()
        scope = self._random.choice(["whole_order", "partial"])
        lines = self._lines(data) if scope == "partial" else []
        return self._person(
            REDEMPTION_TOPIC, REVERSED, {**data, "scope": scope, "lines": lines, "reason": "order-cancelled"}
        )

    # --- the same again

    def _again(self) -> Record:
        """An earlier event once more: retried, corrected under a new id, or other content under its id."""
        random = self._random
        topic, envelope = random.choice(self._sent)
        envelope = deepcopy(envelope)
        kind = random.choice(["retry", "retry", "other_id", "conflict"])
        if envelope["type"] == TICKED or kind == "retry":
            if envelope["type"] != TICKED and random.random() < 0.5:
                envelope["time"] = instant.write(self._time())
            return (topic, envelope)
        if kind == "other_id":
            self._number += 1
            envelope["id"] = f"again-{self._number}"
        elif "reason" in envelope["data"]:
            envelope["data"]["reason"] = "other"
        elif "standing" in envelope["data"]:
            envelope["data"]["standing"] = "former_member"
        elif "order" in envelope["data"]:
            envelope["data"]["order"] = "o-other"
        return (topic, envelope)

    # --- envelopes

    def _time(self) -> int:
        """Mostly just now; sometimes late, early, or at an instant where something changes."""
        random, now = self._random, self._now
        choice = random.random()
        if choice < 0.78:
            return now - random.choice([0, 0, 1, SECOND_US, 20 * SECOND_US])
        if choice < 0.86:
            return now - random.choice([600 * SECOND_US, HOUR_US, 5 * HOUR_US, DAY_US, 3 * DAY_US])
        if choice < 0.95 and self._instants:
            at = random.choice(self._instants) + random.choice([0, 0, -1, 1])
            return at if at <= now + DAY_US else now
        return now + random.choice([1, SECOND_US, 300 * SECOND_US, 301 * SECOND_US, HOUR_US, DAY_US, DAY_US + 1])

    def _person(self, topic: str, kind: str, data: dict[str, Any], at: int | None = None) -> Record:
        at = self._time() if at is None else at
        if kind == REQUESTED:
            ttls = [versions[-1]["reservation_ttl_seconds"] for versions in self._versions.values()]
            self._instants = [*self._instants[-40:], at + self._random.choice(ttls) * SECOND_US]
        return (topic, self._envelope(kind, data["beneficiary"], at, deepcopy(data), source="/shop"))

    def _envelope(self, kind: str, key: str, at: int, data: dict[str, Any], *, source: str) -> Envelope:
        self._number += 1
        zone = ZONES.get(data.get("programme", ""), ZoneInfo("UTC"))
        return {
            "specversion": "1.0",
            "id": f"e-{self._number}",
            "type": kind,
            "source": source,
            "time": instant.write(at, zone),
            "partitionkey": key,
            "datacontenttype": "application/json",
            "data": data,
        }


def _beneficiaries(random: Random, count: int) -> list[str]:
    """Version 4 UUIDs; the last two share their first six bytes."""
    ids = [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(count)]
    if count > 1:
        ids[-1] = ids[-2][:13] + ids[-1][13:]
    return ids
