"""What a benchmark finds: rates with their goals, ratios to peers, sizes. All of it is in the JSON."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

WORKER_MIB_MAX: Final = 400
VOUCHER_BYTES_MAX: Final = 220
PUBLISHED_BYTES_MAX: Final = 150


@dataclass(frozen=True, slots=True)
class Goal:
    """What a path must reach, and against which peers."""

    unit: str
    rate: float
    ratios: dict[str, float] = field(default_factory=dict)


GOALS: Final = {
    "grant": Goal("lines/s", 200_000),
    "issue": Goal("lines/s", 150_000, {"no rules": 1.0, "plain": 8.0}),
    "redeem": Goal("movements/s", 30_000),
    "end-to-end": Goal("people/s", 4_000),
    "rebuild": Goal("lines/s", 300_000),
}


@dataclass(slots=True)
class Measured:
    """A path, over some rounds. `peers`: rates in the same rounds, in the path's unit; absent where one was not run."""

    path: str
    workers: int
    rates: list[float] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    worker_peak_mib: int = 0
    count: int = 0
    first_commit_seconds: list[float] = field(default_factory=list)
    """How long after the load could be read the first batch was recorded, round by round: it counts in the rate."""

    @property
    def goal(self) -> Goal:
        """What it must reach."""
        return GOALS[self.path]

    @property
    def rate(self) -> float:
        """Of the middle round."""
        return median(self.rates)

    @property
    def met(self) -> bool:
        """Whether rate and ratios are what they must be."""
        ratios = {peer: median(self.ratios(peer)) for peer in self.peers}
        return self.rate >= self.goal.rate and all(
            ratios[peer] >= least for peer, least in self.goal.ratios.items() if peer in ratios
        )

    def ratios(self, peer: str) -> list[float]:
        """Round by round: this path's rate by the peer's right after it."""
        return [ours / theirs for ours, theirs in zip(self.rates, self.peers[peer], strict=True)]

    def add(
        self,
        rate: float,
        count: int,
        cpu_seconds: dict[str, float],
        worker_peak_mib: int = 0,
        first_commit_seconds: float | None = None,
    ) -> None:
        """One more round."""
        if first_commit_seconds is not None:
            self.first_commit_seconds.append(round(first_commit_seconds, 3))
        self.rates.append(rate)
        self.count += count
        for name, seconds in cpu_seconds.items():
            self.cpu_seconds[name] = round(self.cpu_seconds.get(name, 0) + seconds, 2)
        self.worker_peak_mib = max(self.worker_peak_mib, worker_peak_mib)

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "path": self.path,
            "workers": self.workers,
            "unit": self.goal.unit,
            "count": self.count,
            "rates": [round(rate) for rate in self.rates],
            "rate": round(self.rate),
            "goal": self.goal.rate,
            "ratio_goals": self.goal.ratios,
            "met": self.met,
            "peers": {
                peer: {
                    "rates": [round(rate) for rate in rates],
                    "ratios": [round(ratio, 2) for ratio in self.ratios(peer)],
                    "ratio": round(median(self.ratios(peer)), 2),
                }
                for peer, rates in self.peers.items()
            },
            "cpu_seconds": self.cpu_seconds,
            "worker_peak_mib": self.worker_peak_mib,
            "first_commit_seconds": self.first_commit_seconds,
        }


@dataclass(slots=True)
class Report:
    """A whole run."""

    machine: dict[str, Any]
    people: int
    measured: list[Measured] = field(default_factory=list)
    storage: dict[str, dict[str, float]] = field(default_factory=dict)
    """Bytes per voucher after grant and issue, by table: heap and indexes."""
    published: dict[str, float] = field(default_factory=dict)
    """Bytes per voucher that its issue takes on the topics that Redress writes."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Peers that were not run, and why."""

    @property
    def voucher_bytes(self) -> float:
        """Over all tables and indexes."""
        return sum(sum(parts.values()) for parts in self.storage.values())

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "machine": self.machine,
            "people": self.people,
            "paths": [measured.as_json() for measured in self.measured],
            "storage_bytes_per_voucher": self.storage,
            "storage_bytes_per_voucher_total": round(self.voucher_bytes, 1),
            "published_bytes_per_voucher": self.published,
            "left_out": self.left_out,
        }
