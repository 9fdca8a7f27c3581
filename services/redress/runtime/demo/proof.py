"""The demo's proof: figures of the ledger beside the story's own count."""

from dataclasses import dataclass

from redress.finance.movements import Period
from redress.finance.roll_forward import load_roll_forward
from redress.ledger.connection import Connection
from redress.ledger.queries import query
from redress.projections.verify import verify
from redress.runtime.demo.run import Progress
from redress.runtime.demo.story import Story


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, counted twice."""

    group: str
    name: str
    ledger: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether both counts are the same."""
        return self.ledger == self.counted


async def compare(reader: Connection, story: Story, progress: Progress) -> list[Figure]:
    """Every figure that either side has, and what the ledger's own proofs found."""
    count = story.count
    moved = {row["movement"]: row["amount"] for row in await reader.fetch(query("movement_totals"))}
    refused = {row["reason"]: row["entries"] for row in await reader.fetch(query("refusals"))}
    granted = {row["wave"]: row["granted"] for row in await reader.fetch(query("granted_people"))}
    figures = [
        Figure("people", f"granted in wave {wave}", granted[wave], count.people[f"{wave} granted"]) for wave in granted
    ]
    figures += [Figure("won", name, moved.get(name, 0), amount) for name, amount in _union(count.movements, moved)]
    figures += [
        Figure("events", f"refused {name}", refused.get(name, 0), n) for name, n in _union(count.refused, refused)
    ]
    letters = await reader.fetchval(query("count_dead_letters"))
    figures.append(Figure("records", "dead-lettered", letters, 0))
    figures += [
        Figure("won", f"outstanding: {chapter.title}", chapter.outstanding, chapter.counted)
        for chapter in progress.took
    ]
    return [*figures, *await _proofs(reader)]


async def _proofs(reader: Connection) -> list[Figure]:
    """The roll-forward's difference, and the invariants with the digests of all batches: nothing may be found."""
    async with reader.transaction(isolation="repeatable_read", readonly=True):
        statement = await load_roll_forward(reader, Period(None, None), frozenset(), None)
    report = await verify(reader, everything=True, rebuild=False, seed=0)
    return [
        Figure("won", "roll-forward: difference", sum(abs(row.difference) for row in statement.rows), 0),
        Figure("findings", f"verify, {len(report.checks)} checks", sum(check.wrong for check in report.checks), 0),
    ]


def _union(counted: dict[str, int], found: dict[str, int]) -> list[tuple[str, int]]:
    """What was counted, with a zero for what only the ledger has."""
    return [(name, counted.get(name, 0)) for name in sorted(counted.keys() | found.keys())]
