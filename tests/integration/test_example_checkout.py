"""The example checkout, run as anyone would, and its cache followed through what happens to lots."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from redress.runtime.local import Stack
from tests.harness.events import DAY, START, Events, people
from tests.harness.running_api import running_api
from tests.harness.running_ledger import POLL_SECONDS
from tests.integration.test_api_redemptions import claim, issued
from tests.oracle import instant

EXAMPLE: Final = Path(__file__).parents[2] / "deploy" / "examples" / "checkout" / "checkout.py"
ANN = people(1, seed=9)[0]


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_checkout", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def test_the_tour_asks_captures_cancels_and_misses_nothing(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), events.granted(ANN)])
        await issued(api, ANN)
        await claim(api, events, ANN)
        touring = await asyncio.create_subprocess_exec(
            *(sys.executable, EXAMPLE, "--kafka", stack.kafka, "--programme", events.programme, "--beneficiary", ANN),
            *("--service", "travel", "--prefix", topic_prefix, "--time", instant.write(START)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await touring.communicate()
        told = json.loads(output)
        entries = len(await api.ledger.entries())

    assert touring.returncode == 0
    assert told["spendable"] == {events.voucher(ANN, "travel"): 20_000}
    assert [told[step]["outcome"] for step in ("request", "capture", "cancel")] == ["accepted"] * 3
    assert told["cancel"]["lines"][0]["restored"] == 20_000
    assert (told["entries"], told["gaps"]) == (entries, [])


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


def test_a_gap_a_repetition_and_a_missing_tail_are_noticed() -> None:
    complete = example().Completeness()
    entry = "redress.entry.appended.v1"
    taken = [complete.take({"type": entry, "data": {"shard": 0, "seq": seq}}) for seq in (1, 2, 2, 1, 4)]
    complete.take({"type": "redress.batch.committed.v1", "data": {"shard": 0, "next_seq": 7}})

    assert taken == [True, True, False, False, True]
    assert complete.gaps == [(0, 3, 4), (0, 5, 7)]
    assert complete.skipped == 2


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another system
            await asyncio.sleep(POLL_SECONDS)
