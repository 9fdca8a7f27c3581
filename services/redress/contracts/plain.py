"""The plain form of an event, read fast: what nearly all records are, and nothing else.

A record is plain if it has the attributes of the contract and no other, no escape in a string, and white space, if
any, only between tokens. msgspec makes the rules' own values of it in one go. Whatever is not plain, or breaks any
rule, is left to the models (`decode`), which alone say what is wrong: so this reader needs to be right only in what
it takes. A test holds it against the models, on good events and on bad ones.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from redress.contracts import scalars as s
from redress.contracts.envelope import valid_traceparent
from redress.contracts.instants import InstantError, parse_instant
from redress.domain import event as e
from redress.domain.ids import Instant

_CACHED: Final = 4096
"""Codes, sources and times that are known to be good: a batch has few of them, over and over."""
_CODE = re.compile(s.CODE_PATTERN)
_OPAQUE = re.compile(s.OPAQUE_PATTERN)
_EVENT_ID = re.compile(s.EVENT_ID_PATTERN)
_SOURCE = re.compile(s.SOURCE_PATTERN)
_UUID = re.compile(s.UUID_PATTERN)
_UUIDS = re.compile(f"(?:{s.UUID_PATTERN.strip('^$')})*")
_UUID_LENGTH: Final = 36
_UUID4 = re.compile(s.UUID4_PATTERN)
_SPACE: Final = b" \t\n\r"


class _Envelope(msgspec.Struct, tag_field="type", kw_only=True, forbid_unknown_fields=True):
    """What stands around `data`; `type` chooses the class."""

    specversion: Literal["1.0"]
    id: str
    source: str
    time: str
    partitionkey: str
    datacontenttype: Literal["application/json"] | msgspec.UnsetType = msgspec.UNSET
    traceparent: str | msgspec.UnsetType = msgspec.UNSET
    data: Any


class PlainEvent(NamedTuple):
    """A plain event whose every field was checked, but not yet against its key."""

    type: str
    id: str
    source: str
    time: Instant
    traceparent: str | None
    data: Any
    beneficiary: str
    said: bytes
    """What its fingerprint is the hash of."""


class PlainReader:
    """Reads the plain events of one topic, given by type with the class of their data."""

    def __init__(self, types: dict[str, type[e.Data]]) -> None:
        envelopes = [
            msgspec.defstruct(f"Envelope_{data.__name__}", [("data", data)], bases=(_Envelope,), tag=name, kw_only=True)
            for name, data in types.items()
        ]
        union: Any = envelopes[0]
        for envelope in envelopes[1:]:
            union = union | envelope
        self._decode = msgspec.json.Decoder(union).decode
        self._known: dict[type, tuple[str, int, bytes, Callable[[Any], bool]]] = {
            envelope: (name, _shortest(name), f'","type":"{name}"}}'.encode(), _SOUND[data])
            for envelope, (name, data) in zip(envelopes, types.items(), strict=True)
        }

    def read(self, value: bytes) -> PlainEvent | None:
        """The event these bytes are in plain form; None where they are anything else."""
        try:
            envelope = self._decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        name, shortest, ends, sound = self._known[type(envelope)]
        data, source, event_id = envelope.data, envelope.source, envelope.id
        beneficiary = data.beneficiary
        if not (
            _is_code(data.programme)
            and _UUID4.fullmatch(beneficiary)
            and envelope.partitionkey == beneficiary
            and sound(data)
            and _is_source(source)
            and _EVENT_ID.fullmatch(event_id)
        ):
            return None
        time = _instant(envelope.time)
        if time is None:
            return None
        canonical = _canonical(data)
        length = shortest + len(event_id) + len(source) + len(envelope.time) + len(canonical)
        if envelope.datacontenttype is not msgspec.UNSET:
            length += _CONTENT_TYPE_LENGTH
        traceparent = None
        if envelope.traceparent is not msgspec.UNSET:
            traceparent = valid_traceparent(envelope.traceparent)
            if traceparent is None:
                return None
            length += _TRACEPARENT_LENGTH + len(traceparent)
        # Every part of the shortest text that says this is there, as msgspec found it: text of that length has no room
        # for an escape, an unknown field, or a key given twice.
        if length != len(value) and length != len(value.translate(None, _SPACE)):
            return None
        said = b'{"data":%b,"partitionkey":"%b","source":"%b%b' % (
            canonical,
            beneficiary.encode(),
            source.encode(),
            ends,
        )
        return PlainEvent(name, event_id, source, time, traceparent, data, beneficiary, said)


def _shortest(name: str) -> int:
    """Bytes of an envelope of that type around its variable parts; the partition key is a UUID."""
    without = '{"specversion":"1.0","id":"","type":"","source":"","time":"","partitionkey":"","data":}'
    return len(without) + len(name) + len("00000000-0000-4000-8000-000000000000")


_CONTENT_TYPE_LENGTH: Final = len(',"datacontenttype":"application/json"')
_TRACEPARENT_LENGTH: Final = len(',"traceparent":""')
_canonical: Final = msgspec.json.Encoder(order="sorted").encode
"""RFC 8785 for such data: their keys are ASCII, their strings need no escape, their numbers are integers below 2^53."""


@lru_cache(maxsize=_CACHED)
def _is_code(text: str) -> bool:
    return _CODE.fullmatch(text) is not None


@lru_cache(maxsize=_CACHED)
def _is_source(text: str) -> bool:
    return len(text) <= s.SOURCE_LENGTH_MAX and _SOURCE.fullmatch(text) is not None


@lru_cache(maxsize=_CACHED)
def _instant(text: str) -> Instant | None:
    try:
        return parse_instant(text)
    except InstantError:
        return None


def _is_opaque(text: str) -> bool:
    return _OPAQUE.fullmatch(text) is not None


def _is_issue(vouchers: tuple[e.IssuedVoucher, ...]) -> bool:
    if not 1 <= len(vouchers) <= s.BENEFITS_MAX:
        return False
    ids = [v.voucher for v in vouchers]
    for v in vouchers:
        if len(v.voucher) != _UUID_LENGTH or not 1 <= v.amount <= s.AMOUNT_MAX or not _is_code(v.benefit):
            return False
    return _UUIDS.fullmatch("".join(ids)) is not None and len(set(ids)) == len(ids)


def _are_spends(lines: tuple[e.Spend, ...]) -> bool:
    return (
        len(lines) <= s.LINES_MAX
        and all(1 <= line.amount <= s.AMOUNT_MAX and _UUID.fullmatch(line.voucher) for line in lines)
        and (len(lines) == 1 or len({line.voucher for line in lines}) == len(lines))
    )


def _is_order(data: e.Requested | e.Recorded) -> bool:
    return (
        _is_opaque(data.redemption)
        and _is_opaque(data.order)
        and _is_code(data.service)
        and bool(data.lines)
        and _are_spends(data.lines)
    )


def _is_reversal(data: e.Reversed) -> bool:
    return (
        _is_opaque(data.redemption)
        and _is_code(data.reason)
        and _are_spends(data.lines)
        and (data.scope is e.Scope.PARTIAL) == bool(data.lines)
    )


_SOUND: Final[dict[type, Callable[[Any], bool]]] = {
    e.Granted: lambda data: _is_code(data.wave),
    e.Enrolled: lambda data: _is_code(data.wave),
    e.Withdrawn: lambda data: _is_code(data.wave) and _is_code(data.reason),
    e.Reinstated: lambda data: _is_code(data.wave) and _is_code(data.reason),
    e.Issued: lambda data: _is_code(data.wave) and _is_issue(data.vouchers),
    e.VoucherRevoked: lambda data: bool(_UUID.fullmatch(data.voucher)) and _is_code(data.reason),
    e.Claimed: lambda data: bool(_UUID.fullmatch(data.voucher)) and _is_code(data.channel),
    e.Declined: lambda data: bool(_UUID.fullmatch(data.voucher)) and _is_code(data.reason),
    e.Requested: _is_order,
    e.Recorded: _is_order,
    e.Captured: lambda data: _is_opaque(data.redemption) and bool(data.lines) and _are_spends(data.lines),
    e.Released: lambda data: _is_opaque(data.redemption) and _is_code(data.reason),
    e.Reversed: _is_reversal,
}
"""What the models ask of the fields that not every event has."""
