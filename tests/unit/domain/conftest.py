"""Where most examples begin."""

from dataclasses import replace

import pytest

from redress.domain.terms import Claim
from tests.unit.domain.given import ALL, EATS, EU, KR, TRAVEL, Given


@pytest.fixture
def opened() -> Given:
    """Both programmes with their wave `w1`, valid from 15 January 10:00 to 16 April; it is 12 January."""
    given = Given()
    given.publishes(KR)
    given.publishes(EU)
    given.opens()
    given.opens(programme="eu")
    given.tick("01-12")
    return given


@pytest.fixture
def anna(opened: Given) -> Given:
    """On 1 February ANNA has a claimed voucher of 20,000 won and one of 20 euros."""
    opened.granted()
    opened.granted(programme="eu")
    opened.tick("01-15 10:00")
    opened.issued()
    opened.issued(programme="eu")
    opened.tick("01-16")
    opened.claimed()
    opened.tick("02-01")
    return opened


@pytest.fixture
def unclaimed(opened: Given) -> Given:
    """On 1 February ANNA has her voucher of 20,000 won, and has not claimed it."""
    opened.granted()
    opened.tick("01-15 10:00")
    opened.issued()
    opened.tick("02-01")
    return opened


@pytest.fixture
def basket() -> Given:
    """On 1 February ANNA has three one-use vouchers that need no claim: travel, eats and one for any service."""
    given = Given()
    given.publishes(replace(KR, benefits=(TRAVEL, EATS, ALL), claim=Claim.NONE, vouchers_per_order=None))
    given.opens()
    given.tick("01-15 10:00")
    given.granted()
    given.issued()
    given.tick("02-01")
    return given
