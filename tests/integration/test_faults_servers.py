"""Kafka and Postgres go away in the middle and come back: nothing is lost or doubled, and nobody lends a hand."""

from random import Random

from redress.ledger.migrate import migrate
from tests.conftest import TEST_LEDGER, OwnStack
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.running_ledger import RunningLedger, chunks
from tests.oracle.scenario import Scenario


async def test_kafka_and_postgres_restarted_in_the_middle_cost_nothing(own_stack: OwnStack) -> None:
    migrate(own_stack.postgres, TEST_LEDGER)
    parts = list(chunks(list(Scenario(Random(21), events=800, beneficiaries=20)), 200))
    async with RunningLedger(own_stack.kafka, own_stack.postgres, "own.", workers_at_start=1) as ledger:
        await ledger.send_all(parts[0])
        await own_stack.kill_postgres()
        await ledger.send_all(parts[1])  # nobody can take them now
        ledger.start_worker()  # nor can one that starts meanwhile: it waits
        await own_stack.start_postgres()
        await ledger.settled()

        await ledger.send_all(parts[2])
        await own_stack.kill_kafka()
        ledger.start_worker()
        await own_stack.start_kafka()
        await ledger.send_all(parts[3])
        await ledger.settled()

        await assert_agrees(ledger)
    await assert_ledger_sound(own_stack.postgres)
