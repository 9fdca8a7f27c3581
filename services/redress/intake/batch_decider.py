"""Having a batch decided: which records it takes, in which order, and where it ends early.

The order inside a batch is RULES section 2: programme, eligibility, issuance, redemption, each by offset. A batch ends
early, before any personal record, where a control event let something fall due or woke parked events; what is left of
that goes on in further batches before anything new is taken. All of it depends on the records and the shard's state
alone, so that a replay along the batch log decides the same.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import cast

import numpy as np

from redress.contracts.columns import TOGETHER_MIN, EventColumns
from redress.contracts.decode import Rejected, decode, decode_alike, decode_placed
from redress.contracts.partitioner import partitions_of
from redress.domain.entry import DeadLetterReason, Lapsed
from redress.domain.event import (
    ClockTicked,
    Coordinates,
    Event,
    LotExtended,
    LotRevoked,
    Personal,
    ProgrammePublished,
    Requested,
    Topic,
    WaveOpened,
)
from redress.domain.ids import FAR_FUTURE, FAR_PAST, Instant, ProgrammeCode, WaveCode
from redress.domain.step import fall_due, take_control, take_tick, wake
from redress.intake.record import Record
from redress.ledger.alike_rows import Taken
from redress.ledger.batch import RawRecord, RejectedRecord
from redress.ledger.shard_ledger import NAMING, ShardLedger

DUE_MAX = 2_000
"""Entries and dead letters of a batch made of what fell due; each may load a beneficiary. Part of the rules' version:
a replay must cut where the first run cut."""
REFUSED_BY_DATABASE = "value: refused by the database"
"""The detail of a dead letter whose value Postgres refuses. A replay knows such records by it."""
LOOP_EVENTS_MAX = 100
"""Events decided before the event loop may turn to other shards: some 20 ms."""
TOPICS = tuple(Topic)


@dataclass(slots=True)
class Batch:
    """A batch in the making: its records, and those that are no events."""

    read: list[Record] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)

    def raw(self) -> dict[Coordinates, RawRecord]:
        """The bytes of its records."""
        return {record.at: record.raw for record in self.read}


PersonalEvents = tuple[Sequence[tuple[int, Event, Personal]], Sequence[Taken]]
"""Events about single people with their places among the batch's records, and those that are taken alike."""


class BatchDecider:
    """Decides batches of one shard on what `ledger` loads; appends nothing.

    `poison`: records whose values Postgres refuses, which become dead letters without a look inside; `refused`: parked
    ones, which become dead letters when their turn comes.
    """

    def __init__(
        self,
        ledger: ShardLedger,
        shards: int,
        poison: Set[Coordinates] = frozenset(),
        refused: Set[Coordinates] = frozenset(),
    ) -> None:
        self._poison = poison
        ledger.shard.refused = refused
        self._ledger = ledger
        self._shards = shards
        self._woken: list[str] = []
        self._due_in_rows: Instant | None = None

    async def open(self) -> None:
        """Find out what is due already."""
        self._woken = [key for key in await self._ledger.waited_for() if self._is_there(key)]

    def look_anew(self) -> None:
        """Rows have changed: when the next hold times out and the next parking ends is found out again by who asks."""
        self._due_in_rows = None

    async def _due_at(self) -> Instant:
        """When, by the shard's clock, something falls due next. Only a tick asks: many a batch has none."""
        if self._due_in_rows is None:
            self._due_in_rows = await self._ledger.next_due()
        lots = (lot.valid_until for lot in self._ledger.shard.lots() if lot.is_open)
        return min(self._due_in_rows, min(lots, default=FAR_FUTURE))

    @property
    def has_due_work(self) -> bool:
        """Whether a batch must go on with what fell due or was woken, before anything new is taken.

        Only what a tick let fall due: a hold that a late request made past its end waits for the next tick.
        """
        return bool(self._woken) or self._ledger.shard.falling_due

    async def go_on(self) -> bool:
        """Decide more of what fell due or was woken; whether there is anything to append.

        There is also where nothing was left: when a full batch was just enough, nobody else knows yet that all is done.
        """
        if self._ledger.shard.falling_due:
            await self._fall_due()
        if not self._full():
            await self._wake()
        results = self._ledger.shard.results
        done = self._ledger.head.falling_due and not self._ledger.shard.falling_due
        if results.entries or results.dead_letters or results.parked or done:
            return True
        self._ledger.forget_people()
        return False

    def nothing_is_due(self) -> None:
        """The log says so: the first run read on, which it does only when nothing is left of what fell due."""
        self._ledger.shard.falling_due = False
        self._woken.clear()

    async def take_controls(self, batch: Batch, controls: Sequence[Record]) -> int | None:
        """Take control records; where the batch ends early, the next offset to read, else None."""
        shard = self._ledger.shard
        for record in controls:
            event = self._read(batch, record)
            if event is None:
                continue
            match event.data:
                case ClockTicked():
                    if take_tick(shard, event, event.data):
                        await self._fall_due()
                case ProgrammePublished() | WaveOpened() | LotExtended() | LotRevoked():
                    woken = take_control(shard, event, event.data)
                    if woken is None:
                        continue
                    self._woken.append(woken)
                    await self._wake()
                case _:
                    raise TypeError(f"{event.type} on the programme topic")
            if self._has_fallen_due():
                return record.offset + 1
        return None

    async def take_personal(self, batch: Batch, records: Sequence[Record]) -> None:
        """Take records about single people, in the order given."""
        await self.take_read(await self.read_personal(batch, records))

    async def read_personal(self, batch: Batch, records: Sequence[Record]) -> PersonalEvents:
        """What `take_read` takes, with the people it is about in memory: may be had before it is known what else came.

        Nothing is decided by it; who takes a control record afterwards forgets these people, and reads again.
        """
        ledger = self._ledger
        ledger.forget_people()
        batch.read += records
        alike, others = self._sort_out(records)
        await asyncio.sleep(0)
        single = self._read_singly(batch, records, others)
        people = {data.beneficiary for _, _, data in single}
        await ledger.load_rows(
            people.union(*(events.owners for events in alike)),
            {(data.beneficiary, data.programme, data.redemption) for _, _, data in single if isinstance(data, NAMING)},
            {(data.beneficiary, data.programme, data.order) for _, _, data in single if isinstance(data, Requested)},
        )
        taken = ledger.take_alike(alike, np.array([record.offset for record in records], np.int64))
        await asyncio.sleep(0)
        left = set(chain.from_iterable(events.places.tolist() for events in alike))
        left -= set(chain.from_iterable(each.events.places.tolist() for each in taken))
        if left:
            single = sorted(single + self._read_singly(batch, records, sorted(left)), key=itemgetter(0))
            batch.rejected.sort(key=lambda rejected: (TOPICS.index(rejected.at.topic), rejected.at.offset))
        for _, _, data in single:
            ledger.open_row(data.beneficiary)
        await ledger.load_named([event for _, event, _ in single])
        return single, taken

    async def take_read(self, read: PersonalEvents) -> None:
        """Decide events one by one, and number what was taken alike as it stands between them."""
        single, taken = read
        shard = self._ledger.shard
        places = sorted(chain.from_iterable(each.events.places.tolist() for each in taken))
        seqs: list[int] = []
        for n, (place, event, data) in enumerate(single):
            if n % LOOP_EVENTS_MAX == LOOP_EVENTS_MAX - 1:
                await asyncio.sleep(0)
            seqs += shard.next_seqs(bisect_left(places, place) - len(seqs))
            self._ledger.take(event, data)
        seqs += shard.next_seqs(len(places) - len(seqs))
        of_place = np.zeros(places[-1] + 1 if places else 0, np.int64)
        of_place[places] = seqs
        for each in taken:
            each.seqs = of_place[each.events.places]

    async def moves_clock_only(self, controls: Sequence[Record]) -> bool:
        """Whether these records are nothing but ticks that let nothing fall due."""
        due_at = await self._due_at()
        for record in controls:
            event = self._decode(record)
            if not isinstance(event, Event) or not isinstance(event.data, ClockTicked):
                return False
            if event.data.now >= due_at:
                return False
        return True

    async def _fall_due(self) -> None:
        """Let fall due what the clock has reached, up to a batch's size; people are loaded only if it has."""
        if await self._due_at() <= (self._ledger.shard.now or FAR_PAST):
            await self._ledger.load_due(DUE_MAX + 1)
        for _ in fall_due(self._ledger.shard):
            if self._full():
                return

    async def _wake(self) -> None:
        for key in list(self._woken):
            found = await self._ledger.load_woken(key, DUE_MAX + 1)
            for _ in wake(self._ledger.shard, key):
                if self._full():
                    return
            if found <= DUE_MAX:
                self._woken.remove(key)

    def _is_there(self, wakes_on: str) -> bool:
        """Whether the programme or wave that parked events wait for has come."""
        kind, programme, *wave = wakes_on.split("/")
        known = self._ledger.shard.programmes.get(ProgrammeCode(programme))
        return known is not None and (kind == "programme" or WaveCode(wave[0]) in known.waves)

    def _full(self) -> bool:
        results = self._ledger.shard.results
        return len(results.entries) + len(results.dead_letters) >= DUE_MAX

    def _has_fallen_due(self) -> bool:
        """Whether a control event has let something fall due or woken something."""
        results = self._ledger.shard.results
        fallen = any(entry.beneficiary or isinstance(entry.happening, Lapsed) for entry in results.entries)
        return fallen or bool(results.unparked or results.parked)

    def _sort_out(self, records: Sequence[Record]) -> tuple[list[EventColumns], list[int]]:
        """Events that are read together, of one person each; the places of the other records."""
        if len(records) < TOGETHER_MIN:
            return [], list(range(len(records)))
        keys = [record.key for record in records]
        values = [record.value for record in records]
        of_key = Counter(keys)
        found: list[EventColumns] = []
        for topic in (Topic.ELIGIBILITY, Topic.ISSUANCE):
            of_topic = [n for n, record in enumerate(records) if record.topic is topic and of_key[keys[n]] == 1]
            placed = partitions_of([keys[n] or b"" for n in of_topic], self._shards)
            shard = self._ledger.shard.number
            fit = [n for n, partition in zip(of_topic, placed, strict=True) if partition == shard]
            if self._poison:
                fit = [n for n in fit if records[n].at not in self._poison]
            found += decode_alike(topic, keys, values, fit)
        together = set(chain.from_iterable(events.places.tolist() for events in found))
        return found, [n for n in range(len(records)) if n not in together]

    def _read_singly(
        self, batch: Batch, records: Sequence[Record], places: Sequence[int]
    ) -> list[tuple[int, Event, Personal]]:
        """The events among the records of personal topics at these places that stand in the shard's partitions."""
        partitions = partitions_of([records[place].key or b"" for place in places], self._shards)
        events: list[tuple[int, Event, Personal]] = []
        for place, partition in zip(places, partitions, strict=True):
            record = records[place]
            at = record.at
            if at in self._poison:
                event: Event | Rejected = Rejected(DeadLetterReason.INVALID, REFUSED_BY_DATABASE)
            else:
                is_placed = record.key is None or partition == at.partition
                event = decode_placed(at, record.key, record.value, is_placed=is_placed)
            if isinstance(event, Rejected):
                batch.rejected.append(RejectedRecord(at, event.reason, event.detail, record.raw))
            else:
                events.append((place, event, cast("Personal", event.data)))  # as every type of these topics is
        return events

    def _read(self, batch: Batch, record: Record) -> Event | None:
        event = self._decode(record)
        if isinstance(event, Rejected):
            batch.rejected.append(RejectedRecord(record.at, event.reason, event.detail, record.raw))
            return None
        batch.read.append(record)
        return event

    def _decode(self, record: Record) -> Event | Rejected:
        if record.at in self._poison:
            return Rejected(DeadLetterReason.INVALID, REFUSED_BY_DATABASE)
        return decode(record.topic, record.partition, record.offset, record.key, record.value, self._shards)
