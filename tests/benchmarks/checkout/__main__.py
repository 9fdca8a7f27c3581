"""Runs the benchmark on a stack of its own, which is gone afterwards, also after Ctrl-C.

Each way is measured alone, the ways in turns and that several times: `floor` and `kafka` by the same load generator,
`http` by one of its own. Worker, clock and API are the processes that a user runs, the generators are others; the API
is there for its own turns, as the floor's process is: it would read every decision over Kafka beside them. A turn
before the first is not counted: a JVM that has not yet compiled itself costs all of them several times as much.
"""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson
from aiokafka.admin import NewTopic
from rich.console import Console
from rich.table import Table

from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.runtime.local import Stack, down, up
from redress.runtime.local.keys import ensure_key_pair, sign_token
from redress.runtime.local.ports import find_free
from redress.runtime.settings import load_settings
from redress.runtime.topics import apply_topics
from tests.benchmarks.checkout.floor import Floor
from tests.benchmarks.checkout.http_load import LOOK_UP_CONNECTIONS, HttpLoad
from tests.benchmarks.checkout.kafka_load import KafkaLoad
from tests.benchmarks.checkout.requests import BENEFITS, entitling
from tests.benchmarks.checkout.samples import WARM_UP_SECONDS, Sample
from tests.conftest import kafka_admin
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger

ROOT: Final = Path(__file__).parents[3]
RATES: Final = (100, 500, 1_000)
GOAL_RATE: Final = 500
LATENCY_GOAL: Final = 2.0
LOOK_UP_GOAL: Final = 0.6
SHARDS: Final = 4
SECONDS: Final = 10.0
ROUNDS: Final = 3
READY_SECONDS_MAX: Final = 120.0
END_SECONDS_MAX: Final = 30
WAYS: Final = ("floor", "kafka", "http")
API: Final = "127.0.0.1"
LOOK_UPS: Final = {"bare": "/bare", "beneficiary": "/v1/beneficiaries/{b}"}
LOOK_UP_TURNS: Final = 4
"""The two routes take turns, so that what else the machine does meets both."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way at one rate, in one round."""

    way: str
    rate: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure of a way to the floor's of the same round: the middle of all rounds, the least and the most."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass(slots=True)
class Results:
    """Everything that was measured."""

    shards: int
    seconds: float
    rounds: int
    cores: int
    ways: list[Way] = field(default_factory=list)
    look_ups: dict[str, float] = field(default_factory=dict)
    """Answers a second, by route."""

    def of(self, way: str, rate: int) -> list[Sample]:
        """Of each round."""
        return [each.sample for each in self.ways if (each.way, each.rate) == (way, rate)]

    def ratio(self, way: str, rate: int, name: str) -> Ratio:
        """Of that percentile."""
        pairs = zip(self.of(way, rate), self.of("floor", rate), strict=True)
        ratios = [getattr(found, name) / getattr(floor, name) for found, floor in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))

    def goals(self) -> Iterator[tuple[str, float, float, bool]]:
        """What was aimed at, the ratio that came out, the limit, and whether it was met."""
        for way in ("kafka", "http"):
            found = self.of(way, GOAL_RATE)
            for name in ("p50", "p99") if found else ():
                ratio = self.ratio(way, GOAL_RATE, name).middle
                met = ratio <= LATENCY_GOAL and not any(sample.missing for sample in found)
                yield f"decision over {way}, {name} at {GOAL_RATE}/s, of the floor's", ratio, LATENCY_GOAL, met
        if self.look_ups:
            ratio = self.look_ups["beneficiary"] / self.look_ups["bare"]
            yield "look-ups, of a bare route's rate", ratio, LOOK_UP_GOAL, ratio >= LOOK_UP_GOAL


class Bench:
    """The parts of a run, and what they need to know of each other."""

    def __init__(self, folder: Path, stack: Stack, options: argparse.Namespace) -> None:
        self._stack = stack
        self._options = options
        self._identity = LedgerIdentity("bench", options.shards, "system", 86_400)
        self._port = find_free()
        self._floor = Floor(stack.kafka, stack.postgres, "floor.requests", "floor.answers", options.shards)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REDRESS_")},
            "PYTHONPATH": str(ROOT),
            "REDRESS_STATE": str(folder),
            "REDRESS_LEDGER": self._identity.name,
            "REDRESS_SHARDS": str(options.shards),
            "REDRESS_API_PORT": str(self._port),
            "REDRESS_API_CONNECTIONS": "32",
        }
        ensure_key_pair(folder)
        settings = load_settings(self._environment)
        self._token = sign_token(
            folder,
            subject="bench",
            scopes=["read", "redeem"],
            seconds=7_200,
            issuer=settings.api_issuer,
            audience=settings.api_audience,
        )
        self._plan = [
            (options.rates[0], False),
            *((rate, True) for _ in range(options.rounds) for rate in options.rates),
        ]
        requests = len(WAYS) * sum(int(rate * (WARM_UP_SECONDS + options.seconds)) for rate, _ in self._plan)
        self._persons = -(-requests // len(BENEFITS))
        self._taken = 0
        self.results = Results(options.shards, options.seconds, options.rounds, os.cpu_count() or 0)

    def run(self) -> None:
        """Measure everything, in rounds: the rates one after the other, and the ways in turns at the same rate."""
        migrate(self._stack.postgres, self._identity)
        with ExitStack() as running:
            asyncio.run(apply_topics(self._stack.kafka, "", self._options.shards))
            asyncio.run(_make_topics(self._floor))
            for process in ("worker", "clock"):
                running.enter_context(self._process("redress.cli.main", "run", process))
            _say(f"{self._persons:,} people get their vouchers")
            asyncio.run(self._entitle())
            for number, (rate, counts) in enumerate(self._plan):
                for way in WAYS:
                    _say(f"{way} at {rate}/s, {f'{number} of {len(self._plan) - 1}' if counts else 'to get warm'}")
                    found = self._measure(way, rate)
                    if counts:
                        self.results.ways.append(Way(way, rate, found))
            _say("look-ups")
            with self._api():
                for _ in range(LOOK_UP_TURNS):
                    for name, path in LOOK_UPS.items():
                        rate = self._look_up(path) / LOOK_UP_TURNS
                        self.results.look_ups[name] = self.results.look_ups.get(name, 0.0) + rate

    async def _entitle(self) -> None:
        async with RunningLedger(
            self._stack.kafka, self._stack.postgres, "", identity=self._identity, workers_at_start=0
        ) as ledger:
            await ledger.send_all(entitling(self._persons))
            deadline = asyncio.get_running_loop().time() + READY_SECONDS_MAX + self._persons / 200
            while await ledger.database.fetchval("select coalesce(sum(issued), 0) from finance.wave") < self._persons:
                if asyncio.get_running_loop().time() > deadline:
                    raise TimeoutError("not everybody has got vouchers")
                await asyncio.sleep(POLL_SECONDS)

    def _measure(self, way: str, rate: int) -> Sample:
        number = int(rate * (WARM_UP_SECONDS + self._options.seconds))
        first, self._taken = self._taken, self._taken + number
        common = {"seconds": self._options.seconds, "rate": rate, "first": first, "persons": self._persons}
        if way == "http":
            with self._api():
                return self._load("http_load", asdict(HttpLoad(API, self._port, self._token, **common)))
        if way == "kafka":
            to = KafkaLoad(self._stack.kafka, "redress.redemption", "redress.decision", self._options.shards, **common)
            return self._load("kafka_load", asdict(to))
        floor = self._floor
        to = KafkaLoad(floor.kafka, floor.requests, floor.answers, floor.partitions, **common)
        with self._process("tests.benchmarks.checkout.floor", orjson.dumps(asdict(floor)).decode(), ready=True):
            return self._load("kafka_load", asdict(to))

    def _look_up(self, path: str) -> float:
        seconds = self._options.seconds / LOOK_UP_TURNS
        found = self._load(
            "http_load", asdict(HttpLoad(API, self._port, self._token, seconds, self._persons, path=path))
        )
        if found.missing:
            raise RuntimeError(f"{path}: {found.missing} of {found.answered} were not answered 200")
        return found.answered / float(seconds)

    def _load(self, module: str, options: dict[str, Any]) -> Sample:
        command = [sys.executable, "-m", f"tests.benchmarks.checkout.{module}", orjson.dumps(options).decode()]
        with _running(command, self._environment, subprocess.PIPE) as process:
            said, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{module} ended with status {process.returncode}")
        return Sample(**orjson.loads(said))

    @contextmanager
    def _api(self) -> Iterator[None]:
        with self._process("tests.benchmarks.checkout.server"):
            asyncio.run(_answers(API, self._port))
            yield

    @contextmanager
    def _process(self, module: str, *arguments: str, ready: bool = False) -> Iterator[None]:
        """A process of Redress or of the floor; with `ready`, once it has said so."""
        command = [sys.executable, "-m", module, *arguments]
        with _running(command, self._environment, subprocess.PIPE if ready else None) as process:
            if ready and process.stdout is not None and not process.stdout.readline():
                raise RuntimeError(f"{module} did not start")
            yield


@contextmanager
def _running(
    command: list[str], environment: dict[str, str], output: int | None
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that ends with the block. Ctrl-C is ours alone: we end the others in order."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _make_topics(floor: Floor) -> None:
    async with kafka_admin(floor.kafka) as admin:
        await admin.create_topics([NewTopic(name, floor.partitions, 1) for name in (floor.requests, floor.answers)])


async def _answers(host: str, port: int) -> None:
    """Wait until the API is ready."""
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                status = await reader.readline()
                writer.close()
                if b" 200 " in status:
                    return
            except OSError:
                pass
            await asyncio.sleep(POLL_SECONDS)


def show(results: Results) -> None:
    """One table, then a line for each goal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (
        "offered/s",
        "way",
        "answered",
        "missing",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "p50 / floor",
        "p99 / floor",
    ):
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    for way, rate in dict.fromkeys((each.way, each.rate) for each in results.ways):
        found = results.of(way, rate)
        numbers = [f"{sum(sample.answered for sample in found):,}", f"{sum(sample.missing for sample in found):,}"]
        numbers += [f"{median(getattr(sample, name) for sample in found):.1f}" for name in ("p50", "p95", "p99")]
        numbers += [str(results.ratio(way, rate, name)) for name in ("p50", "p99")]
        table.add_row(f"{rate:,}", way, *numbers)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(table)
    for name, answers in results.look_ups.items():
        route = {"bare": "bare route, SELECT 1", "beneficiary": "GET /v1/beneficiaries/{b}"}[name]
        console.print(f"{route}: {answers:,.0f}/s over {LOOK_UP_CONNECTIONS} connections")
    console.print(
        f"{results.shards} shards, {results.rounds} rounds of {results.seconds:.0f} s each, {results.cores} cores"
        " for all of it; the middle of the rounds, ratios with their range"
    )
    for about, ratio, limit, met in results.goals():
        console.print(f"{'met   ' if met else 'MISSED'} {about}: {ratio:.2f} (goal {limit})")


def _say(what: str) -> None:
    sys.stderr.write(f"bench: {what}\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-checkout", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=list(RATES), metavar="N", help="requests/s offered")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement, after the warm-up")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="in which the ways take turns")
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def main() -> int:
    """Exit status 0 whatever the figures are; 130 after Ctrl-C."""
    options = _options()
    for interrupted in (signal.SIGINT, signal.SIGTERM):  # in a shell's background Ctrl-C would be ignored
        signal.signal(interrupted, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="redress-bench-"))
    folder.chmod(0o755)  # Postgres runs as a user of its own where this one is root
    try:
        _say("Kafka and Postgres start")
        bench = Bench(folder, up(folder, provider="processes"), options)
        bench.run()
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    finally:
        down(folder)
        shutil.rmtree(folder, ignore_errors=True)
    show(bench.results)
    if options.json:
        goals = [{"goal": a, "ratio": r, "limit": limit, "met": met} for a, r, limit, met in bench.results.goals()]
        options.json.write_bytes(orjson.dumps(asdict(bench.results) | {"goals": goals}, option=orjson.OPT_INDENT_2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
