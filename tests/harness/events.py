"""Directed events, as producers write them: topic and envelope, with ids of their own."""

from copy import deepcopy
from itertools import count
from random import Random
from typing import Any, Final
from uuid import UUID

from redress.contracts.partitioner import partition_of
from tests.oracle import event, instant
from tests.oracle.scenario import WON
from tests.oracle.voucher_id import voucher_id

Envelope = dict[str, Any]
Record = tuple[str, Envelope]

PROGRAMME: Final = "redress.programme"
ELIGIBILITY: Final = "redress.eligibility"
ISSUANCE: Final = "redress.issuance"
REDEMPTION: Final = "redress.redemption"

SECOND: Final = instant.SECOND_US
HOUR: Final = 3_600 * SECOND
DAY: Final = instant.DAY_US
START: Final = instant.read("2026-01-10T00:00:00+09:00")


class Events:
    """One programme's events. `at` is when the next ones happen, in microseconds."""

    def __init__(self, terms: dict[str, Any] = WON, wave: str = "first", source: str = "/test") -> None:
        self.at = START
        self.terms = terms
        self.programme = terms["programme"]
        self.wave = wave
        self.source = source
        self._numbers = count(1)

    # --- control

    def published(self, **changes: Any) -> Record:
        return self._control(event.PUBLISHED, {**deepcopy(self.terms), **changes})

    def opened(self, valid_from: int = START, valid_until: int = START + 30 * DAY, **changes: Any) -> Record:
        data = {
            "wave": self.wave,
            "terms_version": self.terms["version"],
            "valid_from": instant.write(valid_from),
            "valid_until": instant.write(valid_until),
            "expected": None,
            "roster_sha256": None,
        }
        return self._control(event.WAVE_OPENED, {"programme": self.programme, **data, **changes})

    def tick(self, at: int | None = None) -> Record:
        """Moves the clock, and what happens next, to `at`."""
        self.at = self.at if at is None else at
        return (PROGRAMME, self._envelope(event.TICKED, "clock", {"now": instant.write(self.at)}))

    def begin(self) -> list[Record]:
        """Terms, the wave, the first tick."""
        return [self.published(), self.opened(), self.tick()]

    def lot_revoked(self, benefit: str = "travel") -> Record:
        about = {"programme": self.programme, "wave": self.wave, "benefit": benefit}
        return self._control(event.LOT_REVOKED, {**about, "reason": "withdrawn_offer"})

    # --- one person

    def granted(self, person: str, standing: str = "member") -> Record:
        return self._personal(ELIGIBILITY, event.GRANTED, person, wave=self.wave, standing=standing)

    def enrolled(self, person: str) -> Record:
        return self._personal(ELIGIBILITY, event.ENROLLED, person, wave=self.wave)

    def withdrawn(self, person: str) -> Record:
        return self._personal(ELIGIBILITY, event.WITHDRAWN, person, wave=self.wave, reason="account-invalid")

    def reinstated(self, person: str) -> Record:
        return self._personal(ELIGIBILITY, event.REINSTATED, person, wave=self.wave, reason="appeal")

    def issued(self, person: str) -> Record:
        vouchers = [
            {"voucher": self.voucher(person, b["code"]), "benefit": b["code"], "amount": b["amount"]}
            for b in self.terms["benefits"]
        ]
        return self._personal(ISSUANCE, event.ISSUED, person, wave=self.wave, vouchers=vouchers)

    def claimed(self, person: str, benefit: str = "travel") -> Record:
        return self._personal(REDEMPTION, event.CLAIMED, person, voucher=self.voucher(person, benefit), channel="app")

    def declined(self, person: str, benefit: str) -> Record:
        voucher = self.voucher(person, benefit)
        return self._personal(REDEMPTION, event.DECLINED, person, voucher=voucher, reason="not-wanted")

    def welcomed(self, person: str, benefit: str = "travel") -> list[Record]:
        """Granted, issued, and one voucher claimed."""
        return [self.granted(person), self.issued(person), self.claimed(person, benefit)]

    def requested(self, person: str, redemption: str, amount: int, benefit: str = "travel") -> Record:
        return self._redemption(
            event.REQUESTED,
            person,
            redemption,
            amount,
            benefit,
            order=f"o-{redemption}",
            service=benefit,
            applied_by="customer",
        )

    def captured(self, person: str, redemption: str, amount: int, benefit: str = "travel") -> Record:
        return self._redemption(event.CAPTURED, person, redemption, amount, benefit)

    def released(self, person: str, redemption: str) -> Record:
        return self._personal(REDEMPTION, event.RELEASED, person, redemption=redemption, reason="cart-changed")

    def reversed(self, person: str, redemption: str, amount: int | None = None, benefit: str = "travel") -> Record:
        """The whole order, or `amount` of one line."""
        lines = [] if amount is None else [{"voucher": self.voucher(person, benefit), "amount": amount}]
        scope = "whole_order" if amount is None else "partial"
        reason = "order-cancelled"
        return self._personal(
            REDEMPTION, event.REVERSED, person, redemption=redemption, scope=scope, lines=lines, reason=reason
        )

    def recorded(self, person: str, redemption: str, amount: int, benefit: str = "travel") -> Record:
        return self._redemption(
            event.RECORDED,
            person,
            redemption,
            amount,
            benefit,
            order=f"o-{redemption}",
            service=benefit,
            applied_by="customer",
        )

    def voucher(self, person: str, benefit: str) -> str:
        return voucher_id(self.programme, self.wave, person, benefit)

    # --- envelopes

    def _redemption(self, kind: str, person: str, redemption: str, amount: int, benefit: str, **more: Any) -> Record:
        lines = [{"voucher": self.voucher(person, benefit), "amount": amount}]
        return self._personal(REDEMPTION, kind, person, redemption=redemption, lines=lines, **more)

    def _control(self, kind: str, data: dict[str, Any]) -> Record:
        return (PROGRAMME, self._envelope(kind, self.programme, data))

    def _personal(self, topic: str, kind: str, person: str, **data: Any) -> Record:
        return (topic, self._envelope(kind, person, {"programme": self.programme, "beneficiary": person, **data}))

    def _envelope(self, kind: str, key: str, data: dict[str, Any]) -> Envelope:
        return {
            "specversion": "1.0",
            "id": f"t-{next(self._numbers)}",
            "type": kind,
            "source": self.source,
            "time": instant.write(self.at),
            "partitionkey": key,
            "datacontenttype": "application/json",
            "data": data,
        }


def people(number: int, seed: int = 0) -> list[str]:
    """Beneficiary ids: version 4 UUIDs, the same for the same seed."""
    random = Random(seed)
    return [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(number)]


def people_of_shard(number: int, shard: int, shards: int, seed: int = 0) -> list[str]:
    """Beneficiaries whose keys belong to one shard."""
    found: list[str] = []
    random = Random(seed)
    while len(found) < number:
        person = str(UUID(int=random.getrandbits(128), version=4))
        if partition_of(person.encode(), shards) == shard:
            found.append(person)
    return found
