"""Packed rows: whatever Python packs, Python and Postgres open alike."""

from dataclasses import replace
from random import Random
from typing import Final

import pytest

from redress.domain.accounts import POSTINGS, Account
from redress.domain.beneficiary import VOUCHER_ACCOUNTS, Voucher
from redress.domain.entry import Line, LotKey
from redress.domain.ids import BeneficiaryId, BenefitCode, Instant, ProgrammeCode, WaveCode, voucher_id
from redress.ledger.connection import connect
from redress.ledger.numbering import Numbering
from redress.ledger.packing import (
    INT4_MAX,
    LAST_MAX,
    LINE,
    SPLIT_VOUCHER,
    VERSION_MAX,
    VOUCHER,
    WHOLE_MAX,
    WIDE_LINE,
    pack_lines,
    pack_vouchers,
    unpack_lines,
)
from redress.ledger.stored import StoredVouchers

ANN: Final = BeneficiaryId("0190a000-0000-7000-8000-000000000001")
NOW: Final = Instant(1_767_225_600_000_001)
LOTS: Final = [LotKey(ProgrammeCode("breach"), WaveCode("first"), BenefitCode(f"benefit-{n}")) for n in range(300)]
NUMBERING: Final = Numbering()
for each_lot in LOTS:
    NUMBERING.add_lot(each_lot)

FLAGS: Final = "issued, claimed, declined_flag, revoked_flag, version"
AMOUNTS: Final = "entitlement, unclaimed, available, held, redeemed, forfeited, cancelled, declined, revoked"


def voucher(lot: LotKey, *, amount: int = 5_000, account: Account = Account.AVAILABLE) -> Voucher:
    """A voucher whose whole amount stands in one account."""
    made = Voucher(voucher_id(lot.programme, lot.wave, ANN, lot.benefit), lot, last=NOW, version=7, issued=True)
    made.amounts[account] = amount
    return made


def split(lot: LotKey) -> Voucher:
    """One of which a part was spent, and the rest with its grant withdrawn."""
    made = replace(voucher(lot), claimed=True, withdrawn=True, withdrawn_amount=2_000)
    made.amounts.update({Account.AVAILABLE: 0, Account.REDEMPTION_CLEARING: 3_000, Account.REVOKED: 2_000})
    return made


@pytest.mark.parametrize(
    ("vouchers", "whole"),
    [
        pytest.param([], 0, id="none"),
        *(
            pytest.param([voucher(LOTS[0], account=account)], 1, id=f"whole in {account}")
            for account in VOUCHER_ACCOUNTS
        ),
        pytest.param([split(LOTS[2]), voucher(LOTS[1]), split(LOTS[0]), voucher(LOTS[3])], 2, id="both kinds"),
        pytest.param([voucher(LOTS[0], amount=INT4_MAX), voucher(LOTS[1], amount=INT4_MAX + 1)], 1, id="amounts"),
        pytest.param([replace(voucher(LOTS[n]), version=VERSION_MAX + n) for n in range(2)], 1, id="versions"),
        pytest.param([replace(voucher(LOTS[n]), last=Instant(LAST_MAX + n)) for n in range(2)], 1, id="far future"),
        pytest.param([replace(voucher(LOTS[n]), last=Instant(-n)) for n in range(2)], 1, id="before 1970"),
        pytest.param([Voucher(voucher_id("breach", "first", ANN, "benefit-0"), LOTS[0])], 0, id="nothing in it"),
        pytest.param([voucher(lot) for lot in LOTS], WHOLE_MAX, id="more than a byte counts"),
    ],
)
async def test_vouchers_are_opened_as_they_were(database: str, vouchers: list[Voucher], whole: int) -> None:
    Random(1).shuffle(vouchers)
    packed = pack_vouchers(vouchers, NUMBERING)
    opened = StoredVouchers(packed, ANN, NUMBERING)
    assert opened.packed() == packed
    by_lot = sorted(vouchers, key=lambda each: NUMBERING.lots[each.lot])
    assert [opened.get(each.id) for each in reversed(by_lot)] == by_lot[::-1]
    connection = await connect(database, application_name="test")
    try:
        rows = await connection.fetch(
            f"select lot, {FLAGS}, array[{AMOUNTS}] as amounts from redress.vouchers_of($1) order by lot", packed
        )
    finally:
        await connection.close()

    sizes = whole * VOUCHER.size + (len(vouchers) - whole) * SPLIT_VOUCHER.size
    assert len(packed) == (sizes + 1 if vouchers else 0)
    assert list(opened.values()) == by_lot
    assert opened.packed() == packed
    assert [tuple(row) for row in rows] == [
        (
            NUMBERING.lots[each.lot],
            each.issued,
            each.claimed,
            each.declined,
            each.is_revoked,
            each.version,
            list(each.amounts.values()),
        )
        for each in by_lot
    ]


def line(n: int, *, amount: int = 5_000, effective: Instant = NOW) -> Line:
    lot = LOTS[n]
    return Line(POSTINGS[n], lot, voucher_id(lot.programme, lot.wave, ANN, lot.benefit), amount, effective, n % 2 == 1)


@pytest.mark.parametrize(
    ("lines", "width"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([line(n) for n in range(4)], LINE.size, id="all at the entry's time"),
        pytest.param([line(0), line(1, effective=Instant(NOW + 1))], WIDE_LINE.size, id="one at a time of its own"),
        pytest.param([line(0), line(1, amount=INT4_MAX)], LINE.size, id="the largest narrow amount"),
        pytest.param([line(0), line(1, amount=INT4_MAX + 1)], WIDE_LINE.size, id="a larger one"),
    ],
)
async def test_lines_are_opened_as_they_were(database: str, lines: list[Line], width: int) -> None:
    packed, strays = pack_lines(lines, NOW, NUMBERING)
    connection = await connect(database, application_name="test")
    try:
        rows = await connection.fetch(
            "select line, lot, posting, has_voucher, by_lot, stray, amount, effective_at "
            "from redress.lines_of($1, $2) order by line",
            packed,
            NOW,
        )
    finally:
        await connection.close()

    assert len(packed) == (1 + width * len(lines) if lines else 0)
    assert unpack_lines(packed, NOW, ANN, strays, NUMBERING) == lines
    assert [tuple(row) for row in rows] == [
        (n, NUMBERING.lots[each.lot], each.posting.code, True, each.by_lot, False, each.amount, each.effective)
        for n, each in enumerate(lines, 1)
    ]
