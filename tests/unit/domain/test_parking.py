"""Parking (section 8 of the rules), and what is remembered of an event (section 9)."""

from redress.domain.beneficiary import MAX_PARKED, RedemptionStatus
from redress.domain.entry import DeadLetterReason, Reason
from redress.domain.event import Claimed, Enrolled, Granted, Standing
from redress.domain.ids import WaveCode
from tests.unit.domain.given import (
    ANNA,
    BORA,
    BORAS_NEIGHBOUR,
    KR,
    RIDE_VOUCHER,
    Given,
    Then,
    at,
    shows,
    voucher,
)

TOO_LONG = DeadLetterReason.PARKED_TOO_LONG

# What waits


@shows("redemption.captured parked", "redemption.recorded parked")
def test_settling_facts_wait_for_a_voucher_of_hers_that_is_not_there_yet(opened: Given) -> None:
    opened.granted()
    opened.granted(programme="eu")
    opened.captured("R1", 100, programme="eu").is_parked()
    opened.recorded("R2", 20_000).is_parked()
    assert opened.issued().lines == ["issued 20000 unclaimed", "claimed 20000", "redeemed 20000 available"]
    assert opened.issued(programme="eu").lines == ["issued 2000 available", "redeemed 100 available"]


def test_one_voucher_that_is_not_there_is_enough_to_wait_for(anna: Given) -> None:
    anna.recorded("R1", 100, (voucher("eats"), 100)).is_parked()
    assert anna.amounts() == {"available": 20_000}


def test_a_promise_of_another_programme_is_no_voucher_of_that_programme_yet(opened: Given) -> None:
    opened.granted(programme="eu")
    opened.recorded("R1", (RIDE_VOUCHER, 100)).is_parked()
    then = opened.issued(programme="eu")
    assert then.names == ["voucher.issued", "redemption.recorded"]
    assert then.lines == ["issued 2000 available", "exception 100"]
    assert then.entries[1].reason is Reason.UNKNOWN_VOUCHER


def test_a_voucher_in_a_neighbours_name_is_waited_for(opened: Given) -> None:
    """By its first six bytes it might be hers."""
    theirs = voucher(who=BORA)
    opened.recorded("R1", (theirs, 100), who=BORAS_NEIGHBOUR).is_parked()
    opened.granted(who=BORA)
    opened.issued(who=BORA).accepted("issued 20000 unclaimed")
    then = opened.tick("01-13")
    then.accepted("exception 100", reason=Reason.UNKNOWN_VOUCHER)


@shows("redemption.released parked", "redemption.reversed parked")
def test_every_fact_of_a_programme_that_was_never_published_waits_for_it() -> None:
    given = Given()
    given.tick("01-12")
    given.released("R1").is_parked()
    given.reversed("R2").is_parked()
    given.captured("R3", (voucher(who=BORA), 1)).is_parked()
    then = given.publishes(KR)
    assert then.names == [
        "programme.published",
        "redemption.released",
        "redemption.reversed",
        "redemption.captured",
    ]


def test_a_request_never_waits(opened: Given) -> None:
    opened.claimed().is_parked()
    opened.requested("R1", 100).refused(Reason.UNKNOWN_VOUCHER)
    opened.captured("R1", 100).is_parked()
    opened.requested("R1", 100).refused(Reason.UNKNOWN_VOUCHER)


# What is blocked


def test_a_fact_is_blocked_by_one_that_names_the_same_redemption(anna: Given) -> None:
    anna.requested("R1", 100)
    anna.captured("R1", 100, (voucher("eats"), 1)).is_parked()
    anna.released("R1").is_parked()
    anna.reversed("R1").is_parked()
    assert anna.redemption("R1").status is RedemptionStatus.HELD


def test_a_fact_is_blocked_by_one_that_names_the_same_voucher(unclaimed: Given) -> None:
    unclaimed.recorded("R1", 100, (voucher("eats"), 1)).is_parked()
    unclaimed.claimed().is_parked()
    unclaimed.declined().is_parked()
    unclaimed.voucher_revoked().is_parked()
    unclaimed.recorded("R2", 100).is_parked()
    unclaimed.reversed("R3", 100).is_parked()


def test_a_fact_is_blocked_by_one_that_names_the_same_grant(opened: Given) -> None:
    opened.withdrawn("w2").is_parked()
    opened.reinstated("w2").is_parked()
    opened.enrolled("w2").is_parked()
    opened.granted("w2").is_parked()
    then = opened.opens("w2")
    assert [(entry.outcome.value, entry.reason) for entry in then.entries[1:]] == [
        ("accepted", None),
        ("accepted", None),
        ("accepted", None),
        ("no_effect", Reason.ALREADY_ENROLLED),
    ]
    assert then.names[1:] == [
        "eligibility.granted",
        "eligibility.withdrawn",
        "eligibility.reinstated",
        "eligibility.enrolled",
    ]


def test_a_blocked_fact_is_parked_though_its_redemption_is_settled(anna: Given) -> None:
    anna.recorded("R1", 100, programme="eu")
    anna.recorded("R2", (RIDE_VOUCHER, 100), (voucher("none", programme="eu"), 1), programme="eu").is_parked()
    anna.captured("R1", 100, programme="eu").is_parked()


def test_a_voucher_and_a_grant_do_not_block_each_other(opened: Given) -> None:
    opened.granted()
    opened.claimed().is_parked()
    opened.withdrawn().accepted("withdrawn 20000")


def test_facts_of_another_programme_or_person_are_not_blocked(anna: Given) -> None:
    anna.recorded("R1", 100, (voucher("eats"), 1)).is_parked()
    anna.recorded("R1", 100, programme="eu").accepted("redeemed 100 available")
    anna.recorded("R1", (voucher(), 100), who=BORA).accepted("exception 100", reason=Reason.NOT_OWNER)


def test_grants_issues_and_requests_are_not_blocked(anna: Given) -> None:
    anna.recorded("R1", 100, (voucher("eats"), 1)).is_parked()
    anna.requested("R1", 100).accepted("reserved 100")
    anna.issued().no_effect(Reason.ALREADY_ISSUED)
    anna.enrolled("w2").is_parked()
    anna.granted("w2").is_parked()
    anna.opens("w2").each()[1].refused(Reason.ALREADY_ENTITLED)


def test_a_parked_grant_or_issue_blocks_nothing(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.issued().is_parked()
    withdrawn, issued = opened.withdrawn().each()
    withdrawn.accepted("withdrawn 20000")
    issued.refused(Reason.NOT_ENTITLED)


# How it drains


def test_what_waits_is_decided_in_order_of_arrival_after_what_makes_it_decidable(opened: Given) -> None:
    opened.claimed().is_parked()
    opened.recorded("R1", 5_000).is_parked()
    opened.reversed("R1").is_parked()
    opened.issued().is_parked()
    then = opened.granted()
    assert then.names == [
        "eligibility.granted",
        "voucher.issued",
        "voucher.claimed",
        "redemption.recorded",
        "redemption.reversed",
    ]
    assert then.lines == [
        "entitled 20000",
        "issued 20000 unclaimed",
        "claimed 20000",
        "redeemed 5000 available",
        "forfeited 15000 available",
        "restored 5000 clearing",
        "restored 15000 forfeited",
    ]


def test_an_earlier_event_that_becomes_decidable_goes_before_later_ones(opened: Given) -> None:
    opened.granted(standing=Standing.FORMER_MEMBER)
    opened.claimed().is_parked()
    opened.recorded("R1", 100).is_parked()
    opened.issued().is_parked()
    opened.declined().is_parked()
    assert opened.enrolled().names == [
        "eligibility.enrolled",
        "voucher.issued",
        "voucher.claimed",
        "redemption.recorded",
        "voucher.declined",
    ]


def test_a_wave_wakes_who_waits_for_it_and_no_one_else(opened: Given) -> None:
    opened.granted("w2", who=BORA).is_parked()
    opened.granted("w3").is_parked()
    opened.granted("w2", programme="eu").is_parked()
    then = opened.opens("w2")
    assert [entry.beneficiary for entry in then.entries] == [None, BORA]
    assert len(opened.shard.parked) == 2


def test_the_cause_of_a_drained_entry_is_its_own_event(opened: Given) -> None:
    opened.send(Claimed(KR.programme, ANNA, voucher(), "app"), "01-11", "claim-1").is_parked()
    opened.granted()
    then = opened.issued().each()[1]
    assert (then.entry.cause.id, then.entry.occurred_at) == ("claim-1", at("01-11"))


# How it ends


@shows("voucher.claimed dead parked_too_long", "redemption.recorded accepted unknown_voucher")
def test_when_parking_ends_settling_facts_are_booked_and_others_dead_lettered(opened: Given) -> None:
    opened.claimed().is_parked()
    opened.recorded("R1", 100, (voucher(who=BORA), 50)).is_parked()
    opened.tick(at("01-13", -1)).is_nothing()
    then = opened.tick("01-13")
    then.dead_lettered(TOO_LONG)
    assert then.lines == ["exception 100", "exception 50"]
    assert [entry.reason for entry in then.entries] == [Reason.UNKNOWN_VOUCHER]
    assert not opened.shard.parked


@shows("redemption.captured accepted unknown_redemption")
def test_a_capture_that_waited_too_long_is_booked_too(anna: Given) -> None:
    anna.captured("R1", 100, (voucher("eats"), 50), programme="kr").is_parked()
    anna.tick("02-02").accepted(
        "redeemed 100 available", "forfeited 19900 available", "exception 50", reason=Reason.UNKNOWN_REDEMPTION
    )


@shows(
    "eligibility.granted dead parked_too_long",
    "voucher.issued dead parked_too_long",
    "redemption.recorded dead parked_too_long",
)
def test_promises_and_facts_of_an_unpublished_programme_end_dead(opened: Given) -> None:
    opened.granted("w9").is_parked()
    opened.issued().is_parked()
    opened.recorded("R1", (voucher(), 100), programme="ghost").is_parked()
    opened.tick("01-13").dead_lettered(TOO_LONG, TOO_LONG, TOO_LONG)


def test_what_was_blocked_is_tried_again_when_what_blocked_it_is_dead(opened: Given) -> None:
    opened.requested("R1", 100)
    opened.claimed().is_parked()
    opened.tick("01-12 12:00")
    opened.reversed("R1", 100).is_parked()
    then = opened.tick("01-13")
    then.dead_lettered(TOO_LONG)
    assert then.each()[0].entry.reason is Reason.NOTHING_HELD
    assert then.names == ["redemption.reversed"]


def test_what_was_blocked_is_tried_again_when_what_blocked_it_is_booked(opened: Given) -> None:
    opened.recorded("R1", 100).is_parked()
    opened.tick("01-12 12:00")
    opened.reversed("R1").is_parked()
    then = opened.tick("01-13")
    assert then.names == ["redemption.recorded", "redemption.reversed"]
    assert then.lines == ["exception 100", "exception_reversed 100"]


def test_a_fact_that_was_settled_meanwhile_has_no_effect_when_its_parking_ends(anna: Given) -> None:
    anna.recorded("R1", 100, (voucher("eats"), 1)).is_parked()
    anna.recorded("R1", 200).is_parked()
    then = anna.tick("02-02")
    assert [(entry.outcome.value, entry.reason) for entry in then.entries] == [
        ("accepted", Reason.UNKNOWN_VOUCHER),
        ("no_effect", Reason.ALREADY_SETTLED),
    ]


def test_parking_lasts_as_long_as_the_ledger_says() -> None:
    given = Given(parking_seconds=600)
    given.tick("01-12")
    given.claimed().is_parked()
    given.tick(at("01-12 00:10", -1)).is_nothing()
    given.tick("01-12 00:10").dead_lettered(TOO_LONG)


def test_parking_counts_from_its_beginning_by_the_clock_not_from_the_events_time(opened: Given) -> None:
    opened.claimed(x="01-01").is_parked()
    opened.tick(at("01-13", -1)).is_nothing()


# How many may wait


def fill(given: Given) -> None:
    for number in range(MAX_PARKED):
        given.claimed(voucher(wave=f"w-{number}")).is_parked()


@shows("voucher.claimed dead parked_too_long")
def test_a_hundred_wait_and_no_more(opened: Given) -> None:
    fill(opened)
    opened.claimed().dead_lettered(TOO_LONG)
    assert len(opened.shard.parked) == MAX_PARKED


def test_what_can_be_decided_is_decided_however_many_wait(opened: Given) -> None:
    fill(opened)
    opened.granted().accepted("entitled 20000")
    opened.issued().accepted("issued 20000 unclaimed")
    opened.claimed().accepted("claimed 20000")


def test_the_places_are_each_persons_own(opened: Given) -> None:
    fill(opened)
    opened.granted("w9", who=BORA).is_parked()


def test_a_settling_fact_that_finds_no_place_is_dead_lettered(opened: Given) -> None:
    fill(opened)
    opened.recorded("R1", 100).dead_lettered(TOO_LONG)


# What is remembered


def granted(given: Given, event_id: str, standing: Standing = Standing.MEMBER, wave: str = "w1") -> Then:
    return given.send(Granted(KR.programme, WaveCode(wave), ANNA, standing), event_id=event_id)


def test_an_event_again_is_a_duplicate_whatever_its_time(opened: Given) -> None:
    granted(opened, "g-1").accepted("entitled 20000")
    granted(opened, "g-1").is_duplicate()
    data = Granted(KR.programme, WaveCode("w1"), ANNA, Standing.MEMBER)
    opened.send(data, "02-01", "g-1").is_duplicate()


def test_a_refused_event_and_one_without_effect_are_remembered(opened: Given) -> None:
    granted(opened, "g-1")
    granted(opened, "g-2").refused(Reason.ALREADY_GRANTED)
    granted(opened, "g-2").is_duplicate()
    data = Claimed(KR.programme, ANNA, voucher(), "app")
    opened.issued()
    opened.claimed()
    opened.send(data, event_id="c-1").no_effect(Reason.ALREADY_CLAIMED)
    opened.send(data, event_id="c-1").is_duplicate()


@shows("eligibility.granted dead conflict")
def test_an_id_used_before_with_other_content_is_a_conflict(opened: Given) -> None:
    granted(opened, "g-1")
    granted(opened, "g-1", Standing.FORMER_MEMBER).dead_lettered(DeadLetterReason.CONFLICT)
    granted(opened, "g-1").is_duplicate()


def test_an_event_too_far_ahead_is_so_before_it_is_a_conflict(opened: Given) -> None:
    granted(opened, "g-1")
    data = Granted(KR.programme, WaveCode("w1"), ANNA, Standing.FORMER_MEMBER)
    opened.send(data, "01-14", "g-1").dead_lettered(DeadLetterReason.INVALID)


def test_a_parked_event_is_remembered(opened: Given) -> None:
    granted(opened, "g-1", wave="w2").is_parked()
    granted(opened, "g-1", wave="w2").is_duplicate()
    granted(opened, "g-1", wave="w3").dead_lettered(DeadLetterReason.CONFLICT)


def test_a_dead_lettered_event_is_forgotten(opened: Given) -> None:
    data = Granted(KR.programme, WaveCode("w1"), ANNA, Standing.MEMBER)
    opened.send(data, "01-14", "g-1").dead_lettered(DeadLetterReason.INVALID)
    opened.send(data, "01-12", "g-1").accepted("entitled 20000")


def test_an_event_whose_parking_ended_dead_is_forgotten(opened: Given) -> None:
    granted(opened, "g-1", wave="w2").is_parked()
    opened.tick("01-13").dead_lettered(TOO_LONG)
    granted(opened, "g-1", wave="w3").is_parked()


def test_an_event_that_found_no_place_is_forgotten(opened: Given) -> None:
    fill(opened)
    granted(opened, "g-1", wave="w2").dead_lettered(TOO_LONG)
    opened.tick("01-13")
    granted(opened, "g-1", wave="w3").is_parked()


def test_ids_are_unique_per_person(opened: Given) -> None:
    granted(opened, "g-1")
    data = Granted(KR.programme, WaveCode("w1"), BORA, Standing.MEMBER)
    opened.send(data, event_id="g-1").accepted("entitled 20000")


def test_ids_are_unique_per_source(opened: Given) -> None:
    granted(opened, "g-1")
    data = Enrolled(KR.programme, WaveCode("w1"), ANNA)
    opened.send(data, event_id="g-1", source="/other").no_effect(Reason.ALREADY_ENROLLED)
