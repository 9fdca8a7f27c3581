"""How long a shard lets records gather before its next batch."""

import pytest

from redress.intake.shard_writer import GATHER_FROM, GATHER_MAX, GATHER_SECONDS_MAX, gather_seconds

A_WHILE = GATHER_SECONDS_MAX / 3


@pytest.mark.parametrize("records", [GATHER_FROM, GATHER_MAX - 1])
def test_a_busy_shard_waits_as_long_as_its_last_batch_took(records: int) -> None:
    assert gather_seconds(records, A_WHILE) == A_WHILE


def test_but_not_much_longer_than_a_batch_of_a_quick_machine_takes() -> None:
    assert gather_seconds(GATHER_FROM, 3_600.0) == GATHER_SECONDS_MAX


@pytest.mark.parametrize("records", [0, 1])
def test_who_comes_alone_lets_the_next_not_wait(records: int) -> None:
    assert gather_seconds(records, A_WHILE) == 0


def test_nor_does_a_batch_that_is_large_anyway() -> None:
    assert gather_seconds(GATHER_MAX, A_WHILE) == 0
