"""Who is entitled, and what is issued (section 5 of the rules): one example per row."""

from dataclasses import replace

import pytest

from redress.domain.entry import Reason
from redress.domain.event import IssuedVoucher, Standing
from redress.domain.ids import BenefitCode
from redress.domain.terms import OncePer
from tests.unit.domain.given import BORA, EATS, KR, TRAVEL, Given, at, shows, voucher


@shows("eligibility.granted parked", "eligibility.granted accepted")
def test_a_grant_waits_for_its_wave(opened: Given) -> None:
    opened.granted("w2").is_parked()
    then = opened.opens("w2")
    assert then.names == ["wave.opened", "eligibility.granted"]
    assert then.lines == ["entitled 20000"]


@shows("eligibility.granted accepted")
def test_a_grant_entitles_to_every_benefit_of_the_wave(opened: Given) -> None:
    opened.publishes(replace(KR, version=2, benefits=(TRAVEL, EATS)))
    opened.opens("w2", version=2)
    then = opened.granted("w2")
    then.accepted("entitled 20000", "entitled 5000")
    assert [line.lot.benefit for line in then.entry.lines] == ["travel", "eats"]
    assert then.entry.terms_version == 2


@shows("eligibility.granted refused already_granted")
def test_a_second_grant_in_the_same_wave_is_refused(opened: Given) -> None:
    opened.granted()
    opened.granted().refused(Reason.ALREADY_GRANTED)
    opened.withdrawn()
    opened.granted().refused(Reason.ALREADY_GRANTED)


@shows("eligibility.granted refused already_entitled")
def test_a_grant_is_refused_where_another_of_the_programme_stands(opened: Given) -> None:
    opened.opens("w2")
    opened.granted()
    opened.granted("w2").refused(Reason.ALREADY_ENTITLED)
    assert opened.shard.programmes[KR.programme].waves[opened.lot(wave="w2").key.wave].count.refused == 1


def test_already_granted_comes_before_already_entitled(opened: Given) -> None:
    opened.opens("w2")
    opened.granted()
    opened.withdrawn()
    opened.granted("w2")
    opened.granted().refused(Reason.ALREADY_GRANTED)


@shows("eligibility.granted accepted")
def test_a_refused_grant_counts_as_none_once_the_other_is_withdrawn(opened: Given) -> None:
    opened.opens("w2")
    opened.granted()
    opened.granted("w2")
    opened.withdrawn()
    opened.granted("w2").accepted("entitled 20000")
    count = opened.shard.programmes[KR.programme].waves[opened.lot(wave="w2").key.wave].count
    assert (count.granted, count.refused) == (1, 0)


def test_a_person_is_entitled_in_each_wave_where_terms_say_once_per_wave(opened: Given) -> None:
    opened.opens("w2", programme="eu")
    opened.granted(programme="eu").accepted("entitled 2000")
    opened.granted("w2", programme="eu").accepted("entitled 2000")


def test_the_terms_of_the_wave_that_is_asked_for_say_how_often(opened: Given) -> None:
    opened.publishes(replace(KR, version=2, once_per=OncePer.WAVE))
    opened.opens("w2", version=2)
    opened.opens("w3")
    opened.granted()
    opened.granted("w2").accepted("entitled 20000")
    opened.granted("w3").refused(Reason.ALREADY_ENTITLED)


def test_grants_of_other_people_and_programmes_do_not_stand_in_the_way(opened: Given) -> None:
    opened.granted(who=BORA)
    opened.granted(programme="eu")
    opened.granted().accepted("entitled 20000")


@shows("eligibility.enrolled parked")
def test_an_enrolment_waits_for_its_grant(opened: Given) -> None:
    opened.enrolled().is_parked()
    then = opened.granted(standing=Standing.FORMER_MEMBER)
    assert then.names == ["eligibility.granted", "eligibility.enrolled"]


@shows("eligibility.enrolled accepted", "eligibility.enrolled no_effect already_enrolled")
def test_a_former_member_enrols_once(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.enrolled().accepted()
    opened.enrolled().no_effect(Reason.ALREADY_ENROLLED)


@shows("eligibility.enrolled no_effect already_enrolled")
def test_a_member_is_enrolled_already(opened: Given) -> None:
    opened.granted()
    opened.enrolled().no_effect(Reason.ALREADY_ENROLLED)


@shows("eligibility.enrolled no_effect already_withdrawn")
def test_an_enrolment_after_withdrawal_has_no_effect(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.withdrawn()
    opened.enrolled().no_effect(Reason.ALREADY_WITHDRAWN)
    opened.reinstated()
    opened.enrolled().accepted()


@shows("voucher.issued parked", "voucher.issued accepted")
def test_an_issue_waits_for_its_grant(opened: Given) -> None:
    opened.issued().is_parked()
    then = opened.granted()
    assert then.names == ["eligibility.granted", "voucher.issued"]
    assert then.lines == ["entitled 20000", "issued 20000 unclaimed"]


@shows("voucher.issued parked")
def test_an_issue_waits_for_the_enrolment_of_a_former_member(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.issued().is_parked()
    assert opened.enrolled().names == ["eligibility.enrolled", "voucher.issued"]


@shows("voucher.issued accepted")
def test_an_issue_goes_to_unclaimed_or_available_as_terms_say(opened: Given) -> None:
    opened.granted()
    opened.granted(programme="eu")
    opened.issued().accepted("issued 20000 unclaimed")
    opened.issued(programme="eu").accepted("issued 2000 available")
    assert opened.the().issued


@shows("voucher.issued no_effect already_issued")
def test_an_issue_happens_once(opened: Given) -> None:
    opened.granted()
    opened.issued()
    opened.issued().no_effect(Reason.ALREADY_ISSUED)


@shows("voucher.issued refused not_entitled")
def test_nothing_is_issued_to_whom_it_was_withdrawn(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.withdrawn()
    opened.issued().refused(Reason.NOT_ENTITLED)


TRAVEL_DUE = IssuedVoucher(voucher(), TRAVEL.code, TRAVEL.amount)
EATS_DUE = IssuedVoucher(voucher("eats"), EATS.code, EATS.amount)


@pytest.fixture
def two_benefits() -> Given:
    """ANNA is entitled to two vouchers."""
    given = Given()
    given.publishes(replace(KR, benefits=(TRAVEL, EATS)))
    given.opens()
    given.tick("01-12")
    given.granted()
    return given


@pytest.mark.parametrize(
    "vouchers",
    [
        pytest.param([TRAVEL_DUE], id="not all benefits"),
        pytest.param([TRAVEL_DUE, replace(EATS_DUE, amount=5_001)], id="another amount"),
        pytest.param([TRAVEL_DUE, replace(EATS_DUE, voucher=voucher("eats", who=BORA))], id="another voucher"),
        pytest.param(
            [replace(TRAVEL_DUE, voucher=EATS_DUE.voucher), replace(EATS_DUE, voucher=TRAVEL_DUE.voucher)],
            id="ids exchanged",
        ),
        pytest.param(
            [TRAVEL_DUE, EATS_DUE, replace(EATS_DUE, voucher=voucher("ride"), benefit=BenefitCode("ride"))],
            id="one too many",
        ),
    ],
)
@shows("voucher.issued refused not_as_entitled")
def test_what_is_not_exactly_due_is_not_issued(two_benefits: Given, vouchers: list[IssuedVoucher]) -> None:
    two_benefits.issued(vouchers=vouchers).refused(Reason.NOT_AS_ENTITLED)


def test_vouchers_may_come_in_any_order(two_benefits: Given) -> None:
    two_benefits.issued(vouchers=[EATS_DUE, TRAVEL_DUE]).accepted("issued 20000 unclaimed", "issued 5000 unclaimed")


@shows("eligibility.withdrawn parked")
def test_a_withdrawal_waits_for_its_grant(opened: Given) -> None:
    opened.withdrawn().is_parked()
    then = opened.granted()
    assert then.lines == ["entitled 20000", "withdrawn 20000"]


@shows("eligibility.withdrawn accepted", "eligibility.withdrawn no_effect already_withdrawn")
def test_a_withdrawal_before_issue_takes_the_promise_back(opened: Given) -> None:
    opened.granted()
    opened.withdrawn().accepted("withdrawn 20000")
    opened.withdrawn().no_effect(Reason.ALREADY_WITHDRAWN)
    assert opened.amounts() == {}


def test_a_withdrawal_after_issue_revokes_what_is_unclaimed_and_available(anna: Given) -> None:
    anna.withdrawn().accepted("revoked 20000 available")
    assert anna.status() == "revoked"


def test_a_withdrawal_revokes_an_unclaimed_voucher(unclaimed: Given) -> None:
    unclaimed.withdrawn().accepted("revoked 20000 unclaimed")


def test_a_withdrawal_from_a_lapsed_lot_takes_back_what_the_lot_took(opened: Given) -> None:
    opened.granted()
    opened.tick("04-16")
    opened.withdrawn().accepted("expiry_reversed 20000 entitlement by lot", "withdrawn 20000")


def test_a_withdrawal_from_a_revoked_lot_takes_back_what_the_lot_took(anna: Given) -> None:
    anna.revokes_lot()
    anna.withdrawn().accepted("revocation_reversed 20000 available by lot", "revoked 20000 available")


@shows("eligibility.reinstated parked")
def test_a_reinstatement_waits_for_its_grant(opened: Given) -> None:
    opened.reinstated().is_parked()
    assert opened.granted().names == ["eligibility.granted", "eligibility.reinstated"]


@shows("eligibility.reinstated no_effect not_withdrawn")
def test_only_what_was_withdrawn_is_reinstated(opened: Given) -> None:
    opened.granted()
    opened.reinstated().no_effect(Reason.NOT_WITHDRAWN)


@shows("eligibility.reinstated no_effect already_entitled")
def test_no_reinstatement_where_another_grant_stands(opened: Given) -> None:
    opened.opens("w2")
    opened.granted()
    opened.withdrawn()
    opened.granted("w2")
    opened.reinstated().no_effect(Reason.ALREADY_ENTITLED)
    opened.withdrawn("w2")
    opened.reinstated().accepted("entitled 20000")


@shows("eligibility.reinstated accepted")
def test_a_reinstatement_before_issue_promises_again_and_issue_is_due_again(opened: Given) -> None:
    opened.granted()
    opened.withdrawn()
    assert opened.grant().due_seq is None
    then = opened.reinstated()
    then.accepted("entitled 20000")
    assert opened.grant().due_seq == then.entry.seq
    opened.issued().accepted("issued 20000 unclaimed")


@shows("eligibility.reinstated accepted")
def test_a_reinstated_voucher_is_available_again_if_it_was_claimed(anna: Given) -> None:
    anna.withdrawn()
    anna.reinstated().accepted("revocation_reversed 20000 available")
    assert anna.status() == "available"


def test_a_reinstated_voucher_is_unclaimed_again_if_it_was_not_claimed(unclaimed: Given) -> None:
    unclaimed.withdrawn()
    unclaimed.reinstated().accepted("revocation_reversed 20000 unclaimed")
    unclaimed.claimed().accepted("claimed 20000")


def test_a_reinstatement_brings_back_what_returned_since_the_withdrawal(anna: Given) -> None:
    anna.requested("R1", 500, programme="eu")
    anna.withdrawn(programme="eu").accepted("revoked 1500 available")
    anna.released("R1", programme="eu").accepted("released 500", "revoked 500 available")
    anna.reinstated(programme="eu").accepted("revocation_reversed 2000 available")


def test_a_second_withdrawal_brings_back_its_own_part_only(anna: Given) -> None:
    anna.withdrawn(programme="eu")
    anna.reinstated(programme="eu")
    anna.recorded("R1", 1_500, programme="eu")
    anna.withdrawn(programme="eu").accepted("revoked 500 available")
    anna.reinstated(programme="eu").accepted("revocation_reversed 500 available")


def test_a_declined_voucher_stays_declined_through_withdrawal_and_reinstatement(anna: Given) -> None:
    ride = voucher("ride", programme="eu")
    anna.requested("R1", 500, programme="eu")
    anna.declined(ride, programme="eu")
    anna.withdrawn(programme="eu").accepted()
    anna.released("R1", programme="eu").accepted("released 500", "declined 500 available")
    anna.reinstated(programme="eu").accepted()
    assert anna.status(ride) == "declined"


def test_a_voucher_revoked_by_itself_stays_revoked_through_reinstatement(anna: Given) -> None:
    ride = voucher("ride", programme="eu")
    anna.requested("R1", 500, programme="eu")
    anna.voucher_revoked(ride, programme="eu").accepted("revoked 1500 available")
    anna.withdrawn(programme="eu").accepted()
    anna.released("R1", programme="eu").accepted("released 500", "revoked 500 available")
    anna.reinstated(programme="eu").accepted("revocation_reversed 500 available", "revoked 500 available")
    assert anna.status(ride) == "revoked"


def test_a_reinstatement_in_a_lapsed_lot_comes_back_and_lapses(anna: Given) -> None:
    anna.withdrawn()
    anna.tick("04-16")
    anna.reinstated().accepted("revocation_reversed 20000 available", "expired 20000 available by lot")


# When issuance is due


def test_issuance_is_due_from_the_grant_of_a_member(opened: Given) -> None:
    then = opened.granted(x="01-11")
    assert (opened.grant().due_seq, opened.grant().due_at) == (then.entry.seq, at("01-11"))
    opened.issued()
    assert opened.grant().due_seq is None


def test_issuance_is_due_from_the_enrolment_of_a_former_member(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    assert opened.grant().due_seq is None
    then = opened.enrolled()
    assert opened.grant().due_seq == then.entry.seq


def test_issuance_is_not_due_to_a_reinstated_former_member_who_has_not_enrolled(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.withdrawn()
    opened.reinstated()
    assert opened.grant().due_seq is None


def test_issuance_is_not_due_again_after_it_happened(anna: Given) -> None:
    anna.withdrawn()
    anna.reinstated()
    assert anna.grant().due_seq is None
