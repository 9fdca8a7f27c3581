"""A worker killed with -9 at any point of a batch's life changes no figure, and its shards are taken over."""

import asyncio
import os
import signal
import time
from random import Random

import pytest

from redress.runtime.local import Stack
from tests.harness.faulty_worker import POINTS, Fault, start_faulty_worker
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import Scenario

TAKE_OVER_SECONDS_MAX = 20
DIE_SECONDS_MAX = 30

LEASES_RUN_OUT = """
update redress.lease set lease_until = '-infinity';
update redress.worker set alive_until = '-infinity';
"""


@pytest.mark.parametrize(("points", "seed"), [(POINTS[::2], 11), (POINTS[1::2], 12)], ids=["even", "odd"])
async def test_a_worker_killed_at_any_point_of_a_batch_changes_no_figure(
    stack: Stack, database: str, topic_prefix: str, points: tuple[str, ...], seed: int
) -> None:
    events = list(Scenario(Random(seed), events=700, beneficiaries=20))
    parts = list(chunks(events, len(events) // (len(points) + 1)))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        for point, records, hit in zip(points, parts, (1, 3, 2, 4, 1, 3), strict=False):
            await ledger.send_all(records)
            doomed = start_faulty_worker(stack.kafka, database, topic_prefix, point, hit)
            died_by = await asyncio.to_thread(doomed.wait, DIE_SECONDS_MAX)
            assert -died_by == signal.SIGKILL, point
            await ledger.database.execute(LEASES_RUN_OUT)  # rather than waiting until they do
        await ledger.send_all(record for part in parts[len(points) :] for record in part)
        ledger.start_worker()
        await ledger.settled()

        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_a_dead_workers_shards_are_taken_over_within_seconds(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given two workers, of which one is about to die inside a transaction
    events = list(Scenario(Random(13), events=500, beneficiaries=20))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        doomed = start_faulty_worker(stack.kafka, database, topic_prefix, "written", 5)
        await ledger.send_all(events[:200])
        died_by = await asyncio.to_thread(doomed.wait, DIE_SECONDS_MAX)
        assert -died_by == signal.SIGKILL

        # when nothing is done but to wait
        begun = time.monotonic()
        ledger.start_worker()
        await ledger.send_all(events[200:])
        await ledger.settled()

        # then the other one has done its work soon
        assert time.monotonic() - begun < TAKE_OVER_SECONDS_MAX
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_a_worker_stopped_inside_its_transaction_holds_nobody_up_and_changes_nothing_later(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given a worker that hangs after its COPY, with its locks: no timeout of Postgres ends that
    events = list(Scenario(Random(14), events=500, beneficiaries=20))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        await ledger.send_all(events[:300])
        hanging = start_faulty_worker(stack.kafka, database, topic_prefix, "copied", 6, Fault.STOP)
        try:
            _, status = await asyncio.to_thread(os.waitpid, hanging.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            await ledger.database.execute(LEASES_RUN_OUT)

            # when another one takes over, and the first wakes up again
            ledger.start_worker()
            await ledger.settled()
            hanging.send_signal(signal.SIGCONT)
            await ledger.send_all(events[300:])
            await ledger.settled()

            # then it goes on as any other worker, and stops when told to
            hanging.terminate()
            assert await asyncio.to_thread(hanging.wait, DIE_SECONDS_MAX) == 0
        finally:
            hanging.kill()
        await ledger.settled()
        await assert_agrees(ledger)
    await assert_ledger_sound(database)
