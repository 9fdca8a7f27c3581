"""What one shard knows of one beneficiary: grants, vouchers, redemptions and parked events."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from redress.domain.accounts import Account, Movement
from redress.domain.entry import Line, LotKey, Outcome, Reason
from redress.domain.event import Event, Spend, Standing
from redress.domain.ids import (
    FAR_PAST,
    BeneficiaryId,
    Instant,
    OrderId,
    ProgrammeCode,
    RedemptionId,
    ServiceCode,
    VoucherId,
    WaveCode,
)
from redress.domain.seen import Seen
from redress.domain.value import value

MAX_PARKED = 100
"""Parked events of one beneficiary: more are dead-lettered at once (RULES section 8)."""

VOUCHER_ACCOUNTS = (
    Account.ENTITLEMENT,
    Account.UNCLAIMED,
    Account.AVAILABLE,
    Account.HELD,
    Account.REDEMPTION_CLEARING,
    Account.BREAKAGE_FORFEITED,
    Account.BREAKAGE_CANCELLED,
    Account.DECLINED,
    Account.REVOKED,
)
"""The accounts a voucher's own amounts stand in; they sum to its face once issued."""
_NOTHING = dict.fromkeys(VOUCHER_ACCOUNTS, 0)

UNCOVERED = (Movement.EXCEPTION, Movement.EXCEPTION_REVERSED)
"""Movements that do not touch the voucher's own amounts: nothing of it was spent."""


@dataclass(slots=True)
class Grant:
    """How a person stands in a wave. `refused`: asked for and not entitled, which counts as no grant."""

    standing: Standing
    refused: bool = False
    enrolled: bool = False
    withdrawn: bool = False
    issued: bool = False
    due_seq: int | None = None
    """The entry that made issuance due; None while it is not."""
    due_at: Instant = FAR_PAST
    """That entry's effective time."""

    @property
    def stands(self) -> bool:
        """Whether the person is entitled now."""
        return not self.refused and not self.withdrawn

    @property
    def awaits_enrolment(self) -> bool:
        """A former member joins again before issue."""
        return self.standing is Standing.FORMER_MEMBER and not self.enrolled


@dataclass(slots=True)
class Voucher:
    """One beneficiary's piece of a lot, from the promise on. Amounts are its own: what its lot took is not deducted."""

    id: VoucherId
    lot: LotKey
    amounts: dict[Account, int] = field(default_factory=_NOTHING.copy)
    last: Instant = FAR_PAST
    """Effective time of its last line."""
    version: int = 0
    """The last entry that touched it."""
    issued: bool = False
    claimed: bool = False
    declined: bool = False
    revoked: bool = False
    """Revoked by itself; a withdrawn grant is `withdrawn`."""
    withdrawn: bool = False
    withdrawn_amount: int = 0
    """What left by `revoked` by and since the withdrawal: what a reinstatement brings back."""

    @property
    def unclaimed(self) -> int:
        """Not yet claimed."""
        return self.amounts[Account.UNCLAIMED]

    @property
    def available(self) -> int:
        """Free to be spent."""
        return self.amounts[Account.AVAILABLE]

    @property
    def held(self) -> int:
        """Reserved for redemptions."""
        return self.amounts[Account.HELD]

    @property
    def has_something_left(self) -> bool:
        """Whether the voucher itself still holds a liability."""
        amounts = self.amounts
        return self.issued and (
            amounts[Account.UNCLAIMED] > 0 or amounts[Account.AVAILABLE] > 0 or amounts[Account.HELD] > 0
        )

    @property
    def is_revoked(self) -> bool:
        """By itself or with its grant."""
        return self.revoked or self.withdrawn

    def copy(self) -> "Voucher":
        """A copy to try lines on."""
        return Voucher(
            self.id,
            self.lot,
            self.amounts.copy(),
            self.last,
            self.version,
            self.issued,
            self.claimed,
            self.declined,
            self.revoked,
            self.withdrawn,
            self.withdrawn_amount,
        )

    def apply(self, line: Line) -> None:
        """Move the line's amount between the voucher's own accounts; a line by the lot only moves its time."""
        self.last = line.effective
        posting, amounts = line.posting, self.amounts
        if line.by_lot or posting.movement in UNCOVERED:
            return
        if posting.debit in amounts:
            amounts[posting.debit] -= line.amount
        if posting.credit in amounts:
            amounts[posting.credit] += line.amount


class RedemptionStatus(StrEnum):
    """Where a redemption stands."""

    REFUSED = "refused"
    HELD = "held"
    RELEASED = "released"
    TIMED_OUT = "timed_out"
    SETTLED = "settled"
    REVERSED = "reversed"
    """Settled, and wholly reversed since."""


@dataclass(slots=True)
class RedemptionLine:
    """What one redemption did with one voucher, in minor units."""

    held: int = 0
    redeemed: int = 0
    forfeited: int = 0
    exception: int = 0
    restored: int = 0
    forfeited_restored: int = 0
    cancelled: int = 0
    exception_reversed: int = 0
    stray: bool = False
    """The voucher was not there: the exception stands in the programme's reserved lot."""

    @property
    def redeemed_left(self) -> int:
        """Redeemed and not yet reversed."""
        return self.redeemed - self.restored - self.cancelled

    @property
    def exception_left(self) -> int:
        """Honoured without cover and not yet reversed."""
        return self.exception - self.exception_reversed


@value
class Request:
    """The request a redemption was first known by, and its answer."""

    order: OrderId
    service: ServiceCode
    lines: tuple[Spend, ...]
    time: Instant
    outcome: Outcome
    reason: Reason | None

    def same_content(self, order: OrderId, service: ServiceCode, lines: tuple[Spend, ...]) -> bool:
        """Whether another request asks for the same (lines in any order)."""
        return self.order == order and self.service == service and frozenset(self.lines) == frozenset(lines)


@dataclass(slots=True)
class Redemption:
    """A redemption, known by (beneficiary, programme, redemption). `request` is None where a fact came first."""

    status: RedemptionStatus
    request: Request | None = None
    order: OrderId | None = None
    service: ServiceCode | None = None
    expires_at: Instant | None = None
    lines: dict[VoucherId, RedemptionLine] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        """Spent, whether or not reversed since."""
        return self.status in (RedemptionStatus.SETTLED, RedemptionStatus.REVERSED)

    def hold_on(self, voucher: VoucherId) -> int:
        """What this redemption holds of the voucher."""
        line = self.lines.get(voucher)
        return line.held if line else 0


@dataclass(slots=True)
class Parked:
    """An event that cannot be booked yet. `arrival` orders a shard's parked events.

    `wakes_on` names what of the programme topic it waits for: `programme/<p>` or `wave/<p>/<w>`; None where it waits
    for something of its beneficiary.
    """

    arrival: int
    event: Event
    beneficiary: BeneficiaryId
    parked_at: Instant
    wakes_on: str | None


RedemptionKey = tuple[ProgrammeCode, RedemptionId]
GrantKey = tuple[ProgrammeCode, WaveCode]
StrayKey = tuple[ProgrammeCode, VoucherId]


class Vouchers(Protocol):
    """What the rules ask of a person's vouchers: a dict, or a store that opens them one by one."""

    def get(self, voucher: VoucherId, /) -> Voucher | None: ...
    def values(self) -> Iterable[Voucher]: ...
    def __getitem__(self, voucher: VoucherId, /) -> Voucher: ...
    def __setitem__(self, voucher: VoucherId, new: Voucher, /) -> None: ...


class Grants(Protocol):
    """The same of a person's grants."""

    def get(self, key: GrantKey, /) -> Grant | None: ...
    def items(self) -> Iterable[tuple[GrantKey, Grant]]: ...
    def __getitem__(self, key: GrantKey, /) -> Grant: ...
    def __setitem__(self, key: GrantKey, new: Grant, /) -> None: ...


@dataclass(slots=True)
class Beneficiary:
    """All of one person in one shard."""

    id: BeneficiaryId
    grants: Grants = field(default_factory=dict[GrantKey, Grant])
    vouchers: Vouchers = field(default_factory=dict[VoucherId, Voucher])
    redemptions: dict[RedemptionKey, Redemption] = field(default_factory=dict)
    strays: dict[StrayKey, Instant] = field(default_factory=dict)
    """Last effective times of vouchers that were named in exceptions and are not there."""
    parked: list[Parked] = field(default_factory=list)
    """In order of arrival."""
    seen: Seen = field(default_factory=Seen)
    last_seq: int | None = None

    def issued_voucher(self, programme: ProgrammeCode, voucher: VoucherId) -> Voucher | None:
        """The voucher, if it is there and of this programme."""
        found = self.vouchers.get(voucher)
        return found if found and found.issued and found.lot.programme == programme else None

    def standing_grant_besides(self, programme: ProgrammeCode, wave: WaveCode) -> bool:
        """Whether another grant of the programme stands."""
        return any(g.stands for (p, w), g in self.grants.items() if p == programme and w != wave)
