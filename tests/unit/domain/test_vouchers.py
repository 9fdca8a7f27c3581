"""Claimed, declined, revoked (section 6 of the rules): one example per cell of the table, and the status shown."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from redress.domain.entry import Reason
from redress.domain.ids import VoucherId
from tests.unit.domain.given import BORA, RIDE_VOUCHER, Given, Then, shows, voucher


@dataclass(frozen=True)
class Taking:
    """Declining and revoking follow the same rows under another name."""

    movement: str
    send: Callable[..., Then]


DECLINING = Taking("declined", Given.declined)
REVOKING = Taking("revoked", Given.voucher_revoked)
both = pytest.mark.parametrize("taking", [DECLINING, REVOKING], ids=["declined", "revoked"])


# Claimed


@shows("voucher.claimed parked")
def test_a_claim_waits_for_its_voucher(opened: Given) -> None:
    opened.granted()
    opened.claimed().is_parked()
    then = opened.issued()
    assert then.lines == ["issued 20000 unclaimed", "claimed 20000"]


@pytest.mark.parametrize("which", [voucher(who=BORA), RIDE_VOUCHER], ids=["of another person", "of another programme"])
@shows("voucher.claimed parked")
def test_a_claim_of_what_is_not_hers_or_not_the_programmes_is_of_an_unknown_voucher(
    anna: Given, which: VoucherId
) -> None:
    anna.claimed(which).is_parked()


@shows("voucher.claimed accepted", "voucher.claimed no_effect already_claimed")
def test_a_voucher_is_claimed_once(unclaimed: Given) -> None:
    unclaimed.claimed().accepted("claimed 20000")
    unclaimed.claimed().no_effect(Reason.ALREADY_CLAIMED)


def test_a_voucher_without_claim_is_claimed_already(anna: Given) -> None:
    anna.claimed(RIDE_VOUCHER, programme="eu").no_effect(Reason.ALREADY_CLAIMED)


def test_a_spent_or_held_voucher_is_claimed_already(anna: Given) -> None:
    anna.requested("R1", 20_000)
    anna.claimed().no_effect(Reason.ALREADY_CLAIMED)
    anna.captured("R1", 20_000)
    anna.claimed().no_effect(Reason.ALREADY_CLAIMED)


@shows("voucher.claimed no_effect declined")
def test_a_declined_voucher_is_not_claimed(unclaimed: Given) -> None:
    unclaimed.declined()
    unclaimed.claimed().no_effect(Reason.DECLINED)
    unclaimed.tick("04-16")
    unclaimed.claimed().no_effect(Reason.DECLINED)


@shows("voucher.claimed no_effect revoked")
def test_a_revoked_voucher_is_not_claimed(unclaimed: Given) -> None:
    unclaimed.voucher_revoked()
    unclaimed.claimed().no_effect(Reason.REVOKED)


def test_the_voucher_of_a_withdrawn_grant_is_not_claimed(unclaimed: Given) -> None:
    unclaimed.withdrawn()
    unclaimed.claimed().no_effect(Reason.REVOKED)
    unclaimed.reinstated()
    unclaimed.claimed().accepted("claimed 20000")


@shows("voucher.claimed no_effect expired")
def test_a_claim_counts_by_its_own_time_not_by_when_it_arrives(unclaimed: Given) -> None:
    unclaimed.tick("04-16 00:00:01")
    unclaimed.claimed(x="04-16").no_effect(Reason.EXPIRED)
    unclaimed.claimed(x="04-15 23:59:59").accepted(
        "expiry_reversed 20000 unclaimed by lot", "claimed 20000", "expired 20000 available by lot"
    )


@shows("voucher.claimed no_effect expired")
def test_a_claim_of_a_time_past_the_end_of_an_open_lot_is_late_too(unclaimed: Given) -> None:
    unclaimed.tick("04-15 12:00")
    unclaimed.claimed(x="04-16").no_effect(Reason.EXPIRED)


@shows("voucher.claimed no_effect revoked")
def test_a_claim_in_a_revoked_lot(unclaimed: Given) -> None:
    unclaimed.revokes_lot(x="01-31")
    unclaimed.claimed(x="01-31").no_effect(Reason.REVOKED)
    unclaimed.claimed(x="01-30 23:59:59").accepted(
        "revocation_reversed 20000 unclaimed by lot", "claimed 20000", "revoked 20000 available by lot"
    )


def test_a_claim_before_the_lot_begins_counts(opened: Given) -> None:
    opened.granted()
    opened.issued()
    opened.claimed().accepted("claimed 20000")


# Declined and revoked


@both
@shows("voucher.declined parked", "voucher.revoked parked")
def test_taking_away_waits_for_the_voucher(opened: Given, taking: Taking) -> None:
    opened.declined(voucher(wave="w8")).is_parked()
    opened.voucher_revoked(voucher(wave="w9")).is_parked()
    opened.granted()
    taking.send(opened).is_parked()
    assert opened.issued().lines == ["issued 20000 unclaimed", f"{taking.movement} 20000 unclaimed"]


@both
def test_an_unclaimed_voucher_is_taken_away(unclaimed: Given, taking: Taking) -> None:
    taking.send(unclaimed).accepted(f"{taking.movement} 20000 unclaimed")
    assert unclaimed.status() == taking.movement


@shows("voucher.declined accepted", "voucher.revoked accepted")
def test_both_ways_are_accepted(anna: Given) -> None:
    anna.declined()
    anna.voucher_revoked(RIDE_VOUCHER, programme="eu")


@both
def test_what_is_available_leaves_and_the_hold_stays(anna: Given, taking: Taking) -> None:
    anna.requested("R1", 500, programme="eu")
    taking.send(anna, RIDE_VOUCHER, programme="eu").accepted(f"{taking.movement} 1500 available")
    assert anna.status(RIDE_VOUCHER) == "held"
    anna.captured("R1", 300, programme="eu").accepted(
        "redeemed 300 held", "released 200", f"{taking.movement} 200 available"
    )
    assert anna.status(RIDE_VOUCHER) == taking.movement


@both
def test_a_voucher_that_is_all_held_is_taken_away_when_it_returns(anna: Given, taking: Taking) -> None:
    anna.requested("R1", 20_000)
    taking.send(anna).accepted()
    anna.released("R1").accepted("released 20000", f"{taking.movement} 20000 available")


@both
def test_what_a_reversal_restores_to_it_leaves_again(anna: Given, taking: Taking) -> None:
    anna.recorded("R1", 500, programme="eu")
    taking.send(anna, RIDE_VOUCHER, programme="eu")
    anna.reversed("R1", programme="eu").accepted("restored 500 clearing", f"{taking.movement} 500 available")


@both
@shows("voucher.declined no_effect nothing_left", "voucher.revoked no_effect nothing_left")
def test_there_is_nothing_left_to_take(anna: Given, taking: Taking) -> None:
    anna.recorded("R1", 20_000)
    anna.declined().no_effect(Reason.NOTHING_LEFT)
    taking.send(anna).no_effect(Reason.NOTHING_LEFT)
    anna.voucher_revoked().no_effect(Reason.NOTHING_LEFT)
    assert anna.status() == "redeemed"


@both
@shows("voucher.declined no_effect declined", "voucher.revoked no_effect declined")
def test_what_was_declined_stays_so(anna: Given, taking: Taking) -> None:
    anna.declined()
    anna.declined().no_effect(Reason.DECLINED)
    anna.voucher_revoked().no_effect(Reason.DECLINED)
    taking.send(anna).no_effect(Reason.DECLINED)


@both
@shows("voucher.declined no_effect revoked", "voucher.revoked no_effect revoked")
def test_what_was_revoked_stays_so(anna: Given, taking: Taking) -> None:
    anna.voucher_revoked()
    anna.declined().no_effect(Reason.REVOKED)
    anna.voucher_revoked().no_effect(Reason.REVOKED)
    taking.send(anna).no_effect(Reason.REVOKED)


@both
@shows("voucher.declined no_effect expired", "voucher.revoked no_effect expired")
def test_from_the_end_of_the_lot_nothing_is_taken_away(anna: Given, taking: Taking) -> None:
    anna.tick("04-16")
    anna.declined().no_effect(Reason.EXPIRED)
    anna.voucher_revoked().no_effect(Reason.EXPIRED)
    taking.send(anna, x="04-15 23:59:59").accepted(
        "expiry_reversed 20000 available by lot", f"{taking.movement} 20000 available"
    )


@both
def test_from_the_revocation_of_the_lot_nothing_is_taken_away(anna: Given, taking: Taking) -> None:
    anna.revokes_lot(x="01-31")
    taking.send(anna, x="01-31").no_effect(Reason.REVOKED)
    taking.send(anna, x="01-30").accepted(
        "revocation_reversed 20000 available by lot", f"{taking.movement} 20000 available"
    )


# The status shown


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (lambda given: given.tick("02-02"), "available"),
        (lambda given: given.requested("R1", 500, programme="eu"), "held"),
        (lambda given: given.recorded("R1", 500, programme="eu"), "available"),
        (lambda given: given.recorded("R1", 2_000, programme="eu"), "redeemed"),
        (lambda given: given.tick("04-16"), "expired"),
        (lambda given: given.revokes_lot(programme="eu", benefit="ride"), "revoked"),
        (lambda given: given.declined(RIDE_VOUCHER, programme="eu"), "declined"),
    ],
)
def test_the_status_shown(anna: Given, after: Callable[[Given], Then], status: str) -> None:
    after(anna)
    assert anna.status(RIDE_VOUCHER) == status


def test_a_voucher_that_is_partly_spent_shows_its_lots_end(anna: Given) -> None:
    anna.recorded("R1", 500, programme="eu")
    anna.tick("04-16")
    assert anna.status(RIDE_VOUCHER) == "expired"


def test_an_unclaimed_voucher_shows_so(unclaimed: Given) -> None:
    assert unclaimed.status() == "unclaimed"
