"""Balances published again on purpose, on a running ledger: `redress relay re-emit`."""

import asyncio
import signal
from collections import Counter
from itertools import islice
from random import Random
from typing import Any, Final

from redress.contracts.registry import OutTopic
from redress.ledger.connection import WRITER_ROLE, connect
from redress.ledger.queries import query
from redress.relay.re_emission import NOBODY, PEOPLE_MAX, ReEmission
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, kafka_admin
from tests.harness.command import Command
from tests.harness.events import Events, Record, people_of_shard
from tests.harness.faulty_worker import start_faulty_worker
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.published import Published, published
from tests.harness.relayed import assert_published, relayed
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger
from tests.integration.test_relay import DIE_SECONDS_MAX, LEASES_RUN_OUT
from tests.oracle.scenario import WON, Scenario

SHARD: Final = 0
MANY: Final = 2 * PEOPLE_MAX + 200
CRASHES: Final = (
    ("re_emission_read", 1, 0, 0),
    ("relay_sent", 1, 0, 0),
    ("re_emission_sent", 1, PEOPLE_MAX, 0),
    ("re_emission_moved", 2, 3 * PEOPLE_MAX, 2 * PEOPLE_MAX),
)
"""Where a relay is killed, for the which time; how many balances more there are then, and how many are noted."""


def crowd(events: Events, *, without_vouchers: int = 0) -> list[Record]:
    """More people of one shard than a group holds, with vouchers; and some of it who have none."""
    people = people_of_shard(MANY + without_vouchers, SHARD, TEST_LEDGER.shards)
    granted = [events.granted(person) for person in people]
    return [*events.begin(), *granted, *(events.issued(person) for person in people[:MANY])]


async def balances(ledger: RunningLedger) -> Published:
    return await published(ledger, OutTopic.BALANCE)


def counted(topic: Published) -> Counter[tuple[int, str]]:
    """How often each key was published, by partition."""
    return Counter((partition, key) for partition, records in topic.partitions.items() for key, _ in records)


def assert_none_older_after_newer(topic: Published) -> None:
    """No record of a key tells of less than the record before it."""
    newest: dict[tuple[int, str], dict[str, int]] = {}
    for partition, records in topic.partitions.items():
        for key, event in records:
            versions = {v["voucher"]: v["version"] for v in event["data"].get("vouchers", [])}
            versions["seq"] = event["data"]["seq"]
            before = newest.get((partition, key), {})
            assert all(versions[what] >= version for what, version in before.items()), key
            newest[partition, key] = versions


async def test_everybody_is_published_once_more_as_postgres_has_them(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(list(Scenario(Random(61), events=300, beneficiaries=24)))
        await ledger.send_all(crowd(Events(wave="second"), without_vouchers=3))
        await ledger.settled()
        await relayed(ledger)
        before = await balances(ledger)
        result = await redress("relay", "re-emit", "--json")
        after = await balances(ledger)

        assert result.status == 0
        assert (result.json["done"], len(result.json["shards"])) == (True, TEST_LEDGER.shards)
        holders = [key for _, key in before.latest() if not key.startswith("lot/")]
        assert result.json["people"] == len(holders) > MANY
        assert counted(after) - counted(before) == Counter(dict.fromkeys(before.latest(), 1))
        assert _data(after) == _data(before)
        await assert_published(ledger)
        assert_none_older_after_newer(after)
    await assert_ledger_sound(database)


async def lose(stack: Stack, topic: str) -> None:
    """Delete a topic, and wait until Kafka has: it answers before."""
    async with kafka_admin(stack.kafka) as admin, asyncio.timeout(DIE_SECONDS_MAX):
        assert [error for _, error in (await admin.delete_topics([topic])).topic_error_codes] == [0]
        while topic in await admin.list_topics():  # noqa: ASYNC110 - the broker does it
            await asyncio.sleep(POLL_SECONDS)


def _data(topic: Published) -> dict[tuple[int, str], Any]:
    return {key: event["data"] for key, event in topic.latest().items()}


async def test_a_rebuild_publishes_nothing(stack: Stack, database: str, topic_prefix: str, redress: Command) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(Scenario(Random(36), events=200, beneficiaries=12))
        await ledger.settled()
        await relayed(ledger)
        topics = OutTopic.BALANCE, OutTopic.DECISION, OutTopic.DEAD_LETTER
        before = [await published(ledger, topic) for topic in topics]
        assert before[0].partitions[2]
        await ledger.stop_workers()

        # given people of a shard whose state was lost, and is made anew
        assert not (await ledger.database.execute("delete from redress.state where shard = 2")).endswith(" 0")
        assert (await redress("projections", "rebuild", "--promote")).status == 0

        # when a worker serves the shards again, and the relay has passed a further batch of each
        ledger.start_worker()
        await ledger.send(*Events(WON).published())
        await ledger.settled()
        await relayed(ledger)

        # then nothing of what was rebuilt was published again
        assert [await published(ledger, topic) for topic in topics] == before
        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_topic_that_was_lost_is_filled_again(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(list(Scenario(Random(63), events=300, beneficiaries=24)))
        await ledger.settled()
        await relayed(ledger)
        lost = await balances(ledger)
        await ledger.stop_workers()
        await lose(stack, topic_prefix + OutTopic.BALANCE.value)
        assert (await redress("topics", "apply")).status == 0
        assert counted(await balances(ledger)) == Counter()
        ledger.start_worker()
        await ledger.settled()
        assert (await redress("relay", "re-emit")).status == 0

        assert counted(found := await balances(ledger)) == Counter(dict.fromkeys(lost.latest(), 1))
        assert _data(found) == _data(lost)
    await assert_ledger_sound(database)


async def test_with_traffic_going_on_no_older_balance_follows_a_newer_one(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(crowd(events))
        await ledger.settled()
        await relayed(ledger)
        before = await balances(ledger)
        asked = asyncio.create_task(redress("relay", "re-emit", "--json"))
        claims = (events.claimed(person) for person in people_of_shard(MANY, SHARD, TEST_LEDGER.shards))
        while not asked.done() and (some := list(islice(claims, 5))):
            await ledger.send_all(some)
        assert (await asked).status == 0
        await ledger.settled()
        await relayed(ledger)

        more = counted(after := await balances(ledger)) - counted(before)
        assert all(more[key] >= 1 for key in before.latest())
        assert_none_older_after_newer(after)
        await assert_published(ledger)
    await assert_ledger_sound(database)


async def test_a_relay_killed_at_any_point_resumes_and_repeats_a_group_at_most(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(crowd(Events()))
        await ledger.settled()
        await relayed(ledger)
        await ledger.stop_workers()
        before = await balances(ledger)
        await ledger.database.execute(query("request_re_emission"), [SHARD])
        for point, hit, published_more, noted in CRASHES:
            doomed = start_faulty_worker(stack.kafka, database, topic_prefix, point, hit)
            died_by = await asyncio.to_thread(doomed.wait, DIE_SECONDS_MAX)
            assert -died_by == signal.SIGKILL, point
            await ledger.database.execute(LEASES_RUN_OUT)  # rather than waiting until they do
            people = counted(await balances(ledger)) - counted(before)
            assert sum(n for (_, key), n in people.items() if not key.startswith("lot/")) == published_more, point
            assert (await asked(ledger))["people"] == noted, point
        ledger.start_worker()
        await done(ledger, SHARD)

        assert (await asked(ledger))["people"] == MANY
        after = await balances(ledger)
        more = counted(after) - counted(before)
        assert {more[key] for key in before.latest() if key[0] == SHARD} == {1, 2}
        assert (
            sum(more.values()) - sum(n for (_, key), n in more.items() if key.startswith("lot/")) == MANY + PEOPLE_MAX
        )
        assert_none_older_after_newer(after)
        await assert_published(ledger)
    await assert_ledger_sound(database)


async def asked(ledger: RunningLedger, shard: int = SHARD) -> Any:
    rows = await ledger.database.fetch(query("re_emissions"))
    assert [row["shard"] for row in rows] == [shard]
    return rows[0]


async def done(ledger: RunningLedger, shard: int) -> None:
    async with asyncio.timeout(DIE_SECONDS_MAX):
        while (await asked(ledger, shard))["done_at"] is None:  # noqa: ASYNC110 - a worker does it
            await asyncio.sleep(POLL_SECONDS)


async def test_what_is_ahead_of_the_ledger_topic_is_left_to_its_own_group(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given a ledger of which only the first batches are published
    events = Events()
    first, second = people_of_shard(2, SHARD, TEST_LEDGER.shards)
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all([*events.begin(), events.granted(first), events.issued(first)])
        await ledger.settled()
        published_batch = (await ledger.batch_log(SHARD))[-1]["batch"]
        later = Events(wave="second", source="/later")
        await ledger.send_all([later.opened(), events.granted(second), events.issued(second)])
        await ledger.settled()
        await ledger.database.execute(query("request_re_emission"), [SHARD])

        # when its balances are to be published again
        connection = await connect(database, application_name="test", role=WRITER_ROLE)
        said: list[Any] = []
        for batch in (0, published_batch, (await ledger.batch_log(SHARD))[-1]["batch"]):
            re_emission = ReEmission(TEST_LEDGER, topic_prefix, SHARD, connection, lambda _: None)
            said.append(await re_emission.next_group(batch))
        await connection.close()

    # then each group has only what is published by then
    lots = [
        f"lot/{events.programme}/{wave}/{b['code']}" for wave in ("first", "second") for b in events.terms["benefits"]
    ]
    assert [sorted(record.key.decode() for record in group.outgoing) for group in said] == [
        [],
        sorted([first, *lots[:4]]),
        sorted([first, second, *lots]),
    ]
    assert [group.done for group in said] == [True] * 3
    assert said[0].reached == NOBODY


async def test_an_earlier_owner_that_comes_late_does_not_end_a_later_request(database: str) -> None:
    connection = await connect(database, application_name="test")
    try:
        await connection.execute(query("request_re_emission"), [SHARD])
        owner, earlier = (ReEmission(TEST_LEDGER, "", SHARD, connection, lambda _: None) for _ in range(2))
        owners_group, late_group = await owner.next_group(0), await earlier.next_group(0)
        assert owners_group is not None
        assert late_group is not None
        await owner.sent(owners_group)
        await connection.execute(query("request_re_emission"), [SHARD])
        await earlier.sent(late_group)

        assert await owner.next_group(0) is not None
    finally:
        await connection.close()


async def test_what_is_under_way_goes_on_and_what_is_done_can_be_asked_for_again(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0, relays=True) as ledger:
        first = await redress("relay", "re-emit", "--shard", "1", "--json")
        second = await redress("relay", "re-emit", "--shard", "1", "--no-wait", "--json")
        ledger.start_worker()
        await done(ledger, 1)
        third = await redress("relay", "re-emit", "--shard", "1", "--json")
        fourth = await redress("relay", "re-emit", "--shard", "1", "--shard", "2")
        wrong = await redress("relay", "re-emit", "--shard", "4")

    assert "no worker is alive" in first.err
    assert first.json["done"] is False
    assert first.json == second.json
    assert (third.status, third.json["done"]) == (0, True)
    assert [row["shard"] for row in third.json["shards"]] == [1]
    assert third.json["shards"][0]["requested_at"] > first.json["shards"][0]["requested_at"]
    assert (fourth.status, fourth.out) == (0, "published the balances of 0 beneficiaries again, on 2 shards\n")
    assert (wrong.status, wrong.err) == (2, "redress: --shard: the ledger has no shard 4\n")
