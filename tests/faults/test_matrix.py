"""The fault matrix: every fault at every point of a batch's and a group's life, and servers that come and go.

Minutes: `make faults`. Each run ends in the same check: the ledger's lines are the oracle's, all invariants hold, the
digests chain, and what was published is what is in the ledger, once.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, OwnStack
from tests.harness.faulty_worker import POINTS, RELAY_POINTS, Fault, start_faulty_worker
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.relayed import assert_published, relayed
from tests.harness.running_ledger import Envelope, RunningLedger, chunks
from tests.oracle.scenario import Scenario

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800)]

ALL_POINTS = (*POINTS, *RELAY_POINTS)
FAULTS = tuple(fault for fault in Fault if fault is not Fault.HANG)
"""What happens at once. That a loop hangs is told by time alone, which `test_faults_take_over` waits for."""
SEEDS = (101, 102)
EVENTS_PER_POINT = 60
FAULT_SECONDS_MAX = 120
"""Until a fault has happened to a worker that was just started, on a machine that is busy with others too."""
FIGHT_ROUNDS = 40
LEASES_RUN_OUT = """
update redress.lease set lease_until = '-infinity';
update redress.worker set alive_until = '-infinity';
"""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_at_any_point_changes_no_figure(
    stack: Stack, database: str, topic_prefix: str, fault: Fault, seed: int
) -> None:
    random = Random(seed)
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0, relays=True) as ledger:
        for point, events in zip(ALL_POINTS, _parts(seed, len(ALL_POINTS)), strict=False):
            await ledger.send_all(events)
            async with _faulty_worker(ledger, point, random.randint(1, 3), fault):
                await ledger.database.execute(LEASES_RUN_OUT)  # rather than waiting until they do
        ledger.start_worker()
        await _assert_sound(ledger, database)


@pytest.mark.parametrize("seed", SEEDS)
async def test_two_workers_that_fight_for_the_same_shards_change_no_figure(
    stack: Stack, database: str, topic_prefix: str, seed: int
) -> None:
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=2, relays=True) as ledger:
        for events in _parts(seed, FIGHT_ROUNDS):
            await ledger.send_all(events)
            await ledger.database.execute(LEASES_RUN_OUT)  # whoever looks first takes what the other still writes
        await _assert_sound(ledger, database)


@pytest.mark.parametrize("servers", ["kafka", "postgres", "both"])
async def test_servers_that_go_and_come_back_change_no_figure(own_stack: OwnStack, servers: str) -> None:
    migrate(own_stack.postgres, TEST_LEDGER)
    async with RunningLedger(own_stack.kafka, own_stack.postgres, "own.", workers_at_start=2, relays=True) as ledger:
        for n, events in enumerate(_parts(103, 6)):
            await ledger.send_all(events)
            if servers in ("postgres", "both"):
                await (own_stack.kill_postgres() if n % 2 else own_stack.stop_postgres())
            if servers in ("kafka", "both"):
                await (own_stack.kill_kafka() if n % 2 else own_stack.stop_kafka())
                await own_stack.start_kafka()
            if servers in ("postgres", "both"):
                await own_stack.start_postgres()
        await _assert_sound(ledger, own_stack.postgres)


@asynccontextmanager
async def _faulty_worker(ledger: RunningLedger, point: str, hit: int, fault: Fault) -> AsyncIterator[None]:
    """A worker to which the fault has happened; at the end it is gone."""
    process = start_faulty_worker(ledger.kafka, ledger.postgres, ledger.prefix, point, hit, fault)
    try:
        if fault is Fault.KILL:
            assert -await asyncio.to_thread(process.wait, FAULT_SECONDS_MAX) == signal.SIGKILL, point
        elif fault is Fault.STOP:
            await stopped(process)
        else:
            await ledger.settled(FAULT_SECONDS_MAX)  # it goes on by itself
        yield
        if fault is Fault.STOP:
            # Another one takes over; then this one wakes up, is refused, and goes on as any other.
            other = ledger.start_worker()
            await ledger.settled(FAULT_SECONDS_MAX)
            process.send_signal(signal.SIGCONT)
            await ledger.settled(FAULT_SECONDS_MAX)
            await other.stop()
            ledger.workers.remove(other)
        if process.poll() is None:
            process.terminate()
            assert await asyncio.to_thread(process.wait, FAULT_SECONDS_MAX) == 0, point
    finally:
        process.kill()


async def stopped(process: "subprocess.Popen[bytes]") -> None:
    _, status = await asyncio.wait_for(
        asyncio.to_thread(os.waitpid, process.pid, os.WUNTRACED), timeout=FAULT_SECONDS_MAX
    )
    assert os.WIFSTOPPED(status)


async def _assert_sound(ledger: RunningLedger, database: str) -> None:
    await ledger.settled(FAULT_SECONDS_MAX)
    await relayed(ledger)
    await assert_agrees(ledger)
    await assert_published(ledger)
    await assert_ledger_sound(database)


def _parts(seed: int, count: int) -> Iterator[list[tuple[str, Envelope]]]:
    events = list(Scenario(Random(seed), events=EVENTS_PER_POINT * count, beneficiaries=24))
    yield from (list(part) for part in chunks(events, EVENTS_PER_POINT))
