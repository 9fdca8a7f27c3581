"""Many plain events read at once: those that differ only in who, when, and their ids.

One of them is read by `plain`, and becomes a template. Whatever has the same bytes but for the text of those few fields
is the same event of somebody else, as their texts stand between the same quotes: so only these texts are checked, and
come out as columns. What fits no template is read by itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from typing import Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from redress.contracts.envelope import valid_traceparent
from redress.contracts.instants import MAX_INSTANT, MIN_INSTANT, InstantError, parse_instant
from redress.contracts.plain import PlainEvent, PlainReader
from redress.domain.event import Granted, Issued
from redress.domain.ids import BeneficiaryId

Bytes: TypeAlias = NDArray[np.uint8]
"""A row of bytes for each of many."""
Int64s: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

TOGETHER_MIN: Final = 8
"""Fewer events than this are as quickly read one by one."""
LENGTHS_MAX: Final = 256
"""Lengths of events of which templates are kept: a producer has one for each length of its ids and times."""
TEMPLATES_MAX: Final = 8
"""Templates kept of one length, the latest: each is held against all texts of that length in a batch."""
TRIES_MAX: Final = 4
"""How many texts of one length are tried as a new template in a batch: each is read as an event."""

_NO_DIGIT: Final = 255
_DIGITS: Final = np.full(256, _NO_DIGIT, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_ID_CHARACTERS: Final = np.zeros(256, np.bool_)
_ID_CHARACTERS[np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-", np.uint8)] = True
_UUID_LENGTH: Final = 36
_DASHES: Final = [8, 13, 18, 23]
_DIGITS_OF_UUID: Final = [at for at in range(_UUID_LENGTH) if at not in _DASHES]
_DATE_AND_TIME: Final = "0000-00-00T00:00:00"
_FRACTIONS: Final = ("Z", *(f".{'0' * digits}Z" for digits in range(1, 7)))
_TO_COMPARE: Final = bytes.maketrans(b"123456789", b"000000000")


@dataclass(slots=True, eq=False)
class EventColumns:
    """Events that say what `example` says, each of another beneficiary. Rows of all columns are those of `places`."""

    example: PlainEvent
    places: NDArray[np.intp]
    """Which of the records they are."""
    ids: Bytes
    """Text of the event's id."""
    uuids: Bytes | None
    """The same as UUIDs, if they are."""
    times: Int64s
    owners: list[BeneficiaryId]
    beneficiaries: Bytes
    """Text of the beneficiary's id; `people` are the UUIDs."""
    people: Bytes
    vouchers: list[Bytes]
    """Text of an issue's voucher ids, in its order."""
    traceparents: Bytes | None
    fingerprints: Bytes

    def __len__(self) -> int:
        return len(self.places)

    def only(self, which: Mask) -> "EventColumns":
        """Those of them."""
        if which.all():
            return self
        return EventColumns(
            self.example,
            self.places[which],
            self.ids[which],
            None if self.uuids is None else self.uuids[which],
            self.times[which],
            [owner for owner, it in zip(self.owners, which.tolist(), strict=True) if it],
            self.beneficiaries[which],
            self.people[which],
            [column[which] for column in self.vouchers],
            None if self.traceparents is None else self.traceparents[which],
            self.fingerprints[which],
        )


class Blanks:
    """Text in which some places are filled in anew, each time with text of the same length."""

    def __init__(self, text: bytes, places: dict[str, list[slice]]) -> None:
        self.text = np.frombuffer(text, np.uint8)
        self.places = places

    @classmethod
    def of_strings(cls, text: bytes, strings: dict[str, tuple[str, int]]) -> "Blanks":
        """JSON with blanks where these strings stand, given by name with how often each must stand there.

        Raises:
            ValueError: one stands there more often, so that nobody can tell which is which.
        """
        places: dict[str, list[slice]] = {}
        for name, (string, times) in strings.items():
            quoted = b'"%b"' % string.encode()
            if text.count(quoted) != times:
                raise ValueError(name)
            at = -1
            for _ in range(times):
                at = text.index(quoted, at + 1)
                places.setdefault(name, []).append(slice(at + 1, at + len(quoted) - 1))
        return cls(text, places)

    def varies(self) -> Mask:
        """Which bytes are a blank's."""
        found = np.zeros(len(self.text), np.bool_)
        for places in self.places.values():
            for place in places:
                found[place] = True
        return found

    def fill(self, columns: Mapping[str, Bytes]) -> Bytes:
        """The text with these put in, one for each row."""
        number = len(next(iter(columns.values())))
        rows = np.empty((number, len(self.text)), np.uint8)
        rows[:] = self.text
        for name, places in self.places.items():
            for place in places:
                rows[:, place] = columns[name]
        return rows


class ColumnReader:
    """Reads the grants or issues among the records of one topic, many at once; none with more bytes than `longest`."""

    def __init__(self, reader: PlainReader, longest: int) -> None:
        self._reader = reader
        self._longest = longest
        self._templates: defaultdict[int, list[_Template]] = defaultdict(list)

    def read(
        self, keys: Sequence[bytes | None], values: Sequence[bytes | None], places: Iterable[int]
    ) -> Iterator[EventColumns]:
        """Such events among these places, as far as they are alike; each is what `PlainReader.read` makes of it."""
        of_length: defaultdict[int, list[int]] = defaultdict(list)
        for place in places:
            key, value = keys[place], values[place]
            if value is not None and key is not None and len(key) == _UUID_LENGTH:
                of_length[len(value)].append(place)
        for length, these in of_length.items():
            if length > self._longest:
                continue
            yield from self._read_equally_long(length, keys, values, np.array(these, np.intp))

    def _read_equally_long(
        self, length: int, keys: Sequence[bytes | None], values: Sequence[bytes | None], places: NDArray[np.intp]
    ) -> Iterator[EventColumns]:
        if len(places) < TOGETHER_MIN:
            return
        rows = _rows_of([values[place] for place in places], length)
        owners = _rows_of([keys[place] for place in places], _UUID_LENGTH)
        for template in self._of_length(length, rows):
            fit = template.fits(rows)
            if np.count_nonzero(fit) < TOGETHER_MIN:
                continue
            columns = template.read(rows[fit], owners[fit], places[fit])
            if len(columns) < TOGETHER_MIN:
                continue
            yield columns
            left = np.isin(places, columns.places, invert=True)
            rows, owners, places = rows[left], owners[left], places[left]
            if len(places) < TOGETHER_MIN:
                return

    def _of_length(self, length: int, rows: Bytes) -> Iterator["_Template"]:
        """Templates known for such texts; then, while any are left that none fits, new ones made of them."""
        if len(self._templates) > LENGTHS_MAX:
            self._templates.clear()
        known = self._templates[length]
        yield from list(known)
        for row in rows[:TRIES_MAX]:
            if any(template.fits(row[None])[0] for template in known):
                continue
            template = _template(self._reader, row.tobytes())
            if template is not None:
                known.append(template)
                del known[:-TEMPLATES_MAX]
                yield template


class _Template:
    """One event's text, with what is said of it."""

    def __init__(self, event: PlainEvent, text: bytes, envelope: dict[str, str]) -> None:
        issued = event.data.vouchers if isinstance(event.data, Issued) else ()
        self._vouchers = {f"voucher {n}": voucher.voucher for n, voucher in enumerate(issued)}
        who = {"beneficiary": (event.beneficiary, 2), **{name: (v, 1) for name, v in self._vouchers.items()}}
        when = {"id": (event.id, 1), "time": (envelope["time"], 1)}
        if event.traceparent is not None:
            when["traceparent"] = event.traceparent, 1
        self._event = event
        self._text = Blanks.of_strings(text, who | when)
        self._varies = self._text.varies()
        self._said = Blanks.of_strings(event.said, who)
        ids = np.frombuffer(event.id.encode(), np.uint8)[None]
        self._has_uuid = event_uuids(ids) is not None

    def fits(self, rows: Bytes) -> Mask:
        """Which of these texts differ from it in its blanks alone."""
        return np.asarray(((rows == self._text.text) | self._varies).all(axis=1))

    def read(self, rows: Bytes, owners: Bytes, places: NDArray[np.intp]) -> EventColumns:
        """Those of these texts, which it fits, that are events. `owners`: the records' keys."""
        texts = {name: rows[:, at[0]] for name, at in self._text.places.items()}
        texts["beneficiary"] = owners
        people, good = uuids_of(texts["beneficiary"])
        good &= (people[:, 6] >> 4 == 4) & (people[:, 8] >> 6 == 2)
        for at in self._text.places["beneficiary"]:
            good &= (rows[:, at] == texts["beneficiary"]).all(axis=1)
        good &= _ID_CHARACTERS[texts["id"]].all(axis=1)
        uuids = None
        if texts["id"].shape[1] == _UUID_LENGTH:
            uuids, are_uuids = uuids_of(texts["id"])
            good &= are_uuids == self._has_uuid
        times, are_times = _instants(texts["time"])
        good &= are_times
        vouchers = [uuids_of(texts[name]) for name in self._vouchers]
        for _, are_uuids in vouchers:
            good &= are_uuids
        for (one, _), (other, _) in combinations(vouchers, 2):
            good &= (one != other).any(axis=1)
        if "traceparent" in texts:
            good &= np.array(
                [valid_traceparent(row.tobytes().decode("latin-1")) is not None for row in texts["traceparent"]]
            )
        return EventColumns(
            self._event,
            places,
            texts["id"],
            uuids if self._has_uuid else None,
            times,
            _uuids(owners),
            owners,
            people,
            [texts[name] for name in self._vouchers],
            texts.get("traceparent"),
            hashes(self._said.fill(texts)),
        ).only(good)


def _template(reader: PlainReader, text: bytes) -> _Template | None:
    event = reader.read(text)
    if event is None or not isinstance(event.data, Granted | Issued):
        return None
    try:
        return _Template(event, text, orjson.loads(text))
    except ValueError:
        return None


def _uuids(texts: Bytes) -> list[BeneficiaryId]:
    packed = texts.tobytes().decode("latin-1")
    return [BeneficiaryId(packed[at : at + _UUID_LENGTH]) for at in range(0, len(packed), _UUID_LENGTH)]


def uuids_of(text: Bytes) -> tuple[Bytes, Mask]:
    """The UUIDs of these texts; whether each is one, in lower case with dashes."""
    digits = _DIGITS[text[:, _DIGITS_OF_UUID]]
    good = (digits != _NO_DIGIT).all(axis=1) & (text[:, _DASHES] == ord("-")).all(axis=1)
    return np.asarray(digits[:, ::2] << 4 | digits[:, 1::2], np.uint8), np.asarray(good)


def event_uuids(ids: Bytes) -> Bytes | None:
    """These ids as UUIDs, if all are."""
    if ids.shape[1] != _UUID_LENGTH:
        return None
    found, good = uuids_of(ids)
    return found if good.all() else None


def hashes(rows: Bytes) -> Bytes:
    """SHA-256 of each row."""
    width = rows.shape[1]
    packed = rows.tobytes()
    found = b"".join([sha256(packed[at : at + width]).digest() for at in range(0, len(packed), width)])
    return np.frombuffer(found, np.uint8).reshape(len(rows), 32)


def _rows_of(texts: Sequence[bytes | None], width: int) -> Bytes:
    return np.frombuffer(b"".join(texts), np.uint8).reshape(len(texts), width)  # type: ignore[arg-type]  # all are there


def _instants(texts: Bytes) -> tuple[Int64s, Mask]:
    """As `parse_instant`; whether each text is one."""
    number, width = texts.shape
    if number and (texts == texts[0]).all():
        texts = texts[:1]
    packed = texts.tobytes()
    first = packed[:width].translate(_TO_COMPARE).decode("latin-1")
    is_plain = first[:19] == _DATE_AND_TIME and first[19:] in _FRACTIONS
    if is_plain and packed.translate(_TO_COMPARE) == first.encode() * len(texts):
        try:
            found = texts[:, :-1].copy().view(f"S{width - 1}").ravel().astype("datetime64[us]").astype(np.int64)
        except ValueError:
            pass
        else:
            good = (found >= MIN_INSTANT) & (found <= MAX_INSTANT)
            return np.broadcast_to(found, number).copy(), np.broadcast_to(good, number).copy()
    read = [_instant(packed[at : at + width].decode("latin-1")) for at in range(0, len(packed), width)]
    found = np.array([-1 if instant is None else instant for instant in read], np.int64)
    return np.broadcast_to(found, number).copy(), np.broadcast_to(found >= 0, number).copy()


def _instant(text: str) -> int | None:
    try:
        return parse_instant(text)
    except InstantError:
        return None
