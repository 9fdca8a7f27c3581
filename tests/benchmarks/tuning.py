"""What the settings of the local stack are worth: `python -m tests.benchmarks.tuning`.

Each setting that is there for speed is put back to the server's own default, the paths are measured, and right before
it the same paths with the stack as it is. A ratio above 1 says that our setting is faster. What is there for
durability, order or privacy is not measured: it is not ours to trade.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from psycopg import sql
from rich.console import Console
from rich.table import Table

from redress.runtime.local import StackError
from tests.benchmarks.__main__ import EXIT_INTERRUPTED, end_on_signals, machine
from tests.benchmarks.end_to_end import whole_way
from tests.benchmarks.intake import INTAKE_ALONE, take_load
from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.people import GRANTING, ISSUING, REDEEMING
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.stack import Stack, benchmark_stack, with_postgres_restarted

PEOPLE: Final = 100_000
ROUNDS: Final = 1
WORKERS: Final = 2
SHARE: Final = 4
"""One in so many redeems, and as many more people go the whole way."""
PATHS: Final = ("grant", "issue", "redeem", "end-to-end")
PAGE_WIDTH: Final = 120

Rates = dict[str, float]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Settings that belong together, and what each would be if the stack said nothing."""

    about: str
    postgres: Mapping[str, str] = field(default_factory=dict)
    kafka: Mapping[str, str] = field(default_factory=dict)


TUNINGS: Final = (
    Tuning("shared_buffers: 128 MB", {"shared_buffers": "128MB"}),
    Tuning(
        "max_wal_size, min_wal_size, checkpoint_timeout: 1 GB, 80 MB, 5 min",
        {"max_wal_size": "1GB", "min_wal_size": "80MB", "checkpoint_timeout": "5min"},
    ),
    Tuning("wal_buffers: 16 MB", {"wal_buffers": "16MB"}),
    Tuning("wal_compression: pglz (ours is the default)", {"wal_compression": "pglz"}),
    Tuning("jit: on", {"jit": "on"}),
    Tuning("random_page_cost: 4", {"random_page_cost": "4"}),
    Tuning(
        "work_mem, maintenance_work_mem: 4 MB, 64 MB",
        {"work_mem": "4MB", "maintenance_work_mem": "64MB"},
    ),
    Tuning(
        "autovacuum_naptime, …_cost_limit: 1 min, 200",
        {"autovacuum_naptime": "1min", "autovacuum_vacuum_cost_limit": "200"},
    ),
    Tuning("num.network.threads, num.io.threads: 3, 8", kafka={"num.network.threads": "3", "num.io.threads": "8"}),
    Tuning("log.flush.interval.ms: never", kafka={"log.flush.interval.ms": str(2**63 - 1)}),
)
"""Values are the defaults of PostgreSQL 18 and Kafka 4.3, but where `about` says that ours is."""


async def measure(stack: Stack, people: int) -> Rates:
    """Every path on a new ledger: lines or movements per second, people per second the whole way."""
    ledger = await BenchLedger.create(stack, GRANTING)
    try:
        rates = {}
        async with ledger.workers(WORKERS, *INTAKE_ALONE) as crew:
            rates["grant"] = (await take_load(ledger, crew, "granted", 0, people)).rate
            await ledger.tick(ISSUING)
            rates["issue"] = (await take_load(ledger, crew, "issued", 0, people)).rate
            await ledger.tick(REDEEMING)
            rates["redeem"] = (await take_load(ledger, crew, "redeemed", 0, people // SHARE)).rate
        await ledger.assert_sound()
    finally:
        await ledger.drop()
    ledger = await BenchLedger.create(stack, ISSUING)
    try:
        way = await whole_way(ledger, WORKERS, 0, people // SHARE)
    finally:
        await ledger.drop()
    return rates | {"end-to-end": way.people / way.seconds}


async def with_default(stack: Stack, tuning: Tuning, people: int) -> tuple[Rates, Rates]:
    """What the paths take with the stack as it is, and then with the defaults."""
    ours = await measure(stack, people)
    changed = await put(stack, tuning.postgres, tuning.kafka)
    try:
        return ours, await measure(changed, people)
    finally:
        await put(changed, {}, {})


async def put(stack: Stack, postgres: Mapping[str, str], kafka: Mapping[str, str]) -> Stack:
    """Put these settings in force above those of the stack's files; none: the files count again."""
    with psycopg.connect(stack.postgres, autocommit=True) as server:
        server.execute("alter system reset all")
        for name, value in postgres.items():
            server.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs=dict(kafka))])
    finally:
        await admin.close()
    return await asyncio.to_thread(with_postgres_restarted, stack)


async def tune(stack: Stack, people: int, rounds: int, tell: Console) -> Table:
    """The table: for each tuning and path how many times as fast ours is."""
    table = Table(title=f"Ours by the default, {people:,} people, {rounds} rounds, {machine()}", title_justify="left")
    table.add_column("default")
    for path in PATHS:
        table.add_column(path, justify="right")
    await measure(stack, people)  # a JVM that has just begun makes everything slow
    for tuning in TUNINGS:
        tell.print(f"as it is, then {tuning.about}", highlight=False)
        pairs = [await with_default(stack, tuning, people) for _ in range(rounds)]
        table.add_row(tuning.about, *(_ratios([ours[path] / theirs[path] for ours, theirs in pairs]) for path in PATHS))
    return table


def _ratios(found: list[float]) -> str:
    return f"{median(found):.2f} × ({min(found):.2f} – {max(found):.2f})" if len(found) > 1 else f"{found[0]:.2f} ×"


def main() -> int:
    """The exit status: 0 when everything was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tuning", description=__doc__)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    end_on_signals()
    tell = Console(stderr=True)
    try:
        with benchmark_stack(None) as stack:
            table = asyncio.run(tune(stack, options.people, options.rounds, tell))
    except (BenchmarkError, StackError) as error:
        tell.print(f"bench: {error}", style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    Console(width=None if sys.stdout.isatty() else PAGE_WIDTH).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
