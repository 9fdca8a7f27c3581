"""`python -m tests.benchmarks`: how fast the ledger is on this machine, beside what else one could do."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import orjson
from rich.console import Console

from redress.runtime.local import StackError
from tests.benchmarks.bench import PATHS, Options, bench
from tests.benchmarks.figures import Report
from tests.benchmarks.full import PEOPLE as PEOPLE_OF_A_QUARTER
from tests.benchmarks.full import full
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.show import show, show_growth
from tests.benchmarks.stack import benchmark_stack

PEOPLE: Final = 300_000
EXIT_INTERRUPTED: Final = 130
PAGE_WIDTH: Final = 120
"""How wide the tables are where there is no terminal to ask."""


def main() -> int:
    """The exit status: 0 when everything was measured and every ledger was sound, whatever the rates."""
    options = _parser().parse_args()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it tells of each retry on a topic that was just made
    end_on_signals()
    try:
        return _full(options) if options.full else _bench(options)
    except (BenchmarkError, StackError) as error:
        Console(stderr=True).print(f"bench: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _bench(options: argparse.Namespace) -> int:
    progress = Console(stderr=True)
    people = options.people or PEOPLE
    report = Report(machine(), people)
    chosen = Options(people, options.rounds, options.workers, options.only)
    progress.print("Starting Kafka and Postgres …")
    try:
        with benchmark_stack(None) as stack:
            asyncio.run(bench(stack, chosen, report, progress.print))
    finally:  # what was measured stands, also where something later fails or is interrupted
        if report.measured:
            show(report, _page())
        if options.json:
            options.json.write_bytes(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    return 0


def _full(options: argparse.Namespace) -> int:
    progress = Console(stderr=True)
    with benchmark_stack(options.folder) as stack:
        figures = asyncio.run(full(stack, options.people or PEOPLE_OF_A_QUARTER, options.workers[0], progress.print))
    show_growth(figures, options.folder, _page())
    if options.json:
        options.json.write_bytes(orjson.dumps(machine() | figures, option=orjson.OPT_INDENT_2))
    return 0


def _page() -> Console:
    return Console(width=None if sys.stdout.isatty() else PAGE_WIDTH)


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "load": round(os.getloadavg()[0], 2),
        "python": sys.version.partition(" ")[0],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--people", type=int, help=f"over all rounds: {PEOPLE:,}; with --full: {PEOPLE_OF_A_QUARTER:,}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which a path and its peers take turns")
    parser.add_argument("--workers", type=_counts, default=[2], help="worker processes; several: 1,2,4")
    parser.add_argument("--only", nargs="+", choices=PATHS, default=PATHS, metavar="PATH", help=", ".join(PATHS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument(
        "--full", action="store_true", help="how the cost of a line grows, up to a quarter of the programme"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path.home() / ".redress-bench",
        help="where --full keeps its ledger, to go on later",
    )
    return parser


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


def end_on_signals() -> None:
    """SIGTERM as Ctrl-C, so that servers end too; a run in a shell's background ignores Ctrl-C otherwise."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
