"""The people of a benchmark and their events: made from numbers alone, so that any process can make any part."""

from collections.abc import Iterator
from hashlib import md5
from random import Random
from typing import Final
from uuid import UUID

from redress.contracts.encode import Record, encode_record
from redress.contracts.examples import INPUT_EVENTS, PROGRAMME, WAVE
from redress.contracts.instants import parse_instant
from redress.contracts.template import Template, blank
from redress.domain import event as e
from redress.domain.ids import BeneficiaryId, BenefitCode, OrderId, RedemptionId, ServiceCode, VoucherId, voucher_id

SHARDS: Final = 16
LEDGER: Final = "bench"
LINES: Final = 4
"""Lines of a grant, and of an issue: the example programme has four benefits."""
MOVEMENTS: Final = 8
"""Lines that the five events of a life come to."""

GRANTING, ISSUING, REDEEMING = (
    parse_instant(text)
    for text in ("2026-01-10T09:00:00+09:00", "2026-01-15T10:00:00+09:00", "2026-02-01T12:00:00+09:00")
)
"""When people are granted, when issue opens, when they redeem."""

_TRAVEL, _BEAUTY = BenefitCode("travel"), BenefitCode("beauty-fashion")


def controls() -> list[Record]:
    """Terms and the wave, as the published examples have them."""
    return [
        encode_record(data, event_id=f"bench-{number}", source=source, time=parse_instant(time))
        for number, (time, source, data) in enumerate(INPUT_EVENTS[:2])
    ]


def person(number: int) -> BeneficiaryId:
    """The same random reference for the same number, in every process."""
    return BeneficiaryId(str(UUID(bytes=md5(number.to_bytes(8), usedforsecurity=False).digest(), version=4)))


def granted(first: int, end: int) -> Iterator[Record]:
    """A grant for each person."""
    owner, event_id = BeneficiaryId(blank(0)), blank(1)
    data = e.Granted(PROGRAMME, WAVE, owner, e.Standing.MEMBER)
    form = Template(encode_record(data, event_id=event_id, source="/eligibility", time=GRANTING).value)
    for number in range(first, end):
        owner = person(number)
        value = form.fill((owner, _uuid("granted", number)))
        yield Record(e.Topic.ELIGIBILITY, owner.encode(), value.encode())


def issued(first: int, end: int) -> Iterator[Record]:
    """An issue of four vouchers for each person, as issuance writes it."""
    published = INPUT_EVENTS[0][2]
    assert isinstance(published, e.ProgrammePublished)
    benefits = published.terms.benefits
    owner, event_id = BeneficiaryId(blank(0)), blank(1)
    vouchers = (e.IssuedVoucher(VoucherId(blank(n)), b.code, b.amount) for n, b in enumerate(benefits, start=2))
    data = e.Issued(PROGRAMME, WAVE, owner, tuple(vouchers))
    form = Template(encode_record(data, event_id=event_id, source=f"/redress/{LEDGER}/issuance", time=ISSUING).value)
    for number in range(first, end):
        owner = person(number)
        value = form.fill(
            (owner, f"{number % SHARDS}-{number}", *(_voucher(owner, benefit.code) for benefit in benefits))
        )
        yield Record(e.Topic.ISSUANCE, owner.encode(), value.encode())


def redeemed(first: int, end: int) -> Iterator[Record]:
    """A life of five events for each person: claim, request, capture, reversal, and a fact on another voucher.

    Everybody is at another point of it, and each next event meets the people in another random order: an event is
    as far from the last one of its person as it can be.
    """
    people = list(range(first, end))
    shuffle = Random(first).shuffle
    for turn in range(len(_LIFE) * 2 - 1):
        shuffle(people)
        for number in people:
            stage = turn - number % len(_LIFE)
            if 0 <= stage < len(_LIFE):
                source, data = _LIFE[stage](person(number), number)
                yield encode_record(data, event_id=_uuid(f"life-{stage}", number), source=source, time=REDEEMING)


KINDS: Final = {"granted": granted, "issued": issued, "redeemed": redeemed}


def _claimed(owner: BeneficiaryId, _number: int) -> tuple[str, e.Data]:
    return "/app", e.Claimed(PROGRAMME, owner, _voucher(owner, _TRAVEL), "app")


def _requested(owner: BeneficiaryId, number: int) -> tuple[str, e.Data]:
    data = e.Requested(
        PROGRAMME,
        RedemptionId(f"r-{number:x}"),
        owner,
        OrderId(f"o-{number:x}"),
        ServiceCode("travel"),
        e.AppliedBy.CUSTOMER,
        (e.Spend(_voucher(owner, _TRAVEL), 15_000),),
    )
    return "/checkout/travel", data


def _captured(owner: BeneficiaryId, number: int) -> tuple[str, e.Data]:
    spent = (e.Spend(_voucher(owner, _TRAVEL), 15_000),)
    return "/checkout/travel", e.Captured(PROGRAMME, RedemptionId(f"r-{number:x}"), owner, spent)


def _reversed(owner: BeneficiaryId, number: int) -> tuple[str, e.Data]:
    data = e.Reversed(PROGRAMME, RedemptionId(f"r-{number:x}"), owner, e.Scope.WHOLE_ORDER, (), "order_cancelled")
    return "/checkout/travel", data


def _recorded(owner: BeneficiaryId, number: int) -> tuple[str, e.Data]:
    data = e.Recorded(
        PROGRAMME,
        RedemptionId(f"s-{number:x}"),
        owner,
        OrderId(f"p-{number:x}"),
        ServiceCode("beauty-fashion"),
        e.AppliedBy.AGENT,
        (e.Spend(_voucher(owner, _BEAUTY), 20_000),),
    )
    return "/checkout/beauty", data


_LIFE: Final = (_claimed, _requested, _captured, _reversed, _recorded)
EVENTS_OF_A_LIFE: Final = len(_LIFE)


def _voucher(owner: BeneficiaryId, benefit: BenefitCode) -> VoucherId:
    return voucher_id(PROGRAMME, WAVE, owner, benefit)


def _uuid(kind: str, number: int) -> str:
    return str(UUID(bytes=md5(f"{kind}/{number}".encode(), usedforsecurity=False).digest(), version=4))
