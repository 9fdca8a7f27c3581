"""Redemptions: what was asked, what is held, what was spent and what came back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.oracle.decision import Decision
from tests.oracle.grant import Piece

RedemptionKey = tuple[str, str, str]
"""Beneficiary, programme, redemption."""


class State(Enum):
    HELD = auto()
    SETTLED = auto()
    REFUSED = auto()
    RELEASED = auto()
    TIMED_OUT = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """A request's content and the decision on it."""

    order: str
    service: str
    lines: frozenset[tuple[str, int]]
    decision: Decision
    x: int


@dataclass(slots=True)
class Spent:
    """What a settled redemption took for one voucher, and how much of it is still to reverse."""

    voucher: str
    piece: Piece | None
    """None: the exception stands in the reserved lot."""
    redeemed: int = 0
    redeemed_left: int = 0
    restored: int = 0
    exception_left: int = 0
    forfeited_left: int = 0

    @property
    def left(self) -> int:
        return self.redeemed_left + self.exception_left


@dataclass(slots=True)
class Redemption:
    key: RedemptionKey
    state: State
    request: Request | None = None
    """None: known from a fact alone."""
    order: str | None = None
    service: str | None = None
    expires_at: int = 0
    held_vouchers: frozenset[str] = frozenset()
    """The vouchers that its accepted request reserved, whatever became of them."""
    holds: dict[str, int] = field(default_factory=dict)
    """In the order of the request's lines."""
    spent: dict[str, Spent] = field(default_factory=dict)

    @property
    def is_settled(self) -> bool:
        return self.state is State.SETTLED

    @property
    def is_wholly_reversed(self) -> bool:
        return self.is_settled and all(spent.left == 0 for spent in self.spent.values())

    def vouchers_in_use(self) -> Iterable[str]:
        """The vouchers that count against the limit per order."""
        if self.state is State.HELD:
            return self.holds
        if self.is_settled and not self.is_wholly_reversed:
            return [voucher for voucher, spent in self.spent.items() if spent.redeemed]
        return ()
