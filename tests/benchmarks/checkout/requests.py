"""The requests of a run: each spends a voucher that no other one does, so that all are accepted."""

import time
from collections.abc import Iterator
from typing import Any, Final

from tests.harness.events import Envelope, Events, Record, people

SEED: Final = 500
TERMS: Final[dict[str, Any]] = {
    "programme": "bench",
    "version": 1,
    "currency": "KRW",
    "timezone": "Asia/Seoul",
    "benefits": [
        {"code": code, "service": "*", "amount": amount}
        for code, amount in (("all", 5_000), ("eats", 5_000), ("travel", 20_000), ("beauty", 20_000))
    ],
    "claim": "none",
    "remainder": "forfeited",
    "restore": "whole_order_before_expiry",
    "vouchers_per_order": 1,
    "once_per": "programme",
    "reservation_ttl_seconds": 3_600,
    "request_max_age_seconds": 3_600,
}
BENEFITS: Final = tuple(benefit["code"] for benefit in TERMS["benefits"])


def events_now(source: str = "/bench") -> Events:
    """Events of the run's programme that happen now."""
    events = Events(TERMS, source=source)
    events.at = time.time_ns() // 1_000
    return events


def entitling(persons: int) -> Iterator[Record]:
    """What gives so many people their vouchers."""
    events = events_now("/bench/people")
    yield events.published()
    yield events.opened(valid_from=events.at, valid_until=events.at + 30 * 86_400_000_000)
    yield from (events.granted(person) for person in people(persons, SEED))


def requested(first: int, number: int, persons: int) -> Iterator[Envelope]:
    """Requests `first` and following of a run with so many people."""
    events = events_now(f"/bench/{first}")
    having = people(persons, SEED)
    for n in range(first, first + number):
        person, benefit = having[n % persons], BENEFITS[n // persons]
        yield events.requested(person, f"r-{n}", 1_000, benefit)[1] | {"id": f"b-{n}"}
