"""A small checkout on Redress's topics: knows what is spendable, asks, captures, cancels, and proves it missed nothing.

It needs aiokafka (`pip install aiokafka`) and nothing of Redress but the topics. Copy what you need.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

ATTEMPT_SECONDS = 2.0
"""How long one attempt waits for its decision; the next sends the same event again, under the same id."""
DEADLINE_SECONDS = 10.0
"""How long a customer waits at the till. After that the order goes on without the voucher."""
POLL_MS = 200

Data = dict[str, Any]


class NoAnswerError(Exception):
    """No decision before the deadline. The request may still be accepted: release it, or its hold times out."""


class BalanceCache:
    """What every voucher is worth, from the compacted topic. Each record replaces what was said before it."""

    def __init__(self) -> None:
        self._people: dict[str, Data] = {}
        self._lots: dict[tuple[int, str], Data] = {}

    def take(self, event: Data) -> None:
        """One record of `redress.balance`."""
        data = event["data"]
        if event["type"] == "redress.beneficiary.balance.v1":
            self._people[data["beneficiary"]] = data
        elif event["type"] == "redress.lot.state.v1":
            self._lots[data["shard"], _lot(data)] = data

    def spendable(self, beneficiary: str, service: str, now: datetime) -> dict[str, int]:
        """Amounts by voucher: what is `available`, if the lot's record *of the same shard* is open and valid now."""
        person = self._people.get(beneficiary)
        found: dict[str, int] = {}
        for voucher in person["vouchers"] if person else ():
            lot = self._lots.get((person["shard"], _lot(voucher))) if person else None
            if lot is None or lot["state"] != "open" or voucher["service"] not in (service, "*"):
                continue
            if voucher["available"] and _time(lot["valid_from"]) <= now < _time(lot["valid_until"]):
                found[voucher["voucher"]] = voucher["available"]
        return found


class Completeness:
    """Proves that nothing of `redress.ledger` was missed: entries of a shard are numbered from 1 without a gap.

    The marker after each batch says how far the shard is, so that a missing tail shows too.
    Read uncommitted, records come sooner, and some twice: a `(shard, seq)` that was seen is skipped.
    """

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.gaps: list[tuple[int, int, int]] = []
        """Shard, seq expected, seq that came."""
        self.skipped = 0

    def take(self, event: Data) -> bool:
        """Whether this is an entry, and new."""
        data = event["data"]
        expected = self.last.get(data["shard"], 0) + 1
        if event["type"] == "redress.batch.committed.v1" and data["next_seq"] > expected:
            self.gaps.append((data["shard"], expected, data["next_seq"]))
            self.last[data["shard"]] = data["next_seq"] - 1
        if event["type"] != "redress.entry.appended.v1":
            return False
        shard, seq = data["shard"], data["seq"]
        if seq < expected:
            self.skipped += 1
            return False
        if seq > expected:
            self.gaps.append((shard, expected, seq))
        self.last[shard] = seq
        return True


@dataclass
class Checkout:
    """One checkout of a shop. `source` is its name in every event: unique, and nothing about a person."""

    kafka: str
    source: str
    programme: str
    prefix: str = ""
    cache: BalanceCache = field(default_factory=BalanceCache)
    _waiting: dict[tuple[str, str], "asyncio.Future[Data]"] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Checkout"]:
        """With a producer, the cache filled, and decisions coming in."""
        # Idempotent, and by Kafka's standard partitioner (murmur2 of the key), which is aiokafka's own.
        # With librdkafka: enable.idempotence=true, partitioner=murmur2_random.
        self._producer = AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True)
        await self._producer.start()
        tasks: list[asyncio.Task[None]] = []
        try:
            balances = await self._reader("redress.balance", from_end=False)
            decisions = await self._reader("redress.decision", from_end=True)
            await self._fill(balances)
            tasks = [asyncio.create_task(self._follow(balances)), asyncio.create_task(self._answer(decisions))]
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._producer.stop()

    # --- what a till does

    async def request(self, beneficiary: str, order: str, service: str, lines: list[Data], at: str) -> Data:
        """May this order be paid so? The decision: look at `outcome`.

        Raises:
            NoAnswerError: none came in time.
        """
        redemption = f"r-{uuid4().hex[:12]}"
        body = {"redemption": redemption, "order": order, "service": service, "applied_by": "customer", "lines": lines}
        return await self._ask("redress.redemption.requested.v1", beneficiary, body, at)

    async def capture(self, beneficiary: str, redemption: str, lines: list[Data], at: str) -> Data:
        """The order was paid. A fact: keep sending it until it is answered."""
        return await self._ask(
            "redress.redemption.captured.v1", beneficiary, {"redemption": redemption, "lines": lines}, at
        )

    async def cancel(self, beneficiary: str, redemption: str, at: str) -> Data:
        """The whole order was cancelled."""
        body = {"redemption": redemption, "scope": "whole_order", "lines": [], "reason": "customer_cancelled"}
        return await self._ask("redress.redemption.reversed.v1", beneficiary, body, at)

    async def complete(self) -> Completeness:
        """All of `redress.ledger` up to now, checked for gaps."""
        reader = await self._reader("redress.ledger", from_end=False)
        found = Completeness()
        try:
            ends = await reader.end_offsets(list(reader.assignment()))
            while any([await reader.position(partition) < end for partition, end in ends.items()]):
                for records in (await reader.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        found.take(json.loads(record.value))
        finally:
            await reader.stop()
        return found

    # --- Kafka

    async def _ask(self, kind: str, beneficiary: str, body: Data, at: str) -> Data:
        """Send until answered. The same id each time, so that the ledger takes it once."""
        name = str(uuid4())
        event = {
            "specversion": "1.0",
            "id": name,
            "type": kind,
            "source": self.source,
            "time": at,
            "partitionkey": beneficiary,
            "datacontenttype": "application/json",
            "data": {"programme": self.programme, "beneficiary": beneficiary, **body},
        }
        waiting = self._waiting[self.source, name] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not waiting.done():
                    await self._producer.send_and_wait(
                        f"{self.prefix}redress.redemption",
                        json.dumps(event).encode(),
                        key=beneficiary.encode(),
                        headers=[("content-type", b"application/cloudevents+json")],
                    )
                    await asyncio.wait({waiting}, timeout=ATTEMPT_SECONDS)
            decision: Data = waiting.result()
            return decision
        except TimeoutError:
            raise NoAnswerError(name) from None
        finally:
            del self._waiting[self.source, name]

    async def _reader(self, topic: str, *, from_end: bool) -> AIOKafkaConsumer:
        """A consumer of all partitions, uncommitted records too: everything published was durable first."""
        reader = AIOKafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False)
        await reader.start()
        name = f"{self.prefix}{topic}"
        numbers = await self._producer.partitions_for(name)
        partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        reader.assign(partitions)
        await (reader.seek_to_end if from_end else reader.seek_to_beginning)(*partitions)
        return reader

    async def _fill(self, reader: AIOKafkaConsumer) -> None:
        ends = await reader.end_offsets(list(reader.assignment()))
        while any([await reader.position(partition) < end for partition, end in ends.items()]):
            self._take(await reader.getmany(timeout_ms=POLL_MS))

    async def _follow(self, reader: AIOKafkaConsumer) -> None:
        try:
            while True:
                self._take(await reader.getmany(timeout_ms=POLL_MS))
        finally:
            await reader.stop()

    def _take(self, batches: dict[Any, Any]) -> None:
        for records in batches.values():
            for record in records:
                self.cache.take(json.loads(record.value))

    async def _answer(self, reader: AIOKafkaConsumer) -> None:
        try:
            async for record in reader:
                decision = json.loads(record.value)["data"]
                waiting = self._waiting.get((decision["cause"]["source"], decision["cause"]["id"]))
                if waiting is not None and not waiting.done():
                    waiting.set_result(decision)
        finally:
            await reader.stop()


def _lot(data: Data) -> str:
    return f"{data['programme']}/{data['wave']}/{data['benefit']}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def tour(options: argparse.Namespace) -> dict[str, Any]:
    """Spend what there is for a service, cancel the order, and check that nothing was missed."""
    checkout = Checkout(options.kafka, options.source, options.programme, options.prefix)
    now = _time(options.time)
    async with checkout.running():
        spendable = checkout.cache.spendable(options.beneficiary, options.service, now)
        lines = [{"voucher": voucher, "amount": amount} for voucher, amount in list(spendable.items())[:1]]
        told: dict[str, Any] = {"spendable": spendable}
        if lines:
            decision = await checkout.request(options.beneficiary, "o-tour", options.service, lines, options.time)
            told["request"] = decision
            if decision["outcome"] == "accepted":
                redemption = decision["redemption"]
                told["capture"] = await checkout.capture(options.beneficiary, redemption, lines, options.time)
                told["cancel"] = await checkout.cancel(options.beneficiary, redemption, options.time)
        complete = await checkout.complete()
        told |= {"entries": sum(complete.last.values()), "gaps": complete.gaps, "skipped": complete.skipped}
        return told


def main() -> int:
    """The tour, as one JSON object; exit status 1 if something was missed."""
    parser = argparse.ArgumentParser(description="A checkout's tour of Redress's topics.")
    parser.add_argument("--kafka", required=True, help="host:port")
    parser.add_argument("--programme", required=True)
    parser.add_argument("--beneficiary", required=True)
    parser.add_argument("--service", required=True)
    parser.add_argument("--source", default="/checkout/example")
    parser.add_argument("--prefix", default="", help="REDRESS_TOPIC_PREFIX of the ledger")
    parser.add_argument("--time", default=datetime.now(UTC).isoformat(), help="when it happens; now by default")
    told = asyncio.run(tour(parser.parse_args()))
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 1 if told["gaps"] else 0


if __name__ == "__main__":
    sys.exit(main())
