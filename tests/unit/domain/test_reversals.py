"""Reversed (section 7 of the rules): whole orders, parts, what is forfeited, and exceptions."""

from dataclasses import replace

import pytest

from redress.domain.beneficiary import RedemptionStatus
from redress.domain.entry import Reason
from redress.domain.terms import Restore
from tests.unit.domain.given import BORA, EU, KR, RIDE, RIDE_VOUCHER, Given, at, shows, voucher

ALL_VOUCHER = voucher("all")
STRANGERS = voucher(who=BORA)


@shows("redemption.reversed no_effect unknown_redemption")
def test_a_reversal_nobody_asked_for(anna: Given) -> None:
    anna.reversed("R1").no_effect(Reason.UNKNOWN_REDEMPTION)
    anna.reversed("R1", 100).no_effect(Reason.UNKNOWN_REDEMPTION)


@shows("redemption.reversed accepted", "redemption.reversed no_effect nothing_held")
def test_a_whole_order_that_is_held_is_released(anna: Given) -> None:
    anna.requested("R1", 15_000)
    anna.reversed("R1").accepted("released 15000")
    assert anna.redemption("R1").status is RedemptionStatus.RELEASED
    anna.reversed("R1").no_effect(Reason.NOTHING_HELD)


@shows("redemption.reversed no_effect not_captured")
def test_a_part_of_what_is_held_has_not_been_captured(anna: Given) -> None:
    anna.requested("R1", 15_000)
    anna.reversed("R1", 100).no_effect(Reason.NOT_CAPTURED)
    assert anna.amounts() == {"available": 5_000, "held": 15_000}


def test_nothing_is_held_by_what_was_refused_or_timed_out(anna: Given) -> None:
    anna.requested("R1", 20_001)
    anna.requested("R2", 100)
    anna.tick("02-01 00:16")
    for redemption in ("R1", "R2"):
        anna.reversed(redemption).no_effect(Reason.NOTHING_HELD)
        anna.reversed(redemption, 100).no_effect(Reason.NOTHING_HELD)


# A whole order


def test_a_whole_order_comes_back_with_what_it_forfeited(anna: Given) -> None:
    anna.recorded("R1", 15_000)
    anna.reversed("R1").accepted("restored 15000 clearing", "restored 5000 forfeited")
    assert anna.amounts() == {"available": 20_000}


@shows("redemption.reversed no_effect already_reversed")
def test_a_whole_order_is_reversed_once(anna: Given) -> None:
    anna.recorded("R1", 15_000)
    anna.reversed("R1")
    anna.reversed("R1").no_effect(Reason.ALREADY_REVERSED)
    anna.reversed("R1", 100).no_effect(Reason.ALREADY_REVERSED)


def test_a_whole_order_is_reversed_in_the_order_it_was_settled_in(basket: Given) -> None:
    basket.requested("R1", 100, (ALL_VOUCHER, 200))
    basket.captured("R1", (ALL_VOUCHER, 200), 100)
    basket.reversed("R1").accepted(
        "restored 200 clearing",
        "restored 4800 forfeited",
        "restored 100 clearing",
        "restored 19900 forfeited",
    )


def test_a_whole_order_comes_back_up_to_the_lots_end(anna: Given) -> None:
    anna.recorded("R1", 15_000)
    anna.recorded("R2", 500, programme="eu")
    anna.tick("04-16 00:01")
    anna.reversed("R1", x=at("04-16", -1)).accepted(
        "restored 15000 clearing",
        "expired 15000 available by lot",
        "restored 5000 forfeited",
        "expired 5000 available by lot",
    )
    anna.reversed("R2", x="04-16", programme="eu").accepted("cancelled 500")
    assert anna.amounts(RIDE_VOUCHER) == {"available": 1_500, "breakage_cancelled": 500}


def test_what_was_forfeited_stays_so_where_the_order_is_cancelled(anna: Given) -> None:
    anna.recorded("R1", 15_000)
    anna.tick("04-16")
    anna.reversed("R1").accepted("cancelled 15000")
    assert anna.amounts() == {"breakage_cancelled": 15_000, "breakage_forfeited": 5_000}


def test_a_whole_order_comes_back_up_to_the_lots_revocation(anna: Given) -> None:
    anna.recorded("R1", 20_000, x="01-31")
    anna.recorded("R2", 2_000, programme="eu", x="01-31")
    anna.revokes_lot()
    anna.revokes_lot(programme="eu", benefit="ride")
    anna.reversed("R1").accepted("cancelled 20000")
    anna.reversed("R2", programme="eu", x=at("02-01", -1)).accepted(
        "restored 2000 clearing", "revoked 2000 available by lot"
    )


def test_terms_may_never_restore(opened: Given) -> None:
    opened.publishes(replace(EU, version=2, restore=Restore.NEVER))
    opened.opens("w2", programme="eu", version=2)
    opened.granted("w2", programme="eu")
    opened.issued("w2", programme="eu")
    which = voucher("ride", programme="eu", wave="w2")
    opened.tick("02-01")
    opened.recorded("R1", (which, 500), programme="eu")
    opened.reversed("R1", (which, 100), programme="eu").accepted("cancelled 100")
    opened.reversed("R1", programme="eu").accepted("cancelled 400")


def test_the_rest_of_an_order_comes_back_after_a_part_was_cancelled(anna: Given) -> None:
    anna.recorded("R1", 15_000)
    anna.reversed("R1", 4_000).accepted("cancelled 4000")
    anna.reversed("R1").accepted("restored 11000 clearing", "restored 5000 forfeited")


def test_a_voucher_that_was_wholly_cancelled_does_not_get_back_what_it_forfeited(basket: Given) -> None:
    basket.recorded("R1", 100, (ALL_VOUCHER, 200))
    basket.reversed("R1", 100).accepted("cancelled 100")
    basket.reversed("R1").accepted("restored 200 clearing", "restored 4800 forfeited")
    assert basket.amounts() == {"breakage_cancelled": 100, "breakage_forfeited": 19_900}


# Parts


def test_a_part_is_cancelled_where_the_whole_order_alone_is_restored(anna: Given) -> None:
    anna.recorded("R1", 15_000)
    anna.reversed("R1", 15_000).accepted("cancelled 15000")
    anna.reversed("R1").no_effect(Reason.ALREADY_REVERSED)


def test_a_part_is_restored_under_any_before_expiry(anna: Given) -> None:
    anna.recorded("R1", 1_500, programme="eu")
    anna.reversed("R1", 400, programme="eu").accepted("restored 400 clearing")
    anna.reversed("R1", 2_000, programme="eu").accepted("restored 1100 clearing")
    assert anna.redemption("R1", "eu").status is RedemptionStatus.REVERSED
    anna.reversed("R1", 1, programme="eu").no_effect(Reason.ALREADY_REVERSED)


def test_a_part_is_cancelled_from_the_lots_end_on(anna: Given) -> None:
    anna.recorded("R1", 1_500, programme="eu")
    anna.tick("04-16")
    anna.reversed("R1", 400, programme="eu").accepted("cancelled 400")
    anna.reversed("R1", 400, programme="eu", x=at("04-16", -1)).accepted(
        "restored 400 clearing", "expired 400 available by lot"
    )


@shows("redemption.reversed no_effect nothing_left")
def test_a_part_of_what_the_redemption_did_not_take(basket: Given) -> None:
    basket.recorded("R1", 100, (ALL_VOUCHER, 200))
    basket.reversed("R1", (voucher("eats"), 100)).no_effect(Reason.NOTHING_LEFT)
    basket.reversed("R1", 100)
    basket.reversed("R1", 100).no_effect(Reason.NOTHING_LEFT)
    basket.reversed("R1", 100, (ALL_VOUCHER, 50)).accepted("cancelled 50")


@pytest.fixture
def forfeiting() -> Given:
    """One use, restored in parts: 1,500 of 2,000 were spent and 500 forfeited."""
    given = Given()
    terms = replace(KR, benefits=(replace(RIDE, code=KR.benefits[0].code),), restore=Restore.ANY_BEFORE_EXPIRY)
    given.publishes(terms)
    given.opens()
    given.tick("02-01")
    given.granted()
    given.issued()
    given.claimed()
    given.recorded("R1", 1_500).accepted("redeemed 1500 available", "forfeited 500 available")
    return given


def test_what_was_forfeited_comes_back_with_the_last_part(forfeiting: Given) -> None:
    forfeiting.reversed("R1", 600).accepted("restored 600 clearing")
    forfeiting.reversed("R1", 900).accepted("restored 900 clearing", "restored 500 forfeited")


def test_what_was_forfeited_does_not_come_back_with_parts_of_which_one_was_cancelled(forfeiting: Given) -> None:
    forfeiting.tick("04-16")
    forfeiting.reversed("R1", 600).accepted("cancelled 600")
    forfeiting.reversed("R1", 900, x="04-15").accepted("restored 900 clearing", "expired 900 available by lot")
    assert forfeiting.amounts() == {"available": 900, "breakage_cancelled": 600, "breakage_forfeited": 500}


def test_the_whole_order_brings_back_what_was_forfeited_after_a_part_was_restored(forfeiting: Given) -> None:
    forfeiting.reversed("R1", 600)
    forfeiting.reversed("R1").accepted("restored 900 clearing", "restored 500 forfeited")


def test_what_comes_back_can_be_spent_again(forfeiting: Given) -> None:
    forfeiting.reversed("R1", 600)
    forfeiting.recorded("R2", 100).accepted("redeemed 100 available", "forfeited 500 available")
    forfeiting.reversed("R1").accepted("restored 900 clearing", "restored 500 forfeited")
    forfeiting.reversed("R2").accepted("restored 100 clearing", "restored 500 forfeited")


# Exceptions


def test_an_exception_is_reversed_first(anna: Given) -> None:
    anna.recorded("R1", 2_500, programme="eu")
    anna.reversed("R1", 300, programme="eu").accepted("exception_reversed 300")
    anna.reversed("R1", 300, programme="eu").accepted("exception_reversed 200", "restored 100 clearing")
    anna.reversed("R1", programme="eu").accepted("restored 1900 clearing")


def test_a_whole_order_reverses_exceptions_with_the_rest(anna: Given) -> None:
    anna.recorded("R1", 2_500, programme="eu")
    anna.reversed("R1", programme="eu").accepted("exception_reversed 500", "restored 2000 clearing")


def test_an_exception_is_reversed_also_after_the_lots_end(anna: Given) -> None:
    anna.declined()
    anna.recorded("R1", 100)
    anna.tick("05-01")
    anna.reversed("R1").accepted("exception_reversed 100")


def test_an_exception_of_a_voucher_that_is_not_there_is_reversed_in_the_reserved_lot(anna: Given) -> None:
    anna.recorded("R1", (STRANGERS, 100))
    then = anna.reversed("R1", (STRANGERS, 60))
    then.accepted("exception_reversed 60")
    assert (then.entry.lines[0].lot.wave, then.entry.lines[0].shown_voucher) == ("unknown", STRANGERS)
    anna.reversed("R1").accepted("exception_reversed 40")
    anna.reversed("R1").no_effect(Reason.ALREADY_REVERSED)


def test_an_exception_stays_in_the_reserved_lot_when_its_voucher_comes_later(opened: Given) -> None:
    opened.recorded("R1", 100).is_parked()
    opened.tick("01-13").accepted("exception 100", reason=Reason.UNKNOWN_VOUCHER)
    opened.granted()
    opened.issued()
    then = opened.reversed("R1")
    then.accepted("exception_reversed 100")
    assert then.entry.lines[0].lot.wave == "unknown"
    assert opened.amounts() == {"unclaimed": 20_000}
