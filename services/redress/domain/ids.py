"""Names and identities. All are opaque; none says anything about a person."""

from hashlib import sha256
from typing import NewType
from uuid import UUID

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z. Exact, ordered, without a time zone to get wrong."""

FAR_PAST = Instant(-(2**62))
FAR_FUTURE = Instant(2**62)
"""Instants before and after every real one."""

BeneficiaryId = NewType("BeneficiaryId", UUID)
VoucherId = NewType("VoucherId", UUID)
ProgrammeCode = NewType("ProgrammeCode", str)
WaveCode = NewType("WaveCode", str)
BenefitCode = NewType("BenefitCode", str)
ServiceCode = NewType("ServiceCode", str)
RedemptionId = NewType("RedemptionId", str)
OrderId = NewType("OrderId", str)

UNKNOWN_WAVE = WaveCode("unknown")
"""The wave of a programme's reserved lot, where exceptions without a voucher of the programme are booked."""
UNKNOWN_BENEFIT = BenefitCode("unknown")

NEIGHBOURHOOD_BYTES = 6
"""How many leading bytes a voucher id shares with its beneficiary."""


def voucher_id(programme: ProgrammeCode, wave: WaveCode, beneficiary: BeneficiaryId, benefit: BenefitCode) -> VoucherId:
    """The one id this beneficiary's piece of the lot can have: UUID version 8 (RFC 9562).

    Computed, so that issuing twice gives the same id; led by the beneficiary's first six bytes, so that an id
    alone leads to its beneficiary's neighbourhood.
    """
    digest = sha256(f"{programme}/{wave}/{beneficiary}/{benefit}".encode()).digest()
    raw = bytearray(beneficiary.bytes[:NEIGHBOURHOOD_BYTES] + digest[:10])
    raw[6] = 0x80 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return VoucherId(UUID(bytes=bytes(raw)))


def is_owned(voucher: VoucherId, beneficiary: BeneficiaryId) -> bool:
    """Whether the voucher's first six bytes are the beneficiary's."""
    return voucher.bytes[:NEIGHBOURHOOD_BYTES] == beneficiary.bytes[:NEIGHBOURHOOD_BYTES]
