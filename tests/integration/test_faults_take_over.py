"""A worker that dies, stands still or hangs changes no figure, and its shards are taken over."""

import asyncio
import os
import signal
import time
from random import Random

import pytest

from redress.intake.keeper import PROGRESS_SECONDS_MAX
from redress.ledger.lease import LEASE_SECONDS, SURVEY_SECONDS
from redress.runtime.local import Stack
from tests.harness.faulty_worker import HUNG, POINTS, Fault, died_by, start_faulty_worker
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger, chunks
from tests.oracle.scenario import Scenario

TAKE_OVER_SECONDS_MAX = 20
DIE_SECONDS_MAX = 30
HUNG_SECONDS_MAX = PROGRESS_SECONDS_MAX + LEASE_SECONDS + 2 * SURVEY_SECONDS + 5
"""Until a hung worker's shards have been taken by another, which then needs a little to catch up."""

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
        for point, records, hit in zip(points, parts, (1, 3, 2, 4, 1, 3, 2, 1), strict=False):
            await ledger.send_all(records)
            doomed = start_faulty_worker(stack.kafka, database, topic_prefix, point, hit)
            assert await died_by(doomed, DIE_SECONDS_MAX) == signal.SIGKILL, point
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
        assert await died_by(doomed, DIE_SECONDS_MAX) == signal.SIGKILL

        # when nothing is done but to wait
        begun = time.monotonic()
        ledger.start_worker()
        await ledger.send_all(events[200:])
        await ledger.settled()

        # then the other one has done its work soon
        assert time.monotonic() - begun < TAKE_OVER_SECONDS_MAX
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


@pytest.mark.parametrize(("point", "inside"), [("copying", 1), ("unanswered", 0)])
async def test_a_worker_stopped_inside_its_transaction_holds_nobody_up_and_changes_nothing_later(
    stack: Stack, database: str, topic_prefix: str, point: str, inside: int
) -> None:
    # given a worker that is stopped inside COPY, with its locks, which no timeout of Postgres ends; or after it sent
    # COMMIT, so that it does not know what it has done
    events = list(Scenario(Random(14), events=500, beneficiaries=20))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        await ledger.send_all(events[:300])
        hanging = start_faulty_worker(stack.kafka, database, topic_prefix, point, 6, Fault.STOP)
        try:
            _, status = await asyncio.to_thread(os.waitpid, hanging.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            assert await ledger.database.fetchval(COPYING) == inside
            await ledger.database.execute(LEASES_RUN_OUT)

            # when another one takes over, and the first wakes up again
            other = ledger.start_worker()
            await ledger.settled()
            assert await ledger.database.fetchval(COPYING) == 0
            assert await ledger.database.fetchval(OWNED_BY, other.worker.name) == ledger.identity.shards
            hanging.send_signal(signal.SIGCONT)
            await ledger.send_all(events[300:])
            await ledger.settled()

            # then it was refused, joins as any other worker, and stops when told to
            await _until(ledger, OTHERS_THAN, ledger.identity.shards // 2, other.worker.name)
            hanging.terminate()
            assert await asyncio.to_thread(hanging.wait, DIE_SECONDS_MAX) == 0
        finally:
            hanging.kill()
        await ledger.settled()
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def test_a_worker_whose_loop_hangs_loses_its_shards_and_joins_again(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    # given a worker whose loop hangs, while the thread that renews its leases goes on
    events = list(Scenario(Random(15), events=500, beneficiaries=20))
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        await ledger.send_all(events[:300])
        hanging = start_faulty_worker(stack.kafka, database, topic_prefix, "copied", 6, Fault.HANG)
        try:
            await _until(ledger, HUNG, 1)

            # when another one is there, and nothing is done but to wait
            other = ledger.start_worker()
            await ledger.settled(HUNG_SECONDS_MAX)
            assert await ledger.database.fetchval(OWNED_BY, other.worker.name) == ledger.identity.shards

            # and the first moves again
            hanging.send_signal(signal.SIGUSR1)
            await ledger.send_all(events[300:])
            await ledger.settled()

            # then it was refused, joins as any other worker, and stops when told to
            await _until(ledger, OTHERS_THAN, ledger.identity.shards // 2, other.worker.name)
            hanging.terminate()
            assert await asyncio.to_thread(hanging.wait, DIE_SECONDS_MAX) == 0
        finally:
            hanging.kill()
        await ledger.settled()
        await assert_agrees(ledger)
    await assert_ledger_sound(database)


COPYING = "select count(*) from pg_stat_progress_copy where datname = current_database()"
OWNED_BY = "select count(*) from redress.lease where lease_until > now() and owner = $1"
OTHERS_THAN = "select count(*) from redress.lease where lease_until > now() and owner <> $1"


async def _until(ledger: RunningLedger, question: str, answer: int, *parameters: str) -> None:
    deadline = time.monotonic() + TAKE_OVER_SECONDS_MAX
    while (found := await ledger.database.fetchval(question, *parameters)) != answer:
        assert time.monotonic() < deadline, f"{question}: {found}"
        await asyncio.sleep(POLL_SECONDS)
