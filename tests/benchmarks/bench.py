"""A whole run: every path, each beside its peers, on one ledger after another."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from redress.projections.promote import CONNECTIONS
from tests.benchmarks.end_to_end import published_bytes, whole_way
from tests.benchmarks.figures import Measured, Report
from tests.benchmarks.intake import INTAKE_ALONE, Run, take_load
from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.machine import Watched, since
from tests.benchmarks.peers.run import Peers
from tests.benchmarks.people import GRANTING, ISSUING, LINES, REDEEMING
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.stack import Stack

GRANT, ISSUE, REDEEM, END_TO_END, REBUILD = PATHS = ("grant", "issue", "redeem", "end-to-end", "rebuild")
KINDS: Final = {GRANT: "granted", ISSUE: "issued", REDEEM: "redeemed"}
OPENS: Final = {GRANT: GRANTING, ISSUE: ISSUING, REDEEM: REDEEMING}
REDEEMING_SHARE: Final = 4
"""One person in so many redeems: the events hit random rows among those of all."""
END_TO_END_SHARE: Final = 4
"""Of so many, one goes the whole way: it takes that much longer."""
PROBE_PEOPLE: Final = 10_000
"""Whose issue is weighed on Kafka."""
SMALL_BYTES: Final = 0.5
"""A table with less per voucher is not shown by itself."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure. `workers`: grant and issue run with each count, all else with the first."""

    people: int
    rounds: int
    workers: Sequence[int]
    only: Sequence[str]


async def bench(stack: Stack, options: Options, report: Report, tell: Tell) -> None:
    """Measure, and add what is found to `report`.

    Raises:
        BenchmarkError: a ledger was not sound, or did not book what was sent.
    """
    run = _Bench(stack, options, report, tell)
    await run.intake(options.workers[0], beside=True)
    if END_TO_END in options.only:
        await run.end_to_end()
    for workers in options.workers[1:]:
        await run.intake(workers, beside=False)


class _Bench:
    def __init__(self, stack: Stack, options: Options, report: Report, tell: Tell) -> None:
        self._stack = stack
        self._options = options
        self._report = report
        self._tell = tell

    async def intake(self, workers: int, *, beside: bool) -> None:
        """Grant and issue on one ledger; `beside`: with the peers in each round, and redeem and rebuild after them."""
        needed = self._needed(beside=beside)
        if not needed:
            return
        ledger = await BenchLedger.create(self._stack, GRANTING)
        peers = Peers(ledger)
        try:
            for path in needed:
                await self._path(ledger, peers if beside else None, path, workers)
                if path == ISSUE and beside and ISSUE in self._options.only:
                    await self._weigh(ledger)
            if beside and REBUILD in self._options.only:
                await self._rebuild(ledger)
        finally:
            peers.drop()
            await ledger.drop()

    async def end_to_end(self) -> None:
        """Everything running, after the bytes on Kafka were weighed with a few people."""
        workers, people = self._options.workers[0], self._options.people
        measured = Measured(END_TO_END, workers)
        each, probe = people // END_TO_END_SHARE // self._options.rounds, min(people, PROBE_PEOPLE)
        ledger = await BenchLedger.create(self._stack, GRANTING)
        try:
            self._tell("bytes on redress.ledger and redress.balance")
            self._report.published = await published_bytes(ledger, workers, 0, probe)
            for number in range(self._options.rounds):
                self._tell(f"{END_TO_END}, {workers} workers, round {number + 1} of {self._options.rounds}")
                first = probe + number * each
                way = await whole_way(ledger, workers, first, first + each)
                measured.add(way.people / way.seconds, way.people, way.cpu_seconds, way.worker_peak_mib)
            await ledger.assert_sound()
        finally:
            await ledger.drop()
        self._report.measured.append(measured)

    def _needed(self, *, beside: bool) -> list[str]:
        """The paths to run, in order: each needs what those before it booked."""
        only = self._options.only
        wanted = [path for path in (GRANT, ISSUE, REDEEM) if path in only and (beside or path != REDEEM)]
        if beside and REBUILD in only and not wanted:
            wanted = [ISSUE]
        return [GRANT, ISSUE, REDEEM][: max(map((GRANT, ISSUE, REDEEM).index, wanted)) + 1] if wanted else []

    async def _path(self, ledger: BenchLedger, peers: Peers | None, path: str, workers: int) -> None:
        measured = Measured(path, workers)
        is_wanted = path in self._options.only
        rounds = self._options.rounds
        each = self._options.people // (REDEEMING_SHARE if path == REDEEM else 1) // rounds
        await ledger.tick(OPENS[path])
        for number in range(rounds):
            self._tell(f"{path}, {workers} workers, round {number + 1} of {rounds}")
            async with ledger.workers(workers, *INTAKE_ALONE) as crew:
                run = await take_load(ledger, crew, KINDS[path], number * each, (number + 1) * each)
            measured.add(run.rate, run.lines, run.cpu_seconds, run.worker_peak_mib, run.first_commit_seconds)
            if peers is not None and is_wanted and path != REDEEM:
                await self._beside(peers, measured, run, number * each)
        await ledger.assert_sound()
        if is_wanted:
            self._report.measured.append(measured)

    async def _beside(self, peers: Peers, measured: Measured, run: Run, first: int) -> None:
        """The peers of a path, right after its own run of the same round."""
        chosen: dict[str, Callable[[], Awaitable[float]]] = {"bare COPY": lambda: peers.bare_copy(run.entries)}
        if measured.path == ISSUE:
            chosen |= {
                "no rules": lambda: peers.no_rules(run.offsets, measured.workers),
                "plain": lambda: peers.plain(first, first + run.events),
                "faust": lambda: peers.faust(run.events),
                "eventsourcing": lambda: peers.event_store(first, first + run.events),
            }
        for name, rate in chosen.items():
            if name in self._report.left_out:
                continue
            self._tell(f"  beside it: {name}")
            try:
                measured.peers.setdefault(name, []).append(await rate())
            except BenchmarkError as error:  # a peer that does not run here is no reason to measure nothing
                del measured.peers[name]
                self._report.left_out[name] = str(error)

    async def _weigh(self, ledger: BenchLedger) -> None:
        """Bytes per voucher by table, with the small ones together."""
        vouchers = await ledger.accepted("issued") * LINES
        sizes = {
            name: {"heap": h / vouchers, "indexes": i / vouchers} for name, (h, i) in (await ledger.sizes()).items()
        }
        small = [parts for parts in sizes.values() if sum(parts.values()) < SMALL_BYTES]
        self._report.storage = {name: parts for name, parts in sizes.items() if parts not in small}
        self._report.storage["others"] = {part: sum(parts[part] for parts in small) for part in ("heap", "indexes")}

    async def _rebuild(self, ledger: BenchLedger) -> None:
        """The command itself, on the ledger as it stands: what it rebuilds must be just that."""
        lines, rounds = await ledger.lines(), self._options.rounds
        measured = Measured(REBUILD, CONNECTIONS)
        for number in range(rounds):
            self._tell(f"{REBUILD}, round {number + 1} of {rounds}")
            watched = Watched(self._stack.pids)
            before = watched.cpu()
            rebuilt = await ledger.json_of("redress.cli.main", "projections", "rebuild", "--json")
            if not rebuilt["passed"] or rebuilt["lines"] != lines:
                raise BenchmarkError(f"rebuilt is not what stands: {rebuilt}")
            measured.add(lines / rebuilt["seconds"], lines, since(before, watched.cpu()))
        self._report.measured.append(measured)
