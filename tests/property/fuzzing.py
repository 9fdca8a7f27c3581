"""How long the random tests run: a fixed sample by default, a long run of new ones with `REDRESS_TEST_RANDOM=1`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import SystemRandom
from typing import Final

IS_RANDOM: Final = os.environ.get("REDRESS_TEST_RANDOM") == "1"


def seeds(group: int, *, per_group: int, fuzz_per_group: int) -> range:
    """The seeds of one group: the same in every run, or new ones."""
    if not IS_RANDOM:
        return range(group * per_group, (group + 1) * per_group)
    start = SystemRandom().getrandbits(40)
    return range(start, start + fuzz_per_group)


@contextmanager
def named(seed: int) -> Iterator[None]:
    """Puts the seed on a failure."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(f"seed {seed}")
        raise
