"""Many callers for the same vouchers, over HTTP and Kafka at once."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any, Final
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.registry import OutTopic
from redress.runtime.local import Stack
from tests.harness.events import Events, Record, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_api import SOURCE, RunningApi, running_api
from tests.harness.running_ledger import SETTLE_SECONDS_MAX
from tests.integration.test_api_redemptions import issued, request

CLIENTS: Final = 64
OVER_HTTP: Final = 3
OVER_KAFKA: Final = 2
"""Requests per voucher."""
APART_MAX: Final = 32
"""How many vouchers apart requests for the same one may be: few enough that they meet on their way."""
BENEFITS: Final = ("all", "eats", "travel", "beauty")
FULL: Final = [pytest.mark.faults, pytest.mark.timeout(900)]
READ_SECONDS_MAX: Final = 60

Body = dict[str, Any]
Decision = dict[str, Any]


@pytest.mark.parametrize("persons", [50, pytest.param(2_500, marks=FULL)], ids=["200-vouchers", "10000-vouchers"])
async def test_clients_race_for_the_same_vouchers_and_each_is_used_at_most_once(
    stack: Stack, database: str, topic_prefix: str, persons: int
) -> None:
    # given vouchers that can be spent
    events = Events()
    having = people(persons, seed=64)
    vouchers = [(person, benefit) for person in having for benefit in BENEFITS]
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), *(events.granted(person) for person in having)])
        await issued(api, *having)
        claims = [events.claimed(person, benefit) for person, benefit in vouchers]
        await api.ledger.send_all(claims)
        await api.ledger.settled()

        # when many clients ask for each of them several times, over HTTP and over Kafka
        requests = list(_interleaved(events, vouchers, Random(1)))
        answered = await _race(api, requests)
        await api.ledger.settled(SETTLE_SECONDS_MAX + persons / 10)
        decisions = await _decisions(stack.kafka, topic_prefix, len(claims) + len(requests))

        # then each event has one decision, and who asked over HTTP was told just that
        by_cause = {(d["cause"]["source"], d["cause"]["id"], d["beneficiary"]): d for d in decisions}
        assert len(by_cause) == len(decisions) == len(claims) + len(requests)
        assert len(answered) == len(vouchers) * OVER_HTTP
        for name, decision in answered.items():
            assert by_cause[SOURCE, name, decision["beneficiary"]] == decision
        asked = [d for d in decisions if d["cause"]["type"] == "redress.redemption.requested.v1"]
        assert len(asked) == len(requests)

        # and each voucher was used once
        winners: defaultdict[str, list[int]] = defaultdict(list)
        for decision in asked:
            if decision["outcome"] == "accepted":
                line = decision["lines"][0]
                winners[line["voucher"]].append(line["reserved"])
            else:
                assert decision["reason"] == "already_reserved"
        assert {len(reserved) for reserved in winners.values()} == {1}
        assert winners.keys() == {events.voucher(person, benefit) for person, benefit in vouchers}

        # and every figure agrees with it
        for row in await api.ledger.view("voucher_balance"):
            assert row["held"] == winners[row["voucher"]][0]
            assert row["available"] == row["face"] - row["held"] >= 0
            assert row["unclaimed"] == 0
        owed = await api.ledger.view("outstanding_liability")
        assert sum(row["held"] for row in owed) == sum(reserved[0] for reserved in winners.values())
        assert all(row[name] >= 0 for row in owed for name in ("entitlement", "unclaimed", "available", "held"))
        assert sum(row["balance"] for row in await api.ledger.view("account_balance")) == 0
        await assert_ledger_sound(database)


def _interleaved(events: Events, vouchers: list[tuple[str, str]], random: Random) -> Iterator[Body | Record]:
    """All requests, those for the same voucher near each other: bodies go over HTTP, events over Kafka."""
    placed: list[tuple[float, Body | Record]] = []
    for n, (person, benefit) in enumerate(vouchers):
        asked: list[Body | Record] = []
        asked += (request(events, person, f"h{k}-{benefit}", 2_000 + k, benefit) for k in range(OVER_HTTP))
        asked += (events.requested(person, f"k{k}-{benefit}", 1_000 + k, benefit) for k in range(OVER_KAFKA))
        placed += ((n + random.uniform(0, APART_MAX), each) for each in asked)
    yield from (each for _, each in sorted(placed, key=lambda pair: pair[0]))


async def _race(api: RunningApi, requests: list[Body | Record]) -> dict[str, Decision]:
    """So many clients, each with one request at a time; the answers over HTTP by their keys."""
    left = iter(requests)
    answers: dict[str, Decision] = {}

    async def client() -> None:
        for each in left:
            if isinstance(each, dict):
                name = str(uuid4())
                answers[name] = await _persistently(api, each, name)
            else:
                await api.ledger.send(*each)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


async def _persistently(api: RunningApi, body: Body, name: str) -> Decision:
    """As a checkout does: the same key until there is an answer."""
    async with asyncio.timeout(90):
        while True:
            response = await api.post("/v1/redemptions", body, name, wait_ms=10_000)
            if response.status_code == 200:
                decision: Decision = response.json()
                return decision
            assert response.status_code in (202, 503), response.text


async def _decisions(kafka: str, prefix: str, number: int) -> list[Decision]:
    """All that were published, once there are so many; and no more follow."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(prefix + OutTopic.DECISION.value, shard) for shard in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Decision] = []
        async with asyncio.timeout(READ_SECONDS_MAX):
            while len(found) < number or any(
                [await consumer.position(p) < end for p, end in (await consumer.end_offsets(partitions)).items()]
            ):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [orjson.loads(record.value or b"{}")["data"] for record in records]
    finally:
        await consumer.stop()
    return found
