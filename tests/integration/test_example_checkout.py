"""The example checkouts, run as anyone would, and the cache of one followed through what happens to lots."""

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from redress.contracts.partitioner import partition_of
from redress.domain.event import Topic
from redress.runtime.local import Stack
from redress.runtime.local import java as java_runtime
from redress.runtime.topics import apply_topics
from tests.conftest import TEST_LEDGER
from tests.harness.events import DAY, START, Events, people
from tests.harness.java_program import compiled
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.relayed import relayed
from tests.harness.running_api import running_api
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger
from tests.integration.test_api_redemptions import claim, issued
from tests.oracle import instant

EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "examples"
EXAMPLE: Final = EXAMPLES / "checkout" / "checkout.py"
JAVA_EXAMPLE: Final = EXAMPLES / "checkout-java" / "Checkout.java"
JAVA_README: Final = EXAMPLES / "checkout-java" / "README.md"
WAIT_SECONDS: Final = 20
ANN = people(1, seed=9)[0]


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_checkout", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the one in Java, with the jars its README names and no other."""
    named_there = re.findall(r"[\w.]+:([\w-]+):([\w.-]+)", JAVA_README.read_text("utf-8"))
    jars = sorted({f"{artifact}-{version}.jar" for artifact, version in named_there})
    folder = Path(java_runtime.class_path()).parent
    named = [file for file in folder.iterdir() for jar in jars if file.name.endswith(f".{jar}")]
    assert len(named) == len(jars) == 6
    return compiled(JAVA_EXAMPLE, named, tmp_path_factory.mktemp("java"))


@pytest.fixture(params=["python", "java"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command of an example."""
    command: list[str] = request.getfixturevalue("java") if request.param == "java" else [sys.executable, str(EXAMPLE)]
    return command


@dataclass(frozen=True, slots=True)
class Toured:
    """What an example said."""

    status: int
    told: dict[str, Any]


async def tour(program: list[str], stack: Stack, prefix: str, service: str = "travel") -> Toured:
    """Run an example to its end, for Ann."""
    process = await asyncio.create_subprocess_exec(
        *(*program, "--kafka", stack.kafka, "--programme", Events().programme, "--beneficiary", ANN),
        *("--service", service, "--prefix", prefix, "--time", instant.write(START)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    return Toured(await process.wait(), json.loads(output))


async def test_the_tour_asks_captures_cancels_and_misses_nothing(
    program: list[str], stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all([*events.begin(), *events.welcomed(ANN)])
        await ledger.settled()
        await relayed(ledger)
        toured = await tour(program, stack, topic_prefix)
        entries = len(await ledger.entries())
    await assert_ledger_sound(database)

    assert toured.status == 0
    told = toured.told
    assert told["spendable"] == {events.voucher(ANN, "travel"): 20_000}
    assert [told[step]["outcome"] for step in ("request", "capture", "cancel")] == ["accepted"] * 3
    assert told["cancel"]["lines"][0]["restored"] == 20_000
    assert (told["entries"], told["gaps"]) == (entries, [])


async def test_a_request_is_sent_again_as_the_same_event_until_it_is_answered(
    program: list[str], stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with RunningLedger(stack.kafka, database, topic_prefix, relays=True) as ledger:
        await ledger.send_all([*events.begin(), *events.welcomed(ANN)])
        await ledger.settled()
        await relayed(ledger)
        await ledger.stop_workers()
        touring = asyncio.create_task(tour(program, stack, topic_prefix))
        asked: list[dict[str, Any]] = []
        async with asyncio.timeout(WAIT_SECONDS):
            while len(asked) < 2:
                asked += await ledger.adopt(Topic.REDEMPTION)
        ledger.start_worker()
        toured = await touring
        requests = [e for e in await ledger.entries() if e["cause"]["type"] == "redress.redemption.requested.v1"]
    await assert_ledger_sound(database)

    assert asked[0] == asked[1]
    assert toured.told["request"]["outcome"] == "accepted"
    assert len(requests) == 1


async def test_what_is_missing_and_what_cannot_be_spent_is_told(
    program: list[str], stack: Stack, topic_prefix: str
) -> None:
    # given topics that somebody else wrote: of the ledger some entries are missing, one came twice, and of what
    # Ann has, nothing can be spent on travel now
    await apply_topics(stack.kafka, topic_prefix, TEST_LEDGER.shards)
    shard = partition_of(ANN.encode(), TEST_LEDGER.shards)
    lots = [
        ("open", START, START + DAY, shard ^ 1),
        ("revoked", START, START + DAY, shard),
        ("open", START + 1, START + DAY, shard),
        ("open", START - DAY, START, shard),
        ("open", START, START + DAY, shard),
        ("open", START, START + DAY, shard),
    ]
    records = [("redress.balance", "redress.lot.state.v1", _lot(f"w{number}", *lot)) for number, lot in enumerate(lots)]
    vouchers = [_voucher(f"w{number}", available=int(number != 4)) for number in range(5)]
    other_service = _voucher("w5", available=1) | {"service": "beauty"}
    balance = {"beneficiary": ANN, "shard": shard, "vouchers": [*vouchers, other_service]}
    records.append(("redress.balance", "redress.beneficiary.balance.v1", balance))
    for seq in (1, 2, 2, 1, 4):
        records.append(("redress.ledger", "redress.entry.appended.v1", {"shard": shard, "seq": seq}))
    records.append(("redress.ledger", "redress.batch.committed.v1", {"shard": shard, "next_seq": 7}))
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    for topic, kind, data in records:
        value = json.dumps({"type": kind, "data": data}).encode()
        await producer.send_and_wait(topic_prefix + topic, value, key=str(data).encode(), partition=shard)
    await producer.stop()

    # when
    toured = await tour(program, stack, topic_prefix)

    # then
    assert toured.status == 1
    told = toured.told
    assert (told["spendable"], told["skipped"]) == ({}, 2)
    gaps = [tuple(gap.values() if isinstance(gap, dict) else gap) for gap in told["gaps"]]
    assert gaps == [(shard, 3, 4), (shard, 5, 7)]


def _lot(wave: str, state: str, valid_from: int, valid_until: int, shard: int) -> dict[str, Any]:
    validity = {"valid_from": instant.write(valid_from), "valid_until": instant.write(valid_until)}
    return {"programme": "p", "wave": wave, "benefit": "b", "state": state, **validity, "shard": shard}


def _voucher(wave: str, available: int) -> dict[str, Any]:
    lot = {"programme": "p", "wave": wave, "benefit": "b", "service": "travel"}
    return {"voucher": f"voucher-of-{wave}", **lot, "available": available}


async def test_an_extended_and_a_revoked_lot_reach_the_cache(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    at = datetime.fromisoformat(instant.write(START))
    later = datetime.fromisoformat(instant.write(START + 40 * DAY))
    voucher = events.voucher(ANN, "travel")
    lot = {"wave": events.wave, "benefit": "travel", "reason": "goodwill"}
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), events.granted(ANN)])
        await issued(api, ANN)
        checkout = example().Checkout(stack.kafka, "/checkout/test", events.programme, topic_prefix)
        async with checkout.running():
            spendable: Callable[[datetime], Any] = lambda now: checkout.cache.spendable(ANN, "travel", now)  # noqa: E731
            before = spendable(at)
            await claim(api, events, ANN)
            await _until(lambda: spendable(at) == {voucher: 20_000})
            then = spendable(later)
            extended = {"programme": events.programme, **lot, "valid_until": instant.write(START + 60 * DAY)}
            await api.ledger.send_all([events._control("redress.lot.extended.v1", extended)])
            await _until(lambda: spendable(later) == {voucher: 20_000})
            revoked = {"programme": events.programme, **lot}
            await api.ledger.send_all([events._control("redress.lot.revoked.v1", revoked)])
            await _until(lambda: spendable(at) == {})

    assert before == {}
    assert then == {}


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another system
            await asyncio.sleep(POLL_SECONDS)
