"""`redress run watch`: what it publishes agrees with the journal, and a crash or another watch changes none of it."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import orjson

from redress.contracts.examples import example_events
from redress.contracts.registry import OutTopic
from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, OwnStack
from tests.harness.command import Command
from tests.harness.events import Events, people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.published import published
from tests.harness.relayed import relayed
from tests.harness.running_ledger import RunningLedger
from tests.harness.waiting import until
from tests.oracle.scenario import Scenario

Signals = dict[str, dict[str, Any]]
"""By id: the whole event."""
RATE, VELOCITY = "redress.signal.rate.v1", "redress.signal.velocity.v1"
BEGIN = datetime(2026, 2, 1, 11, 0, tzinfo=UTC)
MOVED = """
select shard, programme, extract(epoch from date_bin('10 s', recorded_at, 'epoch'))::bigint as window, movement,
    count(*) as lines, sum(amount) as amount
from finance.journal
where movement is not null
group by 1, 2, 3, 4
"""


async def signals(ledger: RunningLedger) -> Signals:
    """What was published; a repeated id says the same."""
    found: Signals = {}
    for _, event in (await published(ledger, OutTopic.SIGNAL)).partitions[0]:
        assert found.setdefault(event["id"], event) == event
    return found


async def test_what_a_watch_publishes_is_what_the_journal_moved(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    control = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all(Scenario(Random(5), events=400, beneficiaries=16))
        await ledger.settled()
        await relayed(ledger)
        moved = {
            (row["shard"], row["programme"], row["window"], row["movement"]): (row["lines"], row["amount"])
            for row in await ledger.database.fetch(MOVED)
        }

        async with redress.process("run", "watch") as watch:
            await watch.says("started")

            async def is_told() -> bool:
                await ledger.send_all([control.tick()])  # the window of the last entries ends with a later batch
                return told(await signals(ledger)).keys() == moved.keys()

            await until(is_told)
            stopped = await watch.stop()

        assert stopped.status == 0, stopped.err
        assert "Traceback" not in stopped.err
        assert told(await signals(ledger)) == moved
    await assert_ledger_sound(database)


def told(found: Signals) -> dict[tuple[int, str, int, str], tuple[int, int]]:
    return {
        (data["shard"], data["programme"], _seconds(data["window"]["start"]), moved["movement"]): (
            moved["lines"],
            moved["amount"],
        )
        for event in found.values()
        if event["type"] == RATE
        for data in [event["data"]]
        for moved in data["movements"]
    }


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class Topic:
    """`redress.ledger` written by hand, so that days of it are there at once: entries of a shard, a second apart."""

    def __init__(self, ledger: RunningLedger, shard: int) -> None:
        self._ledger = ledger
        self._shard = shard
        self._seqs = count(1)
        self.amounts: dict[int, int] = defaultdict(int)

    async def write(self, entries: int) -> None:
        """So many more entries, each of which redeems its seq."""
        for seq in (next(self._seqs) for _ in range(entries)):
            event = example_events()["redress.entry.appended.v1"]
            at = BEGIN + timedelta(seconds=seq)
            [line, *_] = event["data"]["lines"]
            event["data"] |= {
                "shard": self._shard,
                "seq": seq,
                "recorded_at": at.isoformat(),
                "lines": [{**line, "amount": seq}],
            }
            self.amounts[int(at.timestamp()) // 10 * 10] += seq
            await self.write_raw(orjson.dumps(event))

    async def write_raw(self, value: bytes) -> int:
        """The offset of the record."""
        sent = await self._ledger.send_raw(OutTopic.LEDGER, self._shard, b"key", value)
        return sent.offset

    def ended(self) -> dict[int, int]:
        """What was redeemed in each window but the last, which is open."""
        return {window: amount for window, amount in self.amounts.items() if window != max(self.amounts)}


def redeemed(found: Signals, shard: int) -> dict[int, int]:
    """By window."""
    return {
        window: amount
        for (where, _, window, movement), (_, amount) in told(found).items()
        if (where, movement) == (shard, "redeemed")
    }


async def test_a_watch_that_is_killed_and_one_that_joins_change_nothing(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        topics = [Topic(ledger, shard) for shard in range(TEST_LEDGER.shards)]

        async def is_told() -> bool:
            found = await signals(ledger)
            return all(redeemed(found, shard) == topic.ended() for shard, topic in enumerate(topics))

        for topic in topics:
            await topic.write(57)  # in the middle of a window
        async with redress.process("run", "watch") as first:
            await until(is_told)
            await first.end()  # with SIGKILL: what it has of the open window is gone
        for topic in topics:
            await topic.write(30)
        async with redress.process("run", "watch") as second:
            await until(is_told)
            async with redress.process("run", "watch") as third:
                await third.says("watching")
                for topic in topics:
                    await topic.write(30)
                await until(is_told)
                stopped = [await third.stop()]
            for topic in topics:
                await topic.write(30)  # of a shard that was the third's, the second has an old window
            await until(is_told)
            stopped.append(await second.stop())

        assert [each.status for each in stopped] == [0, 0], stopped
        assert {event["type"] for event in (await signals(ledger)).values()} == {RATE}


async def test_kafka_may_go_and_come(own_stack: OwnStack, redress: Command) -> None:
    migrate(own_stack.postgres, TEST_LEDGER)
    environment = {
        "REDRESS_KAFKA": own_stack.kafka,
        "REDRESS_POSTGRES": own_stack.postgres,
        "REDRESS_TOPIC_PREFIX": "own.",
    }
    async with RunningLedger(own_stack.kafka, own_stack.postgres, "own.", workers_at_start=0) as ledger:
        topic = Topic(ledger, 0)

        async def is_told() -> bool:
            return redeemed(await signals(ledger), 0) == topic.ended()

        await topic.write(57)
        async with redress.process("run", "watch", **environment) as watch:
            await until(is_told)
            await own_stack.kill_kafka()
            await own_stack.start_kafka()
            await topic.write(30)
            await until(is_told)
            stopped = await watch.stop()

    assert stopped.status == 0, stopped.err


async def test_what_is_no_entry_is_named_and_left_out(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        topic = Topic(ledger, 1)
        await topic.write(5)
        event = example_events()["redress.entry.appended.v1"]
        del event["data"]["seq"]
        offset = await topic.write_raw(orjson.dumps(event))
        await topic.write(10)
        async with redress.process("run", "watch") as watch:

            async def is_told() -> bool:
                return redeemed(await signals(ledger), 1) == topic.ended()

            await until(is_told)
            stopped = await watch.stop()

    assert stopped.status == 0
    [line] = [line for line in stopped.err.splitlines() if "not understood" in line]
    assert f"topic={topic_prefix}redress.ledger partition=1 offset={offset} " in line
    assert "`seq`" in line


async def test_alarms_go_out_with_the_key_of_what_they_are_about(
    redress: Command, stack: Stack, database: str, topic_prefix: str
) -> None:
    # given one who asks for far more than there is, and one of whom more was redeemed than there was
    (greedy, spender), control = people(2), Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all([control.published(), control.opened(), control.tick()])
        await ledger.send_all([*control.welcomed(greedy), *control.welcomed(spender)])
        await ledger.settled()
        await ledger.send_all([control.requested(greedy, f"r-{n}", 10**9) for n in range(20)])
        await ledger.send_all([control.recorded(spender, "r-x", 10**6)])
        await ledger.settled()

        async with redress.process("run", "watch") as watch:

            async def is_told() -> bool:
                await ledger.send_all([control.tick()])
                found = (await signals(ledger)).values()
                return {"exceptions", VELOCITY} <= {event["data"].get("kind", event["type"]) for event in found}

            await until(is_told)
            stopped = await watch.stop()
        assert stopped.status == 0
        found = (await signals(ledger)).values()

    assert_keys(found, greedy, control.programme)


def assert_keys(found: Any, greedy: str, programme: str) -> None:
    for event in found:
        wanted = event["data"]["programme"] or f"shard/{event['data']['shard']}"
        assert event["partitionkey"] == wanted
    velocity = [event["data"] for event in found if event["type"] == VELOCITY]
    assert {(each["beneficiary"], each["programme"]) for each in velocity} == {(greedy, None)}
    exceptions = [event["data"] for event in found if event["data"].get("kind") == "exceptions"]
    assert {each["programme"] for each in exceptions} == {programme}
