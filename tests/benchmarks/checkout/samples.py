"""What a load generator hands back."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

WARM_UP_SECONDS: Final = 3.0
"""Requests of the first seconds are sent and not counted: connections are made, plans and caches are filled."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds from the moment a request was meant to be sent to its decision. `missing`: never answered."""

    answered: int
    missing: int
    p50: float
    p95: float
    p99: float


def sample(latencies: Sequence[float], missing: int) -> Sample:
    """Of latencies in seconds."""
    ordered = sorted(latencies)
    return Sample(len(ordered), missing, *(_percentile(ordered, share) for share in (0.50, 0.95, 0.99)))


def hand_back(found: Sample) -> None:
    """To who started this process."""
    sys.stdout.write(orjson.dumps(asdict(found)).decode() + "\n")


def _percentile(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return float("nan")
    return round(1_000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)
