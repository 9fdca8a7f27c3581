"""The one writer of a shard: cuts batches from Kafka, has them decided, and appends them.

The cut is RULES section 2: eligibility, issuance and redemption are read to some offset, then the programme topic to
its end as it is then, so that a control event acknowledged before a record was produced is applied before it.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence, Set

import asyncpg
import structlog

from redress.domain.entry import Lapsed, TimedOut
from redress.domain.event import Coordinates, Topic
from redress.intake.batch_decider import Batch, BatchDecider, PersonalEvents
from redress.intake.breaker import Breaker, BreakerLimits
from redress.intake.programme_end import ProgrammeEnd
from redress.intake.record import Record
from redress.intake.source import BATCH_BYTES_MAX, ShardSource
from redress.ledger.appended import Appended
from redress.ledger.connection import Connection
from redress.ledger.head import Position
from redress.ledger.identity import LedgerIdentity
from redress.ledger.shard_ledger import Checkpoint, ShardLedger, ShardRefusedError

log = structlog.get_logger()

RECORDS_MAX = 2_000
"""Records of a batch: enough that its fixed cost does not count, few enough that a commit stays well below a second."""
IDLE_SECONDS_MAX = 60
"""A batch that would only move a system clock waits so long at most: `known at` becomes final by it (RULES 2)."""
HINT_SECONDS = 5
"""How often Kafka is told how far the ledger is."""
STOPPED_SECONDS = 1
"""How often a stopped shard looks whether it may go on."""
REFUSED = "refused_by_database"
"""Why a shard stops whose batch Postgres refuses although nothing that somebody sent brings it."""
GATHER_SECONDS_MAX = 0.03
"""How long a busy shard lets records gather at most: as long as its last batch took. What a batch costs by itself, some
8 ms of all processes together, is shared by more so, and on a full machine every decision comes sooner for it."""
GATHER_FROM = 2
"""Records of a batch from which a shard is busy: one that comes alone never lets the next wait."""
GATHER_MAX = 100
"""Records of a batch from which it does not matter any more what a batch costs by itself."""
PROGRAMME_WAIT_MS = 250
"""How long one fetch waits for the rest of the programme topic."""


class ShardWriter:
    """Runs one shard under one epoch, from `open` until an exception ends it. `appended` is told of each batch."""

    def __init__(
        self,
        connection: Connection,
        identity: LedgerIdentity,
        shard: int,
        epoch: int,
        source: ShardSource,
        programme_end: ProgrammeEnd,
        reached: Checkpoint,
        breaker: BreakerLimits,
        appended: Appended,
    ) -> None:
        self._connection = connection
        self._identity = identity
        self._number = shard
        self._epoch = epoch
        self._source = source
        self._programme_end = programme_end
        self._reached = reached
        self._ledger: ShardLedger
        self._decider: BatchDecider
        self._waiting_ticks: list[Record] = []
        self._committed_at = 0.0
        self._hinted_at = 0.0
        self._records_max = RECORDS_MAX
        self._attempted: list[Coordinates] = []
        self._fell_due = False
        self._gather_seconds = 0.0
        self._breaker = Breaker(breaker)
        self._appended = appended
        self._is_stopped = False

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
        if self._is_stopped and not await self._resumed():
            return False
        if self._decider.has_due_work:
            try:
                await self._go_on()
            except asyncpg.DataError as error:
                await self._single_out([], [], error, complete=True)
            return True
        await self._let_gather()
        begun = self._ledger.shard.now is not None  # until the first tick the programme alone is read
        # All topics at once: a control record that lay unread would keep the consumer from fetching the others.
        found = await self._fetch(tuple(Topic) if begun else (Topic.PROGRAMME,), timeout_ms)
        fetched_at = time.monotonic()
        records = [record for record in found if record.topic is not Topic.PROGRAMME]
        self._reached("fetched")
        ending = asyncio.create_task(self._programme_end.now())
        try:
            # The answer is nearly always that no more has come: what the records meet is loaded meanwhile.
            ready = None if len(records) < len(found) or self._waiting_ticks else await self._read_ahead(records)
            controls, complete = await self._fetch_controls(found[: len(found) - len(records)], await ending)
        finally:
            ending.cancel()
            ending.add_done_callback(_take_note)  # where something else ended the step
        self._reached("programme_read")
        # Asked before any record is put off: those would never be read again.
        if await self._may_wait(records, controls):
            self._waiting_ticks = controls
            return False
        if self._records_max < RECORDS_MAX and controls:
            complete = False  # one kind at a time while a value that Postgres refuses is searched for
        if not complete:
            records = []
        if not records and not controls:
            return False
        try:
            await self._make_batch(records, controls, complete=complete, ready=None if controls else ready)
        except asyncpg.DataError as error:
            if len(controls) + len(records) > 1:
                await self._narrow(len(controls) + len(records))
            else:
                await self._single_out(controls, records, error, complete=complete)
        else:
            self._records_max = min(RECORDS_MAX, self._records_max * 2)
            self._gather_seconds = gather_seconds(len(records), time.monotonic() - fetched_at)
        return True

    async def stop(self) -> None:
        """Leave Kafka."""
        await self._source.stop()

    async def _load(self, poison: Set[Coordinates] = frozenset(), refused: Set[Coordinates] = frozenset()) -> None:
        self._ledger = ShardLedger(self._connection, self._identity, self._number, self._reached)
        await self._ledger.open(self._epoch)
        self._decider = BatchDecider(self._ledger, self._identity.shards, poison, refused)
        await self._decider.open()
        self._is_stopped = await self._ledger.is_stopped()
        self._waiting_ticks = []
        self._committed_at = time.monotonic()

    async def _resumed(self) -> bool:
        """Whether somebody has let the shard go on; looks again after a while."""
        self._is_stopped = await self._ledger.is_stopped()
        if self._is_stopped:
            await asyncio.sleep(STOPPED_SECONDS)
            return False
        self._breaker.reset()
        return True

    async def _let_gather(self) -> None:
        """What comes while a shard is busy, if the last batch says that it is."""
        if self._gather_seconds:
            await asyncio.sleep(self._gather_seconds)
            self._gather_seconds = 0.0

    async def _fetch(self, topics: Sequence[Topic], timeout_ms: int) -> list[Record]:
        return await self._source.fetch(topics, timeout_ms=timeout_ms, records_max=self._records_max)

    async def _read_ahead(self, records: list[Record]) -> "_Ready | None":
        """Events of the records, with what they meet; None where that must wait until all that came is known."""
        if not records:
            return None
        batch = Batch()
        try:
            return batch, await self._decider.read_personal(batch, records)
        except asyncpg.DataError:
            return None  # it comes again where the record that brings it is searched for

    async def _fetch_controls(self, found: list[Record], end: int) -> tuple[list[Record], bool]:
        """These and further ones up to that end of the topic; whether it was reached within a batch's size."""
        controls, self._waiting_ticks = self._waiting_ticks + found, []
        while (await self._source.position()).programme < end:
            if len(controls) >= self._records_max or sum(record.size for record in controls) >= BATCH_BYTES_MAX:
                return controls, False
            controls += await self._fetch((Topic.PROGRAMME,), PROGRAMME_WAIT_MS)
        return controls, True

    async def _may_wait(self, records: list[Record], controls: list[Record]) -> bool:
        """Whether the batch would only move a system clock, and nothing is late by it."""
        shard = self._ledger.shard
        if records or not shard.system_clock or shard.now is None:
            return False
        if self._records_max < RECORDS_MAX:
            return False  # a batch of one tick would never let what stands behind it come
        if time.monotonic() - self._committed_at >= IDLE_SECONDS_MAX:
            return False
        return await self._decider.moves_clock_only(controls)

    async def _make_batch(
        self, records: list[Record], controls: list[Record], *, complete: bool, ready: "_Ready | None" = None
    ) -> None:
        """`ready`: the records, if they were read and their people loaded already; never beside control records."""
        if ready is None:
            self._ledger.forget_people()  # what a control record lets fall due is loaded anew
        batch = Batch() if ready is None else ready[0]
        read = await self._source.position()
        head = self._ledger.head.position
        cut_at = await self._decider.take_controls(batch, controls)
        if cut_at is not None:
            position = head._replace(programme=cut_at)
        elif not complete:
            position = head._replace(programme=read.programme)
        else:
            position = read
            await self._decider.take_read(ready[1] if ready else await self._decider.read_personal(batch, records))
        self._reached("decided")
        letters = [record.reason for record in batch.rejected]
        letters += [letter.reason for letter in self._ledger.shard.results.dead_letters]
        await self._append(position, batch)
        if self._breaker.count(_taken(controls, cut_at) + (len(records) if cut_at is None else 0), letters):
            seen = f"{self._breaker.letters} of the last {self._breaker.records} records could not be read"
            await self._ledger.stop("unreadable_records", seen)
            self._is_stopped = True
            log.error("shard stopped", shard=self._number, why=seen)
        if position != read:
            self._source.seek(position)

    async def _go_on(self) -> None:
        if await self._decider.go_on():
            await self._append(self._ledger.head.position, Batch())

    async def _append(self, position: Position, batch: Batch) -> None:
        self._attempted = [at for at in self._ledger.attempted if at.topic is not Topic.PROGRAMME]
        entries = self._ledger.shard.results.entries
        self._fell_due = any(isinstance(entry.happening, Lapsed | TimedOut) for entry in entries)
        self._appended.add(await self._ledger.append(position, batch.rejected, batch.raw))
        self._committed_at = time.monotonic()
        self._reached("answered")
        self._decider.look_anew()
        if self._committed_at - self._hinted_at >= HINT_SECONDS:
            self._hinted_at = self._committed_at
            self._reached("before_hint")
            await self._source.commit_hint(position)

    async def _narrow(self, records: int) -> None:
        """Halve the batch, until the record that brings what Postgres refuses stands alone."""
        self._records_max = max(1, records // 2)
        await self._load()
        self._source.seek(self._ledger.head.position)

    async def _single_out(
        self, controls: list[Record], records: list[Record], error: asyncpg.DataError, *, complete: bool
    ) -> None:
        """Set aside what Postgres refuses: an event that was parked and is decided now, or the record standing alone.

        Each parked event is tried before the record, which may only have made it decidable. A tick that let holds time
        out or lots lapse is never tried: without it they would wait for the next tick, which would be refused as well,
        and the clock would stand still unseen. What falls due writes nothing but what Postgres took before, with the
        request or the wave; should it be refused all the same, somebody has to look.

        Raises:
            ShardRefusedError: none of them brought it, so none can be set aside.
        """
        alone = {record.at for record in (*controls, *records)}
        for poison, refused in _suspects(frozenset() if self._fell_due else alone, self._attempted):
            await self._load(poison, refused)
            try:
                await (self._make_batch(records, controls, complete=complete) if alone else self._go_on())
            except asyncpg.DataError:
                continue
            names = [f"{at.topic}/{at.partition}/{at.offset}" for at in (*poison, *refused)]
            log.warning("value refused by the database", shard=self._number, records=names)
            self._records_max = min(RECORDS_MAX, self._records_max * 2)
            return
        # Not the error's own text: it may hold a value.
        raise ShardRefusedError(REFUSED, f"{type(error).__name__} ({error.sqlstate}) by what fell due") from error


def gather_seconds(records: int, took: float) -> float:
    """How long to let records gather after a batch of so many that took so many seconds."""
    return min(GATHER_SECONDS_MAX, took) if GATHER_FROM <= records < GATHER_MAX else 0.0


def _take_note(ended: asyncio.Task[int]) -> None:
    """Of how it ended: asyncio would log an error that nobody has looked at."""
    if not ended.cancelled():
        ended.exception()


_Ready = tuple[Batch, PersonalEvents]
"""A batch whose records were read, and what they came to."""


def _suspects(
    alone: Set[Coordinates], attempted: Sequence[Coordinates]
) -> Iterator[tuple[Set[Coordinates], Set[Coordinates]]]:
    """What to set aside in turn: records that were just read, and parked events that were decided with them."""
    parked = [at for at in dict.fromkeys(attempted) if at not in alone]
    nothing: Set[Coordinates] = frozenset()
    for at in parked:
        yield nothing, {at}
    if len(parked) > 1:
        yield nothing, set(parked)
    if alone:
        yield alone, nothing
    if alone and parked:
        yield alone, set(parked)


def _taken(controls: Sequence[Record], cut_at: int | None) -> int:
    """How many of them the batch took."""
    return sum(cut_at is None or record.offset < cut_at for record in controls)
