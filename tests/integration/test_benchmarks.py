"""`make bench` at sizes that take seconds: everything is counted, sound and shown. How fast it is, no test asks."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.benchmarks.people import LINES, MOVEMENTS
from tests.benchmarks.stack import Stack, benchmark_stack
from tests.benchmarks.tuning import put

COMMAND = (sys.executable, "-m", "tests.benchmarks", "--workers", "1")
SECONDS_MAX = 400
PEOPLE = 200
PATHS = {
    "grant": PEOPLE * LINES,
    "issue": PEOPLE * LINES,
    "redeem": PEOPLE // 4 * MOVEMENTS,
    "rebuild": PEOPLE * 2 * LINES + PEOPLE // 4 * MOVEMENTS,
    "end-to-end": PEOPLE // 4,
}
STEPS = [1_000, 2_000]


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def started(*arguments: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    """A run to interrupt. Whatever the test says, it ends."""
    running = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield running
    finally:
        running.terminate()
        running.communicate()


@pytest.mark.timeout(SECONDS_MAX)
def test_every_path_and_every_peer_is_measured_and_what_was_booked_is_what_was_sent(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"

    ended = bench("--people", str(PEOPLE), "--rounds", "1", "--json", str(file))

    assert ended.returncode == 0, ended.stderr
    told = json.loads(file.read_text(encoding="utf-8"))
    paths = {measured["path"]: measured for measured in told["paths"]}
    assert {path: measured["count"] for path, measured in paths.items()} == PATHS
    assert all(len(measured["rates"]) == 1 and measured["rate"] > 0 for measured in paths.values())
    assert set(paths["issue"]["peers"]) == {"bare COPY", "no rules", "plain", "faust", "eventsourcing"}
    assert set(paths["issue"]["cpu_seconds"]) == {"workers", "kafka", "postgres"}
    assert paths["issue"]["worker_peak_mib"] > 0
    assert {"journal", "state"} <= set(told["storage_bytes_per_voucher"])
    assert all(size > 0 for size in told["published_bytes_per_voucher"].values())
    for shown in (*PATHS, "goal", "no rules", "journal", "redress.balance", "recorded_at"):
        assert shown in ended.stdout, shown


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own folder: that one is closed to the user Postgres runs as."""
    made = Path(tempfile.mkdtemp(prefix="redress-bench-test-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.faults  # minutes: not for every change
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_a_full_run_that_was_cut_short_goes_on_where_it_was(folder: Path) -> None:
    arguments = ("--full", "--people", str(STEPS[-1]), "--folder", str(folder))
    with started(*arguments) as running:
        assert running.stderr is not None
        assert any(f"issued: {STEPS[0]:,}" in line for line in running.stderr)
        running.send_signal(signal.SIGINT)
        assert running.wait(SECONDS_MAX) == 130
    forget_that_a_chunk_ended(folder)

    ended = bench(*arguments)

    assert ended.returncode == 0, ended.stderr
    assert f"granted: {STEPS[0]:,}" not in ended.stderr
    assert "not measured" in ended.stderr
    told = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
    assert [(point["kind"], point["end"]) for point in told["points"]] == [
        (kind, size) for size in STEPS for kind in ("granted", "issued")
    ]
    assert sum(map(len, told["curve"].values())) == 2 * len(STEPS) - 1
    assert told["points"][-1]["lines"] == (STEPS[-1] - STEPS[-2]) * LINES
    assert (folder / "curve.svg").read_text(encoding="utf-8").count("<circle") == 2 * len(STEPS) - 1
    assert f"{STEPS[-1] * LINES:,}" in ended.stdout


@pytest.mark.faults  # minutes: not for every change
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_neither_processes_nor_files(folder: Path, by: signal.Signals) -> None:
    with started("--people", str(PEOPLE), TMPDIR=str(folder)) as running:
        assert running.stderr is not None
        assert any("grant" in line for line in running.stderr)
        began = processes_of(folder)
        running.send_signal(by)
        status = running.wait(SECONDS_MAX)

    assert status == 130
    assert began
    assert not processes_of(folder)
    assert not list(folder.iterdir())


def processes_of(folder: Path) -> list[str]:
    """Command lines and environments that name the folder: servers, and what works with them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile
            started = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(folder).encode() in started and int(process.name) != os.getpid():
                found.append(started.decode(errors="replace"))
    return found


def forget_that_a_chunk_ended(folder: Path) -> None:
    """As if the run had been killed after its events were sent and before that was noted, unless just so it ended."""
    note = folder / "full.json"
    stored = json.loads(note.read_text(encoding="utf-8"))
    if not stored["begun"]:
        stored["points"].pop()
        note.write_text(json.dumps(stored | {"begun": True}), encoding="utf-8")


async def test_what_is_tuned_is_in_force_and_then_put_back() -> None:
    with benchmark_stack(None) as stack:
        assert await _in_force(stack) == ("off", "4")

        changed = await put(stack, {"jit": "on"}, {"num.io.threads": "8"})
        assert await _in_force(changed) == ("on", "8")

        assert await _in_force(await put(changed, {}, {})) == ("off", "4")


async def _in_force(stack: Stack) -> tuple[str, str]:
    with psycopg.connect(stack.postgres) as server:
        [jit] = server.execute("show jit").fetchone() or ()
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    try:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    [*_, entries] = answer.resources[0]
    return jit, next(value for name, value, *_ in entries if name == "num.io.threads")
