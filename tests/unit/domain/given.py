"""Directed examples of the rules: given a shard, when an event arrives, then so it is booked.

Times are written as `01-15 10:00` or `04-15 23:59:59`, of 2026 in Seoul. Lines are written as movement and amount,
with the account where a movement has several (`redeemed 500 held`), and `by lot` where the closed-lot rule made them.
Every example is also given to the oracle, which must agree and find nothing wrong.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, ParamSpec

from redress.contracts.decode import partition_key
from redress.contracts.encode import to_wire
from redress.contracts.instants import format_instant, parse_instant
from redress.contracts.registry import INPUTS
from redress.domain.accounts import Account, Movement
from redress.domain.beneficiary import Grant, Redemption, Voucher
from redress.domain.entry import DeadLetterReason, Entry, Lapsed, Line, LotKey, Outcome, Reason, TimedOut
from redress.domain.event import (
    AppliedBy,
    Captured,
    Claimed,
    ClockTicked,
    Data,
    Declined,
    Enrolled,
    Granted,
    Issued,
    IssuedVoucher,
    LotExtended,
    LotRevoked,
    ProgrammePublished,
    Recorded,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Scope,
    Spend,
    Standing,
    VoucherRevoked,
    WaveOpened,
    Withdrawn,
)
from redress.domain.ids import (
    BeneficiaryId,
    BenefitCode,
    Instant,
    OrderId,
    ProgrammeCode,
    RedemptionId,
    ServiceCode,
    VoucherId,
    WaveCode,
    voucher_id,
)
from redress.domain.lot import Lot
from redress.domain.shard import DeadLetter, Results
from redress.domain.terms import Benefit, Claim, OncePer, Remainder, Restore, Terms
from tests.property import invariants
from tests.property.twin import Clock, Twin

ANNA: Final = BeneficiaryId("6f1d2c3b-4a59-4e68-8777-869504132211")
BORA: Final = BeneficiaryId("0b1e2d3c-4f5a-4b69-9787-a6b5c4d3e2f1")
BORAS_NEIGHBOUR: Final = BeneficiaryId("0b1e2d3c-4f5a-4111-8222-333344445555")
"""Shares the first six bytes of BORA's id."""
MICROSECOND: Final = 1

Parameters = ParamSpec("Parameters")
TRAVEL: Final = Benefit(BenefitCode("travel"), ServiceCode("travel"), 20_000)
EATS: Final = Benefit(BenefitCode("eats"), ServiceCode("eats"), 5_000)
ALL: Final = Benefit(BenefitCode("all"), ServiceCode("*"), 5_000)
RIDE: Final = Benefit(BenefitCode("ride"), ServiceCode("*"), 2_000)
KR: Final = Terms(
    programme=ProgrammeCode("kr"),
    version=1,
    currency="KRW",
    timezone="Asia/Seoul",
    benefits=(TRAVEL,),
    claim=Claim.REQUIRED,
    remainder=Remainder.FORFEITED,
    restore=Restore.WHOLE_ORDER_BEFORE_EXPIRY,
    vouchers_per_order=1,
    once_per=OncePer.PROGRAMME,
    reservation_ttl_seconds=900,
    request_max_age_seconds=600,
)
"""One use, claimed first, restored with the whole order alone."""
EU: Final = Terms(
    programme=ProgrammeCode("eu"),
    version=1,
    currency="EUR",
    timezone="Europe/Berlin",
    benefits=(RIDE,),
    claim=Claim.NONE,
    remainder=Remainder.KEPT,
    restore=Restore.ANY_BEFORE_EXPIRY,
    vouchers_per_order=None,
    once_per=OncePer.WAVE,
    reservation_ttl_seconds=900,
    request_max_age_seconds=600,
)
"""Several uses, no claim, restored in any part."""

SETTLING: Final = ("captured", "recorded")

MADE: Final[set[str]] = set()
"""What the example that runs has produced: answers, dead letters and parkings, as `@shows` names them."""
SHOWN: Final[dict[str, str]] = {}
"""Each such answer that an example promises to produce, with the example's name."""


def shows(*answers: str) -> Callable[[Callable[Parameters, None]], Callable[Parameters, None]]:
    """Declares which answers an example is there for, and checks that it really produces them.

    `redemption.captured accepted expired`, `eligibility.granted parked`, `wave.opened dead conflict`; where an
    example is for both settling facts, `redemption.{settle} …`, by the name of its parameter `settle`.
    """

    def declare(example: Callable[Parameters, None]) -> Callable[Parameters, None]:
        for answer in answers:
            SHOWN.update(dict.fromkeys((answer.format(settle=fact) for fact in SETTLING), example.__name__))

        @functools.wraps(example)
        def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
            MADE.clear()
            example(*args, **kwargs)
            fact = getattr(kwargs.get("settle"), "__name__", "")
            missing = {answer.format(settle=fact) for answer in answers} - MADE
            assert not missing, f"not shown: {sorted(missing)}"

        return run

    return declare


def at(text: str, microseconds: int = 0) -> Instant:
    """`01-15`, `01-15 10:00` or `01-15 10:00:00` of 2026 in Seoul, and so many microseconds on."""
    day, _, clock = text.partition(" ")
    clock = clock or "00:00"
    seconds = "" if clock.count(":") == 2 else ":00"
    return Instant(parse_instant(f"2026-{day}T{clock}{seconds}+09:00") + microseconds)


Time = str | Instant


def instant(time: Time) -> Instant:
    return at(time) if isinstance(time, str) else time


def voucher(
    benefit: str = "travel", *, who: BeneficiaryId = ANNA, programme: str = "kr", wave: str = "w1"
) -> VoucherId:
    return voucher_id(ProgrammeCode(programme), WaveCode(wave), who, BenefitCode(benefit))


RIDE_VOUCHER: Final = voucher("ride", programme="eu")
"""ANNA's, of the other programme."""

_NAMES: Final = {known.domain: known.name.removeprefix("redress.").removesuffix(".v1") for known in INPUTS.values()}
_SAYING: Final = {
    Movement.ISSUED: "credit",
    Movement.REDEEMED: "debit",
    Movement.FORFEITED: "debit",
    Movement.RESTORED: "debit",
    Movement.EXPIRED: "debit",
    Movement.EXPIRY_REVERSED: "credit",
    Movement.REVOKED: "debit",
    Movement.REVOCATION_REVERSED: "credit",
    Movement.DECLINED: "debit",
}
"""Movements with several postings: the side that tells which."""
_SHORT: Final = {Account.REDEMPTION_CLEARING: "clearing", Account.BREAKAGE_FORFEITED: "forfeited"}


def show(line: Line) -> str:
    words = [line.posting.movement.value, str(line.amount)]
    if line.posting.movement in _SAYING:
        account: Account = getattr(line.posting, _SAYING[line.posting.movement])
        words.append(_SHORT.get(account, account.value))
    if line.by_lot:
        words.append("by lot")
    return " ".join(words)


def name_of(entry: Entry) -> str:
    if isinstance(entry.happening, TimedOut):
        return "time-out"
    if isinstance(entry.happening, Lapsed):
        return "lapse"
    return _NAMES[type(entry.happening)]


@dataclass(frozen=True)
class Then:
    """What became of one event, with all that followed from it."""

    entries: Sequence[Entry]
    dead: Sequence[DeadLetter]
    parked: Sequence[Data]
    duplicates: int

    @property
    def entry(self) -> Entry:
        """The only one."""
        assert not self.dead, self.dead
        assert len(self.entries) == 1, [name_of(entry) for entry in self.entries]
        return self.entries[0]

    @property
    def lines(self) -> list[str]:
        return [show(line) for entry in self.entries for line in entry.lines]

    @property
    def times(self) -> list[Instant]:
        """The effective times of all lines."""
        return [line.effective for entry in self.entries for line in entry.lines]

    @property
    def names(self) -> list[str]:
        """The events that were entered, in order."""
        return [name_of(entry) for entry in self.entries]

    def each(self) -> list["Then"]:
        """One for each entry."""
        return [Then([entry], [], [], 0) for entry in self.entries]

    def accepted(self, *lines: str, reason: Reason | None = None) -> None:
        entry = self.entry
        assert (entry.outcome, entry.reason) == (Outcome.ACCEPTED, reason)
        assert self.lines == list(lines)

    def refused(self, reason: Reason) -> None:
        entry = self.entry
        assert (entry.outcome, entry.reason, entry.lines) == (Outcome.REFUSED, reason, [])

    def no_effect(self, reason: Reason) -> None:
        entry = self.entry
        assert (entry.outcome, entry.reason, entry.lines) == (Outcome.NO_EFFECT, reason, [])

    def dead_lettered(self, *reasons: DeadLetterReason) -> None:
        assert [dead.reason for dead in self.dead] == list(reasons)

    def is_parked(self) -> None:
        assert (len(self.parked), self.entries, self.dead) == (1, [], [])

    def is_duplicate(self) -> None:
        assert (self.duplicates, self.entries, self.dead, self.parked) == (1, [], [], [])

    def is_nothing(self) -> None:
        assert (self.entries, self.dead, self.parked) == ([], [], [])


class Given:
    """A shard with its oracle. Events happen now unless they say `x`; `now` moves by `tick` alone."""

    def __init__(self, *, parking_seconds: int = 86_400, clock: Clock = "manual", shard: int = 0) -> None:
        self.twin = Twin(parking_seconds=parking_seconds, clock=clock, shard=shard)
        self.shard = self.twin.shard
        self._number = 0

    @property
    def now(self) -> Instant:
        return self.shard.now if self.shard.now is not None else at("01-01")

    def send(self, data: Data, x: Time | None = None, event_id: str | None = None, source: str = "/test") -> Then:
        self._number += 1
        kind, wire = to_wire(data)
        envelope = {
            "specversion": "1.0",
            "id": event_id or f"e-{self._number}",
            "type": kind,
            "source": source,
            "time": format_instant(self.now if x is None else instant(x)),
            "partitionkey": partition_key(data),
            "datacontenttype": "application/json",
            "data": wire,
        }
        known = set(self.shard.parked)
        results = self.twin.feed(INPUTS[kind].topic.value, envelope)
        parked = [p.event.data for arrival, p in results.parked.items() if arrival not in known]
        self._check(results, parked)
        return Then(results.entries, results.dead_letters, parked, results.duplicates)

    def _check(self, results: Results, parked: Sequence[Data]) -> None:
        self.twin.oracle.check()
        self.twin.compare_figures()
        invariants.check_entries(self.shard, results.entries)
        invariants.check_state(self.shard)
        invariants.check_effective_axis(self.twin.entries)
        MADE.update(f"{name_of(e)} {e.outcome} {e.reason or ''}".rstrip() for e in results.entries)
        MADE.update(f"{_NAMES[type(dead.event.data)]} dead {dead.reason}" for dead in results.dead_letters)
        MADE.update(f"{_NAMES[type(data)]} parked" for data in parked)

    # Control

    def tick(self, now: Time) -> Then:
        return self.send(ClockTicked(instant(now)), now)

    def publishes(self, terms: Terms, x: Time | None = None) -> Then:
        return self.send(ProgrammePublished(terms), x)

    def opens(
        self,
        wave: str = "w1",
        start: Time = "01-15 10:00",
        end: Time = "04-16",
        *,
        programme: str = "kr",
        version: int = 1,
        x: Time | None = None,
    ) -> Then:
        codes = ProgrammeCode(programme), WaveCode(wave)
        return self.send(WaveOpened(*codes, version, instant(start), instant(end), None, None), x)

    def extends(
        self, until: Time, *, programme: str = "kr", wave: str = "w1", benefit: str = "travel", x: Time | None = None
    ) -> Then:
        return self.send(LotExtended(*_lot(programme, wave, benefit), instant(until), "goodwill"), x)

    def revokes_lot(
        self, *, programme: str = "kr", wave: str = "w1", benefit: str = "travel", x: Time | None = None
    ) -> Then:
        return self.send(LotRevoked(*_lot(programme, wave, benefit), "court"), x)

    # Entitlement and issue

    def granted(
        self,
        wave: str = "w1",
        *,
        who: BeneficiaryId = ANNA,
        programme: str = "kr",
        standing: Standing = Standing.MEMBER,
        x: Time | None = None,
    ) -> Then:
        return self.send(Granted(ProgrammeCode(programme), WaveCode(wave), who, standing), x)

    def enrolled(self, wave: str = "w1", *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(Enrolled(ProgrammeCode(programme), WaveCode(wave), ANNA), x)

    def withdrawn(self, wave: str = "w1", *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(Withdrawn(ProgrammeCode(programme), WaveCode(wave), ANNA, "check"), x)

    def reinstated(self, wave: str = "w1", *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(Reinstated(ProgrammeCode(programme), WaveCode(wave), ANNA, "appeal"), x)

    def issued(
        self,
        wave: str = "w1",
        *,
        who: BeneficiaryId = ANNA,
        programme: str = "kr",
        vouchers: Sequence[IssuedVoucher] | None = None,
        x: Time | None = None,
    ) -> Then:
        due = self.due(wave, who=who, programme=programme) if vouchers is None else vouchers
        return self.send(Issued(ProgrammeCode(programme), WaveCode(wave), who, tuple(due)), x)

    def due(self, wave: str = "w1", *, who: BeneficiaryId = ANNA, programme: str = "kr") -> list[IssuedVoucher]:
        """What the wave entitles to: of the latest terms where it is not open."""
        known = self.shard.wave(ProgrammeCode(programme), WaveCode(wave))
        benefits = known.terms.benefits if known else {"kr": KR, "eu": EU}[programme].benefits
        return [
            IssuedVoucher(voucher(b.code, who=who, programme=programme, wave=wave), b.code, b.amount) for b in benefits
        ]

    # Vouchers

    def claimed(self, which: VoucherId | None = None, *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(Claimed(ProgrammeCode(programme), ANNA, which or voucher(), "app"), x)

    def declined(self, which: VoucherId | None = None, *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(Declined(ProgrammeCode(programme), ANNA, which or voucher(), "unwanted"), x)

    def voucher_revoked(self, which: VoucherId | None = None, *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(VoucherRevoked(ProgrammeCode(programme), ANNA, which or voucher(), "fraud"), x)

    # Redemptions: a number spends of ANNA's voucher of the programme's first benefit

    def requested(
        self,
        redemption: str,
        *spends: "int | tuple[VoucherId, int]",
        order: str | None = None,
        service: str = "travel",
        programme: str = "kr",
        who: BeneficiaryId = ANNA,
        x: Time | None = None,
    ) -> Then:
        codes = ProgrammeCode(programme), RedemptionId(redemption), who
        names = OrderId(order or f"o-{redemption}"), ServiceCode(service), AppliedBy.CUSTOMER
        return self.send(Requested(*codes, *names, _spends(programme, spends)), x)

    def captured(
        self,
        redemption: str,
        *spends: "int | tuple[VoucherId, int]",
        programme: str = "kr",
        who: BeneficiaryId = ANNA,
        x: Time | None = None,
    ) -> Then:
        codes = ProgrammeCode(programme), RedemptionId(redemption), who
        return self.send(Captured(*codes, _spends(programme, spends)), x)

    def recorded(
        self,
        redemption: str,
        *spends: "int | tuple[VoucherId, int]",
        order: str | None = None,
        service: str = "travel",
        programme: str = "kr",
        who: BeneficiaryId = ANNA,
        x: Time | None = None,
    ) -> Then:
        codes = ProgrammeCode(programme), RedemptionId(redemption), who
        names = OrderId(order or f"o-{redemption}"), ServiceCode(service), AppliedBy.CUSTOMER
        return self.send(Recorded(*codes, *names, _spends(programme, spends)), x)

    def released(self, redemption: str, *, programme: str = "kr", x: Time | None = None) -> Then:
        return self.send(Released(ProgrammeCode(programme), RedemptionId(redemption), ANNA, "cart"), x)

    def reversed(
        self, redemption: str, *spends: "int | tuple[VoucherId, int]", programme: str = "kr", x: Time | None = None
    ) -> Then:
        """The whole order where nothing is said, else those parts."""
        scope = Scope.PARTIAL if spends else Scope.WHOLE_ORDER
        codes = ProgrammeCode(programme), RedemptionId(redemption), ANNA
        return self.send(Reversed(*codes, scope, _spends(programme, spends), "cancelled"), x)

    # What stands

    def lot(self, programme: str = "kr", wave: str = "w1", benefit: str = "travel") -> Lot:
        return self.shard.lot(LotKey(*_lot(programme, wave, benefit)))

    def the(self, which: VoucherId | None = None, who: BeneficiaryId = ANNA) -> Voucher:
        return self.shard.beneficiaries[who].vouchers[which or voucher()]

    def amounts(self, which: VoucherId | None = None) -> dict[str, int]:
        """The voucher's own accounts that are not 0."""
        return {account.value: amount for account, amount in self.the(which).amounts.items() if amount}

    def grant(self, wave: str = "w1", programme: str = "kr") -> Grant:
        return self.shard.beneficiaries[ANNA].grants[ProgrammeCode(programme), WaveCode(wave)]

    def redemption(self, name: str, programme: str = "kr") -> Redemption:
        return self.shard.beneficiaries[ANNA].redemptions[ProgrammeCode(programme), RedemptionId(name)]

    def status(self, which: VoucherId | None = None) -> str:
        """The voucher's, as finance sees it."""
        return str(self.twin.oracle.vouchers()[str(which or voucher())]["status"])


def _lot(programme: str, wave: str, benefit: str) -> tuple[ProgrammeCode, WaveCode, BenefitCode]:
    return ProgrammeCode(programme), WaveCode(wave), BenefitCode(benefit)


def _spends(programme: str, spends: Sequence[int | tuple[VoucherId, int]]) -> tuple[Spend, ...]:
    first = voucher({"kr": "travel", "eu": "ride"}.get(programme, "any"), programme=programme)
    return tuple(Spend(first, spend) if isinstance(spend, int) else Spend(*spend) for spend in spends)
