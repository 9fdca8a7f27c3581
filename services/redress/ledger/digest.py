"""The digest that chains a shard's batches: canonical, versioned bytes that anybody can make again from the journal.

Version 1 (`rules_version` 1). With `json` the canonical form of RFC 8785, everything ASCII, integers below 2^53:

    entry  = json([seq, type, source, id, offset, fingerprint (hex), beneficiary, outcome, reason, occurred_at,
                   effective_at, booked_at, closed_at, terms_version, redemption, lines]) + LF
    line   = [movement, debit, credit, amount, currency, programme, wave, benefit, voucher, effective_at, by_lot]
    body   = the batch's entries by seq
    header = json([ledger, shard, batch, first_seq, next_seq, [programme, eligibility, issuance, redemption],
                   recorded_at, rules_version])
    digest = SHA-256(previous digest ‖ header ‖ SHA-256(body))

Instants are microseconds since 1970 UTC; what is not there is null; offsets in the header are the next to read; the
digest before the first batch is 32 zero bytes. `docs/digest.md` has the same text with an example.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

import orjson

from redress.domain.entry import Entry, LotKey
from redress.domain.ids import Instant

GENESIS = bytes(32)

Offsets = tuple[int, int, int, int]
"""Next offsets to read: programme, eligibility, issuance, redemption."""


def entry_bytes(entry: Entry, currency_of: Callable[[LotKey], str]) -> bytes:
    """One entry's canonical form."""
    closing = entry.lot_closing
    return orjson.dumps(
        [
            entry.seq,
            entry.cause.type,
            entry.cause.source,
            entry.cause.id,
            entry.cause.at.offset,
            entry.cause.fingerprint.hex(),
            entry.beneficiary,
            entry.outcome.value,
            entry.reason,
            entry.occurred_at,
            entry.effective_at,
            closing.booked_at if closing else None,
            closing.closed_at if closing else None,
            entry.terms_version,
            entry.redemption,
            [
                [
                    *line.posting.names,
                    line.amount,
                    currency_of(line.lot),
                    *line.lot,
                    None if line.promised else line.voucher,
                    line.effective,
                    line.by_lot,
                ]
                for line in entry.lines
            ],
        ],
        option=orjson.OPT_APPEND_NEWLINE,
    )


def body_hash(entries: Iterable[Entry], currency_of: Callable[[LotKey], str]) -> bytes:
    """SHA-256 over the batch's entries."""
    return hash_of(entry_bytes(entry, currency_of) for entry in entries)


def hash_of(entries: Iterable[bytes]) -> bytes:
    """SHA-256 over entries in their canonical form, by seq."""
    return sha256(b"".join(entries)).digest()


class Header(NamedTuple):
    """What a digest says of its batch, besides the moment of recording."""

    ledger: str
    shard: int
    batch: int
    first_seq: int
    next_seq: int
    offsets: Offsets
    rules_version: int


def chain(previous: bytes, header: Header, recorded_at: Instant, body: bytes) -> bytes:
    """The batch's digest, from the previous one, its header and the hash of its body."""
    before, behind = around_moment(previous, header, body)
    return sha256(before + str(recorded_at).encode() + behind).digest()


def around_moment(previous: bytes, header: Header, body: bytes) -> tuple[bytes, bytes]:
    """What the digest hashes before and behind the moment of recording, which Postgres may put between."""
    *known, rules_version = header
    return previous + orjson.dumps(known)[:-1] + b",", f",{rules_version}]".encode() + body
