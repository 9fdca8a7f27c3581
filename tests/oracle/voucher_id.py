"""Voucher ids, as section 3 of the contract computes them."""

from functools import lru_cache
from hashlib import sha256
from uuid import UUID

_OWNER_CHARACTERS = len("xxxxxxxx-xxxx")
"""The first six bytes of a UUID in its text form."""


@lru_cache(maxsize=65_536)
def voucher_id(programme: str, wave: str, beneficiary: str, benefit: str) -> str:
    """The id of a beneficiary's voucher of a lot."""
    owner = UUID(beneficiary).bytes
    digest = sha256(f"{programme}/{wave}/{beneficiary}/{benefit}".encode()).digest()
    raw = bytearray(owner[:6] + digest[:10])
    raw[6] = 0x80 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return str(UUID(bytes=bytes(raw)))


def is_owner(beneficiary: str, voucher: str) -> bool:
    """Whether an id could be of one of the beneficiary's vouchers, by its first six bytes."""
    return voucher[:_OWNER_CHARACTERS] == beneficiary[:_OWNER_CHARACTERS]
