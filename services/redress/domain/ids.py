"""Names and identities. All are opaque; none says anything about a person."""

from functools import lru_cache
from hashlib import sha256
from typing import Final, NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z. Exact, ordered, without a time zone to get wrong."""

FAR_PAST = Instant(-(2**62))
FAR_FUTURE = Instant(2**62)
"""Instants before and after every real one."""

BeneficiaryId = NewType("BeneficiaryId", str)
"""Lower-case UUID text, as on the wire: a `UUID` object costs more to make and to hash than all else done with it."""
VoucherId = NewType("VoucherId", str)
"""Lower-case UUID text."""
ProgrammeCode = NewType("ProgrammeCode", str)
WaveCode = NewType("WaveCode", str)
BenefitCode = NewType("BenefitCode", str)
ServiceCode = NewType("ServiceCode", str)
RedemptionId = NewType("RedemptionId", str)
OrderId = NewType("OrderId", str)

UNKNOWN_WAVE = WaveCode("unknown")
"""The wave of a programme's reserved lot, where exceptions without a voucher of the programme are booked."""
UNKNOWN_BENEFIT = BenefitCode("unknown")

BATCH_VOUCHERS: Final = 2**14
"""How many computed ids are kept: those of a batch, which asks for each up to three times."""
NEIGHBOURHOOD: Final = len("00000000-0000")
"""How many characters a voucher id shares with its beneficiary: six bytes."""
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def compute_voucher_id(
    programme: ProgrammeCode, wave: WaveCode, beneficiary: BeneficiaryId, benefit: BenefitCode
) -> VoucherId:
    """The one id this beneficiary's piece of the lot can have: UUID version 8 (RFC 9562).

    Computed, so that issuing twice gives the same id; led by the beneficiary's first six bytes, so that an id
    alone leads to its beneficiary's neighbourhood.
    """
    return _voucher_id(beneficiary, _hash_of(programme, wave, beneficiary, benefit))


def is_id_of(
    voucher: VoucherId, programme: ProgrammeCode, wave: WaveCode, beneficiary: BeneficiaryId, benefit: BenefitCode
) -> bool:
    """Whether this is the id of the beneficiary's piece of the lot; one that is not differs at its end already."""
    h = _hash_of(programme, wave, beneficiary, benefit)
    return voucher.endswith(h[8:20]) and voucher == _voucher_id(beneficiary, h)


def _hash_of(programme: ProgrammeCode, wave: WaveCode, beneficiary: BeneficiaryId, benefit: BenefitCode) -> str:
    return sha256(f"{programme}/{wave}/{beneficiary}/{benefit}".encode()).hexdigest()


def _voucher_id(beneficiary: BeneficiaryId, h: str) -> VoucherId:
    return VoucherId(f"{beneficiary[:NEIGHBOURHOOD]}-8{h[1:4]}-{_VARIANT[h[4]]}{h[5:8]}-{h[8:20]}")


voucher_id = lru_cache(maxsize=BATCH_VOUCHERS)(compute_voucher_id)
"""The same, kept for who asks again."""


def is_owned(voucher: VoucherId, beneficiary: BeneficiaryId) -> bool:
    """Whether the voucher's first six bytes are the beneficiary's."""
    return voucher[:NEIGHBOURHOOD] == beneficiary[:NEIGHBOURHOOD]


def neighbourhood(voucher: str) -> tuple[str, str]:
    """The first and the last id whom a voucher of this id can belong to."""
    head = voucher[:NEIGHBOURHOOD]
    return f"{head}-0000-0000-000000000000", f"{head}-ffff-ffff-ffffffffffff"
