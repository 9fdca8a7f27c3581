"""Whole programmes through Kafka into Postgres: what is booked is what an independent oracle books."""

from random import Random

import pytest

from redress.domain.event import Topic
from redress.runtime.local import Stack
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger, Sent, chunks
from tests.oracle.event import TICKED
from tests.oracle.scenario import Scenario


@pytest.mark.parametrize(("seed", "people", "chunk"), [(1, 40, 300), (2, 6, 150), (3, 15, 900)])
async def test_a_scenario_ends_as_the_oracle_says(
    stack: Stack, database: str, topic_prefix: str, seed: int, people: int, chunk: int
) -> None:
    events = list(Scenario(Random(seed), events=900, beneficiaries=people))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=2) as ledger:
        for records in chunks(events, chunk):
            await ledger.send_all(records)
            await ledger.settled()

        await assert_agrees(ledger)
        await _assert_control_came_first(ledger)
    await assert_ledger_sound(database)


async def test_all_records_fed_again_append_nothing(stack: Stack, database: str, topic_prefix: str) -> None:
    # given a ledger that has taken a whole scenario
    events = list(Scenario(Random(4), events=700, beneficiaries=20))
    async with RunningLedger(stack.kafka, database, topic_prefix) as ledger:
        await ledger.send_all(events)
        await ledger.settled()
        before = await _figures(ledger)
        assert before["entries"]

        # when every event that was decided or is parked comes once more, and the ticks too; one that was dead-lettered
        # is not remembered, so its retry, a duplicate while it was parked, would now be new
        letters = {(row["topic"], row["record_partition"], row["record_offset"]) for row in await ledger.dead_letters()}
        taken = [(s, s.event) for s in ledger.sent if s.event]
        forgotten = {_identity(event) for s, event in taken if (s.topic, s.partition, s.offset) in letters}
        again = [(s.topic, event) for s, event in taken if _identity(event) not in forgotten]
        assert len(again) > len(events) / 2
        await ledger.send_all(again)
        await ledger.settled()

        # then they were read, and changed nothing
        assert await _figures(ledger) == before
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


def _identity(event: dict[str, str]) -> tuple[str, str, str]:
    return event["partitionkey"], event["source"], event["id"]


async def _figures(ledger: RunningLedger) -> dict[str, object]:
    views = ("voucher_balance", "outstanding_liability", "account_balance", "roll_forward", "wave")
    figures: dict[str, object] = {name: sorted(map(str, await ledger.view(name))) for name in views}
    return figures | {"entries": await ledger.entries(), "dead letters": await ledger.dead_letters()}


async def _assert_control_came_first(ledger: RunningLedger) -> None:
    """A control event that Kafka had before a record was produced was applied before it."""
    batches = {shard: await ledger.batch_log(shard) for shard in range(ledger.identity.shards)}
    control = -1
    checked = 0
    for sent in ledger.sent:
        if sent.topic == Topic.PROGRAMME:
            control = sent.offset
        else:
            assert _programme_offset(batches[sent.partition], sent) > control, sent
            checked += 1
    assert checked > 100
    assert any(sent.event and sent.event["type"] == TICKED for sent in ledger.sent)


def _programme_offset(batches: list[dict[str, int]], sent: Sent) -> int:
    """Up to where the programme topic was read when the record was taken."""
    name = Topic(sent.topic).name.lower()
    return next(b["programme_offset"] for b in batches if b[f"{name}_from"] <= sent.offset < b[f"{name}_offset"])
