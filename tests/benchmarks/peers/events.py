"""`voucher.issued` as msgspec reads it, and the rows a plain consumer makes of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Voucher(msgspec.Struct):
    """One voucher of an issue."""

    voucher: UUID
    benefit: str
    amount: int


class IssuedData(msgspec.Struct):
    """What was issued."""

    programme: str
    wave: str
    beneficiary: UUID
    vouchers: list[Voucher]


class IssuedEvent(msgspec.Struct):
    """The event."""

    id: str
    source: str
    type: str
    time: datetime
    data: IssuedData


decode = msgspec.json.Decoder(IssuedEvent).decode


def event_row(shard: int, event: IssuedEvent, offset: int) -> tuple[Any, ...]:
    """For `peer.event`, up to the column that the server fills."""
    return shard, event.id, event.source, event.type, event.data.beneficiary, event.time, offset


def voucher_rows(shard: int, event: IssuedEvent) -> list[tuple[Any, ...]]:
    """For `peer.voucher`."""
    data = event.data
    return [
        (shard, v.voucher, data.beneficiary, data.programme, data.wave, v.benefit, "unclaimed", v.amount, 0, 0, 0, 0)
        for v in data.vouchers
    ]


def entry_rows(shard: int, event: IssuedEvent, first_seq: int) -> list[tuple[Any, ...]]:
    """For `peer.entry`."""
    return [
        (shard, seq, event.id, v.voucher, "issued", "entitlement", "unclaimed", v.amount, event.time)
        for seq, v in enumerate(event.data.vouchers, first_seq)
    ]
