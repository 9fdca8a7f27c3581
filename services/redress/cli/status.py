"""`redress status`: how the ledger is doing."""

from dataclasses import asdict
from typing import Any

from redress.cli.output import AsJson, json_instant, plain_table, show_instant, write, write_json, write_table
from redress.cli.session import Session, open_session
from redress.runtime.status import ShardStatus, Status, input_ends, load_status
from redress.runtime.topics import check_topics


def status_command(*, json: AsJson = False) -> None:
    """Per shard: owner, lag in events and seconds, rates over the last 10 s, parked, dead-lettered, relay lag.

    With a clock moved by hand the seconds are the age of the last batch alone. Relay lag is in batches, by a hint that
    is at most 5 s old.
    """
    session = open_session()
    status = session.run(_load(session))
    if json:
        write_json(_as_json(status))
    else:
        _show(status)


async def _load(session: Session) -> Status:
    await session.check()
    await check_topics(session.servers.kafka, session.servers.topic_prefix, session.identity.shards)
    ends = await input_ends(session.servers, session.identity.shards)
    async with session.snapshot() as connection:
        return await load_status(connection, session.identity.name, session.identity.clock, ends)


def _show(status: Status) -> None:
    write(f"ledger {status.ledger}, clock {status.clock}, {_count(len(status.workers), 'worker')} alive")
    numbers = ("shard", "batch", "entries", "lag", "lag s", "records/s", "entries/s", "parked", "dead", "relay")
    table = plain_table(*numbers, "clock", "owner", numbers=numbers)
    for shard in status.shards:
        seconds = shard.clock_seconds if status.clock == "system" else shard.batch_seconds
        table.add_row(
            str(shard.shard),
            f"{shard.batch:,}",
            f"{shard.entries:,}",
            f"{sum(shard.lag.values()):,}",
            "-" if seconds is None else f"{seconds:,.1f}",
            f"{shard.records_per_second:,.0f}",
            f"{shard.entries_per_second:,.0f}",
            f"{shard.parked:,}",
            f"{shard.dead_lettered:,}",
            f"{shard.relay_batches:,}",
            show_instant(shard.now),
            _owner(shard),
        )
    write_table(table)
    lag = {topic: sum(shard.lag[topic] for shard in status.shards) for topic in status.shards[0].lag}
    write("lag by topic: " + ", ".join(f"{topic} {records:,}" for topic, records in lag.items()))
    _show_counts("dead-lettered", status.dead_letters)
    for outcome, reasons in status.reasons.items():
        _show_counts(outcome, reasons)


def _owner(shard: ShardStatus) -> str:
    if shard.stopped is not None:
        return f"STOPPED: {shard.stopped}"
    return (shard.owner or "nobody") + (" (work that fell due is left)" if shard.falling_due else "")


def _show_counts(what: str, counts: dict[str, int]) -> None:
    if counts:
        write(f"{what}: " + ", ".join(f"{reason} {count:,}" for reason, count in counts.items()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _as_json(status: Status) -> dict[str, Any]:
    plain = asdict(status)
    for shard in plain["shards"]:
        shard["now"] = json_instant(shard["now"])
        shard["lag_total"] = sum(shard["lag"].values())
    return plain
