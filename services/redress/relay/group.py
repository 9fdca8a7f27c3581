"""What a relay publishes together: read from the ledger, written as events."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redress.domain.answer import is_answered
from redress.domain.entry import Entry, LotKey
from redress.domain.event import Recorded, Requested
from redress.domain.ids import BeneficiaryId, Instant
from redress.domain.shard import Shard
from redress.ledger.connection import Connection
from redress.ledger.control_rows import restore_lots, restore_programmes, restore_waves
from redress.ledger.entry_rows import from_row
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import columns, restore_person
from redress.ledger.queries import query
from redress.relay.events import EventWriter, Outgoing

GROUP_ENTRIES_MAX = 2_000
"""Entries of a group, one batch more at most: enough that its fixed cost does not count."""
GROUP_BATCHES_MAX = 200
"""Batches of a group: an idle ledger has many without entries, and each still has its marker."""


@dataclass(slots=True)
class Group:
    """Some batches, with what belongs to them."""

    last_batch: int
    outgoing: list[Outgoing]


class GroupReader:
    """Reads what belongs to some batches of a shard, and writes it as events."""

    def __init__(self, identity: LedgerIdentity, prefix: str, shard: int, connection: Connection) -> None:
        self._identity = identity
        self._prefix = prefix
        self._connection = connection
        self._writer = EventWriter(identity.name, shard)
        self._number = shard
        self._numbering = Numbering()
        self._shard = Shard(shard, identity.parking_seconds, identity.clock == "system")
        self._currencies: dict[LotKey, str] = {}

    async def next_group(self, published: int) -> Group | None:
        """The next batches with everything that belongs to them.

        Without a snapshot: what was appended never changes, and what has changed since then comes with a later group.
        """
        batches = await self._connection.fetch(query("relay_batches"), self._number, published, GROUP_BATCHES_MAX)
        if not batches:
            return None
        first = batches[0]["first_seq"]
        chosen = [row for row in batches if row["first_seq"] - first < GROUP_ENTRIES_MAX]
        try:
            return await self._read(chosen)
        except KeyError:
            # A lot or wave newer than what is kept of them, or the first group. What is kept of them never changes.
            await self._load()
            return await self._read(chosen)

    async def balances(self, rows: Iterable[Any], recorded_at: Instant) -> list[Outgoing]:
        """The balances of these people, as their rows have them."""
        await self._load()
        return self._written(rows, recorded_at)

    async def lots(self, first: int, end: int, recorded_at: Instant) -> list[Outgoing]:
        """Lots whose own state changed last by an entry of that range, as they stand now."""
        rows = await self._connection.fetch(query("relay_lots"), self._number, first, end)
        return [self._writer.lot(row, recorded_at) for row in rows]

    async def _load(self) -> None:
        """Programmes, waves and lots: what numbers in packed rows stand for, services and currencies."""
        number, fetch = self._number, self._connection.fetch
        self._numbering = Numbering()
        self._shard = Shard(number, self._identity.parking_seconds, self._identity.clock == "system")
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            restore_programmes(
                self._shard, await fetch(query("load_programmes"), number), await fetch(query("load_terms"), number)
            )
            restore_waves(self._shard, self._numbering, await fetch(query("load_waves"), number))
            restore_lots(self._shard, self._numbering, await fetch(query("load_lots"), number))
        self._currencies = {key: self._shard.lot(key).terms.currency for key in self._numbering.lots}

    async def _read(self, batches: list[Any]) -> Group:
        first, end = batches[0]["first_seq"], batches[-1]["next_seq"]
        recorded_at = batches[-1]["recorded_at"]
        rows = await self._connection.fetch(query("relay_entries"), self._number, first, end)
        entries = [from_row(row, row["source_text"], self._numbering) for row in rows]
        outgoing = [
            *await self._balances(entries, end, recorded_at),
            *await self._lots(entries, recorded_at),
            *await self._dead_letters(batches),
            *await self._journal(batches, entries),
        ]
        return Group(batches[-1]["batch"], outgoing)

    async def _journal(self, batches: list[Any], entries: list[Entry]) -> list[Outgoing]:
        """Entries with their decisions, each batch followed by its marker: the group's last record is a marker."""
        orders = await self._orders(entries)
        outgoing = []
        left = iter(entries)
        for batch in batches:
            for entry in (next(left) for _ in range(batch["next_seq"] - batch["first_seq"])):
                outgoing.append(self._writer.entry(entry, batch["batch"], batch["recorded_at"], self._currencies))
                if is_answered(entry):
                    order = _order(entry) or orders.get(entry.redemption_key)
                    outgoing.append(self._writer.decision(entry, order, batch["recorded_at"]))
            outgoing.append(self._writer.marker(batch))
        return outgoing

    async def _balances(self, entries: list[Entry], end: int, recorded_at: Any) -> list[Outgoing]:
        """Beneficiaries as they stand now; whoever has changed again since comes with a later group."""
        people = sorted({BeneficiaryId(entry.beneficiary) for entry in entries if entry.beneficiary})
        if not people:
            return []
        rows = await self._connection.fetch(query("relay_states"), self._number, people, end)
        return self._written(rows, recorded_at)

    def _written(self, rows: Iterable[Any], recorded_at: Instant) -> list[Outgoing]:
        restored = (restore_person(row, self._numbering) for row in rows)
        holders = (person for person in restored if any(v.issued for v in person.vouchers.values()))
        return [self._writer.balance(person, self._shard.programmes, recorded_at) for person in holders]

    async def _lots(self, entries: list[Entry], recorded_at: Instant) -> list[Outgoing]:
        """Lots whose own state these entries changed; one about a person never does."""
        seqs = [entry.seq for entry in entries if entry.beneficiary is None]
        return await self.lots(seqs[0], seqs[-1] + 1, recorded_at) if seqs else []

    async def _dead_letters(self, batches: list[Any]) -> list[Outgoing]:
        rows = await self._connection.fetch(
            query("relay_dead_letters"), self._number, batches[0]["batch"] - 1, batches[-1]["batch"]
        )
        recorded_at = batches[-1]["recorded_at"]
        return [self._writer.dead_letter(row, self._prefix, recorded_at) for row in rows]

    async def _orders(self, entries: list[Entry]) -> dict[tuple[Any, ...] | None, str]:
        asked = {key for e in entries if is_answered(e) and not _order(e) and (key := e.redemption_key)}
        if not asked:
            return {}
        rows = await self._connection.fetch(query("relay_orders"), self._number, *columns(sorted(asked)))
        return {(row["beneficiary"], row["programme"], row["redemption"]): row["order"] for row in rows}


def _order(entry: Entry) -> str | None:
    return entry.happening.order if isinstance(entry.happening, Requested | Recorded) else None
