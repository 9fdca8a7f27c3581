"""The digest made again by somebody who has `docs/digest.md` and no line of our code."""

import json
from hashlib import sha256

from redress.domain.accounts import ISSUED_UNCLAIMED
from redress.domain.entry import Cause, Entry, Line, LotKey, Outcome
from redress.domain.event import Coordinates, Granted, Standing, Topic
from redress.domain.ids import BeneficiaryId, BenefitCode, Instant, ProgrammeCode, VoucherId, WaveCode
from redress.ledger.digest import GENESIS, Header, body_hash, chain

PERSON = BeneficiaryId("8d3b2a76-1c1e-4c8e-9a50-6a0a4a3f9e11")
VOUCHER = VoucherId("8d3b2a76-1c1e-8aae-b119-65df5620d12e")
LOT = LotKey(ProgrammeCode("p"), WaveCode("w"), BenefitCode("travel"))


def _canonical(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def _entry(seq: int, amount: int) -> Entry:
    cause = Cause(
        "/crm", f"e-{seq}", "redress.voucher.issued.v1", Coordinates(Topic.ISSUANCE, 0, 40 + seq), b"\x01" * 32
    )
    return Entry(
        seq=seq,
        cause=cause,
        happening=Granted(LOT.programme, LOT.wave, PERSON, Standing.MEMBER),
        beneficiary=PERSON,
        outcome=Outcome.ACCEPTED,
        reason=None,
        occurred_at=Instant(1_768_440_000_000_000),
        effective_at=Instant(1_768_440_000_000_001),
        terms_version=1,
        redemption=None,
        lines=[Line(ISSUED_UNCLAIMED, LOT, VOUCHER, amount, Instant(1_768_440_000_000_001))],
    )


def _documented(seq: int, amount: int) -> bytes:
    line = ["issued", "entitlement", "unclaimed", amount, "KRW", *LOT, str(VOUCHER), 1_768_440_000_000_001, False]
    fields = [seq, "redress.voucher.issued.v1", "/crm", f"e-{seq}", 40 + seq, "01" * 32, str(PERSON), "accepted", None]
    times = [1_768_440_000_000_000, 1_768_440_000_000_001, None, None]
    return _canonical([*fields, *times, 1, None, [line]]) + b"\n"


def _chained(previous: bytes, batch: int, first: int, following: int, body: bytes) -> bytes:
    header = _canonical(["main", 3, batch, first, following, [7, 0, 42, 0], 1_768_440_001_000_000, 1])
    return sha256(previous + header + sha256(body).digest()).digest()


def test_two_batches_chain_as_documented() -> None:
    expected = _chained(GENESIS, 1, 1, 3, _documented(1, 5_000) + _documented(2, 20_000))
    expected = _chained(expected, 2, 3, 3, b"")

    digest = GENESIS
    for batch, first, entries in ((1, 1, [_entry(1, 5_000), _entry(2, 20_000)]), (2, 3, [])):
        header = Header("main", 3, batch, first, first + len(entries), (7, 0, 42, 0), 1)
        digest = chain(digest, header, Instant(1_768_440_001_000_000), body_hash(entries, lambda _: "KRW"))

    assert digest == expected


def test_any_change_of_an_entry_changes_the_digest() -> None:
    assert body_hash([_entry(1, 5_000)], lambda _: "KRW") != body_hash([_entry(1, 5_001)], lambda _: "KRW")
    assert body_hash([_entry(1, 5_000)], lambda _: "KRW") != body_hash([_entry(1, 5_000)], lambda _: "EUR")
