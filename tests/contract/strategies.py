"""Hypothesis strategies for every type of event that comes in."""

from hypothesis import strategies as st

from redress.contracts.instants import MAX_INSTANT, MIN_INSTANT
from redress.contracts.scalars import AMOUNT_MAX, INT32_MAX, SAFE_INTEGER_MAX, SECONDS_PER_YEAR, time_zones
from redress.domain import event as e
from redress.domain import ids, terms

code = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,39}", fullmatch=True)
opaque = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
event_id = st.from_regex(r"[A-Za-z0-9._:/-]{1,64}", fullmatch=True)
source = st.from_regex(r"/[a-z0-9/_.~-]{0,127}", fullmatch=True)
programmes = code.map(ids.ProgrammeCode)
waves = code.map(ids.WaveCode)
benefits = code.map(ids.BenefitCode)
services = code.map(ids.ServiceCode)
redemptions = opaque.map(ids.RedemptionId)
orders = opaque.map(ids.OrderId)
beneficiaries = st.uuids(version=4).map(str).map(ids.BeneficiaryId)
vouchers = st.uuids().map(str).map(ids.VoucherId)
amounts = st.integers(1, AMOUNT_MAX)
versions = st.integers(1, INT32_MAX)
seconds = st.integers(1, SECONDS_PER_YEAR)
instants = st.integers(MIN_INSTANT, MAX_INSTANT).map(ids.Instant)
spends = st.lists(st.builds(e.Spend, vouchers, amounts), min_size=1, max_size=32, unique_by=lambda s: s.voucher).map(
    tuple
)

_programme_terms = st.builds(
    terms.Terms,
    programme=programmes,
    version=versions,
    currency=st.from_regex(r"[A-Z]{3}", fullmatch=True),
    timezone=st.sampled_from(sorted(time_zones())),
    benefits=st.lists(
        st.builds(terms.Benefit, benefits, services | st.just(terms.ANY_SERVICE), amounts),
        min_size=1,
        max_size=32,
        unique_by=lambda b: b.code,
    ).map(tuple),
    claim=st.sampled_from(terms.Claim),
    remainder=st.sampled_from(terms.Remainder),
    restore=st.sampled_from(terms.Restore),
    vouchers_per_order=st.none() | st.integers(1, 10_000),
    once_per=st.sampled_from(terms.OncePer),
    reservation_ttl_seconds=seconds,
    request_max_age_seconds=seconds,
)
_expected = st.builds(e.Expected, st.integers(0, 10**10), st.integers(0, SAFE_INTEGER_MAX))
_wave = st.builds(
    lambda validity, programme, wave, version, expected, roster: e.WaveOpened(
        programme, wave, version, validity[0], validity[1], expected, roster
    ),
    st.lists(instants, min_size=2, max_size=2, unique=True).map(sorted),
    programmes,
    waves,
    versions,
    st.none() | _expected,
    st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
_issue = st.builds(
    e.Issued,
    programmes,
    waves,
    beneficiaries,
    st.lists(
        st.builds(e.IssuedVoucher, vouchers, benefits, amounts), min_size=1, max_size=32, unique_by=lambda v: v.voucher
    ).map(tuple),
)
_whole_order = st.builds(
    e.Reversed, programmes, redemptions, beneficiaries, st.just(e.Scope.WHOLE_ORDER), st.just(()), code
)
_partial = st.builds(e.Reversed, programmes, redemptions, beneficiaries, st.just(e.Scope.PARTIAL), spends, code)
_order = (programmes, redemptions, beneficiaries, orders, services, st.sampled_from(e.AppliedBy), spends)

data: st.SearchStrategy[e.Data] = st.one_of(
    st.builds(e.ProgrammePublished, _programme_terms),
    _wave,
    st.builds(e.LotExtended, programmes, waves, benefits, instants, code),
    st.builds(e.LotRevoked, programmes, waves, benefits, code),
    st.builds(e.ClockTicked, instants),
    st.builds(e.Granted, programmes, waves, beneficiaries, st.sampled_from(e.Standing)),
    st.builds(e.Enrolled, programmes, waves, beneficiaries),
    st.builds(e.Withdrawn, programmes, waves, beneficiaries, code),
    st.builds(e.Reinstated, programmes, waves, beneficiaries, code),
    _issue,
    st.builds(e.VoucherRevoked, programmes, beneficiaries, vouchers, code),
    st.builds(e.Claimed, programmes, beneficiaries, vouchers, code),
    st.builds(e.Declined, programmes, beneficiaries, vouchers, code),
    st.builds(e.Requested, *_order),
    st.builds(e.Recorded, *_order),
    st.builds(e.Captured, programmes, redemptions, beneficiaries, spends),
    st.builds(e.Released, programmes, redemptions, beneficiaries, code),
    _whole_order,
    _partial,
)
"""Any content an event can have."""
