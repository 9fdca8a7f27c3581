"""How large a stack is."""

import os
from dataclasses import dataclass

SHARED_BUFFERS_MB_MAX = 2048
"""MB of Postgres's own cache, however large the machine: a broker and workers share it."""
SHARED_BUFFERS_MB_MIN = 128


@dataclass(frozen=True, slots=True)
class Options:
    """Memory of the two servers. A test run takes less than a benchmark."""

    shared_buffers_mb: int
    kafka_heap_mb: int = 1024
    start_seconds_max: int = 90

    @classmethod
    def for_this_machine(cls) -> "Options":
        memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        return cls(shared_buffers_mb=max(SHARED_BUFFERS_MB_MIN, min(SHARED_BUFFERS_MB_MAX, memory_mb // 4)))
