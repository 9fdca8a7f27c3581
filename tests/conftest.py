"""One real Kafka and one real Postgres per test run; every test has its own topics and its own database.

`stack` is shared by all tests and all xdist workers and stopped by the process that started the run, also after a
failure, Ctrl-C or SIGTERM. A test that stops a server takes `own_stack`. A missing server is an error, never a
skipped test.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import settings

from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.runtime.local import External, Options, Stack, down, status, up
from redress.runtime.local.kafka import KafkaServer
from redress.runtime.local.postgres import PostgresServer
from redress.runtime.local.stack import servers
from redress.runtime.settings import load_settings

# Small, so that two of them fit beside each other on any machine.
TEST_SIZE = Options(shared_buffers_mb=256, kafka_heap_mb=512)
RUN_FOLDER = pytest.StashKey[Path]()
FOLDER_PREFIX = "redress-tests-"

TEST_LEDGER = LedgerIdentity("main", 4, "manual", 86_400)
"""What the ledger in every test's database began with."""

# The same examples in every run; with REDRESS_TEST_RANDOM=1 other ones each time.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", derandomize=False, deadline=None)
settings.load_profile("random" if os.environ.get("REDRESS_TEST_RANDOM") == "1" else "repeatable")


def prepare_template(dsn: str) -> None:
    """Called once per run with the empty database every test's database is copied from."""
    migrate(dsn, TEST_LEDGER)


# --- the run's folder: made known by the controlling process, ended by it ---------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    # A run in a shell's background ignores Ctrl-C, and so would the processes that tests start, and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = getattr(config, "workerinput", None)
    if given is not None:  # an xdist worker
        config.stash[RUN_FOLDER] = Path(given["redress_run_folder"])
        return
    _end_abandoned_runs()
    # Not below pytest's own folder: that one is closed to the user Postgres runs as.
    config.stash[RUN_FOLDER] = Path(tempfile.gettempdir()) / f"{FOLDER_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:10]}"
    for terminated in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(terminated, _interrupt)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    config = cast("pytest.Config", node.config)  # type: ignore[attr-defined]
    node.workerinput["redress_run_folder"] = str(config.stash[RUN_FOLDER])  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and RUN_FOLDER in config.stash:
        _end_run(config.stash[RUN_FOLDER])


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_run(folder: Path) -> None:
    for stack_folder in folder.glob("*/"):
        down(stack_folder)
    shutil.rmtree(folder, ignore_errors=True)


def _end_abandoned_runs() -> None:
    """What a run left that was killed with -9."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if owner.isdecimal() and not _process_exists(int(owner)):
            _end_run(folder)


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# --- the shared stack -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def run_folder(pytestconfig: pytest.Config) -> Path:
    """The run's folder, one for all workers."""
    folder = pytestconfig.stash[RUN_FOLDER]
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def stack(run_folder: Path) -> Stack:
    """Kafka and Postgres of this run. Do not stop them: take `own_stack` for that."""
    return up(run_folder / "shared", External.of(load_settings()), TEST_SIZE)


# --- a database per test ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def template_database(stack: Stack, run_folder: Path) -> str:
    """Its name: made and migrated by the first worker that needs it."""
    name = f"redress_template_{run_folder.name[-10:]}"
    done = run_folder / "template.done"
    with (run_folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with psycopg.connect(stack.postgres, autocommit=True) as server:
                server.execute(f'CREATE DATABASE "{name}"')
            prepare_template(with_database(stack.postgres, name))
            done.touch()
    return name


@pytest.fixture
async def database(stack: Stack, template_database: str) -> AsyncIterator[str]:
    """The URL of a database of this test's own, migrated and empty; dropped afterwards, whoever is still connected."""
    name = f"redress_test_{uuid.uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres)
    try:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template_database}"')
        yield with_database(stack.postgres, name)
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


# --- topics per test --------------------------------------------------------------------------------------------------


@pytest.fixture
async def topic_prefix(stack: Stack) -> AsyncIterator[str]:
    """Put before the name of every topic the test makes; what bears it is deleted afterwards."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    yield prefix
    async with kafka_admin(stack.kafka) as admin:
        made = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if made:
            await admin.delete_topics(made)


@contextlib.asynccontextmanager
async def kafka_admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


# --- a stack of one's own ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnStack:
    """Two servers that belong to one test. The methods return when the server is gone, or answers."""

    folder: Path
    kafka: str
    postgres: str

    async def stop_kafka(self) -> None:
        await asyncio.to_thread(self.kafka_server.stop)

    async def kill_kafka(self) -> None:
        await asyncio.to_thread(self.kafka_server.kill)

    async def start_kafka(self) -> None:
        await asyncio.to_thread(self.kafka_server.start)

    async def stop_postgres(self) -> None:
        await asyncio.to_thread(self.postgres_server.stop)

    async def kill_postgres(self) -> None:
        await asyncio.to_thread(self.postgres_server.kill)

    async def start_postgres(self) -> None:
        await asyncio.to_thread(self.postgres_server.start)

    @property
    def kafka_server(self) -> KafkaServer:
        return cast("KafkaServer", servers(self.folder, "processes", TEST_SIZE)[0])

    @property
    def postgres_server(self) -> PostgresServer:
        return cast("PostgresServer", servers(self.folder, "processes", TEST_SIZE)[1])

    def status(self) -> Stack:
        return status(self.folder)


@pytest.fixture
def own_stack(run_folder: Path) -> Iterator[OwnStack]:
    """Kafka and Postgres as processes of this test alone (about 6 s to start). Addresses stay over restarts."""
    folder = run_folder / f"own-{uuid.uuid4().hex[:10]}"
    started = up(folder, options=TEST_SIZE, provider="processes")
    yield OwnStack(folder, started.kafka, started.postgres)
    down(folder)
    shutil.rmtree(folder)
