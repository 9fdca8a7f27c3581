"""Packed rows: lines of an entry, vouchers and grants of a beneficiary, events seen. Big-endian, fixed widths.

The views of schema `finance` open the same bytes with `redress.lines_of`, `vouchers_of` and `grants_of`.
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Final

from redress.domain.accounts import POSTING_BY_CODE
from redress.domain.beneficiary import VOUCHER_ACCOUNTS, Grant, GrantKey, Voucher
from redress.domain.entry import Line
from redress.domain.event import Standing
from redress.domain.ids import UNKNOWN_WAVE, BeneficiaryId, Instant, VoucherId, voucher_id
from redress.domain.seen import FINGERPRINT_BYTES, ID_BYTES
from redress.ledger.numbering import Numbering

LINE: Final = Struct(">hBBi")
"""lot, posting, flags, amount: 8 bytes, for lines that are all effective when their entry is."""
WIDE_LINE: Final = Struct(">hBBqq")
"""lot, posting, flags, amount, effective: 20 bytes."""
VOUCHER: Final = Struct(">hBBi12s")
"""lot, flags, account (place in `VOUCHER_ACCOUNTS`), amount, version (5 bytes) and last line (7): 20 bytes, for a
voucher whose whole amount stands in one account."""
SPLIT_VOUCHER: Final = Struct(">hB3q9q")
"""lot, flags, version, last line, withdrawn amount, then one amount per account of `VOUCHER_ACCOUNTS`: 99 bytes."""
STAMP: Final = Struct(">qq")
STAMP_AT: Final = 3
"""Where version and last line of a split voucher stand."""
LOT_BYTES: Final = 2
"""Either begins with the number of its lot."""
LAST_BITS: Final = 56
MOVED_BYTES: Final = 12
"""Version and last line together."""
GRANT: Final = Struct(">hBqq")
"""wave, flags, due_seq (0: none), due_at: 19 bytes."""
WHOLE_MAX: Final = 255
"""Whole vouchers of a row: their number is one byte. Any more are kept as the others are."""
WHOLE_AMOUNTS: Final = 256
"""How many of their amounts are kept: those of the benefits of the day, by account."""
INT4_MAX: Final = 2**31 - 1
"""Minor units that four bytes hold: the amount of a narrow line or whole voucher."""
VERSION_MAX: Final = 2**40 - 1
"""Entries of a shard that five bytes number: more than all people of the world could cause."""
LAST_MAX: Final = 2**55 - 1
"""Microseconds since 1970 that seven bytes hold, with room for a sign: the year 3111."""
SEEN_BYTES: Final = ID_BYTES + FINGERPRINT_BYTES

HAS_VOUCHER, BY_LOT, PROMISED, STRAY = 1, 2, 4, 8
ISSUED, CLAIMED, DECLINED, REVOKED, WITHDRAWN = 1, 2, 4, 8, 16
FORMER_MEMBER, REFUSED, ENROLLED, GRANT_WITHDRAWN, GRANT_ISSUED = 1, 2, 4, 8, 16


def pack_lines(lines: list[Line], effective_at: Instant, numbering: Numbering) -> tuple[bytes, list[str] | None]:
    """The lines, and the vouchers of those of a reserved lot, whose ids cannot be computed from lot and beneficiary.

    `effective_at`: the entry's.
    """
    if not lines:
        return b"", None
    strays: list[str] = []
    lots = numbering.lots
    packed = [
        LINE.pack(lots[line.lot], line.posting.code, _line_flags(line, strays), line.amount)
        for line in lines
        if line.effective == effective_at and line.amount <= INT4_MAX
    ]
    if len(packed) < len(lines):
        strays.clear()
        packed = [
            WIDE_LINE.pack(lots[line.lot], line.posting.code, _line_flags(line, strays), line.amount, line.effective)
            for line in lines
        ]
    return bytes([len(packed[0])]) + b"".join(packed), strays or None


def _line_flags(line: Line, strays: list[str]) -> int:
    flags = BY_LOT if line.by_lot else 0
    if line.promised:
        return flags | PROMISED
    if line.voucher is None:
        return flags
    if line.lot.wave != UNKNOWN_WAVE:
        return flags | HAS_VOUCHER
    strays.append(line.voucher)
    return flags | HAS_VOUCHER | STRAY


def unpack_lines(
    packed: bytes,
    effective_at: Instant,
    beneficiary: BeneficiaryId | None,
    strays: list[str] | None,
    numbering: Numbering,
) -> list[Line]:
    """The inverse of `pack_lines`."""
    left = iter(strays or ())
    lines = []
    for lot_no, posting, flags, amount, effective in line_parts(packed, effective_at):
        lot = numbering.lot_keys[lot_no]
        voucher: VoucherId | None = None
        if flags & STRAY:
            voucher = VoucherId(next(left))
        elif flags & (HAS_VOUCHER | PROMISED) and beneficiary is not None:
            voucher = voucher_id(lot.programme, lot.wave, beneficiary, lot.benefit)
        lines.append(
            Line(
                POSTING_BY_CODE[posting],
                lot,
                voucher,
                amount,
                Instant(effective),
                bool(flags & BY_LOT),
                bool(flags & PROMISED),
            )
        )
    return lines


def line_parts(packed: bytes, effective_at: Instant) -> Iterable[tuple[int, int, int, int, int]]:
    """Lot, posting, flags, amount and time of each line."""
    if packed[:1] == bytes([WIDE_LINE.size]):
        return WIDE_LINE.iter_unpack(packed[1:])
    return ((*parts, effective_at) for parts in LINE.iter_unpack(packed[1:]))


def pack_vouchers(vouchers: Iterable[Voucher], numbering: Numbering) -> bytes:
    """All slots of a beneficiary: how many stand whole in one account, those by lot, then the others by lot."""
    slots: list[bytes] = []
    whole = 0
    for voucher in sorted(vouchers, key=lambda voucher: numbering.lots[voucher.lot]):
        slot = pack_slot(voucher, numbering, may_be_whole=whole < WHOLE_MAX)
        whole += len(slot) == VOUCHER.size
        slots.append(slot)
    return join_slots(slots)


def join_slots(slots: list[bytes]) -> bytes:
    """The row of slots that come by lot, WHOLE_MAX of them whole at most."""
    if not slots:
        return b""
    whole = [slot for slot in slots if len(slot) == VOUCHER.size]
    packed = bytes([len(whole)]) + b"".join(whole)
    return (
        packed + b"".join([slot for slot in slots if len(slot) != VOUCHER.size]) if len(whole) < len(slots) else packed
    )


def split_slots(packed: bytes) -> list[bytes]:
    """The slots of a row, by lot."""
    if not packed:
        return []
    split_at = 1 + packed[0] * VOUCHER.size
    slots = [packed[at : at + VOUCHER.size] for at in range(1, split_at, VOUCHER.size)]
    if split_at < len(packed):
        slots += [packed[at : at + SPLIT_VOUCHER.size] for at in range(split_at, len(packed), SPLIT_VOUCHER.size)]
        slots.sort()  # each begins with its lot
    return slots


def pack_slot(voucher: Voucher, numbering: Numbering, *, may_be_whole: bool = True) -> bytes:
    """One slot."""
    return (_pack_whole(voucher, numbering) if may_be_whole else None) or _pack_split(voucher, numbering)


def unpack_slot(slot: bytes, voucher: VoucherId, numbering: Numbering) -> Voucher:
    """The voucher of a slot, given its id."""
    if len(slot) == VOUCHER.size:
        lot_no, flags, account, amount, both = VOUCHER.unpack(slot)
        version, last = divmod(int.from_bytes(both, "big"), 1 << LAST_BITS)
        withdrawn_amount, amounts = 0, dict.fromkeys(VOUCHER_ACCOUNTS, 0)
        amounts[VOUCHER_ACCOUNTS[account]] = amount
    else:
        lot_no, flags, version, last, withdrawn_amount, *each = SPLIT_VOUCHER.unpack(slot)
        amounts = dict(zip(VOUCHER_ACCOUNTS, each, strict=True))
    return Voucher(
        voucher,
        numbering.lot_keys[lot_no],
        amounts,
        Instant(last),
        version,
        flags & ISSUED > 0,
        flags & CLAIMED > 0,
        flags & DECLINED > 0,
        flags & REVOKED > 0,
        flags & WITHDRAWN > 0,
        withdrawn_amount,
    )


def unstamped(slot: bytes) -> bytes:
    """A slot without what every entry changes: version and last line."""
    if len(slot) == VOUCHER.size:
        return slot[:-MOVED_BYTES]
    return slot[:STAMP_AT] + slot[STAMP_AT + STAMP.size :]


def stamped(rest: bytes, version: int, last: Instant) -> bytes:
    """The inverse of `unstamped`."""
    if len(rest) == VOUCHER.size - MOVED_BYTES:
        return rest + moved(version, last)
    return rest[:STAMP_AT] + STAMP.pack(version, last) + rest[STAMP_AT:]


def last_of(slot: bytes) -> Instant:
    """When the last line of a slot was effective."""
    if len(slot) == VOUCHER.size:
        return Instant(int.from_bytes(slot[-MOVED_BYTES:], "big") & (1 << LAST_BITS) - 1)
    return Instant(STAMP.unpack_from(slot, STAMP_AT)[1])


def voucher_parts(packed: bytes) -> list[tuple[int, int, int, tuple[int, ...]]]:
    """Lot, flags, version and amounts by account of each voucher, by lot."""
    split_at = 1 + packed[0] * VOUCHER.size if packed else 0
    parts: list[tuple[int, int, int, tuple[int, ...]]] = []
    for lot_no, flags, account, amount, both in VOUCHER.iter_unpack(packed[1:split_at]):
        parts.append((lot_no, flags, int.from_bytes(both, "big") >> LAST_BITS, _in_account(account, amount)))
    for lot_no, flags, version, _, _, *amounts in SPLIT_VOUCHER.iter_unpack(packed[split_at:]):
        parts.append((lot_no, flags, version, tuple(amounts)))
    if split_at < len(packed):
        parts.sort()
    return parts


@lru_cache(maxsize=WHOLE_AMOUNTS)
def _in_account(place: int, amount: int) -> tuple[int, ...]:
    return tuple(amount if place == each else 0 for each in range(len(VOUCHER_ACCOUNTS)))


def moved(version: int, last: Instant) -> bytes:
    """The last entry that touched a voucher and the time of its last line, as a whole voucher keeps them."""
    return (version << LAST_BITS | last).to_bytes(MOVED_BYTES, "big")


def _pack_whole(voucher: Voucher, numbering: Numbering) -> bytes | None:
    """A voucher whose whole amount stands in one account; None for any other, and for numbers that do not fit."""
    amounts = [(account, amount) for account, amount in enumerate(voucher.amounts.values()) if amount]
    if len(amounts) != 1 or voucher.withdrawn_amount:
        return None
    account, amount = amounts[0]
    if not 0 < amount <= INT4_MAX or voucher.version > VERSION_MAX or not 0 <= voucher.last <= LAST_MAX:
        return None
    return VOUCHER.pack(
        numbering.lots[voucher.lot], _voucher_flags(voucher), account, amount, moved(voucher.version, voucher.last)
    )


def _pack_split(voucher: Voucher, numbering: Numbering) -> bytes:
    return SPLIT_VOUCHER.pack(
        numbering.lots[voucher.lot],
        _voucher_flags(voucher),
        voucher.version,
        voucher.last,
        voucher.withdrawn_amount,
        *voucher.amounts.values(),
    )


def _voucher_flags(voucher: Voucher) -> int:
    return (
        voucher.issued * ISSUED
        | voucher.claimed * CLAIMED
        | voucher.declined * DECLINED
        | voucher.revoked * REVOKED
        | voucher.withdrawn * WITHDRAWN
    )


def pack_grants(grants: Iterable[tuple[GrantKey, Grant]], numbering: Numbering) -> bytes:
    """All grants of a beneficiary."""
    return b"".join(
        GRANT.pack(
            numbering.waves[key],
            (g.standing is Standing.FORMER_MEMBER) * FORMER_MEMBER
            | g.refused * REFUSED
            | g.enrolled * ENROLLED
            | g.withdrawn * GRANT_WITHDRAWN
            | g.issued * GRANT_ISSUED,
            g.due_seq or 0,
            g.due_at,
        )
        for key, g in grants
    )


def unpack_grants(packed: bytes, numbering: Numbering) -> dict[GrantKey, Grant]:
    """The inverse of `pack_grants`."""
    return {
        numbering.wave_keys[wave_no]: Grant(
            Standing.FORMER_MEMBER if flags & FORMER_MEMBER else Standing.MEMBER,
            bool(flags & REFUSED),
            bool(flags & ENROLLED),
            bool(flags & GRANT_WITHDRAWN),
            bool(flags & GRANT_ISSUED),
            due_seq or None,
            Instant(due_at),
        )
        for wave_no, flags, due_seq, due_at in GRANT.iter_unpack(packed)
    }


def due_at(packed: bytes, wave_no: int, seq: int) -> Instant | None:
    """When issue became due in the wave by just this entry; None: it did not, or it is due no more."""
    for no, _, due_seq, at in GRANT.iter_unpack(packed):
        if no == wave_no:
            return Instant(at) if due_seq == seq else None
    return None
