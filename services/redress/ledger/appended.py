"""What a shard's writer has just appended, for who works beside it: that there is something, and small batches whole.

A batch of few, once committed, need not be read from the ledger to be published: here it is as the ledger has it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redress.domain.entry import Entry
from redress.ledger.batch import BatchRows
from redress.ledger.codes import RULES_VERSION
from redress.ledger.entry_rows import COLUMNS, Row
from redress.ledger.head import Head, Position

HELD_MAX: Final = 1_000
"""Batches and entries that are held for who does not come: some 2 MB. Past it all are let go; the ledger has them."""


@dataclass(frozen=True, slots=True)
class AppendedBatch:
    """A batch of few after its commit."""

    row: Mapping[str, Any]
    """As `relay_batches` reads it."""
    rows: Sequence[Mapping[str, Any]]
    """Of its entries, as `relay_entries` reads them at that moment, but for `detail`, which nobody asks for."""
    entries: Sequence[Entry]


def as_appended(work: BatchRows, entries: Sequence[Entry], before: Head, after: Head) -> AppendedBatch:
    """The batch of these rows and entries, between these heads."""
    return AppendedBatch(
        {
            "batch": after.batch,
            "first_seq": before.next_seq,
            "next_seq": after.next_seq,
            **{f"{name}_offset": offset for name, offset in zip(Position._fields, after.position, strict=True)},
            "recorded_at": after.recorded_at,
            "rules_version": RULES_VERSION,
            "digest": after.digest,
            "letters": False,  # a batch that has any is not one of few
        },
        [_entry_row(work, row, entry) for row, entry in zip(work.few_entries, entries, strict=True)],
        entries,
    )


def _entry_row(work: BatchRows, row: Row, entry: Entry) -> dict[str, Any]:
    last_seq, vouchers = work.standings.get(entry.beneficiary, (None, None))
    is_last = last_seq == entry.seq
    return dict(zip(COLUMNS, row, strict=True)) | {
        "source_text": entry.cause.source,
        "last_seq": last_seq if is_last else None,
        "vouchers": vouchers if is_last else None,
    }


class Appended:
    """Tells one who waits that the shard has a new batch, and holds the last ones of few until they are taken."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()
        self._held: deque[AppendedBatch] = deque()
        self._size = 0

    def add(self, batch: AppendedBatch | None) -> None:
        """A batch was committed; None: one that must be read from the ledger."""
        if batch is not None:
            self._size += 1 + len(batch.entries)
            self._held.append(batch)
            if self._size > HELD_MAX:
                self._held.clear()
                self._size = 0
        self._bell.set()

    def take_after(self, published: int) -> list[AppendedBatch]:
        """The batches that follow upon that one without a gap; empty where the ledger must be asked for them."""
        while self._held and self._held[0].row["batch"] <= published:
            self._size -= 1 + len(self._held.popleft().entries)
        found: list[AppendedBatch] = []
        while self._held and self._held[0].row["batch"] == published + len(found) + 1:
            found.append(self._held.popleft())
            self._size -= 1 + len(found[-1].entries)
        return found

    def clear(self) -> None:
        """Before looking for batches: one that comes from here on ends `wait`."""
        self._bell.clear()

    async def wait(self) -> None:
        """Until a batch has come since `clear`."""
        await self._bell.wait()
