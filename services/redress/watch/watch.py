"""The Faust app: from `redress.ledger` to `redress.signal`.

Its offsets are Kafka's, of a consumer group, and always at the beginning of a window: what belongs to an open one is
acknowledged once its signals are. So a crash or a rebalance repeats signals at most, each the same and with the same
id. Several watches share the shards.
"""

import asyncio
import logging
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import faust
import structlog

from redress.contracts.encode import COMPRESSION, HEADERS, encode_event
from redress.contracts.registry import OUTPUTS, OutTopic
from redress.contracts.signal import Anomaly
from redress.ledger.identity import LedgerIdentity
from redress.watch.records import UnreadableRecordError, read
from redress.watch.window import ShardWatch, Signal

log = structlog.get_logger()

_TYPES: Final = {known.model: known.name for known in OUTPUTS.values() if known.topic is OutTopic.SIGNAL}

SESSION_SECONDS: Final = 10
"""After so long without a sign of life a watch's shards go to another."""


class Watch:
    """Watches one ledger."""

    def __init__(self, kafka: str, topic_prefix: str, identity: LedgerIdentity) -> None:
        self._kafka = kafka
        self._prefix = topic_prefix
        self._ledger = identity.name

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch until stopped.

        Raises:
            Exception: what the app crashed of. Nothing is missed by it: the next run begins with the open windows.
        """
        for name in ("faust", "mode"):
            logging.getLogger(name).setLevel(logging.WARNING)
        with TemporaryDirectory(prefix="redress-watch-") as folder:
            app = self._app(Path(folder))
            await app.start()
            try:
                await app.wait(stopping)
            finally:
                await app.stop()
            if app.crashed:
                raise app.crash_reason

    def _app(self, folder: Path) -> Any:
        app = faust.App(
            f"{self._prefix}redress-watch-{self._ledger}",
            broker=f"kafka://{self._kafka}",
            loop=asyncio.get_running_loop(),
            datadir=folder,
            store="memory://",
            stream_wait_empty=False,
            key_serializer="raw",
            value_serializer="raw",
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=SESSION_SECONDS,
            producer_compression_type=COMPRESSION,
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
        )
        signals = app.topic(self._prefix + OutTopic.SIGNAL.value)
        shards = _Shards(self._ledger)

        async def watch(stream: Any) -> None:
            try:
                async for event in stream.noack().events():
                    shard = shards[event.message.partition]
                    told = shard.take(event.message, event.value)
                    if told is not None:
                        await _publish(signals, told)
                        shard.acknowledge(app.consumer)
            except Exception as error:
                await app.crash(error)  # Faust itself would go on with the next record
                raise

        async def forget(_app: Any, /, *revoked: Iterable[Any], **_: Any) -> None:
            for each in chain(*revoked):
                shards.pop(each.partition, None)

        async def tell(_app: Any, /, *assigned: Iterable[Any], **_: Any) -> None:
            log.info("watching", shards=sorted(each.partition for each in chain(*assigned)))

        app.agent(app.topic(self._prefix + OutTopic.LEDGER.value))(watch)
        app.on_partitions_revoked.connect(forget, weak=False)
        app.on_partitions_assigned.connect(tell, weak=False)
        return app


class _Shard:
    """A shard's windows, with the messages that are not acknowledged yet."""

    def __init__(self, ledger: str, number: int) -> None:
        self._watch = ShardWatch(ledger, number)
        self._ended: list[Any] = []
        self._held: list[Any] = []

    def take(self, message: Any, value: bytes | None) -> list[Signal] | None:
        """Take a message; if it ends a window, what is to be published before `acknowledge`."""
        told = None
        try:
            told = self._watch.take(read(value))
        except UnreadableRecordError as error:
            log.error(
                "record not understood, left out",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                why=str(error),
            )
        if told is not None:
            self._ended, self._held = self._held, []
        message.value = None  # a window may have 100,000 of them
        self._held.append(message)
        return told

    def acknowledge(self, consumer: Any) -> None:
        """What belongs to the window that ended need not be read again."""
        for message in self._ended:
            message.ack(consumer)
        self._ended = []


class _Shards(dict[int, _Shard]):
    """Those that this watch has, each from its first record on."""

    def __init__(self, ledger: str) -> None:
        super().__init__()
        self._ledger = ledger

    def __missing__(self, number: int) -> _Shard:
        return self.setdefault(number, _Shard(self._ledger, number))


async def _publish(topic: Any, signals: list[Signal]) -> None:
    """Send them, and wait until Kafka has them."""
    sent = [await topic.send(key=key, value=value, headers=dict(HEADERS)) for key, value in map(_record, signals)]
    for each in sent:
        await each


def _record(signal: Signal) -> tuple[bytes, bytes]:
    """Key and value."""
    kind = signal.kind.value if isinstance(signal, Anomaly) else type(signal).__name__.lower()
    key = signal.programme or f"shard/{signal.shard}"
    value = encode_event(
        type_name=_TYPES[type(signal)],
        event_id=f"{signal.ledger}-{signal.shard}-{signal.first_seq}-{kind}",
        source=f"/redress/{signal.ledger}",
        time=signal.window.end,
        partitionkey=key,
        data=signal.model_dump(mode="json"),
    )
    return key.encode(), value
