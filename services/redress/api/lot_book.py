"""Lots and waves by number, kept for a moment: packed rows name them so, and a look-up reads one row only."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from redress.api.queries import query
from redress.domain.entry import LotKey
from redress.domain.ids import BenefitCode, Instant, ProgrammeCode, WaveCode
from redress.ledger.connection import Connection
from redress.ledger.numbering import Numbering, WaveKey

FRESH_SECONDS: Final = 1.0
"""How late a lapse, an extension or a revocation of a lot may be seen in a look-up."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BookedLot:
    """A lot as one shard has it, without its balances."""

    key: LotKey
    service: str
    amount: int
    currency: str
    status: str
    valid_from: Instant
    valid_until: Instant


@dataclass(frozen=True, slots=True)
class Book:
    """`lots` by shard and key; `benefits`: lots of each wave, in the order of its terms, as they are in the first shard
    that knows the wave."""

    numbering: Numbering
    lots: dict[tuple[int, LotKey], BookedLot]
    benefits: dict[WaveKey, list[BookedLot]]


class LotBook:
    """The book, read again when it is no longer fresh; by one at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._book: Book | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def with_book(self, connection: Connection, work: Callable[[Book], T]) -> T:
        """What `work` makes of the book; if it misses a number, of one read anew: the row was newer than the book."""
        try:
            return work(await self._fresh(connection, self._clock() - FRESH_SECONDS))
        except KeyError:
            return work(await self._fresh(connection, self._clock()))

    async def _fresh(self, connection: Connection, not_before: float) -> Book:
        async with self._reading:
            if self._book is None or self._read_at < not_before:
                began = self._clock()
                self._book = await _read(connection)
                self._read_at = began
            return self._book


async def _read(connection: Connection) -> Book:
    numbering = Numbering()
    book = Book(numbering, {}, {})
    for row in await connection.fetch(query("wave_book")):
        numbering.add_wave((ProgrammeCode(row["programme"]), WaveCode(row["wave"])), row["no"])
    shown: set[LotKey] = set()
    for row in await connection.fetch(query("lot_book")):
        key = LotKey(ProgrammeCode(row["programme"]), WaveCode(row["wave"]), BenefitCode(row["benefit"]))
        lot = BookedLot(
            key,
            row["service"],
            row["amount"],
            row["currency"],
            row["status"],
            row["valid_from"],
            row["valid_until"],
        )
        numbering.add_lot(key, row["no"])
        book.lots[row["shard"], key] = lot
        if key not in shown:
            shown.add(key)
            book.benefits.setdefault((key.programme, key.wave), []).append(lot)
    return book
