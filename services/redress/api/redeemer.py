"""Events of the API: published once under their key, and answered with the ledger's decision."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from redress.api.answers import Answers, Standing, key_reused
from redress.api.decisions import Cause, Decision, DecisionListener
from redress.api.gate import Gate
from redress.api.problems import Kind, ProblemError
from redress.api.publisher import Publisher
from redress.contracts.encode import encode_record, to_wire
from redress.contracts.fingerprint import fingerprint
from redress.contracts.scalars import InEvent
from redress.domain.event import Data
from redress.domain.ids import Instant

AT_ONCE_MAX: Final = 2_000
"""Callers who wait for decisions; each costs memory, and a read a second once the answer is late."""
LOOK_SECONDS: Final = 1.0
"""Who waits longer than this also looks into the ledger, and again after twice as long each time."""

WallClock = Callable[[], Instant]


@dataclass(slots=True)
class _Asked:
    """An event on its way; several callers may wait for the same."""

    fingerprint: bytes
    callers: int = 0
    publishing: "asyncio.Task[int] | None" = None


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants published: under which key, by whom."""

    body: InEvent
    beneficiary: str
    source: str
    key: str
    traceparent: str | None


class Redeemer:
    """Publishes and waits. `manual_clock`: events happen at the ledger's time, not the world's."""

    def __init__(
        self,
        answers: Answers,
        listener: DecisionListener,
        publisher: Publisher,
        *,
        manual_clock: bool,
        wall_clock: WallClock,
    ) -> None:
        self._answers = answers
        self._listener = listener
        self._publisher = publisher
        self._manual_clock = manual_clock
        self._wall_clock = wall_clock
        self._asked: dict[Cause, _Asked] = {}
        self.gate = Gate(AT_ONCE_MAX, waiting_max=0, wait_seconds_max=0.0)

    async def ask(self, order: Order, wait_seconds: float) -> Decision | None:
        """The decision; None if there is none yet after `wait_seconds`. A key that was used gets its earlier answer.

        Raises:
            ProblemError: the key was used with another body, the ledger could not take the event, or a server is away.
        """
        deadline = time.monotonic() + wait_seconds
        cause = Cause(order.source, order.key, order.beneficiary)
        data = order.body.to_domain()
        content = fingerprint(*_identified(data, cause))
        async with self.gate.enter():
            asked = self._join(cause, content)
            # Waiting begins before the ledger is asked: a decision that is in neither comes later, by the stream.
            waiting = self._listener.expect(cause)
            try:
                standing = await self._answers.standing(cause, content)
                if standing.decision is not None:
                    return standing.decision
                offset = None if standing.seen else await self._publish(asked, data, order, standing)
                return await self._wait(cause, content, offset, waiting, deadline)
            finally:
                self._listener.forget(cause, waiting)
                self._leave(cause, asked)

    def _join(self, cause: Cause, content: bytes) -> _Asked:
        asked = self._asked.setdefault(cause, _Asked(content))
        if asked.fingerprint != content:
            raise key_reused()
        asked.callers += 1
        return asked

    def _leave(self, cause: Cause, asked: _Asked) -> None:
        asked.callers -= 1
        if asked.callers == 0:
            self._asked.pop(cause, None)

    async def _publish(self, asked: _Asked, data: Data, order: Order, standing: Standing) -> int:
        """Publish, unless another caller does so for the same event; where it stands."""
        if asked.publishing is None or _failed(asked.publishing):
            record = encode_record(
                data,
                event_id=order.key,
                source=order.source,
                time=self._time(standing),
                traceparent=order.traceparent,
            )
            asked.publishing = self._publisher.begin(record)
        return await self._publisher.wait(asked.publishing)

    def _time(self, standing: Standing) -> Instant:
        if not self._manual_clock:
            return self._wall_clock()
        if standing.now is None:
            raise ProblemError(Kind.UNAVAILABLE, "the ledger has not begun: its clock has not ticked yet")
        return standing.now

    async def _wait(
        self,
        cause: Cause,
        content: bytes,
        offset: int | None,
        waiting: "asyncio.Future[Decision]",
        deadline: float,
    ) -> Decision | None:
        pause = LOOK_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            await asyncio.wait({waiting}, timeout=min(left, pause))
            if waiting.done():
                return waiting.result()
            pause *= 2
            decision = await self._look(cause, content, offset)
            if decision is not None:
                return decision
        return None

    async def _look(self, cause: Cause, content: bytes, offset: int | None) -> Decision | None:
        """What the ledger says meanwhile; nothing, where it is too busy to be asked."""
        try:
            standing = await self._answers.standing(cause, content)
            if offset is not None and not standing.seen:
                await self._answers.refusal(cause, offset)
        except ProblemError as error:
            if error.kind is not Kind.OVERLOADED:
                raise
            return None
        return standing.decision


def _failed(publishing: "asyncio.Task[int]") -> bool:
    return publishing.done() and (publishing.cancelled() or publishing.exception() is not None)


def _identified(data: Data, cause: Cause) -> tuple[str, str, str, dict[str, object]]:
    type_name, wire = to_wire(data)
    return type_name, cause.source, cause.beneficiary, wire
