"""What the processes took, from /proc: CPU seconds and peak memory."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STATE, _PARENT, _USER, _CHILDREN_SYSTEM = 0, 1, 11, 15
"""Fields of /proc/PID/stat after the command's name."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Processes by what they are; each stands for itself and everything it started."""

    roots: dict[str, tuple[int, ...]]

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far."""
        stats = _all_stats()
        return {name: sum(_cpu_of(pid, stats) for pid in pids) for name, pids in self.roots.items()}


def since(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds between two readings."""
    return {name: round(after[name] - before[name], 2) for name in after}


def peak_mib(pids: Iterable[int]) -> int:
    """The most memory that any of these processes ever had resident."""
    return max((_peak_kib(pid) for pid in pids), default=0) // 1024


def _cpu_of(root: int, stats: dict[int, list[str]]) -> float:
    """Of the process, of its children that have ended, and of those that live."""
    if root not in stats:
        return 0.0
    own = sum(map(int, stats[root][_USER:_CHILDREN_SYSTEM])) / _TICKS
    return own + sum(_cpu_of(pid, stats) for pid, stat in stats.items() if int(stat[_PARENT]) == root)


def _all_stats() -> dict[int, list[str]]:
    found = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
    return found


def _peak_kib(pid: int) -> int:
    try:
        status = (PROC / str(pid) / "status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
