"""A whole run: every path, each beside its peers, on one ledger after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.figures import Measured, Report
from tests.benchmarks.intake import take_load
from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.people import GRANTING, ISSUING
from tests.benchmarks.stack import Stack

PATHS: Final = ("grant", "issue")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure. `workers`: grant and issue run with each count, all else with the first."""

    people: int
    rounds: int
    workers: Sequence[int]
    only: Sequence[str]


async def bench(stack: Stack, options: Options, report: Report, tell: Tell) -> None:
    """Measure, and add what is found to `report`."""
    for workers in options.workers:
        await _intake(stack, options, workers, report, tell)


async def _intake(stack: Stack, options: Options, workers: int, report: Report, tell: Tell) -> None:
    ledger = await BenchLedger.create(stack, GRANTING)
    each = options.people // options.rounds
    try:
        for path, kind, opens in (("grant", "granted", GRANTING), ("issue", "issued", ISSUING)):
            measured = Measured(path, workers)
            await ledger.tick(opens)
            for number in range(options.rounds):
                tell(f"{path}, {workers} workers, round {number + 1}")
                run = await take_load(ledger, workers, kind, number * each, (number + 1) * each)
                measured.add(run.rate, run.lines, run.cpu_seconds, run.worker_peak_mib)
            await ledger.assert_sound()
            report.measured.append(measured)
    finally:
        await ledger.drop()
