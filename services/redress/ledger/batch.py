"""What one batch writes: rows made of the results of a step, ready before the transaction begins."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from redress.domain.beneficiary import Beneficiary, Parked, RedemptionKey
from redress.domain.entry import DeadLetterReason, Entry, Lapsed, LotKey, Outcome
from redress.domain.event import (
    Control,
    Coordinates,
    Enrolled,
    Event,
    Granted,
    Issued,
    LotExtended,
    LotRevoked,
    ProgrammePublished,
    Reinstated,
    Topic,
    WaveOpened,
    Withdrawn,
)
from redress.domain.ids import BeneficiaryId, Instant
from redress.domain.lot import Lot
from redress.domain.programme import Programme, Wave
from redress.domain.seen import identity
from redress.domain.shard import Results, Shard
from redress.domain.step import CONTROL_REPORTER
from redress.domain.terms import Terms
from redress.ledger.alike_rows import AlikeRows, Taken
from redress.ledger.codes import KINDS, NO_REASON, OUTCOMES, REASONS
from redress.ledger.control_rows import lot_columns, programme_columns, terms_columns, wave_columns
from redress.ledger.days import MINUTE, day_of
from redress.ledger.digest import entry_bytes, hash_of
from redress.ledger.entry_rows import Row, RowForm, by_form, copied, to_row
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import columns, moved_vouchers, redemption_changes, redemption_row, state_row

OF_WAVES: Final = (Granted, Enrolled, Issued, Withdrawn, Reinstated)
"""Events after which a wave counts otherwise."""


FEW_ENTRIES_MAX = 100
"""Entries of a batch that one statement writes: some 50 KB of parameters. With more COPY is the faster way."""
TOGETHER: Final = frozenset({"put_lots", "move_states", "move_vouchers", "change_redemptions", "count_entries"})
"""What is written of people's own events. None of it needs to see what another one of one statement has written."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as it came: what is parked or dead-lettered is kept in these bytes."""

    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that could not be read as an event, or whose event could not be taken."""

    at: Coordinates
    reason: DeadLetterReason
    detail: str
    raw: RawRecord
    event: Event | None = None

    def row(self, batch: int) -> tuple[Any, ...]:
        """A row for `dead_letter`."""
        value = self.raw.value or b""
        data = self.event.data if self.event else None
        return (
            self.at.topic.value,
            self.at.partition,
            self.at.offset,
            batch,
            self.reason.value,
            self.detail,
            self.event.type if self.event else None,
            getattr(data, "programme", None),
            getattr(data, "wave", None),
            self.raw.key,
            self.raw.value,
            len(value),
            sha256(value).digest(),
        )


@dataclass(slots=True)
class Touched:
    """What the results changed, to be written anew."""

    people: set[BeneficiaryId]
    redemptions: dict[tuple[BeneficiaryId, RedemptionKey], int]
    lots: dict[LotKey, Lot]
    waves: dict[tuple[str, str], Wave]
    programmes: dict[str, Programme]
    terms: list[Terms]


def touched(shard: Shard, results: Results, alike: Iterable[Taken]) -> Touched:
    """Which rows of the state the results changed; of what came out alike only lots and waves."""
    found = Touched(set(), {}, {}, {}, {}, [])
    for form in (taken.form for taken in alike):
        opened = form.wave.opened
        found.waves[opened.programme, opened.wave] = form.wave
        found.lots.update({lot.key: lot for lot in form.lots})
    lots = found.lots
    for key in {line.lot for entry in results.entries for line in entry.lines} - lots.keys():
        lots[key] = shard.lot(key)
    for entry in results.entries:
        if entry.beneficiary is None:
            _touch_control(shard, entry, found)
        else:
            _touch_person(shard, entry, entry.beneficiary, found)
    for parked in results.parked.values():
        found.people.add(parked.beneficiary)
    for letter in results.dead_letters:
        # A parked event that ends as a dead letter is forgotten, so its beneficiary's row changes.
        if not isinstance(letter.event.data, Control):
            found.people.add(letter.event.data.beneficiary)
    found.people &= shard.beneficiaries.keys()
    return found


def _touch_person(shard: Shard, entry: Entry, beneficiary: BeneficiaryId, found: Touched) -> None:
    found.people.add(beneficiary)
    happening = entry.happening
    if entry.redemption is not None:
        key: RedemptionKey = happening.programme, entry.redemption  # type: ignore[union-attr]  # redemptions name one
        if key in shard.beneficiaries[beneficiary].redemptions:
            found.redemptions[beneficiary, key] = entry.seq
    elif isinstance(happening, OF_WAVES):
        wave = happening.programme, happening.wave
        found.waves[wave] = shard.programmes[wave[0]].waves[wave[1]]


def _touch_control(shard: Shard, entry: Entry, found: Touched) -> None:
    happening = entry.happening
    accepted = entry.outcome is Outcome.ACCEPTED
    match happening:
        case ProgrammePublished(terms):
            code = terms.programme
            found.lots[shard.programmes[code].reserved.key] = shard.programmes[code].reserved
            if accepted:
                found.terms.append(terms)
        case WaveOpened(programme=code, wave=wave):
            if accepted:
                found.waves[code, wave] = shard.programmes[code].waves[wave]
                found.lots.update({lot.key: lot for lot in shard.programmes[code].waves[wave].lots.values()})
        case LotExtended(programme=code) | LotRevoked(programme=code):
            key = LotKey(code, happening.wave, happening.benefit)
            found.lots[key] = shard.lot(key)
        case Lapsed(lot=key):
            found.lots[key] = shard.lot(key)
            return
        case _:
            return
    found.programmes[code] = shard.programmes[code]


def rollup_columns(
    entries: Iterable[Entry],
    lots: Mapping[LotKey, Lot],
    numbering: Numbering,
    alike: Mapping[tuple[int, int, date], tuple[int, int]],
) -> list[list[Any]]:
    """Columns for `roll_up`: amounts and counts of lines by lot, posting and effective day."""
    by_minute: dict[tuple[LotKey, int, int], list[int]] = {}
    for entry in entries:
        for line in entry.lines:
            minute = line.lot, line.posting.code, line.effective // MINUTE
            both = by_minute.get(minute)
            if both is None:
                by_minute[minute] = [line.amount, 1]
            else:
                both[0] += line.amount
                both[1] += 1
    sums: defaultdict[tuple[int, int, date], list[int]] = defaultdict(lambda: [0, 0])
    for key, both_alike in alike.items():
        sums[key] = list(both_alike)
    for (lot, posting, n), (amount, lines) in by_minute.items():
        day = day_of(Instant(n * MINUTE), lots[lot].terms.timezone)
        both = sums[numbering.lots[lot], posting, day]
        both[0] += amount
        both[1] += lines
    rows = [(*key, *sums[key]) for key in sorted(sums)]
    return [list(column) for column in zip(*rows, strict=True)]


def tally_columns(entries: Iterable[Entry], alike: Iterable[Taken]) -> list[list[Any]]:
    """Columns for `count_entries`."""
    found = Counter([(type(e.happening), e.outcome, e.reason) for e in entries])
    for taken in alike:
        found[taken.form.of, Outcome.ACCEPTED, None] += len(taken.events)
    counted = {
        (KINDS[kind], OUTCOMES[outcome], REASONS[reason] if reason else NO_REASON): n
        for (kind, outcome, reason), n in found.items()
    }
    return [list(column) for column in zip(*((*key, n) for key, n in sorted(counted.items())), strict=True)]


def parked_row(parked: Parked, raw: RawRecord) -> tuple[Any, ...]:
    """A row for `park`."""
    at = parked.event.at
    return (
        parked.arrival,
        parked.beneficiary,
        at.topic.value,
        at.offset,
        raw.key,
        raw.value,
        parked.parked_at,
        parked.wakes_on,
    )


def forgotten(results: Results, parked_before: Container[Coordinates]) -> list[tuple[BeneficiaryId, bytes]]:
    """Events that were parked, therefore seen, and ended as dead letters."""
    return [
        (letter.event.data.beneficiary, identity(letter.event.source, letter.event.id))
        for letter in results.dead_letters
        if (letter.reason is DeadLetterReason.PARKED_TOO_LONG or letter.at in parked_before)
        and not isinstance(letter.event.data, Control)
    ]


def spill(person: Beneficiary, keep: int) -> list[tuple[BeneficiaryId, bytes, bytes]]:
    """Move the oldest events seen out of the person's row, so that `keep` stay; what was moved."""
    surplus = len(person.seen) - keep
    if surplus <= 0:
        return []
    moved = [(person.id, key, fingerprint) for key, fingerprint in islice(person.seen.items(), surplus)]
    person.seen.drop_first(surplus)
    return moved


class BatchRows:
    """The rows of a batch, encoded before its transaction begins.

    `statements` are (name, columns) of what is written besides the journal; those without rows are left out.
    """

    def __init__(
        self,
        shard: Shard,
        numbering: Numbering,
        batch: int,
        results: Results,
        found: Touched,
        alike: list[Taken],
        *,
        sources: Mapping[str, int],
        known: Container[BeneficiaryId],
        spilled: Mapping[BeneficiaryId, int],
        moved_out: list[tuple[BeneficiaryId, bytes, bytes]],
        rejected: list[RejectedRecord],
        fresh: Mapping[Coordinates, RawRecord],
        parked_before: Mapping[Coordinates, RawRecord],
        redemptions_before: Container[tuple[BeneficiaryId, RedemptionKey]],
        forms: Mapping[int, RowForm],
        may_be_few: bool,
    ) -> None:
        self._shard, self._numbering = shard.number, numbering
        formed = AlikeRows(shard.number, batch, alike, sources, numbering)
        bodies = [(e.seq, entry_bytes(e, lambda key: found.lots[key].terms.currency)) for e in results.entries]
        self.body = hash_of(body for _, body in sorted(bodies + formed.bytes))
        self.alike_journal, self.alike_states = formed.journal, formed.new_states
        self.rollups = rollup_columns(results.entries, found.lots, numbering, formed.lines)
        self.statements: list[tuple[str, list[list[Any]]]] = []
        self._add("put_programmes", programme_columns(found.programmes.values()))
        self._add("put_terms", terms_columns(found.terms))
        self._add("put_waves", wave_columns(found.waves.values(), numbering))
        self._add("put_lots", lot_columns(found.lots.values(), numbering))
        self.new_states: list[Row] = []
        self.standings: dict[BeneficiaryId | None, tuple[int, bytes]] = {}
        """Last seq and packed vouchers of who has changed, unless alike with others."""
        self._add_people((shard.beneficiaries[p] for p in sorted(found.people)), known, spilled, formed.states)
        self._add("spill_seen", columns(moved_out))
        self._add("unspill", columns(forgotten(results, parked_before)))
        self.new_redemptions: list[Row] = []
        changed: list[Row] = []
        for (beneficiary, key), seq in sorted(found.redemptions.items()):
            person = shard.beneficiaries[beneficiary]
            if (beneficiary, key) in redemptions_before:
                changed.append(redemption_changes(person, key, seq))
            else:
                self.new_redemptions.append((shard.number, *redemption_row(person, key, seq)))
        self._add("change_redemptions", columns(changed))
        waiting = [p for p in results.parked.values() if p.arrival not in results.unparked]
        self._add("park", columns(parked_row(p, fresh[p.event.at]) for p in waiting if p.event.at not in parked_before))
        self._add("wait_otherwise", columns((p.arrival, p.wakes_on) for p in waiting if p.event.at in parked_before))
        self._add("unpark", [sorted(results.unparked)])
        letters = [
            RejectedRecord(
                letter.at, letter.reason, letter.detail, parked_before.get(letter.at) or fresh[letter.at], letter.event
            )
            for letter in results.dead_letters
        ]
        reported = [
            r for r in (*rejected, *letters) if r.at.topic is not Topic.PROGRAMME or shard.number == CONTROL_REPORTER
        ]
        self._add("dead_letter", columns(record.row(batch) for record in reported))
        self._add("count_entries", tally_columns(results.entries, alike))
        self.journal: list[bytes] = []
        """Rows in order of `COLUMNS`, as COPY reads them; of few entries they are in `few_entries`, as values."""
        apart = any(name not in TOGETHER for name, _ in self.statements)
        self.is_few = may_be_few and len(results.entries) <= FEW_ENTRIES_MAX and not alike and not apart
        """Whether one statement writes the batch: it is small, and about people alone."""
        self.few_entries: list[Row] = [
            to_row(entry, shard.number, batch, sources[entry.cause.source], numbering)
            for entry in results.entries
            if self.is_few
        ]
        if not self.is_few:
            self._copy_entries(shard.number, batch, results.entries, sources, numbering, forms)

    def _add_people(
        self,
        people: Iterable[Beneficiary],
        known: Container[BeneficiaryId],
        spilled: Mapping[BeneficiaryId, int],
        alike: list[Row],
    ) -> None:
        moved: list[Row] = []
        vouchers_moved: list[Row] = []
        for person in people:
            out = spilled.get(person.id, 0)
            row = moved_vouchers(person, out, self._numbering)
            if row is not None:
                vouchers_moved.append(row)
                self.standings[person.id] = row[1], row[2]
                continue
            row = state_row(person, out, self._numbering)
            self.standings[person.id] = row[1], row[4]
            if person.id in known:
                moved.append(row)
            else:
                self.new_states.append((self._shard, *row))
        self._add("move_states", columns(sorted(moved + alike, key=itemgetter(0))))
        self._add("move_vouchers", columns(vouchers_moved))

    def _copy_entries(
        self,
        shard: int,
        batch: int,
        entries: Iterable[Entry],
        sources: Mapping[str, int],
        numbering: Numbering,
        forms: Mapping[int, RowForm],
    ) -> None:
        for entry in entries:
            source, form = sources[entry.cause.source], forms.get(entry.seq)
            if form is None:
                self.journal.append(copied(to_row(entry, shard, batch, source, numbering)))
            else:
                self.journal.append(by_form(form, entry, shard, batch, source))

    def _add(self, name: str, parameters: list[list[Any]]) -> None:
        if parameters and parameters[0]:
            self.statements.append((name, parameters))
