"""The demo's own count: what the story says must come out, by plain arithmetic beside the ledger.

It shares no rule with the ledger: the story's author says at each step what it moves, as a clerk with a notebook would.
"""

from collections import Counter
from dataclasses import dataclass, field

OPEN, EXPIRED, REVOKED = "open", "expired", "revoked"
Slot = tuple[int, str]
"""(person, benefit)."""


@dataclass(slots=True)
class Purse:
    """What is left of one person's benefit, in won."""

    lot: str
    entitled: int = 0
    unclaimed: int = 0
    available: int = 0
    held: int = 0

    @property
    def lapsable(self) -> int:
        """What a lot takes when it closes: everything but holds."""
        return self.entitled + self.unclaimed + self.available


@dataclass(slots=True)
class Count:
    """Expected totals: won by movement, events by answer, people by standing."""

    movements: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    purses: dict[Slot, Purse] = field(default_factory=dict)
    lots: dict[str, str] = field(default_factory=dict)

    def move(self, movement: str, amount: int) -> None:
        """So much was moved."""
        self.movements[movement] += amount

    def entitle(self, slot: Slot, lot: str, amount: int) -> None:
        """A promise."""
        self.purses[slot] = Purse(lot, entitled=amount)
        self.lots.setdefault(lot, OPEN)
        self.move("entitled", amount)

    def issue(self, slot: Slot) -> None:
        """The promise becomes a voucher, to be claimed."""
        purse = self.purses[slot]
        self.move("issued", purse.entitled)
        purse.unclaimed, purse.entitled = purse.entitled, 0

    def claim(self, slot: Slot) -> None:
        """The voucher can be spent."""
        purse = self.purses[slot]
        self.move("claimed", purse.unclaimed)
        purse.available, purse.unclaimed = purse.unclaimed, 0

    def reserve(self, slot: Slot, amount: int) -> None:
        """So much is held."""
        purse = self.purses[slot]
        self.move("reserved", amount)
        purse.available -= amount
        purse.held += amount

    def release(self, slot: Slot) -> None:
        """The hold is let go; a closed lot takes it at once."""
        purse = self.purses[slot]
        self.move("released", purse.held)
        if self.lots[purse.lot] != OPEN:
            self.move("expired", purse.held)
        purse.available += purse.held
        purse.held = 0

    def spend(self, slot: Slot, amount: int) -> None:
        """So much is redeemed, the rest of the voucher is forfeited, and nothing is left."""
        purse = self.purses[slot]
        whole = purse.available + purse.held
        self.move("redeemed", amount)
        self.move("forfeited", whole - amount)
        purse.available = purse.held = 0

    def restore(self, slot: Slot, redeemed: int, forfeited: int) -> None:
        """A cancelled order gives the voucher back."""
        self.move("restored", redeemed + forfeited)
        self.purses[slot].available += redeemed + forfeited

    def take_back(self, slot: Slot, movement: str) -> int:
        """The voucher's rest leaves by this movement (withdrawn, revoked, declined); how much it was."""
        purse = self.purses[slot]
        amount = purse.lapsable
        self.move(movement, amount)
        purse.entitled = purse.unclaimed = purse.available = 0
        return amount

    def close(self, lot: str, status: str) -> None:
        """A lot lapses or is revoked: everything in it that is not held leaves."""
        self.lots[lot] = status
        self.move(EXPIRED if status == EXPIRED else REVOKED, self.standing(lot))

    def reopen(self, lot: str) -> None:
        """An expired lot is extended: what it took comes back."""
        self.lots[lot] = OPEN
        self.move("expiry_reversed", self.standing(lot))

    def late_spend(self, slot: Slot, amount: int) -> None:
        """A fact from before the lot's end arrives after it: the lot gives back just what the fact takes."""
        self.move("expiry_reversed", self.purses[slot].available)
        self.spend(slot, amount)

    def standing(self, lot: str) -> int:
        """What stands on the lot's vouchers, whatever the lot took."""
        return sum(purse.lapsable for purse in self.purses.values() if purse.lot == lot)

    @property
    def outstanding(self) -> int:
        """What is owed."""
        owed = sum(purse.lapsable for purse in self.purses.values() if self.lots[purse.lot] == OPEN)
        return owed + sum(purse.held for purse in self.purses.values())
