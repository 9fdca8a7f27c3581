"""A shard's whole state made anew from its journal alone, and what of the live rows differs from it.

The journal does not hold what is parked: those events are seen, and stand in their own table, until they are decided.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from redress.contracts.decode import decode
from redress.domain.beneficiary import Beneficiary, RedemptionKey
from redress.domain.entry import Entry
from redress.domain.event import Event, Topic
from redress.domain.evolve import evolve
from redress.domain.ids import BeneficiaryId
from redress.domain.seen import Seen
from redress.domain.shard import Shard
from redress.ledger.connection import Connection
from redress.ledger.control_rows import lot_columns, programme_columns, terms_columns, wave_columns
from redress.ledger.entry_rows import from_row
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import redemption_row, state_row
from redress.ledger.queries import query
from redress.projections.checks import BROKEN, PACKAGE

PREFETCH_ROWS = 2_000
"""Rows a cursor brings at a time."""
EVERYTHING: Final = 2**62
"""Past every seq."""

Rows = dict[str, dict[Any, Any]]
"""By table, then by the row's key."""

_KEY_WIDTHS: Final = {"redemption": 3, "lot": 1, "wave": 1, "programme": 1, "terms": 2}
"""Columns of the key, which come first, shard apart."""


class BrokenJournalError(Exception):
    """The journal does not make sense."""


@dataclass(slots=True)
class Rebuilt:
    """A shard as its journal tells it."""

    shard: Shard
    numbering: Numbering = field(default_factory=Numbering)
    redemption_seqs: dict[tuple[BeneficiaryId, RedemptionKey], int] = field(default_factory=dict)

    def apply(self, entry: Entry) -> None:
        """Take the next entry in order of `seq`."""
        evolve(self.shard, entry)
        self.shard.deadlines.clear()  # a heap that nobody takes from
        if entry.beneficiary is None:
            self.numbering.follow(self.shard, entry)
        elif entry.redemption is not None:
            key: RedemptionKey = entry.happening.programme, entry.redemption  # type: ignore[union-attr]  # names one
            if key in self.shard.beneficiaries[entry.beneficiary].redemptions:
                self.redemption_seqs[entry.beneficiary, key] = entry.seq


@dataclass(frozen=True, slots=True)
class Comparison:
    """A shard's live rows held against the rebuilt ones. Equal digests: the same rows."""

    rows: int
    live_digest: str
    rebuilt_digest: str
    differences: tuple[str, ...]


async def rebuild_shard(connection: Connection, identity: LedgerIdentity, number: int) -> Rebuilt:
    """Read the journal from its first entry on and apply it. Runs inside the caller's transaction (a cursor).

    Raises:
        BrokenJournalError: an entry cannot be read or applied; the message says which.
    """
    rebuilt = Rebuilt(Shard(number, identity.parking_seconds, identity.clock == "system"))
    async for row in entry_rows(connection, number, 1, EVERYTHING):
        try:
            rebuilt.apply(from_row(row, row["source_name"], rebuilt.numbering))
        except BROKEN as error:
            what = f"cannot be applied to what went before: {type(error).__name__}"
            raise BrokenJournalError(f"shard {number} seq {row['seq']}: {what}") from error
    return rebuilt


def entry_rows(connection: Connection, shard: int, first: int, end: int) -> AsyncIterator[Any]:
    """Rows of the journal with their `source_name`, from seq `first` up to before `end`."""
    cursor = connection.cursor(query("read_entries", PACKAGE), shard, first, end, prefetch=PREFETCH_ROWS)
    return aiter(cursor)


async def compare_shard(connection: Connection, identity: LedgerIdentity, number: int) -> Comparison:
    """Rebuild a shard and hold it against its live rows, in the snapshot of the caller's transaction."""
    try:
        rebuilt = await rebuild_shard(connection, identity, number)
    except BrokenJournalError as error:
        return Comparison(0, "", str(error), (str(error),))
    parked: dict[BeneficiaryId, Seen] = {}
    async for person, _, event in parked_events(connection, identity, number):
        parked.setdefault(person, Seen()).add(event.source, event.id, event.fingerprint)
    wanted = rebuilt_rows(rebuilt, parked)
    live = await live_rows(connection, number)
    return Comparison(
        sum(map(len, live.values())), _digest(live), _digest(wanted), tuple(_differences(number, live, wanted))
    )


def rebuilt_rows(rebuilt: Rebuilt, parked: Mapping[BeneficiaryId, Seen]) -> Rows:
    """The rows that the rebuilt state comes to. `parked`: events that wait, which are seen too."""
    shard, numbering = rebuilt.shard, rebuilt.numbering
    programmes = shard.programmes.values()
    lots = [*shard.lots(), *(programme.reserved for programme in programmes)]
    waves = [wave for programme in programmes for wave in programme.waves.values()]
    terms = [version for programme in programmes for version in programme.versions.values()]
    people = {person: shard.beneficiaries.get(person) or Beneficiary(person) for person in parked}
    people.update(shard.beneficiaries)
    return {
        "state": {p.id: _state(state_row(p, 0, numbering)) for p in people.values() if not _is_blank(p)},
        "seen": {p.id: {**p.seen, **parked.get(p.id, {})} for p in people.values() if p.seen or p.id in parked},
        "redemption": _by_key(
            (
                redemption_row(shard.beneficiaries[person], key, seq)
                for (person, key), seq in rebuilt.redemption_seqs.items()
            ),
            3,
        ),
        "lot": _by_key(zip(*lot_columns(lots, numbering), strict=True), 1),
        "wave": _by_key(zip(*wave_columns(waves, numbering), strict=True), 1),
        "programme": _by_key(zip(*programme_columns(programmes), strict=True), 1),
        "terms": _by_key(zip(*terms_columns(terms), strict=True), 2),
        "head": {shard.number: shard.next_seq},
    }


async def live_rows(connection: Connection, number: int) -> Rows:
    """The shard's rows as they stand, in the same form."""
    states, seen = await _live_people(connection, number)
    rows: Rows = {"state": states, "seen": seen}
    for table, width in _KEY_WIDTHS.items():
        found = await connection.fetch(query(f"live_{table}", PACKAGE), number)
        rows[table] = _by_key((tuple(row) for row in found), width)
    rows["head"] = {number: await connection.fetchval(query("live_next_seq", PACKAGE), number)}
    return rows


async def _live_people(connection: Connection, number: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Rows of beneficiaries, and apart from them which events were seen, in whichever table that stands."""
    states: dict[Any, Any] = {}
    seen: dict[Any, Any] = {}
    async for row in connection.cursor(query("live_state", PACKAGE), number, prefetch=PREFETCH_ROWS):
        person = row["beneficiary"]
        seen[person] = dict(Seen(row["seen"]))
        if row["last_seq"] or row["grants"] or row["vouchers"] or row["strays"]:
            states[person] = _state(tuple(row))
    for row in await connection.fetch(query("live_spill", PACKAGE), number):
        seen.setdefault(row["beneficiary"], {})[row["identity"]] = row["fingerprint"]
    return states, {person: events for person, events in seen.items() if events}


async def parked_events(
    connection: Connection, identity: LedgerIdentity, number: int
) -> AsyncIterator[tuple[BeneficiaryId, int, Event]]:
    """What waits, whose it is, and its arrival, in that order: seen, though the journal does not hold it."""
    async for row in connection.cursor(query("live_parked", PACKAGE), number, prefetch=PREFETCH_ROWS):
        topic, offset = Topic(row["topic"]), row["record_offset"]
        event = decode(topic, number, offset, row["key"], row["value"], identity.shards)
        if isinstance(event, Event):
            yield BeneficiaryId(row["beneficiary"]), row["arrival"], event


def _is_blank(person: Beneficiary) -> bool:
    """Whether nothing but parked events is known of the person."""
    return person.last_seq is None


def _state(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `state` without what the journal does not tell: which events seen stand in the row itself."""
    beneficiary, last_seq, _spilled, grants, vouchers, _seen, strays = row
    return beneficiary, last_seq, grants, vouchers, sorted(strays or ())


def _by_key(rows: Iterable[tuple[Any, ...]], width: int) -> dict[Any, Any]:
    return {row[:width]: row for row in rows}


def _digest(rows: Rows) -> str:
    """SHA-256 over all rows, by table and key."""
    hashed = sha256()
    for table in sorted(rows):
        for key in sorted(rows[table], key=str):
            hashed.update(f"{table} {key} {_canonical(rows[table][key])}\n".encode())
    return hashed.hexdigest()


def _canonical(value: Any) -> str:
    """Text that is the same for equal values, whatever the order of keys."""
    if isinstance(value, dict):
        return repr(sorted((_canonical(key), _canonical(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return repr([_canonical(item) for item in value])
    return str(value)


def _differences(number: int, live: Rows, wanted: Rows) -> Iterator[str]:
    for table, rows in wanted.items():
        for key in sorted(rows.keys() | live[table].keys(), key=str):
            name = "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
            if key not in rows:
                yield f"shard {number} {table} {name}: the journal knows of none"
            elif key not in live[table]:
                yield f"shard {number} {table} {name}: missing"
            elif _canonical(rows[key]) != _canonical(live[table][key]):
                yield f"shard {number} {table} {name}: not what the journal says"
