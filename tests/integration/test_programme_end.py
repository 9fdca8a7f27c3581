"""Many shards ask where the programme topic ends: none is told an end from before it asked."""

import asyncio

from redress.intake.programme_end import ProgrammeEnd
from redress.runtime.local import Stack
from tests.harness.events import Events
from tests.harness.running_ledger import RunningLedger

ASKERS = 16
ROUNDS = 8


async def test_who_asks_after_a_record_was_acknowledged_is_told_of_it(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, workers_at_start=0) as ledger:
        end = ProgrammeEnd(stack.kafka, topic_prefix)

        async def send_and_ask() -> list[tuple[int, int]]:
            told = []
            for _ in range(ROUNDS):
                sent = await ledger.send(*events.tick())
                told.append((sent[0].offset, await end.now()))
            return told

        told = [each for asker in await asyncio.gather(*(send_and_ask() for _ in range(ASKERS))) for each in asker]
        await end.stop()

    assert all(offset < said for offset, said in told)
    assert max(said for _, said in told) == ASKERS * ROUNDS
