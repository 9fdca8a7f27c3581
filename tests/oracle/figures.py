"""The figures finance reads, computed straight from the books and the entries."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle import instant
from tests.oracle.books import LIABILITY, Books, Line
from tests.oracle.grant import Grant, Piece
from tests.oracle.lot import Lot, LotKey, Wave

Row = dict[str, Any]
Entry = dict[str, Any]


def lines_of(entries: Iterable[Entry]) -> Iterator[Line]:
    return (line for entry in entries for line in entry["lines"])


def lot_key(line: Line) -> LotKey:
    return (line["programme"], line["wave"], line["benefit"])


def accounts(entries: Iterable[Entry]) -> dict[LotKey, dict[str, int]]:
    """Per lot, the reserved ones included, the balance of each account that had a line; credit positive."""
    sums: defaultdict[LotKey, Counter[str]] = defaultdict(Counter)
    for line in lines_of(entries):
        balances = sums[lot_key(line)]
        balances[line["debit"]] -= line["amount"]
        balances[line["credit"]] += line["amount"]
    return {key: dict(balances) for key, balances in sums.items()}


def liability(books: Books) -> dict[LotKey, dict[str, int]]:
    """Per lot of a wave; the reserved lots owe nothing and are left out."""
    is_open = Counter(piece.lot.key for piece in books.vouchers.values() if _is_open(piece))
    return {
        key: {**{account: books.balances[key][account] for account in LIABILITY}, "vouchers_open": is_open[key]}
        for key in books.lots
    }


def liability_as_of(books: Books, entries: Iterable[Entry], t_us: int) -> dict[LotKey, dict[str, int]]:
    """What was owed before an instant, by effective time: per lot of a wave."""
    sums: defaultdict[LotKey, Counter[str]] = defaultdict(Counter)
    for line in lines_of(entries):
        if line["effective_at"] < t_us:
            sums[lot_key(line)][line["debit"]] -= line["amount"]
            sums[lot_key(line)][line["credit"]] += line["amount"]
    return {key: {account: sums[key][account] for account in LIABILITY} for key in books.lots}


def roll_forward(entries: Iterable[Entry]) -> dict[tuple[str, str, str, str], int]:
    """Programme, wave, benefit, movement to amount."""
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for line in lines_of(entries):
        sums[*lot_key(line), line["movement"]] += line["amount"]
    return dict(sums)


def roll_forward_by_day(
    books: Books, entries: Iterable[Entry]
) -> dict[tuple[str, str, str, str, str], tuple[int, int]]:
    """Programme, wave, benefit, effective day in the programme's zone, movement to amount and number of lines."""
    sums: dict[tuple[str, str, str, str, str], tuple[int, int]] = {}
    for line in lines_of(entries):
        zone = ZoneInfo(books.programmes[line["programme"]].timezone)
        key = (*lot_key(line), instant.day(line["effective_at"], zone), line["movement"])
        amount, count = sums.get(key, (0, 0))
        sums[key] = (amount + line["amount"], count + 1)
    return sums


def vouchers(books: Books) -> dict[str, Row]:
    """Every issued voucher as it stands, with what its lot took."""
    return {voucher: _voucher(piece) for voucher, piece in books.vouchers.items()}


def waves(books: Books) -> dict[tuple[str, str], Row]:
    grants: defaultdict[tuple[str, str], list[Grant]] = defaultdict(list)
    for (_, programme, wave), grant in books.grants.items():
        grants[programme, wave].append(grant)
    refused = Counter((programme, wave) for _, programme, wave in books.refused_grants)
    return {
        key: {**_wave(wave, grants[key]), "refused": refused[key], "enrolled": books.enrolments[key]}
        for key, wave in books.waves.items()
    }


def _wave(wave: Wave, grants: list[Grant]) -> Row:
    expected = wave.opening.expected
    per_grant = sum(lot.benefit.amount for lot in wave.lots)
    standing = sum(not grant.is_withdrawn for grant in grants)
    issued = sum(grant.is_issued and not grant.is_withdrawn for grant in grants)
    return {
        "programme": wave.programme,
        "wave": wave.code,
        "expected_beneficiaries": expected[0] if expected else None,
        "expected_amount": expected[1] if expected else None,
        "granted": len(grants),
        "withdrawn": len(grants) - standing,
        "issued": issued,
        "entitled_amount": standing * per_grant,
        "issued_amount": issued * per_grant,
    }


def _is_open(piece: Piece) -> bool:
    return piece.balances["held"] > 0 if piece.lot.is_closed else piece.left > 0


def _voucher(piece: Piece) -> Row:
    lot, raw = piece.lot, piece.balances
    row = {
        "voucher": piece.voucher,
        "beneficiary": piece.grant.beneficiary,
        "programme": lot.key[0],
        "wave": lot.key[1],
        "benefit": lot.key[2],
        "service": lot.benefit.service,
        "currency": lot.terms.currency,
        "status": _status(piece),
        "face": lot.benefit.amount,
        "unclaimed": raw["unclaimed"],
        "available": raw["available"],
        "held": raw["held"],
        "redeemed": raw["redemption_clearing"] + raw["exception"],
        "forfeited": raw["breakage_forfeited"],
        "cancelled": raw["breakage_cancelled"],
        "expired": 0,
        "revoked": raw["revoked"],
        "declined": raw["declined"],
        "valid_from": lot.valid_from,
        "valid_until": lot.valid_until,
        "standing": piece.grant.standing_now,
    }
    if lot.is_closed:
        _give_to_lot(row, lot)
    return row


def _give_to_lot(row: Row, lot: Lot) -> None:
    for account in ("unclaimed", "available"):
        row[lot.state] += row[account]
        row[account] = 0


def _status(piece: Piece) -> str:
    raw = piece.balances
    redeemed = raw["redemption_clearing"] + raw["exception"]
    is_spent = redeemed > 0 or raw["breakage_forfeited"] > 0 or raw["breakage_cancelled"] > 0
    names = (
        ("held", raw["held"] > 0),
        ("declined", piece.is_declined),
        ("revoked", piece.shows_revoked),
        ("redeemed", piece.left == 0 and is_spent),
        (piece.lot.state, piece.lot.is_closed),
        ("available", raw["available"] > 0),
    )
    return next((name for name, applies in names if applies), "unclaimed")
