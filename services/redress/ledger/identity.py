"""What is fixed for a ledger's life."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """Written by the first migration; never changes."""

    name: str
    shards: int
    clock: Literal["system", "manual"]
    parking_seconds: int
