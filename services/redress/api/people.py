"""One person's entitlements and vouchers, from one row. Source: RULES section 6, "Status shown"."""

from typing import Any

from redress.api.lot_book import Book, BookedLot
from redress.contracts.instants import format_instant
from redress.domain.accounts import Account
from redress.domain.beneficiary import Beneficiary, Grant, Voucher
from redress.domain.event import Standing
from redress.domain.ids import BeneficiaryId, VoucherId
from redress.domain.lot import LotStatus
from redress.ledger.numbering import WaveKey
from redress.ledger.stored import StoredGrants, StoredVouchers

View = dict[str, Any]


def beneficiary_view(beneficiary: str, shard: int, row: Any, book: Book) -> View:
    """What a person has; the same for one unknown as for one without entitlement."""
    person = _person(beneficiary, row, book) if row is not None else Beneficiary(BeneficiaryId(beneficiary))
    return {
        "beneficiary": beneficiary,
        "entitlements": [_entitlement(key, grant, book) for key, grant in person.grants.items() if grant.stands],
        "vouchers": [
            voucher_view(voucher, book.lots[shard, voucher.lot])
            for voucher in person.vouchers.values()
            if voucher.issued
        ],
    }


def find_voucher(wanted: str, row: Any, book: Book) -> Voucher | None:
    """The voucher, if it is one of the row's person."""
    found = _person(row["beneficiary"], row, book).vouchers.get(VoucherId(wanted))
    return found if found is not None and found.issued else None


def voucher_view(voucher: Voucher, lot: BookedLot) -> View:
    """A voucher as it stands: what its lot took is in `expired` or `revoked`."""
    amounts = voucher.amounts
    is_open = lot.status == LotStatus.OPEN
    taken = 0 if is_open else voucher.unclaimed + voucher.available
    return {
        "voucher": voucher.id,
        "programme": lot.key.programme,
        "wave": lot.key.wave,
        "benefit": lot.key.benefit,
        "service": lot.service,
        "currency": lot.currency,
        "status": _status(voucher, lot),
        "face": sum(amounts.values()),
        "unclaimed": voucher.unclaimed if is_open else 0,
        "available": voucher.available if is_open else 0,
        "held": voucher.held,
        "redeemed": amounts[Account.REDEMPTION_CLEARING],
        "forfeited": amounts[Account.BREAKAGE_FORFEITED],
        "cancelled": amounts[Account.BREAKAGE_CANCELLED],
        "expired": taken if lot.status == LotStatus.EXPIRED else 0,
        "revoked": amounts[Account.REVOKED] + (taken if lot.status == LotStatus.REVOKED else 0),
        "declined": amounts[Account.DECLINED],
        "valid_from": format_instant(lot.valid_from),
        "valid_until": format_instant(lot.valid_until),
        "version": voucher.version,
    }


def _person(beneficiary: str, row: Any, book: Book) -> Beneficiary:
    owner = BeneficiaryId(beneficiary)
    vouchers = StoredVouchers(row["vouchers"], owner, book.numbering)
    return Beneficiary(owner, StoredGrants(row["grants"], book.numbering), vouchers)


def _entitlement(key: WaveKey, grant: Grant, book: Book) -> View:
    standing = "enrolled" if grant.enrolled else grant.standing.value
    if grant.standing is Standing.MEMBER:
        standing = Standing.MEMBER.value
    return {
        "programme": key[0],
        "wave": key[1],
        "standing": standing,
        "issued": grant.issued,
        "benefits": [
            {"benefit": lot.key.benefit, "service": lot.service, "amount": lot.amount, "currency": lot.currency}
            for lot in book.benefits.get(key, [])
        ],
    }


def _status(voucher: Voucher, lot: BookedLot) -> str:
    amounts = voucher.amounts
    spent = (Account.REDEMPTION_CLEARING, Account.BREAKAGE_FORFEITED, Account.BREAKAGE_CANCELLED)
    if voucher.held > 0:
        return "held"
    if voucher.declined:
        return "declined"
    if voucher.is_revoked:
        return "revoked"
    if voucher.unclaimed + voucher.available == 0 and any(amounts[account] for account in spent):
        return "redeemed"
    if lot.status != LotStatus.OPEN:
        return lot.status
    return "available" if voucher.available > 0 else "unclaimed"
