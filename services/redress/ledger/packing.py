"""Packed rows: lines of an entry, vouchers and grants of a beneficiary, events seen. Big-endian, fixed widths.

The views of schema `finance` open the same bytes with `redress.lines_of`, `vouchers_of` and `grants_of`.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final

from redress.domain.accounts import POSTING_BY_CODE
from redress.domain.beneficiary import VOUCHER_ACCOUNTS, Beneficiary, Grant, Voucher
from redress.domain.entry import Line
from redress.domain.event import Standing
from redress.domain.ids import UNKNOWN_WAVE, BeneficiaryId, Instant, VoucherId, voucher_id
from redress.domain.seen import FINGERPRINT_BYTES, ID_BYTES, Seen
from redress.ledger.numbering import Numbering

LINE: Final = Struct(">hBBqq")
"""lot, posting, flags, amount, effective: 20 bytes."""
VOUCHER: Final = Struct(">hB3q9q")
"""lot, flags, version, last line, withdrawn amount, then one amount per account of `VOUCHER_ACCOUNTS`: 99 bytes."""
GRANT: Final = Struct(">hBqq")
"""wave, flags, due_seq (0: none), due_at: 19 bytes."""
SEEN_BYTES: Final = ID_BYTES + FINGERPRINT_BYTES

HAS_VOUCHER, BY_LOT, PROMISED, STRAY = 1, 2, 4, 8
ISSUED, CLAIMED, DECLINED, REVOKED, WITHDRAWN = 1, 2, 4, 8, 16
FORMER_MEMBER, REFUSED, ENROLLED, GRANT_WITHDRAWN, GRANT_ISSUED = 1, 2, 4, 8, 16


def pack_lines(lines: list[Line], numbering: Numbering) -> tuple[bytes, list[str] | None]:
    """The lines, and the vouchers of those of a reserved lot, whose ids cannot be computed from lot and beneficiary."""
    packed = bytearray()
    strays: list[str] = []
    for line in lines:
        flags = BY_LOT if line.by_lot else 0
        if line.promised:
            flags |= PROMISED
        elif line.voucher is not None:
            flags |= HAS_VOUCHER
            if line.lot.wave == UNKNOWN_WAVE:
                flags |= STRAY
                strays.append(line.voucher)
        packed += LINE.pack(numbering.lots[line.lot], line.posting.code, flags, line.amount, line.effective)
    return bytes(packed), strays or None


def unpack_lines(
    packed: bytes, beneficiary: BeneficiaryId | None, strays: list[str] | None, numbering: Numbering
) -> list[Line]:
    """The inverse of `pack_lines`."""
    left = iter(strays or ())
    lines = []
    for lot_no, posting, flags, amount, effective in LINE.iter_unpack(packed):
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


def pack_vouchers(vouchers: Iterable[Voucher], numbering: Numbering) -> bytes:
    """All slots of a beneficiary, in the order they came."""
    return b"".join(
        VOUCHER.pack(
            numbering.lots[v.lot],
            v.issued * ISSUED
            | v.claimed * CLAIMED
            | v.declined * DECLINED
            | v.revoked * REVOKED
            | v.withdrawn * WITHDRAWN,
            v.version,
            v.last,
            v.withdrawn_amount,
            *v.amounts.values(),
        )
        for v in vouchers
    )


def unpack_vouchers(packed: bytes, person: Beneficiary, numbering: Numbering) -> None:
    """Give the person the vouchers of its row."""
    for lot_no, flags, version, last, withdrawn_amount, *amounts in VOUCHER.iter_unpack(packed):
        lot = numbering.lot_keys[lot_no]
        slot = voucher_id(lot.programme, lot.wave, person.id, lot.benefit)
        person.vouchers[slot] = Voucher(
            slot,
            lot,
            dict(zip(VOUCHER_ACCOUNTS, amounts, strict=True)),
            Instant(last),
            version,
            bool(flags & ISSUED),
            bool(flags & CLAIMED),
            bool(flags & DECLINED),
            bool(flags & REVOKED),
            bool(flags & WITHDRAWN),
            withdrawn_amount,
        )


def pack_grants(person: Beneficiary, numbering: Numbering) -> bytes:
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
        for key, g in person.grants.items()
    )


def unpack_grants(packed: bytes, person: Beneficiary, numbering: Numbering) -> None:
    """Give the person the grants of its row."""
    for wave_no, flags, due_seq, due_at in GRANT.iter_unpack(packed):
        person.grants[numbering.wave_keys[wave_no]] = Grant(
            Standing.FORMER_MEMBER if flags & FORMER_MEMBER else Standing.MEMBER,
            bool(flags & REFUSED),
            bool(flags & ENROLLED),
            bool(flags & GRANT_WITHDRAWN),
            bool(flags & GRANT_ISSUED),
            due_seq or None,
            Instant(due_at),
        )


def pack_seen(seen: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Identities with their fingerprints, oldest first."""
    return b"".join(identity + fingerprint for identity, fingerprint in seen)


def unpack_seen(packed: bytes) -> Seen:
    """The inverse of `pack_seen`."""
    return Seen(
        (packed[at : at + ID_BYTES], packed[at + ID_BYTES : at + SEEN_BYTES])
        for at in range(0, len(packed), SEEN_BYTES)
    )
