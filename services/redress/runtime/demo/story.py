"""The demo's story: a breach, 33,700 people and 165 more at 1 : 1,000, from January to the last expiry.

Chapters come in order; a chapter's events are published after the clock was moved to its time and before it is moved
again. Whose voucher goes which way depends on the person's number alone, so that any size tells the same story.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from redress.contracts.encode import Record, encode_record
from redress.contracts.instants import parse_instant
from redress.domain.event import (
    AppliedBy,
    Captured,
    Claimed,
    Data,
    Declined,
    Enrolled,
    Expected,
    Granted,
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
from redress.domain.terms import Benefit, Claim, OncePer, Remainder, Restore, Terms
from redress.runtime.demo.count import EXPIRED, REVOKED, Count

PROGRAMME = ProgrammeCode("breach-2025")
FIRST, SECOND = WaveCode("first"), WaveCode("second")
ANY, DELIVERY, TRAVEL, BEAUTY = (BenefitCode(code) for code in ("any", "delivery", "travel", "beauty"))
FACE = {ANY: 5_000, DELIVERY: 5_000, TRAVEL: 20_000, BEAUTY: 20_000}
SERVICE = {ANY: "shopping", DELIVERY: "food-delivery", TRAVEL: "travel", BEAUTY: "beauty-fashion"}
PERSON_AMOUNT = sum(FACE.values())
SECOND_PER_FIRST = 165 / 33_700
TERMS = Terms(
    PROGRAMME,
    1,
    "KRW",
    "Asia/Seoul",
    tuple(Benefit(code, ServiceCode("*" if code == ANY else SERVICE[code]), amount) for code, amount in FACE.items()),
    Claim.REQUIRED,
    Remainder.FORFEITED,
    Restore.WHOLE_ORDER_BEFORE_EXPIRY,
    1,
    OncePer.PROGRAMME,
    900,
    86_400,
)
OPENS, ENDS, EXTENDED = (
    parse_instant(text)
    for text in ("2026-01-15T10:00:00+09:00", "2026-04-16T00:00:00+09:00", "2026-05-16T00:00:00+09:00")
)


@dataclass(frozen=True, slots=True)
class Chapter:
    """What happens at a time: `tell` yields records and counts as it goes; `issued` waits for vouchers before it."""

    title: str
    clock: str
    tell: Callable[[], Iterator[Record]]
    awaits_issue: bool = False


@dataclass(slots=True)
class Samples:
    """Ids worth looking up afterwards."""

    beneficiary: str | None = None
    voucher: str | None = None
    redemption: str = ""
    redeemer: str | None = None


@dataclass(slots=True)
class Story:
    """The story at a size: `people` in both waves together."""

    people: int
    count: Count = field(default_factory=Count)
    samples: Samples = field(default_factory=Samples)
    _time: Instant = OPENS
    _events: int = 0
    _ids: list[BeneficiaryId] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = Random(20260115)  # noqa: S311 - the same people every time; nothing here is secret
        self._ids = [BeneficiaryId(str(UUID(int=random.getrandbits(128), version=4))) for _ in range(self.people)]

    @property
    def second(self) -> int:
        """How many people the second wave has."""
        return max(1, round(self.people * SECOND_PER_FIRST / (1 + SECOND_PER_FIRST)))

    @property
    def first(self) -> int:
        """How many people the first wave has."""
        return self.people - self.second

    @property
    def waiting_for_enrolment(self) -> int:
        """Former members who never join again: entitled, and never issued to."""
        return sum(not _has_vouchers(person) for person in range(self.first))

    def chapters(self) -> list[Chapter]:
        """The story in order."""
        return [
            Chapter("terms and the first wave are published", "2026-01-05T09:00:00+09:00", self._publish),
            Chapter("the first wave is granted", "2026-01-10T09:00:00+09:00", self._grant_first),
            Chapter("issue opens; people claim", "2026-01-16T10:00:00+09:00", self._claim, awaits_issue=True),
            Chapter("people redeem", "2026-02-01T12:00:00+09:00", self._redeem),
            Chapter("accounts are withdrawn, a second wave is granted", "2026-02-05T09:00:00+09:00", self._second_wave),
            Chapter(
                "orders are cancelled, accounts reinstated",
                "2026-02-10T09:00:00+09:00",
                self._cancel,
                awaits_issue=True,
            ),
            Chapter("a lot is revoked", "2026-03-01T09:00:00+09:00", self._revoke_lot),
            Chapter("two minutes to midnight", "2026-04-15T23:58:00+09:00", self._last_minute),
            Chapter("everything lapses; late facts arrive", "2026-04-16T00:04:00+09:00", self._after_the_end),
            Chapter("travel is extended by a month", "2026-04-20T09:00:00+09:00", self._extend),
            Chapter("the extension ends", "2026-05-16T00:00:00+09:00", self._end),
        ]

    def begin(self, clock: str) -> None:
        """Events told from here on happen at this time."""
        self._time = parse_instant(clock)

    # Chapters

    def _publish(self) -> Iterator[Record]:
        yield self._event(ProgrammePublished(TERMS))
        yield self._event(self._wave(FIRST, self.first))

    def _grant_first(self) -> Iterator[Record]:
        for person in range(self.first):
            yield from self._grant(person, FIRST, former=_is_former(person))
        for person in range(self.first):
            if _is_former(person) and _joins_again(person):
                yield self._event(Enrolled(PROGRAMME, FIRST, self._ids[person]))
        self._issue(person for person in range(self.first) if _has_vouchers(person))

    def _claim(self) -> Iterator[Record]:
        for person in filter(_has_vouchers, range(self.first)):
            for benefit in self._claims(person):
                yield self._event(Claimed(PROGRAMME, self._ids[person], self._voucher(person, benefit), "app"))
                self.count.claim((person, benefit))

    def _redeem(self) -> Iterator[Record]:
        for person in filter(_has_vouchers, range(self.first)):
            yield from _REDEEM.get(person % 100, Story._shop)(self, person)

    def _second_wave(self) -> Iterator[Record]:
        for person in range(self.first):
            if _is_withdrawn(person):
                yield self._event(Withdrawn(PROGRAMME, FIRST, self._ids[person], "invalid-account"))
                for benefit in FACE:
                    before = self.count.purses[person, benefit].entitled
                    self.count.take_back((person, benefit), "withdrawn" if before else "revoked")
        again = [n for n in range(self.second) if n % 10 == 5 and not _is_withdrawn(n)]
        yield self._event(self._wave(SECOND, self.second + len(again)))
        for n, person in enumerate(range(self.first, self.people)):
            if n in again:
                # This one was entitled in the first wave already.
                yield self._event(Granted(PROGRAMME, SECOND, self._ids[n], Standing.MEMBER))
                self.count.refused["already_entitled"] += 1
            yield from self._grant(person, SECOND, former=n % 7 == 6)
            if n % 7 == 6:
                yield self._event(Enrolled(PROGRAMME, SECOND, self._ids[person]))
        self._issue(range(self.first, self.people))

    def _cancel(self) -> Iterator[Record]:
        for person in filter(_has_vouchers, range(self.first)):
            if person % 100 in (20, 24):
                yield self._reverse(person, Scope.WHOLE_ORDER, ())
                self.count.restore((person, ANY), 3_000, 2_000)
            if person % 100 == 28:
                yield self._reverse(person, Scope.PARTIAL, (Spend(self._voucher(person, ANY), 1_000),))
                self.count.move("cancelled", 1_000)
        for person in range(self.first):
            if _is_withdrawn(person) and person % 400 == 7:
                yield self._event(Reinstated(PROGRAMME, FIRST, self._ids[person], "checked"))
                for benefit, amount in FACE.items():
                    self.count.purses[person, benefit].unclaimed = amount
                    self.count.move("revocation_reversed", amount)

    def _revoke_lot(self) -> Iterator[Record]:
        yield self._event(LotRevoked(PROGRAMME, SECOND, DELIVERY, "partner-left"))
        self.count.close(f"{SECOND}/{DELIVERY}", REVOKED)

    def _last_minute(self) -> Iterator[Record]:
        for person in filter(_has_vouchers, range(self.first)):
            if person % 100 == 36:
                yield self._request(person, TRAVEL, 16_000)
                self.count.reserve((person, TRAVEL), 16_000)

    def _after_the_end(self) -> Iterator[Record]:
        for wave in (FIRST, SECOND):
            for benefit in FACE:
                if self.count.lots.get(f"{wave}/{benefit}") == "open":
                    self.count.close(f"{wave}/{benefit}", EXPIRED)
        for person in filter(_has_vouchers, range(self.first)):
            if person % 100 == 36:
                redemption = self._redemption(person, TRAVEL)
                yield self._event(Released(PROGRAMME, redemption, self._ids[person], "abandoned"))
                self.count.release((person, TRAVEL))
            if person % 100 == 40:
                yield self._request(person, TRAVEL, 5_000)
                self.count.refused["expired"] += 1
            if person % 100 == 44:
                # Honoured at a checkout two hours before the end, reported only now.
                earlier = parse_instant("2026-04-15T22:00:00+09:00")
                yield self._record(person, TRAVEL, 12_000, at=earlier)
                self.count.late_spend((person, TRAVEL), 12_000)

    def _extend(self) -> Iterator[Record]:
        yield self._event(LotExtended(PROGRAMME, FIRST, TRAVEL, EXTENDED, "booking-system-outage"))
        self.count.reopen(f"{FIRST}/{TRAVEL}")
        for person in filter(_has_vouchers, range(self.first)):
            if person % 100 == 40:
                yield self._record(person, TRAVEL, 20_000)
                self.count.spend((person, TRAVEL), 20_000)

    def _end(self) -> Iterator[Record]:
        self.count.close(f"{FIRST}/{TRAVEL}", EXPIRED)
        yield from ()

    # Ways of one person

    def _shop(self, person: int) -> Iterator[Record]:
        """What most people do: some spend a voucher in full, some below its face, some not at all."""
        if person % 4 == 0:
            yield from self._request_and_capture(person, ANY, 5_000)
            yield self._record(person, TRAVEL, 15_000)
            self.count.spend((person, TRAVEL), 15_000)
        elif person % 4 == 1:
            yield from self._request_and_capture(person, ANY, 3_000)

    def _twice(self, person: int) -> Iterator[Record]:
        yield from self._request_and_capture(person, ANY, 5_000)
        yield self._request(person, ANY, 5_000, suffix="again")
        self.count.refused["already_redeemed"] += 1

    def _unclaimed(self, person: int) -> Iterator[Record]:
        yield self._request(person, DELIVERY, 4_000)
        self.count.refused["not_claimed"] += 1

    def _wrong_service(self, person: int) -> Iterator[Record]:
        yield self._request(person, TRAVEL, 4_000, service="food-delivery")
        self.count.refused["wrong_service"] += 1

    def _not_mine(self, person: int) -> Iterator[Record]:
        other = self._voucher(person - 1, ANY)
        yield self._event(
            Requested(
                PROGRAMME,
                self._redemption(person, ANY),
                self._ids[person],
                OrderId(f"order-{person}"),
                ServiceCode("shopping"),
                AppliedBy.CUSTOMER,
                (Spend(other, 5_000),),
            )
        )
        self.count.refused["not_owner"] += 1

    def _uncovered(self, person: int) -> Iterator[Record]:
        """Honoured for more than the voucher has: what is there is taken, the rest is an exception."""
        yield self._record(person, ANY, 9_000)
        self.count.spend((person, ANY), 5_000)
        self.count.move("exception", 4_000)

    def _below_face(self, person: int) -> Iterator[Record]:
        yield from self._request_and_capture(person, ANY, 3_000)
        if self.samples.redeemer is None:
            self.samples.redeemer = self._ids[person]
            self.samples.redemption = self._redemption(person, ANY)
            self.samples.beneficiary = self._ids[person]
            self.samples.voucher = self._voucher(person, ANY)

    def _abandon(self, person: int) -> Iterator[Record]:
        """A hold nobody captures: the clock lets it go, before the next chapter."""
        yield self._request(person, TRAVEL, 10_000)
        self.count.reserve((person, TRAVEL), 10_000)
        self.count.release((person, TRAVEL))

    def _decline(self, person: int) -> Iterator[Record]:
        yield self._event(Declined(PROGRAMME, self._ids[person], self._voucher(person, DELIVERY), "not-wanted"))
        self.count.take_back((person, DELIVERY), "declined")

    def _lose_one(self, person: int) -> Iterator[Record]:
        yield self._event(VoucherRevoked(PROGRAMME, self._ids[person], self._voucher(person, BEAUTY), "sold-on"))
        self.count.take_back((person, BEAUTY), "revoked")

    def _nothing(self, _: int) -> Iterator[Record]:
        yield from ()

    # Words of the story

    def _grant(self, person: int, wave: WaveCode, *, former: bool) -> Iterator[Record]:
        standing = Standing.FORMER_MEMBER if former else Standing.MEMBER
        yield self._event(Granted(PROGRAMME, wave, self._ids[person], standing))
        self.count.people[f"{wave} granted"] += 1
        for benefit, amount in FACE.items():
            self.count.entitle((person, benefit), f"{wave}/{benefit}", amount)

    def _issue(self, people: Iterator[int] | range) -> None:
        """The ledger's own issuance does this; the story only counts it."""
        for person in people:
            for benefit in FACE:
                self.count.issue((person, benefit))

    def _claims(self, person: int) -> list[BenefitCode]:
        if _is_withdrawn(person):
            return []
        claims = [ANY] if person % 4 != 3 else []
        if person % 2 == 0:
            claims.append(TRAVEL)
        if person % 5 == 0:
            claims.append(BEAUTY)
        return claims

    def _request_and_capture(self, person: int, benefit: BenefitCode, amount: int) -> Iterator[Record]:
        yield self._request(person, benefit, amount)
        spend = Spend(self._voucher(person, benefit), amount)
        yield self._event(Captured(PROGRAMME, self._redemption(person, benefit), self._ids[person], (spend,)))
        self.count.reserve((person, benefit), amount)
        self.count.spend((person, benefit), amount)

    def _request(
        self, person: int, benefit: BenefitCode, amount: int, *, service: str | None = None, suffix: str = ""
    ) -> Record:
        return self._event(
            Requested(
                PROGRAMME,
                RedemptionId(self._redemption(person, benefit) + suffix),
                self._ids[person],
                OrderId(f"order-{person}-{benefit}{suffix}"),
                ServiceCode(service or SERVICE[benefit]),
                AppliedBy.CUSTOMER,
                (Spend(self._voucher(person, benefit), amount),),
            )
        )

    def _record(self, person: int, benefit: BenefitCode, amount: int, at: Instant | None = None) -> Record:
        return self._event(
            Recorded(
                PROGRAMME,
                RedemptionId(f"till-{person}-{benefit}"),
                self._ids[person],
                OrderId(f"receipt-{person}-{benefit}"),
                ServiceCode(SERVICE[benefit]),
                AppliedBy.AGENT,
                (Spend(self._voucher(person, benefit), amount),),
            ),
            at,
        )

    def _reverse(self, person: int, scope: Scope, lines: tuple[Spend, ...]) -> Record:
        redemption = self._redemption(person, ANY)
        return self._event(Reversed(PROGRAMME, redemption, self._ids[person], scope, lines, "cancelled"))

    def _redemption(self, person: int, benefit: BenefitCode) -> RedemptionId:
        return RedemptionId(f"r-{person}-{benefit}")

    def _voucher(self, person: int, benefit: BenefitCode) -> VoucherId:
        return voucher_id(PROGRAMME, FIRST if person < self.first else SECOND, self._ids[person], benefit)

    def _wave(self, wave: WaveCode, people: int) -> WaveOpened:
        return WaveOpened(PROGRAMME, wave, 1, OPENS, ENDS, Expected(people, people * PERSON_AMOUNT), None)

    def _event(self, data: Data, at: Instant | None = None) -> Record:
        self._events += 1
        return encode_record(data, event_id=f"e-{self._events}", source="/demo", time=at or self._time)


def _is_former(person: int) -> bool:
    return person % 10 == 9


def _joins_again(person: int) -> bool:
    return person % 50 != 49


def _has_vouchers(person: int) -> bool:
    """Members, and former members who joined again."""
    return not _is_former(person) or _joins_again(person)


def _is_withdrawn(person: int) -> bool:
    """Accounts that turn out invalid: they never claim, and lose what they were promised."""
    return person % 200 == 7


_REDEEM: dict[int, Callable[[Story, int], Iterator[Record]]] = {
    7: Story._nothing,
    12: Story._twice,
    13: Story._unclaimed,
    16: Story._wrong_service,
    18: Story._not_mine,
    20: Story._below_face,
    22: Story._uncovered,
    24: Story._below_face,
    28: Story._below_face,
    31: Story._decline,
    32: Story._abandon,
    33: Story._lose_one,
    36: Story._nothing,
    40: Story._nothing,
    44: Story._nothing,
}
