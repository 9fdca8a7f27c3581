"""Metrics in Prometheus' text form: of this process, and of the ledger, which is looked at when somebody asks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redress.runtime.status import Status

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LOOK_SECONDS: Final = 5.0
"""How long figures of the ledger are kept: it is asked no more often, however many scrape."""
LOOK_SECONDS_MAX: Final = 5.0
"""How long the ledger may take to tell its figures: a scrape that waits longer gives up, and comes again."""
UNMATCHED: Final = "unmatched"


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "redress_http_request_seconds",
            "Time to answer a request.",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._decisions = Histogram(
            "redress_decision_seconds",
            "From a request's arrival here to its decision, through Kafka and the ledger and back.",
            ("event", "outcome"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._pending = Counter(
            "redress_decisions_pending_total", "Requests answered 202.", ("event",), registry=self.registry
        )
        self._turned_away = Gauge(
            "redress_http_turned_away", "Requests turned away since the start.", ("gate",), registry=self.registry
        )
        self._ledger = _LedgerGauges(self.registry)
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def decided(self, event: str, outcome: str, seconds: float) -> None:
        """A decision came, or had come before."""
        self._decisions.labels(event, outcome).observe(seconds)

    def pending(self, event: str) -> None:
        """No decision came in time."""
        self._pending.labels(event).inc()

    async def exposition(self, load: Callable[[], Awaitable[Status]], turned_away: dict[str, int]) -> bytes:
        """All of them as text. With a server away, `redress_ledger_up` is 0 and its figures are those of before."""
        for gate, number in turned_away.items():
            self._turned_away.labels(gate).set(number)
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                await self._look(load)
                self._looked_at = time.monotonic()
        return generate_latest(self.registry)

    async def _look(self, load: Callable[[], Awaitable[Status]]) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                status = await load()
        except Exception:  # whatever ails the ledger, the process's own metrics are still to be had
            self._ledger.up.set(0)
        else:
            self._ledger.show(status)


class _LedgerGauges:
    """What `redress status` says, as gauges."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"redress_{name}", about, labels, registry=registry)

        self.up = gauge("ledger_up", "Whether Kafka and Postgres could be asked.")
        self._workers = gauge("workers", "Workers alive.")
        self._lag = gauge("shard_lag_records", "Records not read yet.", "shard", "topic")
        self._age = gauge("shard_clock_age_seconds", "How far the shard's clock is behind the world's.", "shard")
        self._rate = gauge("shard_entries_per_second", "Entries of the last 10 s.", "shard")
        self._entries = gauge("shard_entries", "Entries since the beginning.", "shard")
        self._parked = gauge("shard_parked", "Events that wait.", "shard")
        self._relay = gauge("shard_relay_lag_batches", "Batches not published yet, to within 5 s.", "shard")
        self._stopped = gauge("shard_stopped", "1: the shard stands still until somebody resumes it.", "shard")
        self._owned = gauge("shard_owned", "1: a worker serves the shard.", "shard")
        self._letters = gauge("dead_letters", "Records that could not be taken.", "reason")
        self._reasons = gauge("entries_by_reason", "Entries by outcome and reason.", "outcome", "reason")

    def show(self, status: Status) -> None:
        """The ledger as it is now."""
        self.up.set(1)
        self._workers.set(len(status.workers))
        for shard in status.shards:
            name = str(shard.shard)
            for topic, records in shard.lag.items():
                self._lag.labels(name, topic).set(records)
            if shard.clock_seconds is not None:
                self._age.labels(name).set(shard.clock_seconds)
            self._rate.labels(name).set(shard.entries_per_second)
            self._entries.labels(name).set(shard.entries)
            self._parked.labels(name).set(shard.parked)
            self._relay.labels(name).set(shard.relay_batches)
            self._stopped.labels(name).set(shard.stopped is not None)
            self._owned.labels(name).set(shard.owner is not None)
        for reason, records in status.dead_letters.items():
            self._letters.labels(reason).set(records)
        for outcome, reasons in status.reasons.items():
            for reason, entries in reasons.items():
                self._reasons.labels(outcome, reason).set(entries)


class Stopwatch:
    """Takes the time of every request, by the route's path, which has no ids in it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and take the time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            self._metrics.answered(_method(scope["method"]), route, status, time.perf_counter() - began)


def _method(method: str) -> str:
    """A client may call its method anything; a metric has few labels."""
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
