"""Many callers for the same vouchers, over HTTP and Kafka at once."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Final
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from redress.contracts.registry import OutTopic
from redress.runtime.local import Stack
from tests.harness.events import Envelope, Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.running_api import RunningApi, running_api
from tests.integration.test_api_redemptions import issued, request

CLIENTS: Final = 64
PEOPLE: Final = 50
"""Four vouchers each."""
OVER_HTTP: Final = 3
OVER_KAFKA: Final = 2
"""Requests per voucher."""
BENEFITS: Final = ("all", "eats", "travel", "beauty")


async def test_clients_race_for_the_same_vouchers_and_each_is_used_at_most_once(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    persons = people(PEOPLE, seed=64)
    vouchers = [(person, benefit) for person in persons for benefit in BENEFITS]
    random = Random(1)
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), *(events.granted(person) for person in persons)])
        await issued(api, *persons)
        await api.ledger.send_all([events.claimed(person, benefit) for person, benefit in vouchers])
        await api.ledger.settled()
        claimed = len(vouchers)

        over_http = list(_requests(events, vouchers, "h", OVER_HTTP))
        over_kafka = [events.requested(p, f"k{n}-{b}", 1_000 + n, b) for p, b in vouchers for n in range(OVER_KAFKA)]
        random.shuffle(over_http)
        random.shuffle(over_kafka)
        answered, _ = await asyncio.gather(_race(api, over_http), _trickle(api, [event for _, event in over_kafka]))
        await api.ledger.settled()
        decisions = await _decisions(stack.kafka, topic_prefix, claimed + len(over_http) + len(over_kafka))

        asked = [*answered, *(_answer_to(decisions, event) for _, event in over_kafka)]
        winners: defaultdict[str, list[int]] = defaultdict(list)
        for decision in asked:
            if decision["outcome"] == "accepted":
                line = decision["lines"][0]
                winners[line["voucher"]].append(line["reserved"])
            else:
                assert decision["reason"] in ("already_reserved", "too_many_vouchers")
        assert len(asked) == len(vouchers) * (OVER_HTTP + OVER_KAFKA)
        assert {len(reserved) for reserved in winners.values()} == {1}
        assert winners.keys() == {events.voucher(person, benefit) for person, benefit in vouchers}

        causes = Counter((d["cause"]["source"], d["cause"]["id"], d["beneficiary"]) for d in decisions)
        assert set(causes.values()) == {1}
        assert len(causes) == claimed + len(over_http) + len(over_kafka)

        held = sum(row["held"] for row in await api.ledger.view("outstanding_liability"))
        assert held == sum(reserved[0] for reserved in winners.values())
        await assert_ledger_sound(database)


def _requests(events: Events, vouchers: Iterable[tuple[str, str]], name: str, each: int) -> Iterator[dict[str, Any]]:
    for person, benefit in vouchers:
        for number in range(each):
            yield request(events, person, f"{name}{number}-{benefit}", 2_000 + number, benefit)


async def _race(api: RunningApi, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """So many clients, each with one request at a time."""
    left = iter(bodies)
    answers: list[dict[str, Any]] = []

    async def client() -> None:
        for body in left:
            answers.append(await _persistently(api, body))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


async def _persistently(api: RunningApi, body: dict[str, Any]) -> dict[str, Any]:
    """As a checkout does: the same key until there is an answer."""
    name = str(uuid4())
    async with asyncio.timeout(90):
        while True:
            response = await api.post("/v1/redemptions", body, name, wait_ms=10_000)
            if response.status_code == 200:
                decision: dict[str, Any] = response.json()
                return decision
            assert response.status_code in (202, 503), response.text


async def _trickle(api: RunningApi, events: list[Envelope]) -> None:
    for start in range(0, len(events), 10):
        await api.ledger.send("redress.redemption", *events[start : start + 10])


def _answer_to(decisions: list[dict[str, Any]], event: Envelope) -> dict[str, Any]:
    found = [d for d in decisions if (d["cause"]["source"], d["cause"]["id"]) == (event["source"], event["id"])]
    assert len(found) == 1
    return found[0]


async def _decisions(kafka: str, prefix: str, number: int) -> list[dict[str, Any]]:
    """All that were published, once there are so many; and no more follow."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(prefix + OutTopic.DECISION.value, shard) for shard in range(4)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(30):
            while len(found) < number or any(
                [await consumer.position(p) < end for p, end in (await consumer.end_offsets(partitions)).items()]
            ):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [orjson.loads(record.value or b"{}")["data"] for record in records]
    finally:
        await consumer.stop()
    return found
