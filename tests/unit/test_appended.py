"""What the writer hands to who works beside it: batches in a row or none, and never more than fit."""

import asyncio
from collections.abc import Sequence
from typing import Final

from redress.domain.entry import Entry
from redress.ledger import appended
from redress.ledger.appended import Appended, AppendedBatch

NOBODY: Final[Sequence[Entry]] = ()


def batch(number: int) -> AppendedBatch:
    return AppendedBatch({"batch": number}, (), NOBODY)


def numbers(taken: list[AppendedBatch]) -> list[int]:
    return [found.row["batch"] for found in taken]


def test_what_follows_upon_the_last_published_batch_is_taken_once() -> None:
    found = Appended()
    for number in (4, 5, 6):
        found.add(batch(number))

    assert numbers(found.take_after(4)) == [5, 6]
    assert numbers(found.take_after(4)) == []


def test_a_batch_behind_one_that_must_be_read_waits_until_that_is_published() -> None:
    found = Appended()
    found.add(batch(1))
    found.add(None)  # 2
    found.add(batch(3))

    assert numbers(found.take_after(0)) == [1]
    assert numbers(found.take_after(1)) == []
    assert numbers(found.take_after(2)) == [3]


def test_where_nobody_comes_all_are_let_go() -> None:
    found = Appended()
    for number in range(appended.HELD_MAX):
        found.add(batch(number))
    assert len(found.take_after(-1)) == appended.HELD_MAX

    for number in range(appended.HELD_MAX + 1):
        found.add(batch(number))

    assert found.take_after(-1) == []
    found.add(batch(appended.HELD_MAX + 1))
    assert numbers(found.take_after(appended.HELD_MAX)) == [appended.HELD_MAX + 1]


async def test_every_batch_ends_the_wait() -> None:
    found = Appended()
    for added in (batch(1), None):
        found.clear()
        waiting = asyncio.create_task(found.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        found.add(added)
        await asyncio.wait_for(waiting, 1)
