"""A person's vouchers and grants as their row has them: opened when the rules ask, and put back as they came if not.

Most events are about one voucher of several, and about no grant. A row is read and written again whole with each, so
what nobody looked at is never made into values.
"""

from collections.abc import Iterable

from redress.domain.beneficiary import Grant, GrantKey, Grants, Voucher, Vouchers
from redress.domain.ids import BeneficiaryId, VoucherId, is_id_of, voucher_id
from redress.ledger.numbering import Numbering
from redress.ledger.packing import (
    LOT_BYTES,
    WHOLE_MAX,
    join_slots,
    pack_grants,
    pack_slot,
    pack_vouchers,
    split_slots,
    unpack_grants,
    unpack_slot,
)


class StoredVouchers:
    """The vouchers of a row, by lot; new ones come after."""

    __slots__ = ("_has_new", "_numbering", "_opened", "_owner", "_slots")

    def __init__(self, packed: bytes, owner: BeneficiaryId, numbering: Numbering) -> None:
        self._slots: list[bytes | Voucher] = [*split_slots(packed)]
        self._has_new = False
        self._opened: dict[VoucherId, Voucher] = {}
        self._owner = owner
        self._numbering = numbering

    def get(self, voucher: VoucherId) -> Voucher | None:
        """The voucher of this id, if there is one."""
        found = self._opened.get(voucher)
        return self._find(voucher) if found is None else found

    def values(self) -> Iterable[Voucher]:
        """All of them."""
        return [self.open_at(at, slot) for at, slot in enumerate(self._slots)]

    def packed(self) -> bytes:
        """The row's bytes as they are now."""
        if len(self._slots) > WHOLE_MAX:
            return pack_vouchers(self.values(), self._numbering)
        slots = [slot if isinstance(slot, bytes) else pack_slot(slot, self._numbering) for slot in self._slots]
        if self._has_new:
            slots.sort()  # each begins with its lot
        return join_slots(slots)

    def __getitem__(self, voucher: VoucherId) -> Voucher:
        found = self._opened.get(voucher) or self._find(voucher)
        if found is None:
            raise KeyError(voucher)
        return found

    def __setitem__(self, voucher: VoucherId, new: Voucher) -> None:
        if self.get(voucher) is not None:
            raise ValueError(f"voucher {voucher} is there already")
        self._slots.append(new)
        self._has_new = True
        self._opened[voucher] = new

    def find_packed(self, voucher: VoucherId) -> tuple[int, bytes] | None:
        """Place and bytes of the voucher of this id, if it is there and was not opened."""
        if voucher in self._opened:
            return None
        slots, found = self._slots, self._numbering.found
        for lot in found:
            for at, slot in enumerate(slots):
                if isinstance(slot, bytes) and slot.startswith(lot) and self._is_of(slot, voucher):
                    if lot is not found[0]:
                        self._numbering.found_in(lot)
                    return at, slot
        for at, slot in enumerate(slots):
            if isinstance(slot, bytes) and slot[:LOT_BYTES] not in found and self._is_of(slot, voucher):
                self._numbering.found_in(slot[:LOT_BYTES])
                return at, slot
        return None

    def put_packed(self, at: int, slot: bytes, voucher: VoucherId) -> None:
        """Change the voucher at this place; if it was opened, it is so no more."""
        self._slots[at] = slot
        self._opened.pop(voucher, None)

    def _find(self, voucher: VoucherId) -> Voucher | None:
        """The unopened one of this id. An id costs a hash, so the lots that the last ones were of are tried first."""
        found = self.find_packed(voucher)
        return None if found is None else self.open_at(found[0], found[1], voucher)

    def open_at(self, at: int, slot: bytes | Voucher, voucher: VoucherId | None = None) -> Voucher:
        """The voucher at this place, of this id if it is known."""
        if isinstance(slot, Voucher):
            return slot
        lot = self._numbering.packed_keys[slot[:LOT_BYTES]]
        known = voucher or voucher_id(lot.programme, lot.wave, self._owner, lot.benefit)
        opened = self._slots[at] = self._opened[known] = unpack_slot(slot, known, self._numbering)
        return opened

    def _is_of(self, slot: bytes, voucher: VoucherId) -> bool:
        lot = self._numbering.packed_keys[slot[:LOT_BYTES]]
        return is_id_of(voucher, lot.programme, lot.wave, self._owner, lot.benefit)


class StoredGrants:
    """The grants of a row."""

    __slots__ = ("_numbering", "_opened", "_packed")

    def __init__(self, packed: bytes, numbering: Numbering) -> None:
        self._packed = packed
        self._opened: dict[GrantKey, Grant] | None = None
        self._numbering = numbering

    def get(self, key: GrantKey) -> Grant | None:
        """The grant in this wave, if there is one."""
        return self._all().get(key)

    @property
    def are_as_stored(self) -> bool:
        """Whether nobody looked at them, so that none can have changed."""
        return self._opened is None

    def items(self) -> Iterable[tuple[GrantKey, Grant]]:
        """All of them, by wave."""
        return self._all().items()

    def packed(self) -> bytes:
        """The row's bytes as they are now."""
        return self._packed if self._opened is None else pack_grants(self._opened.items(), self._numbering)

    def __getitem__(self, key: GrantKey) -> Grant:
        return self._all()[key]

    def __setitem__(self, key: GrantKey, new: Grant) -> None:
        self._all()[key] = new

    def _all(self) -> dict[GrantKey, Grant]:
        if self._opened is None:
            self._opened = unpack_grants(self._packed, self._numbering)
        return self._opened


def packed_vouchers(vouchers: Vouchers, numbering: Numbering) -> bytes:
    """For the row of a person, whether it came from one or is new."""
    if isinstance(vouchers, StoredVouchers):
        return vouchers.packed()
    return pack_vouchers(vouchers.values(), numbering)


def packed_grants(grants: Grants, numbering: Numbering) -> bytes:
    """The same for grants."""
    return grants.packed() if isinstance(grants, StoredGrants) else pack_grants(grants.items(), numbering)
