"""The whole way with everything running: eligibility → issuance → issued → journal → what is published of it."""

from dataclasses import dataclass

from redress.domain.ids import Instant
from tests.benchmarks.intake import seconds_max
from tests.benchmarks.ledger import BenchLedger
from tests.benchmarks.load import waiting_load
from tests.benchmarks.machine import Watched, peak_mib, since
from tests.benchmarks.people import ISSUING, LINES
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.published import published_all, topic_bytes

REAL_WORKER = ("redress.cli.main", "run", "worker")


@dataclass(frozen=True, slots=True)
class WholeWay:
    """People who went all the way."""

    people: int
    seconds: float
    cpu_seconds: dict[str, float]
    worker_peak_mib: int


async def whole_way(ledger: BenchLedger, workers: int, first: int, end: int) -> WholeWay:
    """From the moment the grants can be read until the last marker of what came of them is on Kafka."""
    people = end - first
    patience = seconds_max(people * 2 * LINES)
    async with waiting_load(ledger, "granted", first, end) as load, ledger.workers(workers, *REAL_WORKER) as crew:
        await published_all(ledger, patience)
        issued, booked = await ledger.accepted("issued"), await ledger.lines()
        watched = Watched({"workers": crew.pids, **ledger.stack.pids})
        before = watched.cpu()
        begun = await load.let_go()
        await ledger.settled("issued", issued + people, patience)
        ended = await published_all(ledger, patience)
        cpu, peak = since(before, watched.cpu()), peak_mib(crew.pids)
    found = await ledger.accepted("issued") - issued, await ledger.lines() - booked
    if found != (people, 2 * LINES * people):
        raise BenchmarkError(f"{people:,} people were granted; issues and lines booked were {found}")
    return WholeWay(people, ended - begun, cpu, peak)


async def published_bytes(ledger: BenchLedger, workers: int, first: int, end: int) -> dict[str, float]:
    """Bytes per voucher that an issue adds to each topic. The ledger's clock stands before the wave opens.

    The grants are published before the clock reaches the wave, the issues after.
    """
    people = end - first
    patience = seconds_max(people * 2 * LINES)
    async with waiting_load(ledger, "granted", first, end) as load, ledger.workers(workers, *REAL_WORKER):
        await load.let_go()
        await ledger.settled("granted", people, patience)
        await published_all(ledger, patience)
        before = topic_bytes(ledger)
        await ledger.tick(Instant(ISSUING))
        await ledger.settled("issued", people, patience)
        await published_all(ledger, patience)
        after = topic_bytes(ledger)
    return {topic: (after[topic] - before[topic]) / (people * LINES) for topic in after}
