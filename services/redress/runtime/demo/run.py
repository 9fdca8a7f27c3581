"""Running the demo: its own ledger on real servers, two worker processes, and the story chapter by chapter."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql

from redress.contracts.encode import Record, encode_record
from redress.contracts.instants import format_instant, parse_instant
from redress.domain.event import ClockTicked, Topic
from redress.intake.worker import Servers
from redress.ledger.connection import Connection, connect
from redress.ledger.identity import LedgerIdentity
from redress.ledger.migrate import migrate
from redress.ledger.queries import query
from redress.runtime.demo.story import Chapter, Story
from redress.runtime.topics import apply_topics
from redress.runtime.wiring import start_producer, stop_producer

WORKERS = 2
"""Worker processes: as many as the smallest machine has cores."""
SHARDS = 16
LEDGER = "demo"
POLL_SECONDS = 0.1
CHAPTER_SECONDS_MAX = 600
"""A chapter that takes longer has met a bug or a machine far too small."""
SENDS_MAX = 2_000
"""Records under way at once: enough to fill batches, few enough to keep memory flat."""


class DemoError(Exception):
    """The demo cannot go on; the message says why and where the log is."""


@dataclass(frozen=True, slots=True)
class ChapterTook:
    """One chapter, told and durable: what is owed after it, by the ledger and by the story's own count."""

    title: str
    events: int
    seconds: float
    outstanding: int
    counted: int


@dataclass(slots=True)
class Progress:
    """What the live view shows."""

    chapter: str = ""
    clock: str = ""
    told: int = 0
    chapters: int = 0
    accepted: int = 0
    """Events that Kafka has acknowledged."""
    entries: int = 0
    outstanding: int = 0
    accept_seconds: float = 0
    """Time spent sending, until the last acknowledgement."""
    durable_seconds: float = 0
    """Time until all of a chapter was committed, sending included."""
    took: list["ChapterTook"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DemoLedger:
    """Where a demo's ledger is, and how the command line reaches it."""

    servers: Servers
    database: str
    environment_file: Path

    def environment(self) -> dict[str, str]:
        """The settings that name this ledger."""
        return {
            "REDRESS_KAFKA": self.servers.kafka,
            "REDRESS_POSTGRES": self.servers.postgres,
            "REDRESS_TOPIC_PREFIX": self.servers.topic_prefix,
            "REDRESS_LEDGER": LEDGER,
            "REDRESS_SHARDS": str(SHARDS),
            "REDRESS_CLOCK": "manual",
        }


async def prepare(kafka: str, postgres: str, state: Path) -> DemoLedger:
    """A fresh ledger for a demo, after the last demo's was removed."""
    file = state / "demo.env"
    await _remove(kafka, postgres, _read(file))
    name = uuid4().hex[:8]
    database = f"redress_demo_{name}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
    servers = Servers(kafka, urlunsplit(urlsplit(postgres)._replace(path=f"/{database}")), f"demo-{name}.")
    demo = DemoLedger(servers, database, file)
    _write(file, demo.environment())
    migrate(servers.postgres, LedgerIdentity(LEDGER, SHARDS, "manual", 86_400))
    await apply_topics(kafka, servers.topic_prefix, SHARDS)
    return demo


async def play(demo: DemoLedger, story: Story, progress: Progress, told: Callable[[], None]) -> None:
    """Tell the whole story to the ledger; `told` is called whenever `progress` has changed.

    Raises:
        DemoError: a worker died, or a chapter did not come to its end.
    """
    producer = await start_producer(demo.servers)
    reader = await connect(demo.servers.postgres, application_name="redress-demo")
    try:
        async with _workers(demo) as watch:
            player = _Player(demo, producer, reader, progress, told, watch)
            chapters = story.chapters()
            progress.chapters = len(chapters)
            for chapter in chapters:
                await player.play(chapter, story)
    finally:
        await reader.close()
        await stop_producer(producer)


class _Player:
    def __init__(
        self,
        demo: DemoLedger,
        producer: AIOKafkaProducer,
        reader: Connection,
        progress: Progress,
        told: Callable[[], None],
        watch: Callable[[], None],
    ) -> None:
        self._demo = demo
        self._producer = producer
        self._reader = reader
        self._progress = progress
        self._told = told
        self._watch = watch
        self._sent: dict[TopicPartition, int] = {}

    async def play(self, chapter: Chapter, story: Story) -> None:
        progress = self._progress
        progress.chapter, progress.clock = chapter.title, chapter.clock
        progress.told += 1
        began, before = time.monotonic(), progress.accepted
        await self._send(iter([_tick(chapter.clock)]))
        await self._taken()
        if chapter.awaits_issue:
            await self._issued(story)
        story.begin(chapter.clock)
        sending = time.monotonic()
        # Control events first: whoever follows them was produced after they were acknowledged.
        await self._send(chapter.tell())
        progress.accept_seconds += time.monotonic() - sending
        await self._taken()
        seconds = time.monotonic() - began
        progress.durable_seconds += seconds
        progress.took.append(
            ChapterTook(
                chapter.title, progress.accepted - before, seconds, progress.outstanding, story.count.outstanding
            )
        )
        self._told()

    async def _send(self, records: Iterator[Record]) -> None:
        """Send in order; a control event waits until everything before it was taken, and what follows waits for it."""
        under_way: list[asyncio.Future[object]] = []
        for record in records:
            if record.topic is Topic.PROGRAMME:
                await self._acknowledged(under_way)
                await self._taken()
            under_way.append(
                await self._producer.send(
                    self._demo.servers.topic_prefix + record.topic.value,
                    record.value,
                    key=record.key,
                    headers=list(record.headers),
                )
            )
            if record.topic is Topic.PROGRAMME or len(under_way) >= SENDS_MAX:
                await self._acknowledged(under_way)
        await self._acknowledged(under_way)

    async def _acknowledged(self, under_way: list["asyncio.Future[object]"]) -> None:
        for metadata in await asyncio.gather(*under_way):
            partition = TopicPartition(metadata.topic, metadata.partition)  # type: ignore[attr-defined]
            self._sent[partition] = max(self._sent.get(partition, 0), metadata.offset + 1)  # type: ignore[attr-defined]
        self._progress.accepted += len(under_way)
        under_way.clear()
        await self._look()

    async def _taken(self) -> None:
        """Wait until every shard has read everything that was sent, and let everything fall due."""
        await self._until(self._has_taken)

    async def _issued(self, story: Story) -> None:
        """Wait for the ledger's own issuance: until nobody who is due is without vouchers, and all came back."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._demo.servers.kafka)
        await consumer.start()
        try:
            await self._until(lambda: self._has_issued(consumer, story))
        finally:
            await consumer.stop()

    async def _until(self, done: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + CHAPTER_SECONDS_MAX
        while not await done():
            self._watch()
            if time.monotonic() > deadline:
                raise DemoError(f"chapter «{self._progress.chapter}» did not end in {CHAPTER_SECONDS_MAX} s")
            await self._look()
            await asyncio.sleep(POLL_SECONDS)
        await self._look()

    async def _has_taken(self) -> bool:
        rows = await self._reader.fetch(query("progress"))
        prefix = self._demo.servers.topic_prefix
        for row in rows:
            for topic in Topic:
                partition = TopicPartition(prefix + topic.value, 0 if topic is Topic.PROGRAMME else row["shard"])
                if row[f"{topic.value.removeprefix('redress.')}_offset"] < self._sent.get(partition, 0):
                    return False
        return not any(row["falling_due"] for row in rows)

    async def _has_issued(self, consumer: AIOKafkaConsumer, story: Story) -> bool:
        if await self._reader.fetchval(query("awaiting_issue")) > story.waiting_for_enrolment:
            return False
        partitions = [TopicPartition(self._demo.servers.topic_prefix + Topic.ISSUANCE.value, n) for n in range(SHARDS)]
        self._sent.update(await consumer.end_offsets(partitions))
        return await self._has_taken()

    async def _look(self) -> None:
        self._progress.entries = sum(row["next_seq"] - 1 for row in await self._reader.fetch(query("progress")))
        self._progress.outstanding = await self._reader.fetchval(query("outstanding_now"))
        self._told()


@asynccontextmanager
async def _workers(demo: DemoLedger) -> AsyncIterator[Callable[[], None]]:
    """Worker processes; yields a check that all are alive."""
    log = demo.environment_file.with_name("demo-workers.log")
    command = (sys.executable, "-m", "redress.cli.main", "run", "worker")
    with log.open("wb") as output:
        processes = [
            await asyncio.create_subprocess_exec(
                *command, env=os.environ | demo.environment(), stdout=output, stderr=output, start_new_session=True
            )
            for _ in range(WORKERS)
        ]

        def watch() -> None:
            for process in processes:
                if process.returncode is not None:
                    raise DemoError(f"a worker ended with status {process.returncode}; its log: {log}")

        try:
            yield watch
        finally:
            for process in processes:
                if process.returncode is None:
                    process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))


async def _remove(kafka: str, postgres: str, environment: dict[str, str]) -> None:
    """Drop what an earlier demo left."""
    database = urlsplit(environment.get("REDRESS_POSTGRES", "")).path.removeprefix("/")
    prefix = environment.get("REDRESS_TOPIC_PREFIX", "")
    if not database.startswith("redress_demo_") or not prefix.startswith("demo-"):
        return
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database)))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        old = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if old:
            await admin.delete_topics(old)
    finally:
        await admin.close()


def _tick(clock: str) -> Record:
    now = parse_instant(clock)
    return encode_record(ClockTicked(now), event_id=format_instant(now), source="/demo/clock", time=now)


def _write(file: Path, environment: dict[str, str]) -> None:
    """For `source`: it holds a password, so only its owner may read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"export {name}='{value}'\n" for name, value in environment.items()), encoding="utf-8")


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = (line.removeprefix("export ").split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())
    return {name: value.strip("'") for name, value in lines}
