"""The one writer of a shard: cuts batches from Kafka, has them decided, and appends them.

The cut and the order inside a batch are RULES section 2: eligibility, issuance and redemption are read to some offset,
then the programme topic to its end; inside the batch the programme comes first. A batch ends early, before any personal
record, where a control event let something fall due or woke parked events; what is left of that goes on in further
batches before anything new is read.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg

from redress.contracts.decode import Rejected, decode
from redress.domain.entry import DeadLetterReason, Lapsed
from redress.domain.event import (
    Captured,
    ClockTicked,
    Control,
    Coordinates,
    Event,
    LotExtended,
    LotRevoked,
    ProgrammePublished,
    Recorded,
    Released,
    Requested,
    Reversed,
    Topic,
    WaveOpened,
)
from redress.domain.ids import FAR_FUTURE, FAR_PAST, Instant, ProgrammeCode, WaveCode
from redress.domain.seen import identity
from redress.domain.step import fall_due, take_control, take_personal, take_tick, wake
from redress.intake.source import PERSONAL_TOPICS, Record, ShardSource
from redress.ledger.batch import RawRecord, RejectedRecord
from redress.ledger.connection import Connection
from redress.ledger.head import Position
from redress.ledger.identity import LedgerIdentity
from redress.ledger.shard_ledger import Checkpoint, ShardLedger

RECORDS_MAX = 4_000
"""Records of a batch: enough that its fixed cost does not count, few enough that a commit stays well below a second."""
DUE_MAX = 2_000
"""Entries and dead letters of a batch made of what fell due: as above; each may load a beneficiary."""
IDLE_SECONDS_MAX = 60
"""A batch that would only move a system clock waits so long at most: `known at` becomes final by it (RULES 2)."""
HINT_SECONDS = 5
"""How often Kafka is told how far the ledger is."""
PROGRAMME_WAIT_MS = 250
"""How long one fetch waits for the rest of the programme topic."""
REDEMPTION_EVENTS = (Requested, Captured, Released, Recorded, Reversed)


@dataclass(slots=True)
class _Batch:
    """A batch in the making."""

    raw: dict[Coordinates, RawRecord] = field(default_factory=dict)
    rejected: list[RejectedRecord] = field(default_factory=list)


class ShardWriter:
    """Runs one shard under one epoch, from `open` until an exception ends it."""

    def __init__(
        self,
        connection: Connection,
        identity: LedgerIdentity,
        shard: int,
        epoch: int,
        source: ShardSource,
        reached: Checkpoint,
    ) -> None:
        self._connection = connection
        self._identity = identity
        self._number = shard
        self._epoch = epoch
        self._source = source
        self._reached = reached
        self._ledger: ShardLedger
        self._woken: list[str] = []
        self._due_in_rows = FAR_PAST
        self._waiting_ticks: list[Record] = []
        self._committed_at = 0.0
        self._hinted_at = 0.0
        self._records_max = RECORDS_MAX
        self._poison: set[Coordinates] = set()

    async def open(self) -> None:
        """Load the shard and stand where its head says.

        Raises:
            FencedError: the shard was taken over.
        """
        await self._load()
        await self._source.start(self._ledger.head.position)
        self._reached("opened")

    async def step(self, timeout_ms: int) -> bool:
        """Make and append one batch, if there is anything for one; whether there was."""
        if self._has_due_work():
            return await self._go_on()
        begun = self._ledger.shard.now is not None  # until the first tick the programme alone is read
        records = await self._fetch(PERSONAL_TOPICS, timeout_ms) if begun else []
        self._reached("fetched")
        controls, complete = await self._fetch_controls(0 if begun else timeout_ms)
        self._reached("programme_read")
        if self._records_max < RECORDS_MAX and controls:
            complete = False  # one kind at a time while a value that Postgres refuses is searched for
        if not complete:
            records = []
        if not records and not controls:
            return False
        if self._may_wait(records, controls):
            self._waiting_ticks = controls
            return False
        try:
            await self._make_batch(records, controls, complete=complete)
        except asyncpg.DataError as error:
            await self._narrow([*controls, *records], error)
        else:
            self._records_max = min(RECORDS_MAX, self._records_max * 2)
        return True

    async def stop(self) -> None:
        """Leave Kafka."""
        await self._source.stop()

    async def _load(self) -> None:
        self._ledger = ShardLedger(self._connection, self._identity, self._number, self._reached)
        await self._ledger.open(self._epoch)
        self._waiting_ticks = []
        self._committed_at = time.monotonic()
        await self._look_ahead()
        self._woken = [key for key in await self._ledger.waited_for() if self._is_there(key)]

    # What is due

    async def _go_on(self) -> bool:
        """A batch of what the clock or a wave made due, without reading anything new."""
        if self._due_at() <= (self._ledger.shard.now or FAR_PAST):
            await self._fall_due()
        if not self._full():
            await self._wake()
        if self._has_results():
            await self._append(self._ledger.head.position, _Batch())
        else:
            self._ledger.forget_people()
            await self._look_ahead()
        return True

    def _has_due_work(self) -> bool:
        now = self._ledger.shard.now
        return now is not None and (bool(self._woken) or self._due_at() <= now)

    def _due_at(self) -> Instant:
        """When, by the shard's clock, something falls due next."""
        lots = (lot.valid_until for lot in self._ledger.shard.lots() if lot.is_open)
        return min(self._due_in_rows, min(lots, default=FAR_FUTURE))

    async def _look_ahead(self) -> None:
        self._due_in_rows = await self._ledger.next_due()

    async def _fall_due(self) -> None:
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

    def _has_results(self) -> bool:
        results = self._ledger.shard.results
        return bool(results.entries or results.dead_letters or results.parked)

    # What is read

    async def _fetch(self, topics: Sequence[Topic], timeout_ms: int) -> list[Record]:
        return await self._source.fetch(topics, timeout_ms=timeout_ms, records_max=self._records_max)

    async def _fetch_controls(self, timeout_ms: int) -> tuple[list[Record], bool]:
        """Control records up to the topic's end as it is now; whether that was reached within the size of a batch."""
        controls, self._waiting_ticks = self._waiting_ticks, []
        if timeout_ms:
            controls += await self._fetch((Topic.PROGRAMME,), timeout_ms)
        end = await self._source.programme_end()
        while (await self._source.position()).programme < end:
            if len(controls) >= self._records_max:
                return controls, False
            controls += await self._fetch((Topic.PROGRAMME,), PROGRAMME_WAIT_MS)
        return controls, True

    def _may_wait(self, records: list[Record], controls: list[Record]) -> bool:
        """Whether the batch would only move a system clock, and nothing is late by it."""
        shard = self._ledger.shard
        if records or not shard.system_clock or shard.now is None:
            return False
        if time.monotonic() - self._committed_at >= IDLE_SECONDS_MAX:
            return False
        for record in controls:
            event = self._decode(record)
            if not isinstance(event, Event) or not isinstance(event.data, ClockTicked):
                return False
            if event.data.now >= self._due_at():
                return False
        return True

    # What is decided and appended

    async def _make_batch(self, records: list[Record], controls: list[Record], *, complete: bool) -> None:
        batch = _Batch()
        read = await self._source.position()
        head = self._ledger.head.position
        cut_at = await self._take_controls(batch, controls)
        if cut_at is not None:
            position = head._replace(programme=cut_at)
        elif not complete:
            position = head._replace(programme=read.programme)
        else:
            position = read
            self._ledger.forget_people()
            await self._take_personal(batch, records)
        self._reached("decided")
        await self._append(position, batch)
        if position != read:
            self._source.seek(position)

    async def _take_controls(self, batch: _Batch, controls: list[Record]) -> int | None:
        """Take control records; where the batch ends early, the next offset to read, else None."""
        shard = self._ledger.shard
        for record in controls:
            event = self._read(batch, record)
            if event is None:
                continue
            match event.data:
                case ClockTicked():
                    if take_tick(shard, event, event.data) and self._due_at() <= event.data.now:
                        await self._fall_due()
                case ProgrammePublished() | WaveOpened() | LotExtended() | LotRevoked():
                    woken = take_control(shard, event, event.data)
                    if woken is None:
                        continue
                    self._woken.append(woken)
                    await self._wake()
                case _:
                    raise TypeError(f"{event.type} on the programme topic")
            if self._has_personal_results():
                return record.offset + 1
        return None

    async def _take_personal(self, batch: _Batch, records: list[Record]) -> None:
        events = [event for record in records if (event := self._read(batch, record)) is not None]
        personal = [(event, event.data) for event in events if not isinstance(event.data, Control)]
        await self._ledger.load_people(
            (data.beneficiary for _, data in personal),
            (data.redemption for _, data in personal if isinstance(data, REDEMPTION_EVENTS)),
            [(data.beneficiary, identity(event.source, event.id)) for event, data in personal],
        )
        for event, data in personal:
            take_personal(self._ledger.shard, event, data)

    def _has_personal_results(self) -> bool:
        """Whether a control event has let something fall due or woken something."""
        results = self._ledger.shard.results
        fallen = any(entry.beneficiary or isinstance(entry.happening, Lapsed) for entry in results.entries)
        return fallen or bool(results.unparked or results.parked)

    def _read(self, batch: _Batch, record: Record) -> Event | None:
        event = self._decode(record)
        at = Coordinates(record.topic, record.partition, record.offset)
        if isinstance(event, Rejected):
            batch.rejected.append(RejectedRecord(at, event.reason, event.detail, record.raw))
            return None
        batch.raw[at] = record.raw
        return event

    def _decode(self, record: Record) -> Event | Rejected:
        if Coordinates(record.topic, record.partition, record.offset) in self._poison:
            return Rejected(DeadLetterReason.INVALID, "value: refused by the database")
        return decode(
            record.topic, record.partition, record.offset, record.raw.key, record.raw.value, self._identity.shards
        )

    async def _append(self, position: Position, batch: _Batch) -> None:
        await self._ledger.append(position, batch.rejected, batch.raw)
        self._committed_at = time.monotonic()
        self._reached("answered")
        await self._look_ahead()
        if self._committed_at - self._hinted_at >= HINT_SECONDS:
            self._hinted_at = self._committed_at
            self._reached("before_hint")
            await self._source.commit_hint(position)

    async def _narrow(self, records: list[Record], error: asyncpg.DataError) -> None:
        """Halve the batch until the record that Postgres refuses stands alone; then it is a dead letter.

        Raises:
            asyncpg.DataError: no record brought it, so none can be set aside.
        """
        if not records:
            raise error
        if len(records) == 1:
            self._poison.add(Coordinates(records[0].topic, records[0].partition, records[0].offset))
        self._records_max = max(1, len(records) // 2)
        await self._load()
        self._source.seek(self._ledger.head.position)
