"""No row and no reason without an example: each is named here and shown by one, which checks that it really does."""

import importlib
import pkgutil

import pytest

import tests.unit.domain
from redress.domain.entry import DeadLetterReason, Reason
from tests.unit.domain import given

ROWS = {
    "programme.published": ["accepted", "no_effect superseded", "dead conflict", "dead invalid"],
    "wave.opened": ["accepted", "no_effect superseded", "dead conflict", "dead invalid"],
    "lot.extended": ["accepted", "no_effect revoked", "no_effect superseded", "dead invalid"],
    "lot.revoked": ["accepted", "no_effect expired", "no_effect revoked", "dead invalid"],
    "clock.ticked": ["dead invalid"],
    "lapse": ["accepted"],
    "eligibility.granted": [
        "parked",
        "accepted",
        "refused already_entitled",
        "refused already_granted",
        "dead conflict",
        "dead invalid",
        "dead parked_too_long",
    ],
    "eligibility.enrolled": ["parked", "accepted", "no_effect already_withdrawn", "no_effect already_enrolled"],
    "voucher.issued": [
        "parked",
        "accepted",
        "refused not_entitled",
        "refused not_as_entitled",
        "no_effect already_issued",
        "dead invalid",
        "dead parked_too_long",
    ],
    "eligibility.withdrawn": ["parked", "accepted", "no_effect already_withdrawn"],
    "eligibility.reinstated": ["parked", "accepted", "no_effect not_withdrawn", "no_effect already_entitled"],
    "voucher.claimed": [
        "parked",
        "accepted",
        "no_effect already_claimed",
        "no_effect declined",
        "no_effect revoked",
        "no_effect expired",
        "dead parked_too_long",
    ],
    "voucher.declined": [
        "parked",
        "accepted",
        "no_effect nothing_left",
        "no_effect declined",
        "no_effect revoked",
        "no_effect expired",
    ],
    "voucher.revoked": [
        "parked",
        "accepted",
        "no_effect nothing_left",
        "no_effect declined",
        "no_effect revoked",
        "no_effect expired",
    ],
    "redemption.requested": [
        "accepted",
        "refused conflict",
        "refused stale_request",
        "refused future_request",
        "refused not_owner",
        "refused unknown_voucher",
        "refused wrong_service",
        "refused revoked",
        "refused declined",
        "refused expired",
        "refused not_yet_valid",
        "refused not_claimed",
        "refused already_redeemed",
        "refused already_reserved",
        "refused insufficient_balance",
        "refused too_many_vouchers",
    ],
    "redemption.released": ["parked", "accepted", "no_effect unknown_redemption", "no_effect nothing_held"],
    "time-out": ["accepted"],
    "redemption.reversed": [
        "parked",
        "accepted",
        "no_effect unknown_redemption",
        "no_effect not_captured",
        "no_effect nothing_held",
        "no_effect already_reversed",
        "no_effect nothing_left",
    ],
}
SETTLED = [
    "parked",
    "accepted",
    "accepted not_owner",
    "accepted unknown_voucher",
    "accepted wrong_service",
    "accepted revoked",
    "accepted declined",
    "accepted expired",
    "accepted not_yet_valid",
    "accepted not_claimed",
    "accepted already_reserved",
    "accepted insufficient_balance",
    "no_effect already_settled",
]
ROWS["redemption.captured"] = [*SETTLED, "accepted unknown_redemption", "dead invalid"]
ROWS["redemption.recorded"] = [*SETTLED, "dead parked_too_long"]
ANSWERS = [f"{event} {answer}" for event, answers in ROWS.items() for answer in answers]
BEFORE_THE_RULES = {DeadLetterReason.MISROUTED, DeadLetterReason.MALFORMED, DeadLetterReason.UNKNOWN_TYPE}
"""Dead letters of records that are no events."""


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """Every answer that an example of this package promises, whichever of its modules this run has collected."""
    for module in pkgutil.iter_modules(tests.unit.domain.__path__):
        importlib.import_module(f"{tests.unit.domain.__name__}.{module.name}")
    return given.SHOWN


@pytest.mark.parametrize("answer", ANSWERS)
def test_there_is_an_example_of(answer: str, shown: dict[str, str]) -> None:
    assert answer in shown


def test_no_reason_is_without_an_example(shown: dict[str, str]) -> None:
    given_as = {answer.split()[-1] for answer in shown}
    assert {str(reason) for reason in Reason} <= given_as
    assert {str(reason) for reason in set(DeadLetterReason) - BEFORE_THE_RULES} <= given_as


def test_no_example_shows_what_the_rules_do_not_know(shown: dict[str, str]) -> None:
    assert set(shown) <= set(ANSWERS)
