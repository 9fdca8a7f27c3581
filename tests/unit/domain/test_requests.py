"""The one request (section 7 of the rules): every refusal, and which of two comes first."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Final

import pytest

from redress.domain.entry import Reason
from redress.domain.ids import BenefitCode, Instant, VoucherId
from redress.domain.time import SECOND
from tests.unit.domain.given import (
    BORA,
    EATS,
    EU,
    KR,
    RIDE,
    RIDE_VOUCHER,
    TRAVEL,
    Given,
    Then,
    Time,
    at,
    shows,
    voucher,
)

EATS_VOUCHER: Final = voucher("eats")
ALL_VOUCHER: Final = voucher("all")
NEVER_ISSUED: Final = voucher(wave="w9")


@shows("redemption.requested accepted")
def test_a_request_reserves_each_line_until_its_time_runs_out(basket: Given) -> None:
    then = basket.requested("R1", 15_000, (EATS_VOUCHER, 5_000), x="01-31 23:59", service="travel")
    then.refused(Reason.WRONG_SERVICE)
    then = basket.requested("R2", 15_000, (ALL_VOUCHER, 5_000), x="01-31 23:59")
    then.accepted("reserved 15000", "reserved 5000")
    assert basket.redemption("R2").expires_at == at("02-01 00:14")
    assert then.entry.redemption == "R2"


@shows("redemption.requested accepted")
def test_an_accepted_request_repeated_says_so_again_without_lines(anna: Given) -> None:
    anna.requested("R1", 15_000).accepted("reserved 15000")
    anna.requested("R1", 15_000).accepted()
    anna.captured("R1", 15_000)
    anna.requested("R1", 15_000, x="01-01").accepted()


@shows("redemption.requested refused insufficient_balance")
def test_a_refused_request_repeated_is_refused_for_the_same_reason(anna: Given) -> None:
    anna.requested("R1", 2_001, programme="eu").refused(Reason.INSUFFICIENT_BALANCE)
    anna.tick("04-16")
    anna.requested("R1", 2_001, programme="eu").refused(Reason.INSUFFICIENT_BALANCE)


def test_lines_of_a_repeated_request_may_come_in_any_order(basket: Given) -> None:
    basket.requested("R1", 100, (ALL_VOUCHER, 200))
    basket.requested("R1", (ALL_VOUCHER, 200), 100).accepted()


@shows("redemption.requested refused conflict")
def test_a_known_redemption_with_other_content_is_a_conflict(anna: Given) -> None:
    anna.requested("R1", 100, order="o", service="travel")
    anna.requested("R1", 101, order="o", service="travel").refused(Reason.CONFLICT)
    anna.requested("R1", 100, order="p", service="travel").refused(Reason.CONFLICT)
    anna.requested("R1", 100, order="o", service="eats").refused(Reason.CONFLICT)
    anna.requested("R1", 100, (RIDE_VOUCHER, 1), order="o", service="travel").refused(Reason.CONFLICT)
    anna.requested("R1", 100, order="o", service="travel").accepted()


def test_a_redemption_known_from_a_fact_is_a_conflict(anna: Given) -> None:
    anna.recorded("R1", 100, order="o")
    anna.captured("R2", 100, programme="eu")
    anna.requested("R1", 100, order="o").refused(Reason.CONFLICT)
    anna.requested("R2", 100, programme="eu").refused(Reason.CONFLICT)


def test_a_redemption_is_known_per_person_and_programme(anna: Given) -> None:
    anna.requested("R1", 100)
    anna.requested("R1", 100, programme="eu").accepted("reserved 100")
    anna.requested("R1", (voucher(who=BORA), 1), who=BORA).refused(Reason.UNKNOWN_VOUCHER)


@shows("redemption.requested refused stale_request", "redemption.requested accepted")
def test_a_request_may_be_so_old_and_no_older(anna: Given) -> None:
    anna.requested("R1", 100, programme="eu", x=at("01-31 23:50", -1)).refused(Reason.STALE_REQUEST)
    anna.requested("R2", 100, programme="eu", x="01-31 23:50").accepted("reserved 100")


@shows("redemption.requested refused future_request", "redemption.requested accepted")
def test_a_request_may_be_so_far_ahead_and_no_further(anna: Given) -> None:
    anna.requested("R1", 100, programme="eu", x=at("02-01 00:05", 1)).refused(Reason.FUTURE_REQUEST)
    anna.requested("R2", 100, programme="eu", x="02-01 00:05").accepted("reserved 100")
    anna.requested("R3", 100, programme="eu", x="02-09").refused(Reason.FUTURE_REQUEST)


def test_limits_are_those_of_the_latest_version_whatever_came_last(anna: Given) -> None:
    anna.publishes(replace(EU, version=3, request_max_age_seconds=60, reservation_ttl_seconds=30))
    anna.publishes(replace(EU, version=2))
    anna.requested("R1", 100, programme="eu", x=at("01-31 23:59", -1)).refused(Reason.STALE_REQUEST)
    then = anna.requested("R2", 100, programme="eu", x="01-31 23:59")
    then.accepted("reserved 100")
    assert then.entry.terms_version == 3
    assert anna.redemption("R2", "eu").expires_at == at("01-31 23:59:30")


@shows("redemption.requested refused not_owner")
def test_a_voucher_that_is_not_hers(anna: Given) -> None:
    anna.requested("R1", (voucher(who=BORA), 100)).refused(Reason.NOT_OWNER)


@shows("redemption.requested refused unknown_voucher")
@pytest.mark.parametrize("which", [NEVER_ISSUED, RIDE_VOUCHER], ids=["never issued", "of another programme"])
def test_a_voucher_the_programme_does_not_know(anna: Given, which: VoucherId) -> None:
    anna.requested("R1", (which, 100)).refused(Reason.UNKNOWN_VOUCHER)


def test_a_promise_is_no_voucher(opened: Given) -> None:
    opened.granted()
    opened.requested("R1", 100).refused(Reason.UNKNOWN_VOUCHER)


def test_a_programme_that_was_never_published_knows_no_voucher(anna: Given) -> None:
    then = anna.requested("R1", 100, programme="ghost", x="01-01")
    then.refused(Reason.UNKNOWN_VOUCHER)
    assert then.entry.terms_version is None
    anna.requested("R1", 101, programme="ghost").refused(Reason.CONFLICT)


@shows("redemption.requested refused wrong_service")
def test_a_voucher_for_another_service(anna: Given) -> None:
    anna.requested("R1", 100, service="eats").refused(Reason.WRONG_SERVICE)
    anna.requested("R2", 100, service="eats", programme="eu").accepted("reserved 100")


@shows("redemption.requested refused revoked")
def test_a_revoked_voucher(anna: Given) -> None:
    anna.voucher_revoked(RIDE_VOUCHER, programme="eu")
    anna.requested("R1", 100, programme="eu").refused(Reason.REVOKED)
    anna.withdrawn()
    anna.requested("R1", 100).refused(Reason.REVOKED)


def test_a_voucher_of_a_revoked_lot(anna: Given) -> None:
    anna.revokes_lot(programme="eu", benefit="ride", x="01-31 23:55")
    anna.requested("R1", 100, programme="eu", x="01-31 23:55").refused(Reason.REVOKED)
    anna.requested("R2", 100, programme="eu", x=at("01-31 23:55", -1)).accepted(
        "revocation_reversed 100 available by lot", "reserved 100"
    )


@shows("redemption.requested refused declined")
def test_a_declined_voucher(anna: Given) -> None:
    anna.declined()
    anna.requested("R1", 100).refused(Reason.DECLINED)


@shows("redemption.requested refused expired")
def test_a_voucher_past_its_end(anna: Given) -> None:
    anna.tick("04-16 00:01")
    anna.requested("R1", 100, x="04-16").refused(Reason.EXPIRED)
    anna.requested("R2", 100, x=at("04-16", -1)).accepted("expiry_reversed 100 available by lot", "reserved 100")


def test_a_request_of_a_time_past_the_end_of_a_lot_that_is_still_open(anna: Given) -> None:
    anna.tick("04-15 23:58")
    anna.requested("R1", 100, x="04-16").refused(Reason.EXPIRED)


@shows("redemption.requested refused not_yet_valid")
def test_a_voucher_before_its_time(opened: Given) -> None:
    opened.granted(programme="eu")
    opened.issued(programme="eu")
    opened.tick("01-15 09:59")
    opened.requested("R1", 100, programme="eu", x=at("01-15 10:00", -1)).refused(Reason.NOT_YET_VALID)
    opened.requested("R2", 100, programme="eu", x="01-15 10:00").accepted("reserved 100")


@shows("redemption.requested refused not_claimed")
def test_a_voucher_that_was_not_claimed(unclaimed: Given) -> None:
    unclaimed.requested("R1", 100).refused(Reason.NOT_CLAIMED)


@shows("redemption.requested refused already_redeemed")
def test_a_voucher_with_nothing_left(anna: Given) -> None:
    anna.recorded("R1", 20_000)
    anna.requested("R2", 100).refused(Reason.ALREADY_REDEEMED)


@shows("redemption.requested refused already_reserved")
def test_one_use_while_any_part_is_held(anna: Given) -> None:
    anna.requested("R1", 100)
    anna.requested("R2", 100).refused(Reason.ALREADY_RESERVED)
    anna.released("R1")
    anna.requested("R3", 100).accepted("reserved 100")


def test_several_holds_where_the_remainder_is_kept(anna: Given) -> None:
    anna.requested("R1", 1_500, programme="eu").accepted("reserved 1500")
    anna.requested("R2", 501, programme="eu").refused(Reason.INSUFFICIENT_BALANCE)
    anna.requested("R3", 500, programme="eu").accepted("reserved 500")
    anna.requested("R4", 1, programme="eu").refused(Reason.INSUFFICIENT_BALANCE)


@shows("redemption.requested refused insufficient_balance")
def test_more_than_there_is(anna: Given) -> None:
    anna.requested("R1", 20_001).refused(Reason.INSUFFICIENT_BALANCE)
    anna.requested("R2", 20_000).accepted("reserved 20000")


# The limit per order


@pytest.fixture
def limited() -> Given:
    """ANNA has three vouchers for any service, to be used in parts; two may go to one order."""
    given = Given()
    benefits = tuple(replace(RIDE, code=BenefitCode(code)) for code in ("travel", "eats", "all"))
    given.publishes(replace(EU, programme=KR.programme, benefits=benefits, vouchers_per_order=2))
    given.opens()
    given.tick("02-01")
    given.granted()
    given.issued()
    return given


@shows("redemption.requested refused too_many_vouchers")
def test_one_request_for_more_vouchers_than_an_order_may_have(limited: Given) -> None:
    limited.requested("R1", 100, (EATS_VOUCHER, 100), (ALL_VOUCHER, 100)).refused(Reason.TOO_MANY_VOUCHERS)
    limited.requested("R2", 100, (EATS_VOUCHER, 100)).accepted("reserved 100", "reserved 100")


def test_what_is_held_and_what_was_redeemed_for_the_order_counts_together(limited: Given) -> None:
    limited.requested("R1", 100, order="o")
    limited.recorded("R2", (EATS_VOUCHER, 100), order="o")
    limited.requested("R3", (ALL_VOUCHER, 100), order="o").refused(Reason.TOO_MANY_VOUCHERS)
    limited.requested("R4", (ALL_VOUCHER, 100), order="another").accepted("reserved 100")


def test_the_same_voucher_again_for_the_order_counts_once(limited: Given) -> None:
    limited.requested("R1", 100, (EATS_VOUCHER, 100), order="o")
    limited.captured("R1", 100, (EATS_VOUCHER, 100))
    limited.requested("R2", 100, order="o").accepted("reserved 100")


def test_what_was_let_go_or_wholly_reversed_counts_no_more(limited: Given) -> None:
    limited.requested("R1", 100, (EATS_VOUCHER, 100), order="o")
    limited.released("R1")
    limited.recorded("R2", 100, (EATS_VOUCHER, 100), order="o")
    limited.reversed("R2", 100, (EATS_VOUCHER, 99))
    limited.requested("R3", (ALL_VOUCHER, 100), order="o").refused(Reason.TOO_MANY_VOUCHERS)
    limited.reversed("R2", (EATS_VOUCHER, 1))
    limited.requested("R4", (ALL_VOUCHER, 100), order="o").accepted("reserved 100")


def test_what_was_honoured_without_cover_does_not_count(limited: Given) -> None:
    limited.declined()
    limited.voucher_revoked(EATS_VOUCHER)
    limited.recorded("R1", 100, (EATS_VOUCHER, 100), order="o", x="02-01").accepted(
        "exception 100", "exception 100", reason=Reason.DECLINED
    )
    limited.requested("R2", (ALL_VOUCHER, 100), order="o").accepted("reserved 100")


def test_orders_of_other_programmes_do_not_count(limited: Given) -> None:
    limited.publishes(replace(EU, vouchers_per_order=2))
    limited.opens(programme="eu")
    limited.granted(programme="eu")
    limited.issued(programme="eu")
    limited.requested("R1", 100, (EATS_VOUCHER, 100), order="o")
    limited.requested("R2", 100, order="o", programme="eu").accepted("reserved 100")


def test_a_fact_goes_beyond_the_limit(limited: Given) -> None:
    limited.recorded("R1", 100, (EATS_VOUCHER, 100), (ALL_VOUCHER, 100)).accepted(
        "redeemed 100 available", "redeemed 100 available", "redeemed 100 available"
    )


# Which comes first


def test_the_first_line_that_fails_says_why(basket: Given) -> None:
    stranger = (voucher(who=BORA), 100)
    basket.requested("R1", 20_001, stranger).refused(Reason.INSUFFICIENT_BALANCE)
    basket.requested("R2", stranger, 20_001).refused(Reason.NOT_OWNER)
    basket.requested("R3", 100, stranger).refused(Reason.NOT_OWNER)
    assert basket.amounts() == {"available": 20_000}


PRECEDENCE: Final = (
    Reason.CONFLICT,
    Reason.STALE_REQUEST,
    Reason.FUTURE_REQUEST,
    Reason.NOT_OWNER,
    Reason.UNKNOWN_VOUCHER,
    Reason.WRONG_SERVICE,
    Reason.REVOKED,
    Reason.DECLINED,
    Reason.EXPIRED,
    Reason.NOT_YET_VALID,
    Reason.NOT_CLAIMED,
    Reason.ALREADY_REDEEMED,
    Reason.ALREADY_RESERVED,
    Reason.INSUFFICIENT_BALANCE,
    Reason.TOO_MANY_VOUCHERS,
)
OF_A_VOUCHER: Final = frozenset(PRECEDENCE[5:14])
"""What can only be said of a voucher that is there."""
CANNOT_MEET: Final = frozenset(
    {
        frozenset({Reason.STALE_REQUEST, Reason.FUTURE_REQUEST}),
        frozenset({Reason.EXPIRED, Reason.NOT_YET_VALID}),
        frozenset({Reason.NOT_CLAIMED, Reason.ALREADY_RESERVED}),
        frozenset({Reason.DECLINED, Reason.ALREADY_REDEEMED}),
        frozenset({Reason.ALREADY_REDEEMED, Reason.ALREADY_RESERVED}),
    }
)


def pairs() -> Iterator[tuple[Reason, Reason]]:
    for first, second in combinations(PRECEDENCE, 2):
        absent = first in (Reason.NOT_OWNER, Reason.UNKNOWN_VOUCHER) and second in OF_A_VOUCHER
        if not absent and frozenset({first, second}) not in CANNOT_MEET:
            yield first, second


@pytest.mark.parametrize(("first", "second"), [(reason, reason) for reason in PRECEDENCE] + list(pairs()))
def test_the_reason_that_comes_first_is_given(first: Reason, second: Reason) -> None:
    Refusal({first, second}).request().refused(first)


class Refusal:
    """A request that fails for exactly these reasons."""

    def __init__(self, reasons: set[Reason]) -> None:
        self.reasons = reasons
        self.given = Given()
        self.given.publishes(replace(KR, benefits=(TRAVEL, EATS)))
        self.given.opens()
        self.given.tick("01-14")
        self.given.granted()
        self.given.issued()
        self.given.claimed(EATS_VOUCHER)
        if Reason.NOT_CLAIMED not in reasons:
            self.given.claimed()

    def request(self) -> Then:
        before, now = self._clock()
        self.given.tick(before)
        self._spoil()
        self.given.tick(now)
        return self.given.requested(
            "R1",
            (self._voucher(), 20_001 if Reason.INSUFFICIENT_BALANCE in self.reasons else 100),
            order="o",
            service="beauty" if Reason.WRONG_SERVICE in self.reasons else "travel",
            x=self._time(),
        )

    def _clock(self) -> tuple[Time, Time]:
        """When things go wrong, and when the request comes."""
        if Reason.EXPIRED in self.reasons:
            return "04-15 23:58", "04-16 00:11"
        if Reason.NOT_YET_VALID in self.reasons:
            time = "01-15 09:50" if Reason.FUTURE_REQUEST in self.reasons else "01-15 09:56"
            return time, time
        return "02-01", "02-01 00:05"

    def _spoil(self) -> None:
        given, reasons = self.given, self.reasons
        held_at = max(given.now, at("01-15 10:00"))
        if Reason.CONFLICT in reasons:
            given.requested("R1", (NEVER_ISSUED, 1))
        if Reason.TOO_MANY_VOUCHERS in reasons:
            given.requested("R8", (EATS_VOUCHER, 100), order="o", service="eats", x=held_at).accepted("reserved 100")
        if Reason.ALREADY_RESERVED in reasons:
            given.requested("R9", 100, x=held_at).accepted("reserved 100")
        if Reason.ALREADY_REDEEMED in reasons and Reason.NOT_CLAIMED not in reasons:
            given.recorded("R9", 20_000)
        if Reason.DECLINED in reasons:
            given.declined()
        if Reason.REVOKED in reasons:
            given.withdrawn()

    def _voucher(self) -> VoucherId:
        if Reason.NOT_OWNER in self.reasons:
            return voucher(who=BORA)
        return NEVER_ISSUED if Reason.UNKNOWN_VOUCHER in self.reasons else voucher()

    def _time(self) -> Instant:
        if Reason.STALE_REQUEST in self.reasons:
            return Instant(self.given.now - 600 * SECOND - 1)
        ahead = 300 * SECOND + 1 if Reason.FUTURE_REQUEST in self.reasons else 0
        return Instant(self.given.now + ahead)
