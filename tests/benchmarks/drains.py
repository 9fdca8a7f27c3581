"""`make drains`: how a ledger takes very much that falls due at once, measured on the real path.

    python -m tests.benchmarks.drains [--people 2000000]

1. so many people are granted in a wave that is not open yet: all grants are parked. Then it opens.
2. they are issued a voucher each, and every second one is reserved. Then one tick lets all reservations time out and
   the lot lapse.

Each drain must go on in bounded batches and bounded memory under one epoch, so that no lease was lost, and its last
batches must take little longer than its first. Ends with `verify`, and with exit status 1 if any of that is not so.
Its Kafka and Postgres are started for it and thrown away.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from redress.contracts.encode import encode_record
from redress.domain.beneficiary import MAX_PARKED
from redress.domain.event import (
    AppliedBy,
    ClockTicked,
    Data,
    Granted,
    Issued,
    IssuedVoucher,
    ProgrammePublished,
    Requested,
    Spend,
    Standing,
    WaveOpened,
)
from redress.domain.ids import (
    BeneficiaryId,
    BenefitCode,
    Instant,
    OrderId,
    ProgrammeCode,
    RedemptionId,
    ServiceCode,
    VoucherId,
    WaveCode,
    voucher_id,
)
from redress.domain.terms import Benefit, Claim, OncePer, Remainder, Restore, Terms
from redress.intake.batch_decider import DUE_MAX
from redress.intake.worker import Servers, Worker
from redress.ledger.connection import Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.projections.verify import verify
from redress.runtime.local import Options, down, up
from redress.runtime.topics import apply_topics

PEOPLE: Final = 2_000_000
PEOPLE_MIN: Final = 10 * DUE_MAX
SHARD: Final = 0
"""All of it in one strand: the most that one can meet."""
IDENTITY: Final = LedgerIdentity("drains", 1, "manual", 86_400)
PREFIX: Final = "drains."
SIZE: Final = Options(shared_buffers_mb=512, kafka_heap_mb=512)
CHUNK: Final = 2_000
"""Records sent before their acknowledgements are awaited."""
AHEAD_MAX: Final = 200_000
"""Records that Kafka may hold and the ledger has not taken: sending more would measure a full disk."""
POLL_SECONDS: Final = 0.5
SILENCE_SECONDS_MAX: Final = 120
"""How long no batch may come before the run is given up."""
SLOWER_MAX: Final = 2.0
"""How many times as long the last batches of a drain may take as its first. What grows with all that waits, or with all
that was drained, would make it far more."""
MEMORY_MB_MAX: Final = 400
"""Of the worker, however much falls due: what a worker may have at all."""
BATCH_ENTRIES_MAX: Final = DUE_MAX + MAX_PARKED
"""A batch ends after the person who fills it."""

PROGRAMME, WAVE, BENEFIT = ProgrammeCode("breach-kr"), WaveCode("late"), BenefitCode("all")
FACE: Final = 5_000
TERMS: Final = Terms(
    PROGRAMME,
    1,
    "KRW",
    "Asia/Seoul",
    (Benefit(BENEFIT, ServiceCode("*"), FACE),),
    Claim.NONE,
    Remainder.KEPT,
    Restore.ANY_BEFORE_EXPIRY,
    None,
    OncePer.WAVE,
    900,
    86_400,
)
SECOND: Final = 1_000_000
START: Final = Instant(1_768_000_000 * SECOND)
ENDS: Final = Instant(START + 3_600 * SECOND)


class DrainError(Exception):
    """What was to be shown is not so."""


@dataclass(frozen=True, slots=True)
class Drain:
    """What one drain took."""

    name: str
    sizes: list[int]
    """Entries of each batch."""
    seconds: list[float]
    """From each batch's recording to the next one's."""
    epochs: tuple[int, int]
    memory_mb: int
    """The most the worker ever had, so far."""

    def tell(self) -> str:
        entries, seconds = sum(self.sizes), sum(self.seconds)
        first, last = self._tenths()
        return (
            f"{self.name}: {entries:,} entries in {len(self.sizes):,} batches and {seconds:,.1f} s: "
            f"{entries / seconds:,.0f}/s, {seconds / entries * 1e6:,.0f} µs each; "
            f"largest batch {max(self.sizes):,} entries, longest {max(self.seconds):.2f} s; "
            f"a batch takes {first:.2f} s at first, {last:.2f} s at last; "
            f"epoch {self.epochs[0]} throughout; worker at most {self.memory_mb} MB"
        )

    def check(self) -> None:
        """Raises DrainError where a bound did not hold."""
        if self.epochs[0] != self.epochs[1]:
            raise DrainError(f"{self.name}: a lease was lost: epoch {self.epochs}")
        if max(self.sizes) > BATCH_ENTRIES_MAX:
            raise DrainError(f"{self.name}: a batch of {max(self.sizes)} entries")
        if self.memory_mb > MEMORY_MB_MAX:
            raise DrainError(f"{self.name}: the worker had {self.memory_mb} MB")
        first, last = self._tenths()
        if last > SLOWER_MAX * first:
            raise DrainError(f"{self.name}: the last batches take {last:.2f} s, the first {first:.2f} s")

    def _tenths(self) -> tuple[float, float]:
        """Seconds of a batch, full ones alone, at first and at last."""
        full = [taken for taken, size in zip(self.seconds, self.sizes, strict=True) if size >= DUE_MAX]
        tenth = max(1, len(full) // 10)
        return median(full[:tenth]), median(full[-tenth:])


class Bench:
    """A ledger with one worker in a process of its own."""

    def __init__(self, kafka: str, postgres: str, people: int, progress: Progress) -> None:
        self._kafka = kafka
        self._postgres = postgres
        self._people = people
        self._progress = progress
        self._sent = 0
        self._now = START
        self._database: Connection
        self._producer: AIOKafkaProducer
        self._worker: subprocess.Popen[bytes]

    async def run(self) -> list[Drain]:
        """Both drains, one after the other."""
        self._database = await connect(self._postgres, application_name="drains")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka, enable_idempotence=True, linger_ms=5, max_batch_size=256 * 1_024
        )
        await self._producer.start()
        self._worker = _start_worker(self._kafka, self._postgres)
        try:
            return [await self._open_a_wave(), await self._let_all_end()]
        finally:
            self._worker.terminate()
            await asyncio.to_thread(self._worker.wait)
            await self._producer.stop()
            await self._database.close()

    async def _open_a_wave(self) -> Drain:
        await self._send([ProgrammePublished(TERMS), ClockTicked(START)])
        granted = (Granted(PROGRAMME, WAVE, person, Standing.MEMBER) for person in self._crowd())
        await self._feed("granted before the wave opens", granted, self._people)
        waiting = await self._database.fetchval("select count(*) from redress.parked")
        if waiting != self._people:
            raise DrainError(f"{waiting} grants are parked")
        opened = WaveOpened(PROGRAMME, WAVE, 1, START, ENDS, None, None)
        return await self._drain("the wave opens", opened, self._people + 1)

    async def _let_all_end(self) -> Drain:
        issued = (
            Issued(PROGRAMME, WAVE, person, (IssuedVoucher(_voucher(person), BENEFIT, FACE),))
            for person in self._crowd()
        )
        await self._feed("issued", issued, self._people)
        order, service = OrderId("o-1"), ServiceCode("all")
        reserved = (
            Requested(
                PROGRAMME,
                RedemptionId("r-1"),
                person,
                order,
                service,
                AppliedBy.CUSTOMER,
                (Spend(_voucher(person), FACE // 5),),
            )
            for person in islice(self._crowd(), 0, None, 2)
        )
        await self._feed("reserved", reserved, self._people // 2)
        self._now = Instant(ENDS + SECOND)
        drain = await self._drain("a tick ends all of it", ClockTicked(self._now), self._people // 2 + 1)
        owed = await self._database.fetchval("select sum(outstanding) from finance.outstanding_liability")
        if owed:
            raise DrainError(f"{owed} is still owed")
        return drain

    def _crowd(self) -> Iterator[BeneficiaryId]:
        """The same people every time, and none of them kept."""
        random = Random(1)
        return (BeneficiaryId(str(UUID(int=random.getrandbits(128), version=4))) for _ in range(self._people))

    async def _feed(self, what: str, data: Iterator[Data], count: int) -> None:
        """Send it all, and wait until the ledger has taken it."""
        task = self._progress.add_task(what, total=count)
        goal = self._sent + count
        while chunk := list(islice(data, CHUNK)):
            await self._send(chunk)
            await self._until_behind(AHEAD_MAX, task, goal)
        await self._until_behind(0, task, goal)

    async def _until_behind(self, records_max: int, task: TaskID, goal: int) -> None:
        total = self._progress.tasks[task].total or 0
        at, heard_at = -1, time.monotonic()
        while True:
            taken = await self._database.fetchval(_TAKEN)
            self._progress.update(task, completed=max(0, total - (goal - taken)))
            if self._sent - taken <= records_max:
                return
            if taken != at:
                at, heard_at = taken, time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
                raise DrainError(f"nothing was taken for {SILENCE_SECONDS_MAX} s, {self._sent - taken} records wait")
            await asyncio.sleep(POLL_SECONDS)

    async def _drain(self, name: str, cause: Data, entries: int) -> Drain:
        """Send what lets so many entries fall due, and wait until they are there."""
        task = self._progress.add_task(name, total=entries)
        before = await self._head()
        begun = time.time()
        await self._send([cause])
        heard_at = time.monotonic()
        at = before
        while (head := await self._head())["next_seq"] - before["next_seq"] < entries:
            self._progress.update(task, completed=head["next_seq"] - before["next_seq"])
            if head["batch"] != at["batch"]:
                at, heard_at = head, time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
                raise DrainError(f"{name}: no batch for {SILENCE_SECONDS_MAX} s")
            await asyncio.sleep(POLL_SECONDS)
        self._progress.update(task, completed=entries)
        rows = await self._database.fetch(_BATCHES, before["batch"])
        moments = [begun, *(row["recorded_at"] for row in rows)]
        return Drain(
            name,
            [row["entries"] for row in rows],
            [later - earlier for earlier, later in pairwise(moments)],
            (before["epoch"], head["epoch"]),
            _peak_memory_mb(self._worker.pid),
        )

    async def _send(self, data: Sequence[Data]) -> None:
        sent = []
        for event in data:
            self._sent += 1
            record = encode_record(event, event_id=f"d-{self._sent}", source="/drains", time=self._now)
            sent.append(await self._producer.send(PREFIX + record.topic, record.value, key=record.key, partition=SHARD))
        await asyncio.gather(*sent)

    async def _head(self) -> Any:
        return await self._database.fetchrow("select epoch, batch, next_seq from redress.head")


_TAKEN: Final = "select programme_offset + eligibility_offset + issuance_offset + redemption_offset from redress.head"
_BATCHES: Final = """
select next_seq - first_seq as entries, extract(epoch from recorded_at)::float8 as recorded_at
from redress.batch
where batch > $1
order by batch
"""


def _voucher(person: BeneficiaryId) -> VoucherId:
    return voucher_id(PROGRAMME, WAVE, person, BENEFIT)


def _peak_memory_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1_024


def _start_worker(kafka: str, postgres: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.benchmarks.drains", "worker", kafka, postgres])


async def _work(kafka: str, postgres: str) -> None:
    """The worker's process."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await Worker(Servers(kafka, postgres, PREFIX), IDENTITY).run(stopping)


async def _measure(kafka: str, postgres: str, people: int) -> None:
    console = Console(stderr=True)
    migrate(postgres, IDENTITY)
    await apply_topics(kafka, PREFIX, IDENTITY.shards)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        drains = await Bench(kafka, postgres, people, progress).run()
        task = progress.add_task("verify")
        database = await connect(postgres, application_name="drains")
        report = await verify(
            database,
            everything=True,
            progress=lambda _, done, steps: progress.update(task, completed=done, total=steps),
        )
        await database.close()
    for drain in drains:
        sys.stdout.write(drain.tell() + "\n")
    for drain in drains:
        drain.check()
    if not report.passed:
        raise DrainError("; ".join(f"{check.name}: {check.problems}" for check in report.checks if check.problems))
    sys.stdout.write("every check of `verify` passed\n")


def main() -> int:
    """Start servers, measure, and throw everything away."""
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(_work(*sys.argv[2:]))
        return 0
    parser = argparse.ArgumentParser(description="Measure how a ledger takes very much that falls due at once.")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"how many people (default {PEOPLE:,})")
    people = parser.parse_args().people
    if people < PEOPLE_MIN:
        parser.error(f"--people: at least {PEOPLE_MIN:,}, which make a few batches")
    folder = Path(tempfile.mkdtemp(prefix="redress-drains-"))
    try:
        stack = up(folder, options=SIZE, provider="processes")
        asyncio.run(_measure(stack.kafka, stack.postgres, people))
    except DrainError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        down(folder)
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
