"""With very much parked and held, what a writer asks at each batch is still answered from a few pages of an index."""

import json
from typing import Any

import pytest

from redress.ledger.connection import Connection, connect
from redress.ledger.queries import query
from tests.harness.events import DAY, HOUR, START

MANY = 100_000
SHARD = 1
LIMIT = 20
PAGES_MAX = 10 * LIMIT
"""Pages of 8 KB: a hundredth of those that `MANY` rows and their indexes have."""
WAVE = "wave/breach-kr/late"
FILL = """
insert into redress.parked (shard, arrival, beneficiary, topic, record_offset, key, value, parked_at, wakes_on)
select $1, n, gen_random_uuid(), 'redress.eligibility', n, '', decode(repeat('00', 200), 'hex'), $3, $4
from generate_series(1, $2) as n;
"""
HOLD = """
insert into redress.redemption (shard, beneficiary, programme, redemption, status, expires_at, lines, seq)
select $1, beneficiary, 'breach-kr', 'r-1', 'held', $2, '[]', 1 from redress.parked;
"""


@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
async def test_what_is_asked_at_each_batch_does_not_look_at_all_that_waits(database: str, plan: str) -> None:
    connection = await connect(database, application_name="test")
    try:
        await connection.execute(FILL, SHARD, MANY, START, WAVE)
        await connection.execute(HOLD, SHARD, START + HOUR)
        await connection.execute("analyze redress.parked, redress.redemption")
        await connection.execute(f"set plan_cache_mode = {plan}")
        few = await connection.fetchval("select array(select beneficiary from redress.parked limit $1)", LIMIT)

        asked: list[tuple[str, tuple[Any, ...]]] = [
            ("next_due", (SHARD,)),
            ("waited_for", (SHARD,)),
            ("woken", (SHARD, WAVE, LIMIT)),
            ("woken", (SHARD, "wave/breach-kr/other", LIMIT)),
            ("load_met", (SHARD, few, [], [], [], [], [], [])),
            ("load_met", (SHARD, [], few, ["breach-kr"] * LIMIT, ["r-1"] * LIMIT, [], [], [])),
            ("load_met", (SHARD, [], [], [], [], few, ["breach-kr"] * LIMIT, ["o-1"] * LIMIT)),
            ("load_redemptions", (SHARD, few, ["breach-kr"] * LIMIT, ["r-1"] * LIMIT)),
        ]
        # Of holds and parked events all may be due, or none of the one while there is much of the other.
        for now in (START - DAY, START + DAY):
            asked += [("due_holds", (SHARD, now, LIMIT)), ("due_parked", (SHARD, now, LIMIT))]
        pages = {f"{name}{parameters[1:]}": await _pages(connection, name, parameters) for name, parameters in asked}
        assert {name: number for name, number in pages.items() if number > PAGES_MAX} == {}
    finally:
        await connection.close()


async def _pages(connection: Connection, name: str, parameters: tuple[Any, ...]) -> int:
    """How many pages the statement looked at."""
    explained = await connection.fetchval(f"explain (analyze, buffers, format json) {query(name)}", *parameters)
    plan = json.loads(explained)[0]["Plan"] if isinstance(explained, str) else explained[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
