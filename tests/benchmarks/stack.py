"""The servers of a benchmark: a local stack of its own, as large as this machine's `redress local up` makes it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from redress.runtime.local import Options, StackError, down, up
from redress.runtime.local.kafka import KafkaServer
from redress.runtime.local.postgres import PostgresServer
from redress.runtime.local.stack import servers


@dataclass(frozen=True, slots=True)
class Stack:
    """Both servers' addresses and process ids, and where Kafka keeps its logs."""

    folder: Path
    kafka: str
    postgres: str
    pids: dict[str, tuple[int, ...]]
    kafka_logs: Path


@contextmanager
def benchmark_stack(kept: Path | None) -> Iterator[Stack]:
    """Servers that run while the block does, as processes; their data are removed afterwards, but from a `kept` folder.

    Raises:
        StackError: they cannot be started.
    """
    # In /tmp itself, not in a folder that only its owner may enter: Postgres runs as another user if we are root.
    folder = kept or Path(tempfile.mkdtemp(prefix="redress-bench-"))
    folder.chmod(0o755) if kept is None else folder.mkdir(parents=True, exist_ok=True)
    try:
        started = up(folder, provider="processes")
        yield Stack(folder, started.kafka, started.postgres, _pids(folder), folder / "kafka" / "data")
    finally:
        down(folder)
        if kept is None:
            shutil.rmtree(folder)


def with_postgres_restarted(stack: Stack) -> Stack:
    """The same, once Postgres has stopped and started: what needs a start to be in force then is."""
    _, postgres = servers(stack.folder, "processes", Options.for_this_machine())
    postgres.stop()
    postgres.start()
    return replace(stack, pids=_pids(stack.folder))


def _pids(folder: Path) -> dict[str, tuple[int, ...]]:
    kafka, postgres = servers(folder, "processes", Options.for_this_machine())
    return {"kafka": _pid(cast("KafkaServer", kafka)), "postgres": _pid(cast("PostgresServer", postgres))}


def _pid(server: KafkaServer | PostgresServer) -> tuple[int, ...]:
    pid = server.daemon.pid()
    if pid is None:
        raise StackError("a server has ended")
    return (pid,)
