"""Batch digests made again from the journal: what was appended is what stands there now."""

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from redress.domain.entry import Entry, LotKey
from redress.ledger.codes import RULES_VERSION
from redress.ledger.connection import Connection
from redress.ledger.digest import GENESIS, Header, body_hash, chain
from redress.ledger.entry_rows import from_row
from redress.ledger.identity import LedgerIdentity
from redress.ledger.numbering import Numbering
from redress.ledger.queries import query
from redress.projections.checks import BROKEN, PACKAGE, CheckResult, Findings

SAMPLE_BATCHES = 20
"""Batches of each shard recomputed at most, unless all are asked for; the last is always among them."""
SAMPLE_ENTRIES = 3_000
"""No more batches of a shard are added to the sample once it has so many entries: a tenth of a second each shard."""
MEANING: Final = "batch digests made again from the journal are those that were chained"


async def check_digests(
    connection: Connection, identity: LedgerIdentity, shards: list[int], *, everything: bool, seed: int, shown_max: int
) -> CheckResult:
    """Recompute the digests of a random sample of each shard's batches, or of all."""
    findings = Findings(shown_max)
    batches = recomputed = entries = 0
    for shard in shards:
        rows = await connection.fetch(query("read_batches", PACKAGE), shard)
        chosen = _choose(rows, everything=everything, random=Random(f"{seed}/{shard}"))  # noqa: S311 - a sample
        batches += len(rows)
        recomputed += len(chosen)
        shard_digests = _Shard(identity, shard, await connection.fetch(query("read_lots", PACKAGE), shard))
        for at in chosen:
            row = rows[at]
            found = await connection.fetch(query("read_entries", PACKAGE), shard, row["first_seq"], row["next_seq"])
            entries += len(found)
            findings.add(shard_digests.problems(rows[at - 1]["digest"] if at else GENESIS, row, found))
    figures = {"batches": batches, "recomputed": recomputed, "entries": entries}
    return findings.result("digests", MEANING, figures)


class _Shard:
    """Makes digests of one shard's batches."""

    def __init__(self, identity: LedgerIdentity, shard: int, lots: list[Any]) -> None:
        self._ledger = identity.name
        self._shard = shard
        self._numbering = Numbering()
        self._currencies: dict[LotKey, str] = {}
        for row in lots:
            key = LotKey(row["programme"], row["wave"], row["benefit"])
            self._numbering.add_lot(key, row["no"])
            self._currencies[key] = row["currency"]

    def problems(self, previous: bytes, batch: Any, rows: list[Any]) -> Iterator[str]:
        where = f"shard {self._shard} batch {batch['batch']}"
        if batch["rules_version"] != RULES_VERSION:
            yield f"{where}: its digest is of version {batch['rules_version']}, which is not known here"
            return
        try:
            entries = [from_row(row, row["source_name"], self._numbering) for row in rows]
        except BROKEN as error:
            yield f"{where}: an entry cannot be read: {type(error).__name__}"
            return
        if self._digest(previous, batch, entries) != batch["digest"]:
            yield f"{where}: the digest made again is another"

    def _digest(self, previous: bytes, batch: Any, entries: list[Entry]) -> bytes:
        offsets = (
            batch["programme_offset"],
            batch["eligibility_offset"],
            batch["issuance_offset"],
            batch["redemption_offset"],
        )
        header = Header(
            self._ledger,
            self._shard,
            batch["batch"],
            batch["first_seq"],
            batch["next_seq"],
            offsets,
            batch["rules_version"],
        )
        return chain(previous, header, batch["recorded_at"], body_hash(entries, self._currencies.__getitem__))


def _choose(batches: list[Any], *, everything: bool, random: Random) -> list[int]:
    """Places of the batches to recompute, in order."""
    places = list(range(len(batches)))
    if everything or not places:
        return places
    chosen: list[int] = []
    entries = 0
    last = places.pop()
    random.shuffle(places)
    for at in (last, *places):
        if len(chosen) >= SAMPLE_BATCHES or entries >= SAMPLE_ENTRIES:
            break
        chosen.append(at)
        entries += batches[at]["next_seq"] - batches[at]["first_seq"]
    return sorted(chosen)
