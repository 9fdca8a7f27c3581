"""The system clock of a ledger: `redress.clock.ticked.v1` on whole seconds. Source: RULES section 3.

A tick says what time it is to every shard alike, so the machine's clock is read here and nowhere else. Two of these at
once do no harm: a tick's id is its time, so the second one is a duplicate.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from redress.contracts.encode import Record, encode_record
from redress.contracts.instants import format_instant
from redress.domain.event import ClockTicked
from redress.domain.ids import Instant
from redress.domain.time import SECOND

EACH_SECOND_MAX: Final = Instant(60 * SECOND)
"""Up to so far behind, each missed second gets its tick: a short stop of Kafka or of this process leaves no gap."""
STEP: Final = Instant(900 * SECOND)
"""Further behind, the clock catches up by quarter hours: midnight of every time zone is one, and a day (the most that
a ledger takes at once) has many."""

Send = Callable[[Record], Awaitable[None]]
"""Returns once Kafka has acknowledged the record."""


def ticks_due(last: Instant | None, now: Instant) -> Iterator[Instant]:
    """The ticks that a ledger whose clock stands at `last` still needs, in order. A ledger begins with one tick."""
    wanted = Instant(now - now % SECOND)
    if last is None:
        yield wanted
        return
    at = last
    while at < wanted:
        step = SECOND if wanted - at <= EACH_SECOND_MAX else STEP
        at = Instant(min(at - at % step + step, wanted))
        yield at


def tick_record(ledger: str, now: Instant) -> Record:
    """The event of one tick; its id is its time, so that saying it twice is a duplicate."""
    source = f"/redress/{ledger}/clock"
    return encode_record(ClockTicked(now), event_id=format_instant(now), source=source, time=now)


class SystemClock:
    """Ticks from `last` on, the time of the last tick that is on the topic (None: there is none)."""

    def __init__(self, send: Send, ledger: str, last: Instant | None, machine_clock_ns: Callable[[], int]) -> None:
        self._send = send
        self._ledger = ledger
        self._last = last
        self._machine_clock_ns = machine_clock_ns

    async def run(self, stopping: asyncio.Event) -> None:
        """Tick until `stopping` is set. An error of `send` comes through; running again goes on where it stood."""
        while not stopping.is_set():
            await self.tick_up_to(Instant(self._machine_clock_ns() // 1_000), stopping)
            to_next_second = 1 - self._machine_clock_ns() % 1_000_000_000 / 1_000_000_000
            try:
                await asyncio.wait_for(stopping.wait(), to_next_second)
            except TimeoutError:
                continue

    async def tick_up_to(self, now: Instant, stopping: asyncio.Event) -> None:
        """Send what is due by `now`. A machine clock that was set back is waited for."""
        for tick in ticks_due(self._last, now):
            if stopping.is_set():
                return
            await self._send(tick_record(self._ledger, tick))
            self._last = tick


def system_clock(send: Send, ledger: str, last: Instant | None) -> SystemClock:
    """By this machine's clock."""
    return SystemClock(send, ledger, last, time.time_ns)
