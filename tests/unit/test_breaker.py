"""The breaker: what counts, how much of it is too much, and what begins anew."""

import pytest

from redress.domain.entry import DeadLetterReason
from redress.intake.breaker import Breaker, BreakerLimits

MALFORMED = DeadLetterReason.MALFORMED


def test_so_many_unreadable_records_in_a_row_stop_the_shard() -> None:
    breaker = Breaker(BreakerLimits(count=5, ratio=0.5))

    assert not breaker.count(4, [MALFORMED] * 4)
    assert breaker.count(1, [MALFORMED])


def test_readable_records_between_them_do_not_help_below_the_ratio() -> None:
    breaker = Breaker(BreakerLimits(count=5, ratio=0.5))

    assert [breaker.count(2, [MALFORMED]) for _ in range(5)] == [False] * 4 + [True]


def test_mostly_readable_records_begin_the_count_anew() -> None:
    breaker = Breaker(BreakerLimits(count=5, ratio=0.5))

    assert not breaker.count(4, [MALFORMED] * 4)
    assert not breaker.count(5, [])
    assert (breaker.records, breaker.letters) == (0, 0)
    assert not breaker.count(4, [MALFORMED] * 4)


def test_with_ratio_one_a_single_readable_record_is_enough() -> None:
    breaker = Breaker(BreakerLimits(count=3, ratio=1.0))

    assert not breaker.count(3, [MALFORMED] * 2)
    assert breaker.count(3, [MALFORMED] * 3)


@pytest.mark.parametrize("reason", DeadLetterReason)
def test_only_what_cannot_be_read_counts(reason: DeadLetterReason) -> None:
    counted = {DeadLetterReason.MALFORMED, DeadLetterReason.UNKNOWN_TYPE, DeadLetterReason.INVALID}
    breaker = Breaker(BreakerLimits(count=3, ratio=0.1))

    assert breaker.count(3, [reason] * 3) == (reason in counted)


def test_a_shard_that_was_resumed_counts_anew() -> None:
    breaker = Breaker(BreakerLimits(count=3, ratio=0.5))
    assert breaker.count(3, [MALFORMED] * 3)

    breaker.reset()

    assert not breaker.count(2, [MALFORMED] * 2)
