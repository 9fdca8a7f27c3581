"""The paths that one worker pool's intake runs alone: grants, issues and redemptions already on Kafka → committed."""

from dataclasses import dataclass
from typing import Final

from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.load import waiting_load
from tests.benchmarks.machine import Watched, peak_mib, since
from tests.benchmarks.people import EVENTS_OF_A_LIFE, LINES, MOVEMENTS
from tests.benchmarks.processes import BenchmarkError, Crew

LINES_MIN: Final = 500
"""Lines per second: a ledger that takes fewer has met a bug, or a machine far too small."""
START_SECONDS_MAX: Final = 60
INTAKE_ALONE = ("tests.benchmarks.serve",)
_EVENTS = {"granted": 1, "issued": 1, "redeemed": EVENTS_OF_A_LIFE}
_LINES = {"granted": LINES, "issued": LINES, "redeemed": MOVEMENTS}


@dataclass(frozen=True, slots=True)
class Run:
    """One load taken: from the moment it could be read to its last commit."""

    events: int
    lines: int
    seconds: float
    first_commit_seconds: float
    offsets: dict[int, tuple[int, int]]
    """What was read of each partition of the issuance topic: its first offset, and the one after the last."""
    entries: list[tuple[int, int, int]]
    """What was appended: shard, first and last seq."""
    cpu_seconds: dict[str, float]
    worker_peak_mib: int

    @property
    def rate(self) -> float:
        """Lines per second."""
        return self.lines / self.seconds


async def take_load(ledger: BenchLedger, workers: Crew, kind: str, first: int, end: int) -> Run:
    """Have workers that serve take the events of people `first` to `end`.

    Raises:
        BenchmarkError: the ledger did not book just what was sent.
    """
    events, lines = (end - first) * _EVENTS[kind], (end - first) * _LINES[kind]
    async with waiting_load(ledger, kind, first, end) as load:
        heads = await ledger.heads()
        accepted, booked = await ledger.accepted(kind), await ledger.lines()
        watched = Watched({"workers": workers.pids, **ledger.stack.pids})
        before = watched.cpu()
        begun = await load.let_go()
        await ledger.settled(kind, accepted + events, seconds_max(lines))
        cpu, peak = since(before, watched.cpu()), peak_mib(workers.pids)
    first_commit, last_commit = await ledger.commits(begun)
    after = await ledger.heads()
    found = await ledger.accepted(kind) - accepted, await ledger.lines() - booked
    if found != (events, lines):
        raise BenchmarkError(f"{events:,} events were sent, {lines:,} lines expected; booked were {found}")
    return Run(
        events,
        lines,
        last_commit - begun,
        first_commit - begun,
        {shard: (heads[shard][0], after[shard][0]) for shard in heads if heads[shard][0] < after[shard][0]},
        [(shard, heads[shard][1], after[shard][1] - 1) for shard in heads if heads[shard][1] < after[shard][1]],
        cpu,
        peak,
    )


def seconds_max(lines: int) -> float:
    """How long so many lines may take."""
    return START_SECONDS_MAX + lines / LINES_MIN
