"""Lots: lapse, revocation, extension and the closed-lot rule (section 4 of the rules)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from redress.domain.entry import Reason
from redress.domain.event import Standing
from redress.domain.lot import LotStatus
from redress.domain.terms import Terms
from tests.unit.domain.given import BORA, KR, RIDE_VOUCHER, Given, Time, at, shows, voucher

# Lapse


@shows("lapse accepted")
def test_a_lot_gives_up_all_but_its_holds_at_the_last_instant_of_its_validity(anna: Given) -> None:
    anna.granted(who=BORA, programme="eu")
    anna.tick("04-15 23:55")
    anna.requested("R1", 500, programme="eu")
    then = anna.tick("04-16")
    assert then.names == ["lapse", "lapse"]
    eu, kr = then.each()
    eu.accepted("expired 2000 entitlement", "expired 1500 available")
    kr.accepted("expired 20000 available")
    for each in (eu, kr):
        assert [line.shown_voucher for line in each.entry.lines] == [None] * len(each.entry.lines)
        assert each.entry.beneficiary is None
        assert each.entry.occurred_at == each.entry.effective_at == at("04-16", -1)
    assert anna.lot().status is LotStatus.EXPIRED
    assert anna.amounts(RIDE_VOUCHER) == {"available": 1_500, "held": 500}


def test_a_lapse_has_a_line_for_each_account_with_something_in_it(opened: Given) -> None:
    opened.granted()
    opened.granted(who=BORA)
    opened.issued()
    assert opened.tick("04-16").lines == ["expired 20000 entitlement", "expired 20000 unclaimed"]


def test_lots_lapse_in_the_order_of_their_codes_whatever_their_end(opened: Given) -> None:
    opened.opens("w0", "01-12", "04-18")
    opened.opens("w2", "01-12", "04-14", programme="eu")
    then = opened.tick("04-20")
    assert [entry.happening.lot for entry in then.entries] == [  # type: ignore[union-attr]
        ("eu", "w1", "ride"),
        ("eu", "w2", "ride"),
        ("kr", "w0", "travel"),
        ("kr", "w1", "travel"),
    ]


def test_a_lot_lapses_with_the_tick_that_reaches_its_end_and_once(opened: Given) -> None:
    opened.tick(at("04-16", -1)).is_nothing()
    assert opened.tick("04-16").names == ["lapse", "lapse"]
    opened.tick("04-17").is_nothing()


def test_a_revoked_lot_does_not_lapse(anna: Given) -> None:
    anna.revokes_lot()
    anna.tick("04-16").accepted("expired 2000 available")


# Revocation


@shows("lot.revoked accepted")
def test_a_revoked_lot_gives_up_all_but_its_holds(anna: Given) -> None:
    anna.granted(who=BORA)
    anna.requested("R1", 500, programme="eu")
    anna.revokes_lot().accepted("revoked 20000 entitlement", "revoked 20000 available")
    anna.revokes_lot(programme="eu", benefit="ride").accepted("revoked 1500 available")
    assert anna.lot().status is LotStatus.REVOKED


def test_a_revocation_counts_from_its_own_time_but_is_booked_after_the_lots_last_line(anna: Given) -> None:
    then = anna.revokes_lot(x="01-13")
    assert (then.times, then.entry.effective_at) == ([at("01-16")], at("01-16"))
    assert (anna.lot().closed_at, anna.lot().booked_at) == (at("01-13"), at("01-16"))


def test_a_revocation_of_a_later_time_counts_from_now(anna: Given) -> None:
    then = anna.revokes_lot(x="02-05")
    assert then.times == [at("02-01")]
    assert (then.entry.occurred_at, then.entry.effective_at) == (at("02-05"), at("02-01"))
    assert anna.lot().closed_at == at("02-01")


def test_a_lot_without_lines_is_revoked_without_lines(opened: Given) -> None:
    then = opened.revokes_lot(x="01-11")
    then.accepted()
    assert then.entry.effective_at == at("01-11")


@shows("lot.revoked no_effect expired")
def test_an_expired_lot_is_not_revoked(anna: Given) -> None:
    anna.tick("04-16")
    anna.revokes_lot(x="04-01").no_effect(Reason.EXPIRED)
    assert anna.lot().closed_at == at("04-16")


@shows("lot.revoked no_effect revoked")
def test_a_lot_is_revoked_once(anna: Given) -> None:
    anna.revokes_lot()
    anna.revokes_lot(x="01-20").no_effect(Reason.REVOKED)
    assert anna.lot().closed_at == at("02-01")


# Extension


@shows("lot.extended accepted")
def test_an_open_lot_gets_a_later_end(anna: Given) -> None:
    anna.extends("05-01").accepted()
    assert anna.lot().valid_until == at("05-01")
    anna.tick("04-20")
    anna.requested("R1", 100).accepted("reserved 100")


@shows("lot.extended accepted")
def test_an_expired_lot_reopens_with_what_it_gave_up(anna: Given) -> None:
    anna.granted(who=BORA)
    anna.tick("04-20")
    then = anna.extends("05-01")
    then.accepted("expiry_reversed 20000 entitlement", "expiry_reversed 20000 available")
    assert [line.shown_voucher for line in then.entry.lines] == [None, None]
    assert anna.lot().status is LotStatus.OPEN
    assert anna.status() == "available"


@pytest.mark.parametrize(
    ("x", "effective"),
    [("04-10", "04-16"), ("04-18", "04-18"), ("04-25", "04-20")],
    ids=["not before the old end", "its own time", "not after now"],
)
def test_a_reopening_is_effective(anna: Given, x: Time, effective: str) -> None:
    anna.tick("04-20")
    then = anna.extends("05-01", x=x)
    assert then.times == [at(effective)]
    assert anna.lot().reopened_at == at(effective)


def test_a_reopening_is_not_effective_before_the_lots_last_line(anna: Given) -> None:
    anna.tick("04-20")
    anna.withdrawn(x="04-18")
    then = anna.extends("05-01", x="04-17")
    then.accepted()
    assert anna.lot().reopened_at == at("04-18")


def test_a_reopened_lot_lapses_again_at_its_new_end(anna: Given) -> None:
    anna.tick("04-20")
    anna.extends("05-01")
    then = anna.tick("05-02")
    then.accepted("expired 20000 available")
    assert then.times == [at("05-01", -1)]


@shows("lot.extended no_effect revoked")
def test_a_revoked_lot_is_not_extended(anna: Given) -> None:
    anna.revokes_lot()
    anna.extends("05-01").no_effect(Reason.REVOKED)
    anna.extends("04-01").no_effect(Reason.REVOKED)


@shows("lot.extended no_effect superseded")
def test_a_lot_is_not_shortened(anna: Given) -> None:
    anna.extends("04-16").no_effect(Reason.SUPERSEDED)
    anna.extends("04-15").no_effect(Reason.SUPERSEDED)
    anna.extends(at("04-16", 1)).accepted()


def test_an_expired_lot_is_extended_beyond_now_or_not_at_all(anna: Given) -> None:
    anna.tick("04-20")
    assert anna.extends("04-20").dead
    anna.extends(at("04-20", 1)).accepted("expiry_reversed 20000 available")


# What a lot counts


def counts(given: Given) -> tuple[int, int]:
    lot = given.lot(programme="eu", benefit="ride")
    return lot.vouchers_open, lot.vouchers_held


def test_a_lot_counts_its_vouchers_with_something_left_and_those_with_a_hold(opened: Given) -> None:
    opened.granted(programme="eu")
    opened.tick("01-15 10:00")
    assert counts(opened) == (0, 0)
    opened.issued(programme="eu")
    assert counts(opened) == (1, 0)
    opened.requested("R1", 2_000, programme="eu")
    assert counts(opened) == (1, 1)
    opened.captured("R1", 1_500, programme="eu")
    assert counts(opened) == (1, 0)
    opened.recorded("R2", 500, programme="eu")
    assert counts(opened) == (0, 0)
    opened.reversed("R2", programme="eu")
    assert counts(opened) == (1, 0)
    opened.tick("04-16")
    assert counts(opened) == (1, 0), "what the lot took stands on the voucher still"


# The closed-lot rule


@dataclass(frozen=True)
class Closing:
    """How a lot was closed, and what the rule's lines are called then."""

    back: str
    away: str
    close: Callable[[Given], object]


EXPIRED = Closing("expiry_reversed", "expired", lambda given: given.tick("04-17"))
REVOKED = Closing("revocation_reversed", "revoked", lambda given: given.revokes_lot(x="01-31"))
either = pytest.mark.parametrize("closing", [EXPIRED, REVOKED], ids=["expired", "revoked"])
BEFORE = "01-30"
"""In the lot's life, whichever way it ended."""


@either
def test_what_is_entitled_in_a_closed_lot_leaves(opened: Given, closing: Closing) -> None:
    opened.tick("02-01")
    closing.close(opened)
    opened.granted(x=BEFORE).accepted("entitled 20000", f"{closing.away} 20000 entitlement by lot")


@either
def test_what_is_withdrawn_from_a_closed_lot_comes_back_first(opened: Given, closing: Closing) -> None:
    opened.granted()
    opened.tick("02-01")
    closing.close(opened)
    opened.withdrawn(x=BEFORE).accepted(f"{closing.back} 20000 entitlement by lot", "withdrawn 20000")


@either
def test_what_is_issued_in_a_closed_lot_comes_back_and_leaves(opened: Given, closing: Closing) -> None:
    opened.granted()
    opened.tick("02-01")
    closing.close(opened)
    opened.issued(x=BEFORE).accepted(
        f"{closing.back} 20000 entitlement by lot",
        "issued 20000 unclaimed",
        f"{closing.away} 20000 unclaimed by lot",
    )


@either
def test_what_is_claimed_in_a_closed_lot_comes_back_and_leaves(unclaimed: Given, closing: Closing) -> None:
    closing.close(unclaimed)
    unclaimed.claimed(x=BEFORE).accepted(
        f"{closing.back} 20000 unclaimed by lot", "claimed 20000", f"{closing.away} 20000 available by lot"
    )


@either
def test_what_is_declined_or_revoked_in_a_closed_lot_comes_back_first(unclaimed: Given, closing: Closing) -> None:
    closing.close(unclaimed)
    unclaimed.declined(x=BEFORE).accepted(f"{closing.back} 20000 unclaimed by lot", "declined 20000 unclaimed")


@either
def test_what_is_reserved_in_a_closed_lot_comes_back_first_and_is_open(opened: Given, closing: Closing) -> None:
    opened.publishes(_patient())
    opened.granted()
    opened.tick("01-15 10:00")
    opened.issued()
    opened.claimed()
    opened.tick("02-01")
    closing.close(opened)
    opened.requested("R1", 5_000, x=BEFORE).accepted(f"{closing.back} 5000 available by lot", "reserved 5000")
    assert opened.status() == "held"
    opened.released("R1").accepted("released 5000", f"{closing.away} 5000 available by lot")


@either
def test_what_is_spent_in_a_closed_lot_comes_back_first(unclaimed: Given, closing: Closing) -> None:
    closing.close(unclaimed)
    unclaimed.recorded("R1", 5_000, x=BEFORE).accepted(
        f"{closing.back} 20000 unclaimed by lot",
        "claimed 20000",
        f"{closing.away} 20000 available by lot",
        f"{closing.back} 5000 available by lot",
        "redeemed 5000 available",
        f"{closing.back} 15000 available by lot",
        "forfeited 15000 available",
        reason=Reason.NOT_CLAIMED,
    )


@either
def test_what_is_spent_from_a_hold_in_a_closed_lot_needs_nothing_back(anna: Given, closing: Closing) -> None:
    anna.publishes(_patient())
    anna.requested("R1", 20_000)
    closing.close(anna)
    anna.captured("R1", 20_000).accepted("redeemed 20000 held")


@either
def test_what_is_restored_to_a_closed_lot_leaves(anna: Given, closing: Closing) -> None:
    anna.recorded("R1", 15_000, x=BEFORE)
    closing.close(anna)
    anna.reversed("R1", x=BEFORE).accepted(
        "restored 15000 clearing",
        f"{closing.away} 15000 available by lot",
        "restored 5000 forfeited",
        f"{closing.away} 5000 available by lot",
    )


@either
def test_what_returns_to_a_declined_voucher_of_a_closed_lot_leaves_twice_and_comes_back_once(
    anna: Given, closing: Closing
) -> None:
    anna.recorded("R1", 500, programme="eu")
    anna.declined(RIDE_VOUCHER, programme="eu", x=BEFORE)
    if closing is REVOKED:
        anna.revokes_lot(programme="eu", benefit="ride", x="01-31")
    else:
        anna.tick("04-17")
    anna.reversed("R1", programme="eu", x=BEFORE).accepted(
        "restored 500 clearing",
        f"{closing.away} 500 available by lot",
        f"{closing.back} 500 available by lot",
        "declined 500 available",
    )


@either
def test_lines_of_the_rule_count_from_the_closing_or_the_vouchers_last_line(anna: Given, closing: Closing) -> None:
    anna.recorded("R1", 500, programme="eu", x="01-20")
    if closing is REVOKED:
        anna.revokes_lot(programme="eu", benefit="ride", x="01-31")
        booked_at = at("01-31")
    else:
        anna.tick("04-17")
        booked_at = at("04-16", -1)
    late = anna.recorded("R2", 100, programme="eu", x="01-25")
    late.accepted(f"{closing.back} 100 available by lot", "redeemed 100 available")
    assert late.times == [booked_at, booked_at]
    later = anna.reversed("R2", programme="eu", x="01-26")
    later.accepted("restored 100 clearing", f"{closing.away} 100 available by lot")
    assert later.times == [booked_at, booked_at]
    assert late.entry.lines[0].shown_voucher == RIDE_VOUCHER
    assert (late.entry.lines[0].by_lot, late.entry.lines[1].by_lot) == (True, False)


def test_lines_that_do_not_touch_what_a_lot_gives_up_stand_alone(anna: Given) -> None:
    anna.recorded("R1", 500, programme="eu")
    anna.tick("04-17")
    anna.reversed("R1", programme="eu").accepted("cancelled 500")
    anna.recorded("R2", 100, programme="eu").accepted("exception 100", reason=Reason.EXPIRED)


def test_an_entitlement_of_a_closed_lot_names_no_voucher(opened: Given) -> None:
    opened.tick("04-17")
    then = opened.granted(standing=Standing.FORMER_MEMBER)
    assert [line.shown_voucher for line in then.entry.lines] == [None, None]
    assert {line.voucher for line in then.entry.lines} == {voucher()}


def _patient() -> Terms:
    """A request may be very old."""
    return replace(KR, version=2, request_max_age_seconds=31_536_000, reservation_ttl_seconds=31_536_000)
