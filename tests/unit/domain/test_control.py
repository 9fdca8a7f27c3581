"""Terms and waves, and what is wrong with a control event (sections 4 and 9 of the rules)."""

from dataclasses import replace

import pytest

from redress.domain.decide import control
from redress.domain.entry import DeadLetterReason, Reason
from redress.domain.event import ProgrammePublished, WaveOpened
from redress.domain.ids import ProgrammeCode, WaveCode
from redress.domain.lot import LOTS_MAX
from redress.domain.terms import Claim, Remainder, Restore, Terms
from tests.oracle import control_rules
from tests.unit.domain.given import EATS, EU, KR, TRAVEL, Given, at, shows

INVALID = DeadLetterReason.INVALID
CONFLICT = DeadLetterReason.CONFLICT


@shows("programme.published accepted")
def test_a_programme_is_published_version_by_version() -> None:
    given = Given()
    then = given.publishes(KR)
    then.accepted()
    assert (then.entry.terms_version, then.entry.beneficiary) == (1, None)
    given.publishes(replace(KR, version=3, remainder=Remainder.KEPT)).accepted()
    given.publishes(replace(KR, version=2)).accepted()
    assert given.shard.programmes[KR.programme].latest.version == 3


@shows("programme.published no_effect superseded")
def test_the_same_terms_again_are_superseded(opened: Given) -> None:
    opened.publishes(KR).no_effect(Reason.SUPERSEDED)


@pytest.mark.parametrize(
    "terms",
    [
        replace(KR, claim=Claim.NONE),
        replace(KR, restore=Restore.NEVER),
        replace(KR, benefits=(TRAVEL, EATS)),
        replace(KR, reservation_ttl_seconds=901),
    ],
)
@shows("programme.published dead conflict")
def test_a_version_with_other_content_is_a_conflict(opened: Given, terms: Terms) -> None:
    opened.publishes(terms).dead_lettered(CONFLICT)
    assert opened.shard.programmes[KR.programme].latest == KR


@pytest.mark.parametrize("version", [1, 2])
@shows("programme.published dead invalid")
def test_currency_and_time_zone_never_change(opened: Given, version: int) -> None:
    opened.publishes(replace(KR, version=version, currency="USD")).dead_lettered(INVALID)
    opened.publishes(replace(KR, version=version, timezone="UTC")).dead_lettered(INVALID)


@shows("wave.opened accepted")
def test_a_wave_opens_a_lot_for_each_benefit_of_its_terms(opened: Given) -> None:
    opened.publishes(replace(KR, version=2, benefits=(TRAVEL, EATS)))
    then = opened.opens("w2", version=2)
    then.accepted()
    assert then.entry.terms_version == 2
    lot = opened.lot(wave="w2", benefit="eats")
    assert (lot.valid_from, lot.valid_until, lot.terms.version) == (at("01-15 10:00"), at("04-16"), 2)
    assert lot.is_open


def test_a_wave_keeps_the_terms_it_was_opened_with(opened: Given) -> None:
    opened.publishes(replace(KR, version=2, claim=Claim.NONE))
    opened.granted()
    opened.issued().accepted("issued 20000 unclaimed")


@shows("wave.opened no_effect superseded")
def test_the_same_wave_again_is_superseded_also_after_its_end(opened: Given) -> None:
    opened.opens().no_effect(Reason.SUPERSEDED)
    opened.tick("05-01")
    opened.opens().no_effect(Reason.SUPERSEDED)


def test_the_same_wave_again_is_superseded_also_after_its_lot_was_extended(opened: Given) -> None:
    opened.extends("05-01")
    opened.opens().no_effect(Reason.SUPERSEDED)


@shows("wave.opened dead conflict")
def test_a_wave_with_other_content_is_a_conflict(opened: Given) -> None:
    opened.opens(end="04-17").dead_lettered(CONFLICT)
    opened.publishes(replace(KR, version=2))
    opened.opens(version=2).dead_lettered(CONFLICT)


@shows("wave.opened dead invalid")
def test_what_is_wrong_with_a_wave(opened: Given) -> None:
    opened.opens("w2", programme="ghost").dead_lettered(INVALID)
    opened.opens("w2", version=2).dead_lettered(INVALID)
    opened.opens("unknown").dead_lettered(INVALID)
    opened.opens("w2", "01-01", "01-12").dead_lettered(INVALID)
    opened.opens("w2", "01-01", at("01-12", 1)).accepted()


def test_an_invalid_wave_is_so_before_it_is_a_conflict(opened: Given) -> None:
    opened.tick("04-20")
    opened.opens(end="04-17").dead_lettered(INVALID)


@pytest.fixture
def seven_lots_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (control, control_rules):
        monkeypatch.setattr(module, "LOTS_MAX", 7)


@pytest.mark.usefixtures("seven_lots_at_most")
def test_a_wave_whose_lots_would_be_too_many_is_not_opened(opened: Given) -> None:
    opened.publishes(replace(KR, version=2, benefits=(TRAVEL, EATS)))
    opened.opens("w2", version=2).accepted()  # with those of both programmes and their first waves, six

    too_many = opened.opens("w3", version=2)

    too_many.dead_lettered(INVALID)
    assert too_many.dead[0].detail == "data.wave: with its lots the ledger would have more than 7"
    opened.opens("w3").accepted()
    opened.opens("w4").dead_lettered(INVALID)
    opened.opens("w3").no_effect(Reason.SUPERSEDED)
    opened.opens("w3", end="04-17").dead_lettered(CONFLICT)


@pytest.mark.usefixtures("seven_lots_at_most")
def test_a_programme_whose_own_lot_would_be_one_too_many_is_not_published(opened: Given) -> None:
    for wave in ("w2", "w3", "w4"):
        opened.opens(wave).accepted()

    too_many = opened.publishes(replace(EU, programme=ProgrammeCode("us")))

    too_many.dead_lettered(INVALID)
    assert too_many.dead[0].detail == "data.programme: the ledger has 7 lots, the most there can be"
    opened.publishes(replace(KR, version=2)).accepted()


def test_the_number_of_every_lot_fits_two_bytes_with_a_sign() -> None:
    assert LOTS_MAX < 2**15


@shows("lot.extended dead invalid")
def test_what_is_wrong_with_an_extension(opened: Given) -> None:
    opened.extends("05-01", programme="ghost").dead_lettered(INVALID)
    opened.extends("05-01", wave="w9").dead_lettered(INVALID)
    opened.extends("05-01", benefit="eats").dead_lettered(INVALID)
    opened.extends("01-12").dead_lettered(INVALID)
    opened.revokes_lot()
    opened.extends("01-12").dead_lettered(INVALID)


@shows("lot.revoked dead invalid")
def test_what_is_wrong_with_a_revocation(opened: Given) -> None:
    opened.revokes_lot(programme="ghost").dead_lettered(INVALID)
    opened.revokes_lot(wave="w9").dead_lettered(INVALID)
    opened.revokes_lot(benefit="eats").dead_lettered(INVALID)
    opened.revokes_lot(wave="unknown", benefit="unknown").dead_lettered(INVALID)


def test_a_shard_other_than_the_first_reports_nothing_that_is_wrong_with_a_control_event() -> None:
    given = Given(shard=1)
    given.publishes(KR).accepted()
    given.publishes(replace(KR, claim=Claim.NONE)).is_nothing()
    given.publishes(replace(KR, version=2, currency="USD")).is_nothing()
    given.opens("w1", version=9).is_nothing()


# Duplicates


def test_a_control_event_again_is_a_duplicate_before_anything_else(opened: Given) -> None:
    opened.send(ProgrammePublished(replace(KR, version=2)), event_id="p-2")
    opened.send(ProgrammePublished(replace(KR, version=2)), event_id="p-2").is_duplicate()


def test_a_wave_again_is_a_duplicate_also_after_its_end() -> None:
    given = Given()
    given.publishes(KR)
    data = WaveOpened(KR.programme, WaveCode("w1"), 1, at("01-15"), at("04-16"), None, None)
    given.send(data, event_id="w-1").accepted()
    given.tick("05-01")
    given.send(data, event_id="w-1").is_duplicate()


def test_a_control_event_under_an_id_used_before_is_a_conflict(opened: Given) -> None:
    opened.send(ProgrammePublished(replace(KR, version=2)), event_id="p-2")
    opened.send(ProgrammePublished(replace(KR, version=3)), event_id="p-2").dead_lettered(CONFLICT)
    opened.send(ProgrammePublished(replace(KR, version=3, currency="USD")), event_id="p-2").dead_lettered(INVALID)


def test_a_control_event_that_was_dead_lettered_may_be_corrected_under_its_id(opened: Given) -> None:
    opened.send(ProgrammePublished(replace(KR, version=2, currency="USD")), event_id="p-2").dead_lettered(INVALID)
    opened.send(ProgrammePublished(replace(KR, version=2)), event_id="p-2").accepted()


def test_ids_of_control_events_are_unique_per_programme(opened: Given) -> None:
    opened.send(ProgrammePublished(replace(KR, version=2)), event_id="p-2").accepted()
    opened.send(ProgrammePublished(replace(EU, version=2)), event_id="p-2").accepted()
