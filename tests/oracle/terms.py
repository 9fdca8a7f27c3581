"""Programmes and the versions of their terms."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Benefit:
    code: str
    service: str
    amount: int

    def serves(self, service: str | None) -> bool:
        return self.service in ("*", service)


@dataclass(frozen=True, slots=True)
class Terms:
    programme: str
    version: int
    currency: str
    timezone: str
    benefits: tuple[Benefit, ...]
    claim: str
    remainder: str
    restore: str
    vouchers_per_order: int | None
    once_per: str
    reservation_ttl_seconds: int
    request_max_age_seconds: int

    @classmethod
    def read(cls, data: dict[str, Any]) -> "Terms":
        return cls(
            programme=data["programme"],
            version=data["version"],
            currency=data["currency"],
            timezone=data["timezone"],
            benefits=tuple(Benefit(b["code"], b["service"], b["amount"]) for b in data["benefits"]),
            claim=data["claim"],
            remainder=data["remainder"],
            restore=data["restore"],
            vouchers_per_order=data.get("vouchers_per_order"),
            once_per=data["once_per"],
            reservation_ttl_seconds=data["reservation_ttl_seconds"],
            request_max_age_seconds=data["request_max_age_seconds"],
        )

    @property
    def first_account(self) -> str:
        """Where an issued voucher's amount stands."""
        return "unclaimed" if self.claim == "required" else "available"

    @property
    def is_one_use(self) -> bool:
        return self.remainder == "forfeited"

    @property
    def is_once_per_programme(self) -> bool:
        return self.once_per == "programme"


@dataclass(slots=True)
class Programme:
    code: str
    currency: str
    timezone: str
    versions: dict[int, Terms] = field(default_factory=dict)

    @property
    def latest(self) -> Terms:
        return self.versions[max(self.versions)]
