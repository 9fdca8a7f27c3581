"""Captured, released, recorded and the time-out (section 7 of the rules)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from redress.domain.beneficiary import RedemptionStatus
from redress.domain.entry import Reason
from redress.domain.ids import VoucherId
from redress.domain.terms import Remainder
from tests.unit.domain.given import BORA, KR, RIDE_VOUCHER, Given, Then, Time, at, shows, voucher

ALL_VOUCHER = voucher("all")
EATS_VOUCHER = voucher("eats")
STRANGERS = voucher(who=BORA)

# Captured from the hold


@shows("redemption.captured accepted")
def test_a_capture_takes_its_hold_and_forfeits_what_is_left_of_one_use(anna: Given) -> None:
    anna.requested("R1", 15_000)
    anna.captured("R1", 12_000).accepted("redeemed 12000 held", "forfeited 3000 held", "forfeited 5000 available")


def test_a_capture_releases_the_rest_of_its_hold_where_it_is_kept(anna: Given) -> None:
    anna.requested("R1", 1_500, programme="eu")
    anna.requested("R2", 300, programme="eu")
    anna.captured("R1", 1_200, programme="eu").accepted("redeemed 1200 held", "released 300")
    assert anna.amounts(RIDE_VOUCHER) == {"available": 500, "held": 300, "redemption_clearing": 1_200}


def test_a_capture_beyond_its_hold_goes_on_with_what_is_available(anna: Given) -> None:
    anna.requested("R1", 1_500, programme="eu")
    anna.captured("R1", 1_800, programme="eu").accepted("redeemed 1500 held", "redeemed 300 available")
    anna.requested("R2", 15_000)
    anna.captured("R2", 18_000).accepted("redeemed 15000 held", "redeemed 3000 available", "forfeited 2000 available")


def test_a_capture_beyond_all_there_is(anna: Given) -> None:
    anna.requested("R1", 1_500, programme="eu")
    anna.captured("R1", 2_001, programme="eu").accepted(
        "redeemed 1500 held", "redeemed 500 available", "exception 1", reason=Reason.INSUFFICIENT_BALANCE
    )


def test_a_capture_leaves_the_holds_of_other_redemptions_alone(anna: Given) -> None:
    anna.requested("R1", 1_000, programme="eu")
    anna.requested("R2", 1_000, programme="eu")
    anna.captured("R1", 1_500, programme="eu").accepted(
        "redeemed 1000 held", "exception 500", reason=Reason.INSUFFICIENT_BALANCE
    )
    assert anna.amounts(RIDE_VOUCHER) == {"held": 1_000, "redemption_clearing": 1_000}


def test_holds_on_vouchers_that_are_not_named_are_released(basket: Given) -> None:
    basket.requested("R1", 15_000, (ALL_VOUCHER, 5_000))
    basket.captured("R1", (ALL_VOUCHER, 4_000)).accepted("redeemed 4000 held", "forfeited 1000 held", "released 15000")


def test_a_capture_may_name_a_voucher_that_was_not_asked_for(basket: Given) -> None:
    basket.requested("R1", 15_000)
    basket.captured("R1", (ALL_VOUCHER, 4_000)).accepted(
        "redeemed 4000 available", "forfeited 1000 available", "released 15000"
    )


def test_a_capture_covered_by_its_hold_has_no_reason_whatever_became_of_the_voucher(anna: Given) -> None:
    anna.requested("R1", 20_000)
    anna.withdrawn()
    anna.revokes_lot()
    anna.captured("R1", 20_000).accepted("redeemed 20000 held")


def test_what_a_hold_returns_to_a_closed_lot_leaves_at_once(anna: Given) -> None:
    anna.requested("R1", 1_500, programme="eu")
    anna.revokes_lot(programme="eu", benefit="ride").accepted("revoked 500 available")
    anna.captured("R1", 1_200, programme="eu").accepted(
        "redeemed 1200 held", "released 300", "revoked 300 available by lot"
    )


@pytest.fixture
def held_over_the_end(anna: Given) -> Given:
    """15,000 of 20,000 won are held; the lot has just lapsed with the rest."""
    anna.tick("04-15 23:58")
    anna.requested("R1", 15_000)
    anna.tick("04-16 00:01")
    return anna


def test_a_capture_from_the_end_on_leaves_the_remainder_to_the_lot(held_over_the_end: Given) -> None:
    held_over_the_end.captured("R1", 12_000, x="04-16").accepted("redeemed 12000 held", "forfeited 3000 held")


def test_a_capture_before_the_end_forfeits_the_remainder_whenever_it_arrives(held_over_the_end: Given) -> None:
    held_over_the_end.captured("R1", 12_000, x=at("04-16", -1)).accepted(
        "redeemed 12000 held",
        "forfeited 3000 held",
        "expiry_reversed 5000 available by lot",
        "forfeited 5000 available",
    )


def test_a_capture_from_the_end_on_takes_no_more_than_its_hold(held_over_the_end: Given) -> None:
    held_over_the_end.captured("R1", 16_000, x="04-16").accepted(
        "redeemed 15000 held", "exception 1000", reason=Reason.EXPIRED
    )


# Settled once


@shows("redemption.captured no_effect already_settled", "redemption.recorded no_effect already_settled")
def test_a_redemption_is_settled_once(anna: Given) -> None:
    anna.requested("R1", 100, programme="eu")
    anna.captured("R1", 100, programme="eu")
    anna.captured("R1", 200, programme="eu").no_effect(Reason.ALREADY_SETTLED)
    anna.recorded("R1", 200, programme="eu").no_effect(Reason.ALREADY_SETTLED)


def test_a_redemption_that_was_wholly_reversed_was_settled_all_the_same(anna: Given) -> None:
    anna.recorded("R1", 100, programme="eu")
    anna.reversed("R1", programme="eu")
    anna.captured("R1", 100, programme="eu").no_effect(Reason.ALREADY_SETTLED)
    anna.recorded("R1", 100, programme="eu").no_effect(Reason.ALREADY_SETTLED)


# Without a hold


def test_a_capture_of_a_refused_request_takes_what_there_is(anna: Given) -> None:
    anna.requested("R1", 2_001, programme="eu").refused(Reason.INSUFFICIENT_BALANCE)
    anna.captured("R1", 2_001, programme="eu").accepted(
        "redeemed 2000 available", "exception 1", reason=Reason.INSUFFICIENT_BALANCE
    )


def test_a_capture_after_release_takes_what_there_is(anna: Given) -> None:
    anna.requested("R1", 15_000)
    anna.released("R1")
    anna.captured("R1", 15_000).accepted("redeemed 15000 available", "forfeited 5000 available")


def test_a_capture_after_time_out_takes_what_there_is(anna: Given) -> None:
    anna.requested("R1", 15_000)
    anna.tick("02-01 00:16")
    anna.tick("02-01 01:00")
    anna.captured("R1", 15_000).accepted("redeemed 15000 available", "forfeited 5000 available")
    assert anna.redemption("R1").status is RedemptionStatus.SETTLED


@shows("redemption.captured accepted unknown_redemption")
def test_a_capture_nobody_asked_for_is_booked_and_says_so_before_all_else(anna: Given) -> None:
    anna.captured("R1", 100, programme="eu").accepted("redeemed 100 available", reason=Reason.UNKNOWN_REDEMPTION)
    anna.captured("R2", (STRANGERS, 100), 20_001).accepted(
        "exception 100",
        "redeemed 20000 available",
        "exception 1",
        reason=Reason.UNKNOWN_REDEMPTION,
    )


@shows("redemption.recorded accepted")
def test_a_recorded_redemption_need_not_be_known(anna: Given) -> None:
    anna.recorded("R1", 15_000).accepted("redeemed 15000 available", "forfeited 5000 available")
    anna.recorded("R2", 300, programme="eu").accepted("redeemed 300 available")


def test_a_recorded_redemption_that_holds_is_settled_like_a_capture(basket: Given) -> None:
    basket.requested("R1", 15_000, (ALL_VOUCHER, 100), order="o")
    basket.recorded("R1", 12_000, order="p").accepted(
        "redeemed 12000 held", "forfeited 3000 held", "forfeited 5000 available", "released 100"
    )
    assert basket.redemption("R1").order == "p"


def test_a_fact_claims_the_whole_voucher_where_it_was_not_claimed(unclaimed: Given) -> None:
    unclaimed.recorded("R1", 100).accepted(
        "claimed 20000", "redeemed 100 available", "forfeited 19900 available", reason=Reason.NOT_CLAIMED
    )


def test_a_fact_leaves_the_rest_of_what_it_claims_available_where_it_is_kept(opened: Given) -> None:
    opened.publishes(replace(KR, version=2, remainder=Remainder.KEPT))
    opened.opens("w2", version=2)
    opened.granted("w2")
    opened.issued("w2")
    opened.tick("02-01")
    which = voucher(wave="w2")
    opened.recorded("R1", (which, 100)).accepted("claimed 20000", "redeemed 100 available", reason=Reason.NOT_CLAIMED)
    opened.claimed(which).no_effect(Reason.ALREADY_CLAIMED)


def test_facts_take_from_a_kept_voucher_until_nothing_is_left(anna: Given) -> None:
    anna.recorded("R1", 1_900, programme="eu").accepted("redeemed 1900 available")
    anna.recorded("R2", 300, programme="eu").accepted(
        "redeemed 100 available", "exception 200", reason=Reason.INSUFFICIENT_BALANCE
    )
    anna.recorded("R3", 300, programme="eu").accepted("exception 300", reason=Reason.INSUFFICIENT_BALANCE)


# Reasons of what is settled against a term


def recorded(
    given: Given, *spends: int | tuple[VoucherId, int], service: str = "travel", x: Time | None = None
) -> Then:
    return given.recorded("R1", *spends, service=service, x=x)


def captured(
    given: Given, *spends: int | tuple[VoucherId, int], service: str = "travel", x: Time | None = None
) -> Then:
    """After a request that was refused: the capture's service is the request's."""
    given.requested("R1", (STRANGERS, 1), service=service).refused(Reason.NOT_OWNER)
    return given.captured("R1", *spends, x=x)


Settle = Callable[..., Then]
both = pytest.mark.parametrize("settle", [recorded, captured])


@both
@shows("redemption.{settle} accepted not_owner")
def test_a_voucher_that_is_not_hers_is_an_exception_in_the_reserved_lot(anna: Given, settle: Settle) -> None:
    then = settle(anna, (STRANGERS, 100))
    then.accepted("exception 100", reason=Reason.NOT_OWNER)
    line = then.entry.lines[0]
    assert (line.lot.wave, line.lot.benefit, line.shown_voucher) == ("unknown", "unknown", STRANGERS)


@both
@shows("redemption.{settle} accepted unknown_voucher")
def test_a_voucher_of_another_programme_is_an_exception_at_once(anna: Given, settle: Settle) -> None:
    then = settle(anna, (RIDE_VOUCHER, 100))
    then.accepted("exception 100", reason=Reason.UNKNOWN_VOUCHER)
    assert then.entry.lines[0].lot == ("kr", "unknown", "unknown")


@both
@shows("redemption.{settle} accepted wrong_service")
def test_a_voucher_for_another_service_is_taken(anna: Given, settle: Settle) -> None:
    settle(anna, 20_000, service="eats").accepted("redeemed 20000 available", reason=Reason.WRONG_SERVICE)


@both
@shows("redemption.{settle} accepted revoked")
def test_a_revoked_voucher_is_not_taken_from(anna: Given, settle: Settle) -> None:
    anna.requested("R9", 5_000)
    anna.voucher_revoked()
    settle(anna, 100).accepted("exception 100", reason=Reason.REVOKED)


@both
def test_the_voucher_of_a_withdrawn_grant_is_not_taken_from(anna: Given, settle: Settle) -> None:
    anna.withdrawn()
    settle(anna, 100).accepted("exception 100", reason=Reason.REVOKED)


@both
def test_a_revoked_lot_is_not_taken_from(anna: Given, settle: Settle) -> None:
    anna.revokes_lot(x="01-31")
    settle(anna, 100, x="01-31").accepted("exception 100", reason=Reason.REVOKED)


@both
def test_a_lot_is_taken_from_for_what_was_spent_before_it_was_revoked(anna: Given, settle: Settle) -> None:
    anna.revokes_lot(x="01-31")
    settle(anna, 20_000, x=at("01-31", -1)).accepted(
        "revocation_reversed 20000 available by lot", "redeemed 20000 available"
    )


@both
@shows("redemption.{settle} accepted declined")
def test_a_declined_voucher_is_not_taken_from(anna: Given, settle: Settle) -> None:
    anna.declined()
    settle(anna, 100).accepted("exception 100", reason=Reason.DECLINED)


@both
@shows("redemption.{settle} accepted expired")
def test_a_lot_is_not_taken_from_after_its_end(anna: Given, settle: Settle) -> None:
    anna.tick("04-15 12:00")
    settle(anna, 100, x="04-16").accepted("exception 100", reason=Reason.EXPIRED)


@both
@shows("redemption.{settle} accepted not_yet_valid")
def test_a_voucher_is_taken_from_before_it_is_valid(opened: Given, settle: Settle) -> None:
    opened.granted()
    opened.issued()
    opened.claimed()
    opened.tick("01-15 09:59")
    settle(opened, 20_000, x=at("01-15 10:00", -1)).accepted("redeemed 20000 available", reason=Reason.NOT_YET_VALID)


@both
@shows("redemption.{settle} accepted not_claimed")
def test_a_voucher_that_was_not_claimed_is_taken(unclaimed: Given, settle: Settle) -> None:
    settle(unclaimed, 20_000).accepted("claimed 20000", "redeemed 20000 available", reason=Reason.NOT_CLAIMED)


@both
@shows("redemption.{settle} accepted already_reserved")
def test_a_one_use_voucher_held_by_another_redemption_is_not_taken_from(anna: Given, settle: Settle) -> None:
    anna.requested("R9", 5_000)
    settle(anna, 100).accepted("exception 100", reason=Reason.ALREADY_RESERVED)
    assert anna.amounts() == {"available": 15_000, "held": 5_000}


@both
@shows("redemption.{settle} accepted insufficient_balance")
def test_more_than_there_is_is_an_exception_for_the_rest(anna: Given, settle: Settle) -> None:
    settle(anna, 20_001).accepted("redeemed 20000 available", "exception 1", reason=Reason.INSUFFICIENT_BALANCE)


@both
def test_the_first_line_with_a_reason_gives_it(basket: Given, settle: Settle) -> None:
    then = settle(basket, 20_000, (ALL_VOUCHER, 5_001), (STRANGERS, 1), (EATS_VOUCHER, 5_000))
    assert then.entry.reason is Reason.INSUFFICIENT_BALANCE


def test_wrong_service_comes_before_not_yet_valid_and_that_before_not_claimed(opened: Given) -> None:
    opened.granted()
    opened.issued()
    opened.recorded("R1", 20_001, service="eats").accepted(
        "claimed 20000", "redeemed 20000 available", "exception 1", reason=Reason.WRONG_SERVICE
    )
    opened.recorded("R2", 1).accepted("exception 1", reason=Reason.NOT_YET_VALID)


def test_revoked_comes_before_declined_and_declined_before_expired(anna: Given) -> None:
    anna.declined()
    anna.tick("04-17")
    anna.recorded("R1", 1).accepted("exception 1", reason=Reason.DECLINED)
    anna.withdrawn()
    anna.recorded("R2", 1).accepted("exception 1", reason=Reason.REVOKED)


def test_not_claimed_comes_before_insufficient_balance(unclaimed: Given) -> None:
    unclaimed.recorded("R1", 20_001).accepted(
        "claimed 20000", "redeemed 20000 available", "exception 1", reason=Reason.NOT_CLAIMED
    )


def test_already_reserved_comes_before_insufficient_balance(anna: Given) -> None:
    anna.requested("R9", 20_000)
    anna.recorded("R1", 1).accepted("exception 1", reason=Reason.ALREADY_RESERVED)


# Let go


@shows("redemption.released accepted", "redemption.released no_effect nothing_held")
def test_a_release_gives_back_all_holds_once(basket: Given) -> None:
    basket.requested("R1", 15_000, (ALL_VOUCHER, 5_000))
    basket.released("R1").accepted("released 15000", "released 5000")
    basket.released("R1").no_effect(Reason.NOTHING_HELD)


@shows("redemption.released no_effect unknown_redemption")
def test_a_release_nobody_asked_for(anna: Given) -> None:
    anna.requested("R1", 100, programme="eu")
    anna.released("R1").no_effect(Reason.UNKNOWN_REDEMPTION)


def test_nothing_is_held_by_what_was_refused_settled_or_timed_out(anna: Given) -> None:
    anna.requested("R1", 20_001)
    anna.recorded("R2", 100, programme="eu")
    anna.requested("R3", 100)
    anna.tick("02-01 00:16")
    for redemption, programme in (("R1", "kr"), ("R2", "eu"), ("R3", "kr")):
        anna.released(redemption, programme=programme).no_effect(Reason.NOTHING_HELD)


@shows("time-out accepted")
def test_a_hold_times_out_a_minute_after_its_end(anna: Given) -> None:
    anna.requested("R1", 15_000)
    anna.tick(at("02-01 00:16", -1)).is_nothing()
    then = anna.tick("02-01 00:16")
    then.accepted("released 15000")
    assert then.entry.occurred_at == then.entry.effective_at == at("02-01 00:15")
    assert (then.entry.redemption, then.entry.cause.type) == ("R1", "redress.clock.ticked.v1")
    anna.tick("02-02").is_nothing()


def test_a_hold_that_was_over_when_it_was_made_times_out_with_the_next_tick(anna: Given) -> None:
    anna.publishes(replace(KR, version=2, reservation_ttl_seconds=60))
    anna.requested("R1", 15_000, x="01-31 23:57").accepted("reserved 15000")
    assert not anna.tick("02-01").entries  # fed once more: time has not moved
    then = anna.tick("02-01 00:00:01")
    then.accepted("released 15000")
    assert then.times == [at("01-31 23:58")]


def test_holds_time_out_in_order_of_their_end_then_of_beneficiary_programme_and_redemption(anna: Given) -> None:
    anna.granted(who=BORA, programme="eu")
    anna.issued(who=BORA, programme="eu")
    ride = voucher("ride", who=BORA, programme="eu")
    anna.requested("A1", 100)
    for redemption in ("R2", "R1"):
        anna.requested(redemption, 100, programme="eu")
        anna.requested(redemption, (ride, 100), programme="eu", who=BORA)
    anna.requested("R0", 100, programme="eu", x=at("02-01", 1))
    anna.requested("R9", 100, programme="eu", x=at("02-01", -1))
    then = anna.tick("02-01 01:00")
    assert [(str(entry.beneficiary)[:1], entry.redemption) for entry in then.entries] == [
        ("6", "R9"),
        ("0", "R1"),
        ("0", "R2"),
        ("6", "R1"),
        ("6", "R2"),
        ("6", "A1"),
        ("6", "R0"),
    ]


# Grace after a time-out


@pytest.fixture
def timed_out_over_the_end(anna: Given) -> Given:
    """15,000 of 20,000 won were held over the end of the lot, until 00:05; the time-out has let them go."""
    anna.tick("04-15 23:50")
    anna.requested("R1", 15_000)
    assert anna.tick("04-16 00:06").names == ["lapse", "lapse", "time-out"]
    return anna


def test_a_capture_within_the_minute_finds_the_lot_as_its_request_did(timed_out_over_the_end: Given) -> None:
    timed_out_over_the_end.captured("R1", 15_000, x=at("04-16 00:06", -1)).accepted(
        "expiry_reversed 15000 available by lot",
        "redeemed 15000 available",
        "expiry_reversed 5000 available by lot",
        "forfeited 5000 available",
    )


def test_a_capture_after_the_minute_finds_the_lot_closed(timed_out_over_the_end: Given) -> None:
    timed_out_over_the_end.captured("R1", 15_000, x="04-16 00:06").accepted("exception 15000", reason=Reason.EXPIRED)


def test_a_recorded_redemption_has_no_such_minute(timed_out_over_the_end: Given) -> None:
    timed_out_over_the_end.recorded("R1", 15_000, x="04-16 00:05").accepted("exception 15000", reason=Reason.EXPIRED)


def test_a_capture_within_the_minute_has_it_for_the_vouchers_it_held_alone(basket: Given) -> None:
    basket.tick("04-15 23:50")
    basket.requested("R1", 20_000)
    basket.tick("04-16 00:06")
    basket.captured("R1", 20_000, (ALL_VOUCHER, 100), x="04-16 00:05").accepted(
        "expiry_reversed 20000 available by lot", "redeemed 20000 available", "exception 100", reason=Reason.EXPIRED
    )


def test_a_capture_within_the_minute_after_its_lot_was_revoked(anna: Given) -> None:
    anna.requested("R1", 20_000)
    anna.tick("02-01 00:10")
    anna.revokes_lot()
    anna.tick("02-01 00:16")
    anna.captured("R1", 20_000, x="02-01 00:15:30").accepted(
        "revocation_reversed 20000 available by lot", "redeemed 20000 available"
    )


def test_a_capture_within_the_minute_of_a_lot_that_was_not_usable_at_the_request(anna: Given) -> None:
    anna.requested("R1", 20_000)
    anna.tick("02-01 00:10")
    anna.revokes_lot(x="02-01")
    anna.tick("02-01 00:16")
    anna.captured("R1", 20_000, x="02-01 00:15:30").accepted("exception 20000", reason=Reason.REVOKED)


def test_a_capture_within_the_minute_does_not_get_what_was_declined(timed_out_over_the_end: Given) -> None:
    timed_out_over_the_end.declined(x="04-15 23:59")
    timed_out_over_the_end.captured("R1", 15_000, x="04-16 00:05").accepted("exception 15000", reason=Reason.DECLINED)
