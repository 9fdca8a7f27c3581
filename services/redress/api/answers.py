"""What the ledger has made of an event, from Postgres alone: how a repeated key gets its earlier answer."""

from dataclasses import dataclass
from typing import Final

import orjson

from redress.api.decisions import Cause, Decision
from redress.api.lot_book import LotBook
from redress.api.problems import Kind, ProblemError
from redress.api.queries import query
from redress.api.reader import Reader
from redress.api.standing_rows import StandingRows
from redress.contracts.partitioner import partition_of
from redress.domain.event import Recorded, Requested
from redress.domain.ids import Instant
from redress.domain.seen import FINGERPRINT_BYTES, ID_BYTES, identity
from redress.ledger.connection import Connection
from redress.ledger.entry_rows import from_row, split_id
from redress.ledger.identity import LedgerIdentity
from redress.relay.events import EventWriter

WALK_STEPS_MAX: Final = 10_000
"""Entries of one beneficiary that are looked at; a repeated key is among the last few."""
_WIDTH: Final = ID_BYTES + FINGERPRINT_BYTES


@dataclass(frozen=True, slots=True)
class Standing:
    """How an event stands. `decision` None: not decided yet, or never `seen`. `now`: the shard's clock."""

    seen: bool
    decision: Decision | None
    now: Instant | None


class Answers:
    """Finds the entry of an event by source and id."""

    def __init__(self, reader: Reader, book: LotBook, identity_: LedgerIdentity) -> None:
        self._reader = reader
        self._book = book
        self._identity = identity_
        self._rows = StandingRows(reader)

    def shard_of(self, cause: Cause) -> int:
        """Where the event belongs."""
        return partition_of(cause.beneficiary.encode(), self._identity.shards)

    async def standing(self, cause: Cause, fingerprint: bytes) -> Standing:
        """How an event of that cause and fingerprint stands.

        Raises:
            ProblemError: the key was used with another body; or the database is away.
        """
        shard, person = self.shard_of(cause), cause.beneficiary
        row = await self._rows.row(shard, person)
        who = identity(cause.source, cause.id)
        known = _seen(row["seen"] or b"", who)
        if known is None and not row["spilled"]:
            return Standing(seen=False, decision=None, now=row["now"])
        async with self._reader.through(self._reader.gates.answer) as connection:
            if known is None:
                known = await connection.fetchval(query("spilled_fingerprint"), shard, person, who)
            if known is None:
                return Standing(seen=False, decision=None, now=row["now"])
            if known != fingerprint[:FINGERPRINT_BYTES]:
                raise key_reused()
            decision = await self._decision(connection, shard, cause, fingerprint, row["last_seq"])
            return Standing(seen=True, decision=decision, now=row["now"])

    async def refusal(self, cause: Cause, offset: int) -> None:
        """See that the record at that offset was not put aside.

        Raises:
            ProblemError: it was; or the database is away.
        """
        async with self._reader.through(self._reader.gates.answer) as connection:
            row = await connection.fetchrow(query("letter_at"), self.shard_of(cause), offset)
        if row is None:
            return
        if row["reason"] == "conflict":
            raise key_reused()
        raise ProblemError(Kind.INVALID, f"the ledger could not take it: {row['reason']}: {row['detail']}")

    async def _decision(
        self, connection: Connection, shard: int, cause: Cause, fingerprint: bytes, last_seq: int
    ) -> Decision | None:
        cause_uuid, cause_text = split_id(cause.id)
        row = await connection.fetchrow(
            query("entry_of_cause"), shard, last_seq, cause.source, cause_uuid, cause_text, WALK_STEPS_MAX
        )
        if row is None:
            return None  # seen, and parked
        if row["fingerprint"] != fingerprint:
            raise key_reused()
        entry = await self._book.with_book(connection, lambda book: from_row(row, cause.source, book.numbering))
        happening = entry.happening
        order = happening.order if isinstance(happening, Requested | Recorded) else None
        key = entry.redemption_key
        if order is None and key is not None:
            order = await connection.fetchval(query("order_of"), shard, *key)
        published = EventWriter(self._identity.name, shard).decision(entry, order, entry.effective_at)
        decision: Decision = orjson.loads(published.value)["data"]
        return decision


def key_reused() -> ProblemError:
    """The same key, another body."""
    return ProblemError(
        Kind.KEY_REUSED,
        "this Idempotency-Key was used for the same beneficiary with another body, or on another route",
        errors=[("header.Idempotency-Key", "used with another body")],
    )


def _seen(packed: bytes, who: bytes) -> bytes | None:
    """The short fingerprint under which an event was seen, of those in the row; None: it is not among them."""
    for at in range(0, len(packed), _WIDTH):
        if packed[at : at + ID_BYTES] == who:
            return packed[at + ID_BYTES : at + _WIDTH]
    return None
