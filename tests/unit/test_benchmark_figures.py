"""What `make bench` makes of its readings."""

from itertools import pairwise

import orjson
import pytest

from tests.benchmarks.figures import Measured
from tests.benchmarks.full import CHUNK_PEOPLE, PEOPLE, Note, Point, curve, plan
from tests.benchmarks.machine import since
from tests.benchmarks.people import redeemed


def measured(rates: list[float], no_rules: list[float]) -> Measured:
    return Measured("issue", 2, rates, {"no rules": no_rules})


def test_a_ratio_is_of_two_runs_in_the_same_round() -> None:
    assert measured([100, 200, 300], [100, 100, 600]).ratios("no rules") == [1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("rates", "no_rules", "met"),
    [
        ([150_000, 160_000, 1], [150_000, 150_000, 150_000], True),
        ([149_999, 149_999, 900_000], [1, 1, 1], False),
        ([160_000, 160_000, 160_000], [170_000, 170_000, 1], False),
    ],
)
def test_a_goal_is_met_by_the_middle_round_and_against_every_peer_it_names(
    rates: list[float], no_rules: list[float], met: bool
) -> None:
    assert measured(rates, no_rules).met is met


def test_peers_that_did_not_run_count_neither_for_nor_against() -> None:
    assert Measured("issue", 2, [150_000.0]).met


def test_cpu_seconds_are_of_the_time_between_two_readings() -> None:
    assert since({"kafka": 1.5, "postgres": 2.0}, {"kafka": 2.0, "postgres": 2.0}) == {"kafka": 0.5, "postgres": 0.0}


@pytest.mark.parametrize("people", [320, 40_000, PEOPLE])
def test_a_full_run_grants_and_issues_to_everybody_once_in_loads_that_fit_a_transaction(people: int) -> None:
    for kind in ("granted", "issued"):
        chunks = [chunk for chunk in plan(people) if chunk.kind == kind]
        assert chunks[0].first == 0
        assert chunks[-1].end == people
        assert all(before.end == after.first for before, after in pairwise(chunks))
        assert all(0 < chunk.end - chunk.first <= CHUNK_PEOPLE for chunk in chunks)


def test_nobody_is_issued_to_before_the_grant() -> None:
    granted = 0
    for chunk in plan(PEOPLE):
        granted = chunk.end if chunk.kind == "granted" else granted
        assert chunk.end <= granted


def test_growth_is_the_last_step_by_the_first_and_leaves_out_what_was_not_measured() -> None:
    points = [
        Point("granted", 10, 10, 40, 40e-6, 100),
        Point("granted", 20, 15, 20, 60e-6, 100),
        Point("granted", 20, 20, 0, None, 100),
    ]

    figures = curve(Note(20, 2, points))

    assert [(p["people"], p["vouchers"], p["us_per_line"]) for p in figures["curve"]["granted"]] == [
        (10, 40, 1.0),
        (20, 80, 3.0),
    ]
    assert figures["growth"] == {"granted": 3.0}
    assert figures["met"] is False


def test_the_events_of_a_life_come_in_order_and_hardly_ever_one_after_the_other() -> None:
    records = list(redeemed(0, 50))
    lives: dict[bytes, list[str]] = {}
    orders: dict[str, list[bytes]] = {}
    for record in records:
        kind = orjson.loads(record.value)["type"]
        lives.setdefault(record.key, []).append(kind)
        orders.setdefault(kind, []).append(record.key)

    assert len(lives) == 50
    assert set(map(tuple, lives.values())) == {
        (
            "redress.voucher.claimed.v1",
            "redress.redemption.requested.v1",
            "redress.redemption.captured.v1",
            "redress.redemption.reversed.v1",
            "redress.redemption.recorded.v1",
        )
    }
    assert len(set(map(tuple, orders.values()))) == len(orders), (
        "each event of a life meets the people in another order"
    )
    neighbours = sum(before.key == after.key for before, after in pairwise(records))
    assert neighbours <= len(records) // 50
