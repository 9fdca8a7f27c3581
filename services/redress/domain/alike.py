"""Entries that come out alike: grants to people never heard of, and issues of promises that nobody has touched.

They are nearly all of a programme's entries. What RULES section 5 makes of them depends on their wave alone, so one
form stands for all of a batch, and person, number and time are columns: no state of a person is built for it. Whatever
does not fit is `decide`'s. That both ways come to the same is tested on the bytes the ledger stores.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from redress.domain.accounts import ENTITLED, ISSUED_AVAILABLE, ISSUED_UNCLAIMED, Posting
from redress.domain.event import Granted, Issued
from redress.domain.ids import FAR_PAST, NEIGHBOURHOOD, Instant
from redress.domain.lot import Lot
from redress.domain.programme import Wave
from redress.domain.shard import Shard
from redress.domain.terms import Claim
from redress.domain.time import FACT_TOLERANCE

Instants: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class Form:
    """What a wave makes of such events: one line of `posting` per lot, all effective at the same time."""

    of: type[Granted] | type[Issued]
    wave: Wave
    posting: Posting
    lots: list[Lot]


def form_of(shard: Shard, data: Granted | Issued) -> Form | None:
    """The form of such an event; None where each must be looked at.

    So where there is no such wave, where a lot was closed once, and where vouchers are not those that are due.
    """
    wave = shard.wave(data.programme, data.wave)
    if wave is None:
        return None
    lots = [wave.lots[benefit.code] for benefit in wave.terms.benefits]
    if any(not lot.is_open or lot.reopened_at != FAR_PAST for lot in lots):
        return None
    if isinstance(data, Granted):
        return Form(Granted, wave, ENTITLED, lots)
    if [(v.benefit, v.amount) for v in data.vouchers] != [(lot.key.benefit, lot.benefit.amount) for lot in lots]:
        return None
    return Form(Issued, wave, ISSUED_UNCLAIMED if wave.terms.claim is Claim.REQUIRED else ISSUED_AVAILABLE, lots)


def may_be_taken(shard: Shard, times: Instants) -> NDArray[np.bool_]:
    """Which events are not too far ahead of the clock."""
    return np.ones(len(times), np.bool_) if shard.now is None else times <= shard.now + FACT_TOLERANCE


def effective(shard: Shard, times: Instants, last: Instants | Instant) -> Instants:
    """When entries of events of these times are effective, on what was last moved then."""
    clock = times if shard.now is None else shard.now
    return np.asarray(np.minimum(np.maximum(times, last), clock), np.int64)


def voucher_texts(lot: Lot, beneficiaries: Bytes) -> Bytes:
    """As `compute_voucher_id`, of each of these people; texts of UUIDs, like theirs."""
    number, length = beneficiaries.shape
    before, after = f"{lot.key.programme}/{lot.key.wave}/".encode(), f"/{lot.key.benefit}".encode()
    hashed = np.empty((number, len(before) + length + len(after)), np.uint8)
    hashed[:] = np.frombuffer(before + bytes(length) + after, np.uint8)
    hashed[:, len(before) : len(before) + length] = beneficiaries
    packed, width = hashed.tobytes(), hashed.shape[1]
    h = "".join([sha256(packed[at : at + width]).hexdigest()[:20] for at in range(0, len(packed), width)])
    digits = np.frombuffer(h.encode(), np.uint8).reshape(number, 20)
    texts = np.empty((number, length), np.uint8)
    texts[:] = np.frombuffer(b"........-....-8...-....-............", np.uint8)
    texts[:, :NEIGHBOURHOOD] = beneficiaries[:, :NEIGHBOURHOOD]
    texts[:, 15:18] = digits[:, 1:4]
    texts[:, 19] = _VARIANTS[digits[:, 4]]
    texts[:, 20:23] = digits[:, 5:8]
    texts[:, 24:] = digits[:, 8:]
    return texts


_VARIANTS = np.zeros(256, np.uint8)
_VARIANTS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.frombuffer(b"89ab" * 4, np.uint8)
"""The digit of a UUID that says its variant, by the digit of the hash that it is made of."""


def book(form: Form, times: Instants) -> None:
    """Move the amounts of lots and wave, for entries effective at these times; no rule about one person reads them."""
    n, latest = len(times), Instant(int(times.max()))
    for lot in form.lots:
        lot.balances[form.posting.debit] -= n * lot.benefit.amount
        lot.balances[form.posting.credit] += n * lot.benefit.amount
        lot.last_line = max(lot.last_line, latest)
        lot.vouchers_open += n if form.of is Issued else 0
    count = form.wave.count
    if form.of is Granted:
        count.granted += n
        count.entitled_amount += n * form.wave.amount
    else:
        count.issued += n
        count.issued_amount += n * form.wave.amount
