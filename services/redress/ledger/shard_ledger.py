"""One shard of the ledger in Postgres: what its one writer loads before a batch, and the transaction that appends it.

`append` is atomic: entries, state, roll-ups, parked events, dead letters, offsets and digest commit together or not at
all, and only if the head still stands where this writer left it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import asyncpg

from redress.contracts.columns import EventColumns, Int64s
from redress.contracts.decode import Rejected, decode
from redress.domain.alike import book
from redress.domain.beneficiary import Parked, RedemptionKey, RedemptionStatus
from redress.domain.event import (
    Captured,
    Control,
    Coordinates,
    Event,
    Personal,
    Recorded,
    Released,
    Requested,
    Reversed,
    Topic,
)
from redress.domain.ids import FAR_FUTURE, BeneficiaryId, Instant, OrderId, ProgrammeCode, RedemptionId
from redress.domain.seen import identity
from redress.domain.shard import Results, Shard
from redress.domain.time import SECOND, TIME_OUT_GRACE
from redress.ledger.alike_rows import JOURNAL, STATE, AlikeTaker, Taken
from redress.ledger.appended import AppendedBatch, as_appended
from redress.ledger.batch import FEW_ENTRIES_MAX, BatchRows, RawRecord, RejectedRecord, spill, touched
from redress.ledger.codes import RULES_VERSION
from redress.ledger.connection import Connection
from redress.ledger.control_rows import restore_lots, restore_programmes, restore_waves
from redress.ledger.copying import copy_stream
from redress.ledger.digest import Header, around_moment, chain
from redress.ledger.entry_rows import COLUMNS
from redress.ledger.few_rows import few_rows
from redress.ledger.head import Head, Position, as_offsets, restore_head, tick_json
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import (
    REDEMPTION_COLUMNS,
    SEEN_IN_ROW_MAX,
    STATE_COLUMNS,
    columns,
    restore_person,
    restore_redemption,
)
from redress.ledger.plans import Plans
from redress.ledger.precedents import Precedents
from redress.ledger.queries import query, together

Checkpoint = Callable[[str], None]
"""Called with the name of each point of a batch's life: where tests let a worker die."""

OfRedemption = tuple[BeneficiaryId, ProgrammeCode, RedemptionId]
OfOrder = tuple[BeneficiaryId, ProgrammeCode, OrderId]
NAMING = (Requested, Captured, Released, Recorded, Reversed)
"""Events that name a redemption."""

APPEND_SECONDS_MAX = 60
"""How long a transaction may take before its connection is given up: a hundred times what a full batch takes."""
SOURCES_KEPT_MAX = 10_000
"""Numbers of sources kept in memory; past it they are looked up anew."""


class FencedError(Exception):
    """The head does not stand where this writer left it: somebody else wrote, or took the shard over."""


class ShardRefusedError(Exception):
    """The shard must not run until somebody has looked; `reason` is what `redress.stopped` keeps."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class DigestError(Exception):
    """A replayed batch does not come out as it was logged."""


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """A batch of another ledger's log: where it began and ended, when it was recorded, what it hashed to."""

    batch: int
    start: Position
    end: Position
    next_seq: int
    recorded_at: Instant
    digest: bytes

    @property
    def records(self) -> int:
        """Offsets it took."""
        return sum(self.end) - sum(self.start)


class ShardLedger:
    """A shard's state with the connection that alone may append to it, under one epoch."""

    def __init__(self, connection: Connection, identity: LedgerIdentity, shard: int, reached: Checkpoint) -> None:
        self.shard = Shard(shard, identity.parking_seconds, identity.clock == "system")
        self.numbering = Numbering()
        self.head: Head
        self._connection = connection
        self._plans = Plans(connection)
        self._identity = identity
        self._reached = reached
        self._named: Set[OfRedemption] = frozenset()
        self._redemption_rows: Sequence[Any] = ()
        self._spilled: dict[BeneficiaryId, int] = {}
        self._sources: dict[str, int] = {}
        self._parked_raw: dict[Coordinates, RawRecord] = {}
        self._known: set[BeneficiaryId] = set()
        self._rows: dict[BeneficiaryId, Any] = {}
        self._redemptions_before: set[tuple[BeneficiaryId, RedemptionKey]] = set()
        self._alike = AlikeTaker(self.shard, self.numbering)
        self._precedents = Precedents(self.shard, self.numbering)

    async def open(self, epoch: int) -> None:
        """Load what is not about single people. Waits for a commit of ours that may still be under way.

        Raises:
            FencedError: the shard has another epoch.
        """
        number = self.shard.number
        async with self._connection.transaction():
            locked = await self._connection.fetchrow(query("lock_head"), number)
            if locked is None or locked["epoch"] != epoch:
                raise FencedError(f"shard {number} was taken over")
        fetch = self._connection.fetch
        self.head = restore_head(number, await self._connection.fetchrow(query("load_head"), number))
        self.shard.now = self.head.now
        self.shard.tick = self.head.tick
        self.shard.falling_due = self.head.falling_due
        self.shard.next_seq = self.head.next_seq
        self.shard.next_arrival = self.head.next_arrival
        restore_programmes(
            self.shard, await fetch(query("load_programmes"), number), await fetch(query("load_terms"), number)
        )
        restore_waves(self.shard, self.numbering, await fetch(query("load_waves"), number))
        restore_lots(self.shard, self.numbering, await fetch(query("load_lots"), number))

    async def load_people(
        self, beneficiaries: Iterable[BeneficiaryId], redemptions: Set[OfRedemption] = frozenset()
    ) -> None:
        """Bring these people's state in, with these redemptions of theirs and those that their parked events name."""
        await self.load_rows(beneficiaries, redemptions)
        for beneficiary in list(self._rows):
            self.open_row(beneficiary)
        await self.load_named(())

    async def load_rows(
        self,
        beneficiaries: Iterable[BeneficiaryId],
        redemptions: Set[OfRedemption] = frozenset(),
        orders: Set[OfOrder] = frozenset(),
    ) -> None:
        """Bring these people's rows in, and for `load_named` these redemptions and those of these orders.

        Who has anything parked is opened, the others only by `open_row`.
        """
        wanted = sorted(set(beneficiaries) - self.shard.beneficiaries.keys())
        await self._plans.renew(at_once=len(wanted) > FEW_ENTRIES_MAX)
        met = await self._connection.fetchrow(
            query("load_met"), self.shard.number, wanted, *_columns_of_three(redemptions), *_columns_of_three(orders)
        )
        if met is None:
            raise TypeError("a select without from has one row")
        for row in met["states"]:
            self._rows[BeneficiaryId(row["beneficiary"])] = row
        self._known |= self._rows.keys()
        self._put_parked(met["parked"])
        self._named, self._redemption_rows = redemptions, met["redemptions"]

    def open_row(self, beneficiary: BeneficiaryId) -> None:
        """Open the person's row, if there is one and it was not opened yet."""
        row = self._rows.pop(beneficiary, None)
        if row is not None:
            self.shard.beneficiaries[beneficiary] = restore_person(row, self.numbering)
            self._spilled[beneficiary] = row["spilled"]

    async def load_named(self, events: Iterable[Event]) -> None:
        """Bring in redemptions asked for, and what was seen of the people of these events; their rows are open."""
        await self._load_spilled(events)
        self._put_redemptions(self._redemption_rows)
        waiting = (parked.event.data for parked in self.shard.parked.values())
        named = {(data.beneficiary, data.programme, data.redemption) for data in waiting if isinstance(data, NAMING)}
        if named - self._named:
            asked = columns(sorted(named - self._named))
            self._put_redemptions(await self._connection.fetch(query("load_redemptions"), self.shard.number, *asked))
        self._named, self._redemption_rows = frozenset(), ()
        self.shard.deadlines.sort()  # a sorted list is a heap

    def take_alike(self, events: Iterable[EventColumns], offsets: Int64s) -> list[Taken]:
        """Take of these events, of one person each, those that a form fits; the others must be decided one by one.

        `offsets`: of all records of the batch. Whoever decides the others gives the taken ones their `seqs`.
        """
        for some in events:
            self._alike.take(some, offsets, self._rows, self.shard.beneficiaries)
        return self._alike.taken

    def take(self, event: Event, data: Personal) -> None:
        """Take an event about one person, whose row is open, and drain what it makes decidable."""
        self._precedents.take(event, data)

    async def load_due(self, limit: int) -> None:
        """Bring in the people of the first `limit` holds and as many parked events that the clock has reached."""
        if self.shard.now is None:
            return
        number, now = self.shard.number, self.shard.now
        holds = await self._connection.fetch(query("due_holds"), number, Instant(now - TIME_OUT_GRACE), limit)
        ended = Instant(now - self.shard.parking_seconds * SECOND)
        parked = await self._connection.fetch(query("due_parked"), number, ended, limit)
        people = {BeneficiaryId(row["beneficiary"]) for row in (*holds, *parked)}
        await self.load_people(people, {(row["beneficiary"], row["programme"], row["redemption"]) for row in holds})

    async def load_woken(self, wakes_on: str, limit: int) -> int:
        """Bring in the people of the first `limit` events parked for a wave or programme; how many events there are."""
        found = await self._connection.fetch(query("woken"), self.shard.number, wakes_on, limit)
        await self.load_people({BeneficiaryId(row["beneficiary"]) for row in found})
        return len(found)

    async def waited_for(self) -> list[str]:
        """Waves and programmes that parked events wait for."""
        return [row["wakes_on"] for row in await self._connection.fetch(query("waited_for"), self.shard.number)]

    async def next_due(self) -> Instant:
        """When, by the shard's clock, the next hold times out or the next parking ends."""
        row = await self._connection.fetchrow(query("next_due"), self.shard.number)
        due = []
        if row is not None and row["expires_at"] is not None:
            due.append(Instant(row["expires_at"] + TIME_OUT_GRACE))
        if row is not None and row["parked_at"] is not None:
            due.append(Instant(row["parked_at"] + self.shard.parking_seconds * SECOND))
        return min(due, default=FAR_FUTURE)

    async def is_stopped(self) -> bool:
        """Whether the shard stands still until somebody resumes it."""
        stopped: bool = await self._connection.fetchval(query("is_stopped"), self.shard.number)
        return stopped

    async def stop(self, reason: str, detail: str) -> None:
        """Let the shard stand still until somebody resumes it."""
        await self._connection.execute(query("stop_shard"), self.shard.number, reason, detail)

    @property
    def attempted(self) -> list[Coordinates]:
        """The records of what was decided one by one since the last batch."""
        return [entry.cause.at for entry in self.shard.results.entries]

    async def append(
        self,
        position: Position,
        rejected: list[RejectedRecord],
        raw: Callable[[], Mapping[Coordinates, RawRecord]],
        logged: LoggedBatch | None = None,
    ) -> AppendedBatch | None:
        """Append what was decided since the last batch, as one transaction; afterwards no person is in memory.

        What was appended, if it is a batch of few.

        `raw`: the bytes of the records it was decided from, asked for only where some must be kept. `logged`: this
        batch as another ledger's log has it: its moment of recording is copied, its digest must come out again.

        Raises:
            DigestError: another digest came out; nothing was written.
            FencedError: this writer may not write any more; nothing was written.
            asyncpg.DataError: Postgres refuses a value; nothing was written.
            OSError, asyncpg.PostgresError, TimeoutError: whether it was written is not known; open the shard anew.
        """
        results = self.shard.take_results()
        for taken in self._alike.taken:
            book(taken.form, taken.effective)
        work = await self._encode(results, rejected, raw, may_be_few=logged is None)
        before = self.head
        self._reached("encoded")
        if work.is_few:
            async with asyncio.timeout(APPEND_SECONDS_MAX):
                await self._write_few(position, work)
        else:
            # asyncpg waits for ever inside a COPY whose connection breaks while the server is slower than we are.
            async with asyncio.timeout(APPEND_SECONDS_MAX), self._connection.transaction():
                self._reached("begun")
                await self._write(position, work, logged)
                self._reached("written")
        self._reached("committed")
        self.forget_people()
        return as_appended(work, results.entries, before, self.head) if work.is_few else None

    async def _encode(
        self,
        results: Results,
        rejected: list[RejectedRecord],
        raw: Callable[[], Mapping[Coordinates, RawRecord]],
        *,
        may_be_few: bool,
    ) -> BatchRows:
        for entry in results.entries:
            if entry.beneficiary is None:
                self.numbering.follow(self.shard, entry)
        alike = self._alike.taken
        await self._number_sources(
            {entry.cause.source for entry in results.entries} | {taken.events.example.source for taken in alike}
        )
        found = touched(self.shard, results, alike)
        moved_out = [m for p in found.people for m in spill(self.shard.beneficiaries[p], SEEN_IN_ROW_MAX)]
        for person, _, _ in moved_out:
            self._spilled[person] = self._spilled.get(person, 0) + 1
        return BatchRows(
            self.shard,
            self.numbering,
            self.head.batch + 1,
            results,
            found,
            alike,
            sources=self._sources,
            known=self._known,
            spilled=self._spilled,
            moved_out=moved_out,
            rejected=rejected,
            fresh=raw() if results.parked or results.dead_letters else {},
            parked_before=self._parked_raw,
            redemptions_before=self._redemptions_before,
            may_be_few=may_be_few,
            forms=self._precedents.forms,
        )

    async def _write(self, position: Position, work: BatchRows, logged: LoggedBatch | None) -> None:
        head, shard = self.head, self.shard
        recorded_at = await self._connection.fetchval(
            query("compare_and_set_head"),
            head.shard,
            head.epoch,
            head.batch,
            shard.next_seq,
            shard.next_arrival,
            shard.now,
            tick_json(shard.tick),
            *position,
            logged.recorded_at if logged else None,
            shard.falling_due,
        )
        if recorded_at is None:
            raise FencedError(f"shard {head.shard}: the head moved on without this writer")
        self._reached("fenced")
        await self._copy_rows(work)
        self._reached("copied")
        for name, parameters in work.statements:
            await self._connection.execute(query(name), head.shard, *parameters)
        if work.rollups:
            await self._connection.execute(query("roll_up"), head.shard, recorded_at, *work.rollups)
        digest = chain(head.digest, self._header(position), recorded_at, work.body)
        if logged is not None and logged.digest != digest:
            raise DigestError(f"shard {head.shard}, batch {head.batch + 1}: another digest than the log's came out")
        await self._connection.execute(
            query("append_batch"),
            head.shard,
            head.batch + 1,
            head.next_seq,
            shard.next_seq,
            *head.position,
            *position,
            shard.now,
            recorded_at,
            RULES_VERSION,
            digest,
        )
        self._move_on(position, recorded_at, digest)

    async def _write_few(self, position: Position, work: BatchRows) -> None:
        """Write the batch, and commit it, by one statement."""
        head, shard = self.head, self.shard
        statements: list[tuple[str, Sequence[Any]]] = [
            (
                "fence",
                (
                    head.epoch,
                    head.batch,
                    shard.next_seq,
                    shard.next_arrival,
                    shard.now,
                    tick_json(shard.tick),
                    *position,
                    shard.falling_due,
                    *around_moment(head.digest, self._header(position), work.body),
                ),
            ),
            *few_rows(work),
            *work.statements,
            (
                "append_batch_few",
                (
                    head.batch + 1,
                    head.next_seq,
                    shard.next_seq,
                    *head.position,
                    *position,
                    shard.now,
                    RULES_VERSION,
                ),
            ),
            ("fenced", ()),
        ]
        sql = together(*(name for name, _ in statements))
        parameters = [parameter for _, given in statements for parameter in given]
        self._reached("sending")
        try:
            row = await self._connection.fetchrow(sql, head.shard, *parameters)
        except asyncpg.NotNullViolationError as error:
            if error.table_name != "batch":
                raise  # a row of something else lacks a value: no other writer's doing
            row = None
        if row is None:
            raise FencedError(f"shard {head.shard}: the head moved on without this writer")
        self._move_on(position, row["recorded_at"], row["digest"])

    def _header(self, position: Position) -> Header:
        """Of the batch that is written."""
        head, next_seq = self.head, self.shard.next_seq
        offsets = as_offsets(position)
        return Header(self._identity.name, head.shard, head.batch + 1, head.next_seq, next_seq, offsets, RULES_VERSION)

    def _move_on(self, position: Position, recorded_at: Instant, digest: bytes) -> None:
        head, shard = self.head, self.shard
        self.head = Head(
            head.shard,
            head.epoch,
            head.batch + 1,
            shard.next_seq,
            shard.next_arrival,
            shard.now,
            shard.tick,
            shard.falling_due,
            recorded_at,
            position,
            digest,
        )

    async def _copy_rows(self, work: BatchRows) -> None:
        if work.journal:
            await self._copy("journal", COLUMNS, work.journal)
        if work.alike_journal:
            await self._copy("journal", JOURNAL, work.alike_journal)
        if work.new_states:
            await self._connection.copy_records_to_table(
                "state", schema_name="redress", columns=STATE_COLUMNS, records=work.new_states
            )
        if work.alike_states:
            await self._copy("state", STATE, work.alike_states)
        if work.new_redemptions:
            await self._connection.copy_records_to_table(
                "redemption",
                schema_name="redress",
                columns=("shard", *REDEMPTION_COLUMNS),
                records=work.new_redemptions,
            )

    async def _copy(self, table: str, columns: Sequence[str], rows: Sequence[bytes]) -> None:
        await self._connection.copy_to_table(
            table, schema_name="redress", columns=columns, format="binary", source=copy_stream(rows)
        )

    async def _number_sources(self, sources: set[str]) -> None:
        new = sorted(sources - self._sources.keys())
        if not new:
            return
        if len(self._sources) > SOURCES_KEPT_MAX:
            self._sources.clear()
            new = sorted(sources)
        await self._connection.execute(query("add_sources"), new)
        found = await self._connection.fetch(query("find_sources"), new)
        self._sources.update({row["source"]: row["no"] for row in found})

    async def _load_spilled(self, events: Iterable[Event]) -> None:
        if not any(self._spilled.values()):
            return
        asked = [
            (event.data.beneficiary, identity(event.source, event.id))
            for event in events
            if not isinstance(event.data, Control) and self._spilled.get(event.data.beneficiary)
        ]
        if not asked:
            return
        found = await self._connection.fetch(query("load_spilled"), self.shard.number, *columns(asked))
        for row in found:
            person = self.shard.beneficiaries[BeneficiaryId(row["beneficiary"])]
            person.seen.put_first([(row["identity"], row["fingerprint"])])

    def _put_redemptions(self, rows: Iterable[Any]) -> None:
        """Bring in those that are not in memory yet; their people are."""
        for row in rows:
            beneficiary, key, redemption = restore_redemption(row)
            known = self.shard.beneficiaries[beneficiary].redemptions
            if key in known:
                continue
            known[key] = redemption
            self._redemptions_before.add((beneficiary, key))
            if redemption.status is RedemptionStatus.HELD and redemption.expires_at is not None:
                self.shard.deadlines.append((redemption.expires_at, beneficiary, *key))

    def _put_parked(self, rows: Iterable[Any]) -> None:
        """Bring in what people have parked."""
        for row in rows:
            parked = self._restore_parked(row)
            self.open_row(parked.beneficiary)
            self.shard.beneficiaries[parked.beneficiary].parked.append(parked)
            self.shard.parked[parked.arrival] = parked
            self._parked_raw[parked.event.at] = RawRecord(row["key"], row["value"])
        self.shard.parked = dict(sorted(self.shard.parked.items()))

    def _restore_parked(self, row: Any) -> Parked:
        topic = Topic(row["topic"])
        number = self.shard.number
        event = decode(topic, number, row["record_offset"], row["key"], row["value"], self._identity.shards)
        if isinstance(event, Rejected):
            raise TypeError(f"parked event {row['arrival']} of shard {number} cannot be read: {event.detail}")
        return Parked(row["arrival"], event, BeneficiaryId(row["beneficiary"]), row["parked_at"], row["wakes_on"])

    def forget_people(self) -> None:
        """Let go of all that is about single people; a batch's state is loaded anew."""
        self.shard.beneficiaries.clear()
        self.shard.parked.clear()
        self.shard.deadlines.clear()
        self._spilled.clear()
        self._parked_raw.clear()
        self._known.clear()
        self._redemptions_before.clear()
        self._precedents.forms.clear()
        self._rows.clear()
        self._alike = AlikeTaker(self.shard, self.numbering)


def _columns_of_three(asked: Set[OfRedemption] | Set[OfOrder]) -> list[list[Any]]:
    return columns(sorted(asked)) if asked else [[], [], []]
