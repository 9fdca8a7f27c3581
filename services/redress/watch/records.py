"""What the watch looks at of the records of `redress.ledger`: read in one pass, as thousands may come in a second."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

_Number = Annotated[int, msgspec.Meta(ge=0)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class UnreadableRecordError(ValueError):
    """The value is no event of `redress.ledger`. The message names the field and the rule."""


class Cause(msgspec.Struct, frozen=True):
    """The event that made an entry."""

    type: str


class Line(msgspec.Struct, frozen=True):
    """One line of an entry; the amount in the currency's minor unit."""

    movement: str
    programme: str
    currency: str
    amount: _Number


class Entry(msgspec.Struct, frozen=True):
    """What the ledger made of one event: `data` of `redress.entry.appended.v1`."""

    seq: _Number
    beneficiary: str | None
    outcome: str
    cause: Cause
    recorded_at: _Time
    lines: tuple[Line, ...]


class Marker(msgspec.Struct, frozen=True):
    """The end of a batch, `data` of `redress.batch.committed.v1`: says how late it is also where nothing happens."""

    recorded_at: _Time


class _EntryAppended(msgspec.Struct, frozen=True, tag_field="type", tag="redress.entry.appended.v1"):
    data: Entry


class _BatchCommitted(msgspec.Struct, frozen=True, tag_field="type", tag="redress.batch.committed.v1"):
    data: Marker


_decoder: Final = msgspec.json.Decoder(_EntryAppended | _BatchCommitted)


def read(value: bytes | None) -> Entry | Marker:
    """What the record's value says; fields not known here are ignored.

    Raises:
        UnreadableRecordError: it is nothing that a ledger writes.
    """
    try:
        event: _EntryAppended | _BatchCommitted = _decoder.decode(value or b"")
    except msgspec.MsgspecError as error:
        raise UnreadableRecordError(str(error)) from None
    return event.data
