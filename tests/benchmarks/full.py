"""A quarter of the programme, and how what a line costs grows with the ledger: `--full`.

People are granted and issued to in steps, each of which at least doubles the ledger: first everybody of the step is
granted, then everybody is issued to, so that an issue meets rows that were written long ago. The ledger stays in its
folder, with a note of how far it is: interrupted, it goes on there.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import orjson

from tests.benchmarks.chart import chart
from tests.benchmarks.intake import INTAKE_ALONE, seconds_max, take_load
from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.load import waiting_load
from tests.benchmarks.machine import peak_mib
from tests.benchmarks.people import ISSUING, LINES
from tests.benchmarks.processes import BenchmarkError, Crew
from tests.benchmarks.stack import Stack

PEOPLE: Final = 8_400_000
"""A quarter of 33.7 million, with 33.6 million vouchers."""
STEPS: Final = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 1)
"""Where the curve has its points: 262,500 people of 8.4 million are the first million vouchers."""
STEP_PEOPLE_MIN: Final = 1_000
"""A step that ends with fewer is left out: it would measure how long one batch takes."""
CHUNK_PEOPLE: Final = 250_000
"""Sent as one load: in well below the minute that a transaction of Kafka may take."""
PERSON_BYTES: Final = 4_000
"""Disk for one person: events and published entries on Kafka, rows and indexes in Postgres, with room."""
WAL_BYTES_MAX: Final = 16 * 2**30
WAL_BYTES_OF_A_PERSON: Final = 6_000
GROWTH_MAX: Final = 1.3
"""What a line may cost at the end, by what it cost at the first point."""
NOTE: Final = "full.json"
LEDGER_NAME: Final = "bench_full"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """People of one load, within the step that ends at `size` people."""

    kind: str
    size: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Point:
    """What a chunk cost. `seconds` None: it was interrupted, and finished without being measured."""

    kind: str
    size: int
    end: int
    lines: int
    seconds: float | None
    worker_peak_mib: int


@dataclass(slots=True)
class Note:
    """How far a full run is; written after each chunk."""

    people: int
    workers: int
    points: list[Point] = field(default_factory=list)
    begun: bool = False
    """Whether the chunk after the last point was begun."""

    @classmethod
    def read(cls, file: Path) -> "Note | None":
        """The one of an earlier run, if there is any."""
        if not file.exists():
            return None
        stored = orjson.loads(file.read_bytes())
        return cls(**stored | {"points": [Point(**point) for point in stored["points"]]})

    def write(self, file: Path) -> None:
        """Whole or not at all."""
        unfinished = file.with_suffix(".new")
        unfinished.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        unfinished.replace(file)


def plan(people: int) -> list[Chunk]:
    """All chunks, in order."""
    sizes = [size for share in STEPS if (size := round(people * share)) >= STEP_PEOPLE_MIN or size == people]
    return [
        Chunk(kind, size, first, end)
        for before, size in pairwise([0, *sizes])
        for kind in ("granted", "issued")
        for first, end in _parts(before, size)
    ]


async def full(stack: Stack, people: int, workers: int, tell: Tell) -> dict[str, Any]:
    """Run what is left, and draw the curve; the figures.

    Raises:
        BenchmarkError: the disk is too small, the folder holds another run, or the ledger is not sound.
    """
    file = stack.folder / NOTE
    note = Note.read(file) or Note(people, workers)
    if (note.people, note.workers) != (people, workers):
        has = f"{note.people:,} people and {note.workers} workers"
        raise BenchmarkError(f"{stack.folder} holds a run of {has}: go on with those, or remove it")
    chunks = plan(people)[len(note.points) :]
    if chunks:
        _see_disk(stack.folder, people - chunks[0].first)
        await _run(stack, note, chunks, tell)
    figures = curve(note)
    (stack.folder / "curve.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    (stack.folder / "curve.svg").write_text(chart(figures["curve"]), encoding="utf-8")
    return figures


async def _run(stack: Stack, note: Note, chunks: list[Chunk], tell: Tell) -> None:
    file = stack.folder / NOTE
    ledger = await BenchLedger.create(stack, ISSUING, LEDGER_NAME)
    done, left = 0, sum(chunk.end - chunk.first for chunk in chunks)
    began = time.monotonic()
    try:
        async with ledger.workers(note.workers, *INTAKE_ALONE) as crew:
            for chunk in chunks:
                was_begun, note.begun = note.begun, True
                note.write(file)
                note.points.append(await (_finish if was_begun else _take)(ledger, crew, chunk))
                note.begun = False
                note.write(file)
                done += chunk.end - chunk.first
                to_go = timedelta(seconds=round((time.monotonic() - began) * (left - done) / done))
                tell(f"{chunk.kind}: {chunk.end:,} of {note.people:,} people{_cost(note.points[-1])}; {to_go} to go")
                if chunk.kind == "issued" and chunk.end == chunk.size:
                    tell(f"verifying at {chunk.size:,} people")
                    await ledger.assert_sound(everything=chunk.size == note.people)
                    tell(f"verified, {timedelta(seconds=round(time.monotonic() - began))} after the start")
    finally:
        await ledger.connection.close()


async def _take(ledger: BenchLedger, crew: Crew, chunk: Chunk) -> Point:
    run = await take_load(ledger, crew, chunk.kind, chunk.first, chunk.end)
    return Point(chunk.kind, chunk.size, chunk.end, run.lines, run.seconds, run.worker_peak_mib)


async def _finish(ledger: BenchLedger, crew: Crew, chunk: Chunk) -> Point:
    """Send a chunk that was interrupted once more: what is there already has no effect."""
    async with waiting_load(ledger, chunk.kind, chunk.first, chunk.end) as load:
        await load.let_go()
        await ledger.settled(chunk.kind, chunk.end, seconds_max((chunk.end - chunk.first) * LINES))
    if await ledger.accepted(chunk.kind) != chunk.end:
        raise BenchmarkError(f"more than {chunk.end:,} events of kind {chunk.kind} were booked")
    return Point(chunk.kind, chunk.size, chunk.end, 0, None, peak_mib(crew.pids))


def curve(note: Note) -> dict[str, Any]:
    """Microseconds per line at each step's size, and by how much the last is above the first."""
    lines = {
        kind: [
            {"people": size, "vouchers": size * LINES, "us_per_line": cost}
            for size in dict.fromkeys(point.size for point in note.points)
            if (cost := _us_per_line([p for p in note.points if (p.kind, p.size) == (kind, size)])) is not None
        ]
        for kind in ("granted", "issued")
    }
    growth = {
        kind: round(points[-1]["us_per_line"] / points[0]["us_per_line"], 2) for kind, points in lines.items() if points
    }
    return {
        "people": note.people,
        "workers": note.workers,
        "curve": lines,
        "growth": growth,
        "growth_max": GROWTH_MAX,
        "met": all(times <= GROWTH_MAX for times in growth.values()),
        "worker_peak_mib": {str(point.end): point.worker_peak_mib for point in note.points if point.kind == "issued"},
        "points": [asdict(point) for point in note.points],
    }


def _us_per_line(points: list[Point]) -> float | None:
    measured = [(point.seconds, point.lines) for point in points if point.seconds is not None]
    if not measured:
        return None
    return round(sum(seconds for seconds, _ in measured) / sum(lines for _, lines in measured) * 1e6, 3)


def _cost(point: Point) -> str:
    if point.seconds is None:
        return ", interrupted once, not measured"
    return f", {point.seconds / point.lines * 1e6:.2f} µs per line, {point.worker_peak_mib} MiB"


def _parts(first: int, end: int) -> Iterator[tuple[int, int]]:
    """As few parts as may be, of about the same size."""
    number = max(1, -(-(end - first) // CHUNK_PEOPLE))
    return pairwise([first + (end - first) * part // number for part in range(number + 1)])


def _see_disk(folder: Path, people: int) -> None:
    needed = people * PERSON_BYTES + min(WAL_BYTES_MAX, people * WAL_BYTES_OF_A_PERSON)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BenchmarkError(f"{folder} has {free / 2**30:.0f} GiB free; {people:,} people need {needed / 2**30:.0f}")
