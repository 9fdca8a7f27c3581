"""The clock, and when a line is effective (section 3 of the rules)."""

import pytest

from redress.domain.entry import DeadLetterReason, Reason
from redress.domain.event import Standing
from tests.unit.domain.given import BORA, EU, KR, RIDE_VOUCHER, Given, Time, at, shows, voucher

# Ticks


def test_an_older_tick_has_no_effect(opened: Given) -> None:
    opened.tick("01-11").is_nothing()
    assert opened.now == at("01-12")
    opened.tick("01-12").is_nothing()
    assert opened.now == at("01-12")


def test_a_tick_makes_no_entry_of_its_own(opened: Given) -> None:
    opened.tick("01-13").is_nothing()
    assert opened.now == at("01-13")


@shows("clock.ticked dead invalid")
def test_the_system_clock_takes_no_tick_more_than_a_day_ahead() -> None:
    given = Given(clock="system")
    given.tick("01-12")
    given.tick(at("01-13", 1)).dead_lettered(DeadLetterReason.INVALID)
    assert given.now == at("01-12")
    given.tick("01-13").is_nothing()
    assert given.now == at("01-13")


def test_the_first_tick_of_the_system_clock_may_be_any() -> None:
    given = Given(clock="system")
    given.tick("12-31").is_nothing()
    assert given.now == at("12-31")


def test_the_manual_clock_goes_wherever_it_is_set(opened: Given) -> None:
    opened.tick("04-01")
    assert opened.now == at("04-01")


def test_a_shard_other_than_the_first_reports_no_tick() -> None:
    given = Given(clock="system", shard=1)
    given.tick("01-12")
    given.tick("01-14").is_nothing()


def test_lots_lapse_before_holds_time_out_before_parking_ends() -> None:
    given = Given(parking_seconds=600)
    given.publishes(KR)
    given.publishes(EU)
    given.opens(programme="eu")
    given.opens()
    given.tick("04-15 23:50")
    given.granted(programme="eu")
    given.issued(programme="eu")
    given.requested("R1", 500, programme="eu")
    given.recorded("R2", 100)
    then = given.tick("04-17")
    assert then.names == ["lapse", "lapse", "time-out", "redemption.recorded"]
    assert then.lines == [
        "expired 1500 available",
        "released 500",
        "expired 500 available by lot",
        "exception 100",
    ]


# Before the first tick


def test_before_the_first_tick_now_is_the_events_own_time() -> None:
    given = Given()
    given.publishes(KR, x="03-01")
    assert given.opens(x="02-01").entry.effective_at == at("02-01")
    given.opens("w2", x="04-16").dead_lettered(DeadLetterReason.INVALID)
    given.extends("05-01", x="05-01").dead_lettered(DeadLetterReason.INVALID)
    given.extends("05-01", x="04-20").accepted()
    given.revokes_lot(x="01-05").accepted()
    assert given.lot().closed_at == given.lot().booked_at == at("01-05")


# The effective time of a line


def test_a_line_is_effective_at_the_events_time(opened: Given) -> None:
    then = opened.granted(x="01-10")
    assert (then.times, then.entry.occurred_at, then.entry.effective_at) == ([at("01-10")], at("01-10"), at("01-10"))


def test_but_not_after_now(opened: Given) -> None:
    then = opened.granted(x="01-12 12:00")
    assert then.times == [at("01-12")]
    assert (then.entry.occurred_at, then.entry.effective_at) == (at("01-12 12:00"), at("01-12"))


def test_nor_before_the_vouchers_last_line(anna: Given) -> None:
    anna.recorded("R1", 100, programme="eu", x="01-25")
    assert anna.recorded("R2", 100, programme="eu", x="01-20").times == [at("01-25")]
    assert anna.recorded("R3", 100, programme="eu", x="01-26").times == [at("01-26")]


def test_nor_before_the_entitlements_last_line(opened: Given) -> None:
    opened.granted(x="01-11")
    assert opened.withdrawn(x="01-10").times == [at("01-11")]
    assert opened.reinstated(x="01-09").times == [at("01-11")]
    assert opened.issued(x="01-08").times == [at("01-11")]


def test_the_last_line_of_another_voucher_does_not_count(anna: Given) -> None:
    anna.recorded("R1", 100, programme="eu", x="01-25")
    assert anna.requested("R2", 100, x="02-01").times == [at("02-01")]
    assert anna.recorded("R3", 100, x="01-20").entry.effective_at == at("02-01")
    anna.granted(who=BORA, programme="eu", x="01-20")
    assert anna.issued(who=BORA, programme="eu", x="01-21").times == [at("01-21")]


def test_nor_before_the_lots_reopening(anna: Given) -> None:
    anna.tick("04-20")
    anna.extends("05-01", x="04-18")
    assert anna.recorded("R1", 100, x="04-15").times == [at("04-18"), at("04-18")]
    assert anna.recorded("R2", 100, programme="eu", x="04-15").times == [at("04-16", -1), at("04-16", -1)]


def test_an_entry_is_effective_with_its_latest_line(basket: Given) -> None:
    basket.recorded("R1", 100, x="01-25")
    basket.reversed("R1", x="01-26")
    then = basket.recorded("R2", (voucher("all"), 5_000), 20_000, x="01-20")
    assert then.times == [at("01-20"), at("01-26")]
    assert then.entry.effective_at == at("01-26")


def test_an_entry_without_lines_is_effective_at_its_time_and_not_after_now(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    assert opened.enrolled(x="01-12 12:00").entry.effective_at == at("01-12")
    assert opened.enrolled(x="01-05").entry.effective_at == at("01-05")
    assert opened.released("R1", x="01-12 12:00").entry.effective_at == at("01-12")


def test_a_time_out_is_not_effective_before_the_vouchers_last_line(anna: Given) -> None:
    anna.requested("R1", 100, programme="eu")
    anna.tick("02-01 00:15:30")
    anna.recorded("R2", 100, programme="eu")
    then = anna.tick("02-01 00:16")
    assert (then.entry.occurred_at, then.times) == (at("02-01 00:15"), [at("02-01 00:15:30")])


def test_exceptions_on_a_voucher_that_is_there_move_its_time(anna: Given) -> None:
    anna.declined(RIDE_VOUCHER, programme="eu", x="01-20")
    anna.recorded("R1", 100, programme="eu", x="01-25").accepted("exception 100", reason=Reason.DECLINED)
    assert anna.reversed("R1", programme="eu", x="01-22").times == [at("01-25")]


def test_exceptions_on_a_voucher_that_is_not_there_have_their_own_last_line(anna: Given) -> None:
    stranger = voucher(who=BORA)
    anna.recorded("R1", (stranger, 100), x="01-25")
    assert anna.recorded("R2", (stranger, 100), x="01-20").times == [at("01-25")]
    assert anna.recorded("R3", (stranger, 100), programme="eu", x="01-20").times == [at("01-20")]
    assert anna.recorded("R4", (voucher("eats", who=BORA), 100), x="01-20").times == [at("01-20")]


def test_a_voucher_that_comes_after_an_exception_goes_on_from_there(opened: Given) -> None:
    opened.recorded("R1", 100, x="01-12")
    opened.tick("01-14").accepted("exception 100", reason=Reason.UNKNOWN_VOUCHER)
    opened.granted(x="01-11")
    assert opened.issued(x="01-11").times == [at("01-12")]
    then = opened.reversed("R1", x="01-10")
    assert then.times == [at("01-12")]


def test_a_voucher_and_an_exception_on_it_from_before_it_came_share_their_last_line(opened: Given) -> None:
    opened.recorded("R1", 100, x="01-12")
    opened.tick("01-14")
    opened.granted(x="01-11")
    opened.issued(x="01-13")
    assert opened.reversed("R1", 50, x="01-11").times == [at("01-13")]
    opened.reversed("R1", x="01-13 12:00")
    assert opened.claimed(x="01-11").times == [at("01-13 12:00")]


# Facts ahead of the clock


@pytest.mark.parametrize(("x", "is_taken"), [("01-13", True), (at("01-13", 1), False)])
def test_a_fact_may_be_a_day_ahead(opened: Given, x: Time, is_taken: bool) -> None:
    then = opened.released("R1", x=x)
    assert (len(then.entries), len(then.dead)) == ((1, 0) if is_taken else (0, 1))


@shows("eligibility.granted dead invalid", "voucher.issued dead invalid", "redemption.captured dead invalid")
def test_what_is_further_ahead_is_invalid_grants_and_issues_too(opened: Given) -> None:
    opened.granted(x="01-14").dead_lettered(DeadLetterReason.INVALID)
    opened.issued(x="01-14").dead_lettered(DeadLetterReason.INVALID)
    opened.captured("R1", 1, x="01-14").dead_lettered(DeadLetterReason.INVALID)


def test_a_request_further_ahead_is_refused_and_not_invalid(opened: Given) -> None:
    opened.requested("R1", 100, x="01-14").refused(Reason.FUTURE_REQUEST)


def test_a_control_event_may_be_of_any_time(opened: Given) -> None:
    then = opened.extends("05-01", x="12-31")
    then.accepted()
    assert then.entry.effective_at == at("01-12")
