"""A file to its topics, from a place in it to its end."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from redress.intake.worker import Servers
from redress.runtime.publish.barrier import LedgerProgress
from redress.runtime.publish.delivery import Delivery, Tell
from redress.runtime.publish.lines import Chunk, Place, Unrouted, chunks

_TICK: Final = b'"redress.clock.ticked.v1"'


@dataclass(slots=True)
class Report:
    """What was done, growing while it is done. `place` is what is acknowledged."""

    place: Place
    sent: Counter[str] = field(default_factory=Counter)
    unrouted: int = 0
    barriers: int = 0
    seconds: float = 0.0


class Feed:
    """Sends files. With `ledger`, a control event is a barrier from the ledger's first tick on.

    `unrouted` hears of each line that cannot be routed, `moved` of everything that was acknowledged.
    """

    def __init__(
        self,
        servers: Servers,
        shards: int,
        ledger: LedgerProgress | None,
        *,
        unrouted: Callable[[Unrouted], None],
        moved: Callable[[Report], None],
        tell: Tell,
    ) -> None:
        self._delivery = Delivery(servers, self._acknowledged, tell)
        self._shards = shards
        self._ledger = ledger
        self._unrouted = unrouted
        self._moved = moved
        self._report: Report

    async def send(self, file: BinaryIO, report: Report) -> None:
        """Send `file`, which stands at `report.place`, to its end.

        Raises:
            KafkaError: no server answers at the beginning, or Kafka refuses what is sent.
        """
        self._report = report
        begun_at = time.monotonic()
        await self._delivery.start()
        try:
            await self._send(file, report.place)
            await self._delivery.flush()
        finally:
            report.seconds = time.monotonic() - begun_at
            await self._delivery.stop()

    async def _send(self, file: BinaryIO, begin: Place) -> None:
        ledger = self._ledger
        begun = ledger is not None and await ledger.has_begun()
        taken = False  # what came before this file, or before it was interrupted, counts as well
        for chunk in chunks(file, self._shards, begin):
            if chunk.control and ledger is not None:
                if begun and not taken:
                    await self._delivery.flush()
                    await ledger.wait_until_taken()
                    self._report.barriers += 1
                    taken = True
                begun = begun or _has_tick(chunk)
            elif chunk.records:
                taken = False
            await self._delivery.send(chunk)

    def _acknowledged(self, chunk: Chunk) -> None:
        report = self._report
        report.place = chunk.end
        report.sent.update(record.topic.value for record in chunk.records)
        report.unrouted += len(chunk.unrouted)
        for unrouted in chunk.unrouted:
            self._unrouted(unrouted)
        self._moved(report)


def _has_tick(chunk: Chunk) -> bool:
    return any(_TICK in record.value for record in chunk.records)
