"""What a relay publishes together: read from the ledger or handed over by its writer, written as events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redress.contracts.instants import format_instant
from redress.domain.answer import ANSWERED
from redress.domain.entry import Entry, LotKey
from redress.domain.event import Recorded, Requested
from redress.domain.ids import Instant
from redress.ledger.appended import AppendedBatch
from redress.ledger.codes import KINDS
from redress.ledger.connection import Connection
from redress.ledger.entry_rows import from_row
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.person_rows import columns
from redress.ledger.plans import Plans
from redress.ledger.queries import query
from redress.relay.events import EventWriter, Outgoing, entry_key
from redress.relay.row_writer import LotTerms, RowWriter

GROUP_ENTRIES_MAX = 2_000
"""Entries of a group, one batch more at most: enough that its fixed cost does not count."""
GROUP_BATCHES_MAX = 200
"""Batches of a group: an idle ledger has many without entries, and each still has its marker."""
_ANSWERED: Final = {KINDS[kind] for kind in ANSWERED}
"""Codes of the kinds of entries that a decision goes out for."""


@dataclass(slots=True)
class Group:
    """Some batches, with what belongs to them."""

    last_batch: int
    outgoing: list[Outgoing]
    is_last: bool
    """Whether nothing stood behind it when it was read."""


class GroupReader:
    """Reads what belongs to some batches of a shard, and writes it as events."""

    def __init__(self, identity: LedgerIdentity, prefix: str, shard: int, connection: Connection) -> None:
        self._identity = identity
        self._prefix = prefix
        self._connection = connection
        self._plans = Plans(connection)
        self._writer = EventWriter(identity.name, shard)
        self._rows = RowWriter(identity.name, shard, {})
        self._number = shard
        self._numbering = Numbering()

    async def next_group(self, published: int) -> Group | None:
        """The next batches with everything that belongs to them.

        Without a snapshot: what was appended never changes, and what has changed since then comes with a later group.
        """
        await self._plans.renew()
        batches = await self._connection.fetch(query("relay_batches"), self._number, published, GROUP_BATCHES_MAX)
        if not batches:
            return None
        first = batches[0]["first_seq"]
        chosen = [row for row in batches if row["first_seq"] - first < GROUP_ENTRIES_MAX]
        is_last = len(chosen) == len(batches) < GROUP_BATCHES_MAX
        end = chosen[-1]["next_seq"]
        rows = await self._connection.fetch(query("relay_entries"), self._number, first, end) if first < end else []
        return await self._group(chosen, rows, is_last=is_last)

    async def group_of(self, handed: Sequence[AppendedBatch]) -> Group:
        """These batches with everything that belongs to them, without asking the ledger for what is in them."""
        rows = [row for batch in handed for row in batch.rows]
        entries = {entry.seq: entry for batch in handed for entry in batch.entries}
        return await self._group([batch.row for batch in handed], rows, entries, is_last=True)

    async def balances(self, rows: Iterable[Any], recorded_at: Instant) -> list[Outgoing]:
        """The balances of these people, as their rows have them; no event made them come, so they have no trace."""
        await self._load()
        return self._balances(((row, None) for row in rows), recorded_at)

    async def lots(self, first: int, end: int, recorded_at: Instant) -> list[Outgoing]:
        """Lots whose own state changed last by an entry of that range, as they stand now."""
        rows = await self._connection.fetch(query("relay_lots"), self._number, first, end)
        return [self._writer.lot(row, recorded_at) for row in rows]

    async def _load(self) -> None:
        """What the numbers of lots in packed rows stand for."""
        self._numbering = Numbering()
        lots = {}
        for row in await self._connection.fetch(query("relay_lot_terms"), self._number):
            key = LotKey(row["programme"], row["wave"], row["benefit"])
            self._numbering.add_lot(key, row["no"])
            lots[row["no"]] = LotTerms(key, row["service"], row["currency"])
        self._rows = RowWriter(self._identity.name, self._number, lots)

    async def _group(
        self, batches: list[Any], rows: list[Any], entries: Mapping[int, Entry] | None = None, *, is_last: bool
    ) -> Group:
        """These batches with the rows of their entries; `entries` by seq, if they need not be made of the rows."""
        try:
            return Group(batches[-1]["batch"], await self._written(batches, rows, entries), is_last)
        except KeyError:
            # A lot newer than those known, or the first group. What is known of a lot never changes.
            await self._load()
            return Group(batches[-1]["batch"], await self._written(batches, rows, entries), is_last)

    async def _written(
        self, batches: list[Any], rows: list[Any], entries: Mapping[int, Entry] | None
    ) -> list[Outgoing]:
        recorded_at = batches[-1]["recorded_at"]
        standing = {row["beneficiary"]: row for row in rows if row["last_seq"] is not None}
        return [
            *self._balances(((row, row["traceparent"]) for row in standing.values()), recorded_at),
            *await self._lots(rows, recorded_at),
            *await self._dead_letters(batches),
            *await self._journal(batches, rows, entries),
        ]

    async def _journal(self, batches: list[Any], rows: list[Any], known: Mapping[int, Entry] | None) -> list[Outgoing]:
        """Entries with their decisions, each batch followed by its marker: the group's last record is a marker."""
        entries = {
            row["seq"]: known[row["seq"]] if known else from_row(row, row["source_text"], self._numbering)
            for row in rows
            if row["beneficiary"] is None or row["kind"] in _ANSWERED
        }
        orders = await self._orders(entries.values())
        outgoing = []
        left = iter(rows)
        for batch in batches:
            recorded_at = format_instant(batch["recorded_at"])
            for row in (next(left) for _ in range(batch["next_seq"] - batch["first_seq"])):
                entry = entries.get(row["seq"])
                key = row["beneficiary"] if entry is None else entry_key(entry)
                outgoing.append(self._rows.entry(row, key, batch["batch"], recorded_at))
                if entry is not None and row["kind"] in _ANSWERED:
                    order = _order(entry) or orders.get(entry.redemption_key)
                    outgoing.append(self._writer.decision(entry, order, batch["recorded_at"]))
            outgoing.append(self._writer.marker(batch))
        return outgoing

    def _balances(self, rows: Iterable[tuple[Any, str | None]], recorded_at: Instant) -> list[Outgoing]:
        """Beneficiaries as they stand now; whoever has changed again since comes with a later group."""
        text = format_instant(recorded_at)
        return [found for row, trace in rows if (found := self._rows.balance(row, text, trace)) is not None]

    async def _lots(self, rows: list[Any], recorded_at: Instant) -> list[Outgoing]:
        """Lots whose own state these entries changed; one about a person never does."""
        seqs = [row["seq"] for row in rows if row["beneficiary"] is None]
        return await self.lots(seqs[0], seqs[-1] + 1, recorded_at) if seqs else []

    async def _dead_letters(self, batches: list[Any]) -> list[Outgoing]:
        if not any(row["letters"] for row in batches):
            return []
        rows = await self._connection.fetch(
            query("relay_dead_letters"), self._number, batches[0]["batch"] - 1, batches[-1]["batch"]
        )
        recorded_at = batches[-1]["recorded_at"]
        return [self._writer.dead_letter(row, self._prefix, recorded_at) for row in rows]

    async def _orders(self, entries: Iterable[Entry]) -> dict[tuple[Any, ...] | None, str]:
        asked = {key for e in entries if not _order(e) and (key := e.redemption_key)}
        if not asked:
            return {}
        rows = await self._connection.fetch(query("relay_orders"), self._number, *columns(sorted(asked)))
        return {(row["beneficiary"], row["programme"], row["redemption"]): row["order"] for row in rows}


def _order(entry: Entry) -> str | None:
    return entry.happening.order if isinstance(entry.happening, Requested | Recorded) else None
