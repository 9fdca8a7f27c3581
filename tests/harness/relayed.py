"""What the relay published, held against the ledger."""

import asyncio
from collections import Counter
from typing import Any

from redress.contracts.registry import OutTopic
from redress.domain.event import Topic
from tests.harness.published import Published, published
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger

ENTRY, MARKER = "redress.entry.appended.v1", "redress.batch.committed.v1"
DECISION, LETTER = "redress.redemption.decided.v1", "redress.record.dead_lettered.v1"
RELAY_SECONDS_MAX = 30


async def relayed(ledger: RunningLedger) -> None:
    """Wait until the last marker of every shard is its last batch."""
    deadline = asyncio.get_running_loop().time() + RELAY_SECONDS_MAX
    while True:
        heads = {row["shard"]: row["batch"] for row in await ledger.view("position")}
        topic = await published(ledger, OutTopic.LEDGER)
        markers = {m["shard"]: m["batch"] for m in topic.events(MARKER)}
        if all(markers.get(shard, 0) == batch for shard, batch in heads.items()):
            return
        assert asyncio.get_running_loop().time() < deadline, f"published {markers} of {heads}"
        await asyncio.sleep(POLL_SECONDS)


async def assert_published(ledger: RunningLedger) -> None:
    """Everything the ledger holds is on its topics, in order and once."""
    topic = await published(ledger, OutTopic.LEDGER)
    _assert_complete(topic, await ledger.entries())
    _assert_skip_rule(await published(ledger, OutTopic.LEDGER, "read_uncommitted"), topic)
    await _assert_markers(ledger, topic)
    await _assert_decisions(ledger)
    await _assert_balances(ledger)
    await _assert_letters(ledger)
    await _assert_ids(ledger)


async def _assert_ids(ledger: RunningLedger) -> None:
    """Within its source and partition key an id is one event's: an entry's is not its decision's."""
    topics = [await published(ledger, topic) for topic in (OutTopic.LEDGER, OutTopic.DECISION, OutTopic.DEAD_LETTER)]
    records = [event for topic in topics for part in topic.partitions.values() for _, event in part]
    ids = Counter((event["source"], event["partitionkey"], event["id"]) for event in records)
    assert [found for found, times in ids.items() if times > 1] == []
    entries = [event for event in records if event["type"] == ENTRY]
    assert [event["id"] for event in entries] == [
        f"{event['data']['ledger']}-{event['data']['shard']}-{event['data']['seq']}" for event in entries
    ]


def _assert_complete(topic: Published, booked: list[dict[str, Any]]) -> None:
    found = topic.events(ENTRY)
    assert [(e["shard"], e["seq"]) for e in found] == [(e["shard"], e["seq"]) for e in booked]
    for entry, data in zip(booked, found, strict=True):
        assert data["outcome"] == entry["outcome"]
        assert data["reason"] == entry["reason"]
        assert data["cause"] == entry["cause"]
        assert data["beneficiary"] == entry["beneficiary"]
        assert data["terms_version"] == entry["terms_version"]
        assert data["redemption"] == entry["redemption"]
        assert [_line(line) for line in data["lines"]] == [_line(line) for line in entry["lines"]]


def _line(line: dict[str, Any]) -> dict[str, Any]:
    """A line without its time, which is text on one side."""
    return {name: value for name, value in line.items() if name != "effective_at"}


def _assert_skip_rule(uncommitted: Published, committed: Published) -> None:
    """Who reads uncommitted and skips what it has seen misses nothing and takes nothing that is not in the ledger."""
    for partition, records in uncommitted.partitions.items():
        seen: dict[int, dict[str, Any]] = {}
        for _, event in records:
            if event["type"] == ENTRY:
                seen.setdefault(event["data"]["seq"], event["data"])
        wanted = [e["data"] for _, e in committed.partitions[partition] if e["type"] == ENTRY]
        assert [seen[seq] for seq in sorted(seen)] == wanted


async def _assert_markers(ledger: RunningLedger, topic: Published) -> None:
    for shard in range(ledger.identity.shards):
        log = await ledger.batch_log(shard)
        markers = [event["data"] for _, event in topic.partitions[shard] if event["type"] == MARKER]
        assert [(m["batch"], m["first_seq"], m["next_seq"], m["digest"]) for m in markers] == [
            (row["batch"], row["first_seq"], row["next_seq"], row["digest"].hex()) for row in log
        ]
        assert [tuple(m["offsets"].values()) for m in markers] == [
            tuple(row[f"{t.name.lower()}_offset"] for t in Topic) for row in log
        ]


async def _assert_decisions(ledger: RunningLedger) -> None:
    decisions = (await published(ledger, OutTopic.DECISION)).events(DECISION)
    answered = await ledger.database.fetch(
        "select shard, seq from redress.journal where kind >= 13 or kind = 6 order by shard, seq"
    )
    assert [(d["shard"], d["seq"]) for d in decisions] == [tuple(row) for row in answered]


async def _assert_balances(ledger: RunningLedger) -> None:
    latest = (await published(ledger, OutTopic.BALANCE)).latest()
    shown = {
        row["voucher"]: (row["available"], row["held"], row["redeemed"], row["forfeited"], row["version"])
        for (_, key), event in latest.items()
        if not key.startswith("lot/")
        for row in event["data"]["vouchers"]
    }
    lots = {key: event["data"] for (_, key), event in latest.items() if key.startswith("lot/")}
    held = {row["voucher"]: row for row in await ledger.view("voucher_balance")}
    assert shown.keys() == held.keys()
    for voucher, (available, on_hold, redeemed, forfeited, version) in shown.items():
        row = held[voucher]
        is_open = lots[f"lot/{row['programme']}/{row['wave']}/{row['benefit']}"]["state"] == "open"
        assert (row["held"], row["redeemed"], row["forfeited"], row["version"]) == (
            on_hold,
            redeemed,
            forfeited,
            version,
        )
        if is_open:
            assert row["available"] == available
    for shard in range(ledger.identity.shards):
        assert {key for (p, key) in latest if p == shard and key.startswith("lot/")} == lots.keys()


async def _assert_letters(ledger: RunningLedger) -> None:
    letters = (await published(ledger, OutTopic.DEAD_LETTER)).events(LETTER)
    kept = [
        (ledger.prefix + row["topic"], row["record_partition"], row["record_offset"], row["reason"], row["size"])
        for row in await ledger.dead_letters()
    ]
    found = [(x["topic"], x["partition"], x["offset"], x["reason"], x["size"]) for x in letters]
    assert sorted(found) == sorted(kept)
