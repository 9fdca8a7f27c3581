"""Kafka and Postgres of this machine: up, down, status. Every command holds the state folder's lock."""

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Protocol, assert_never
from urllib.parse import urlsplit, urlunsplit

from redress.runtime.local import containers, probe
from redress.runtime.local.errors import StackError
from redress.runtime.local.kafka import KafkaServer
from redress.runtime.local.options import Options
from redress.runtime.local.postgres import PostgresServer, stored_password
from redress.runtime.local.process import wait_until
from redress.runtime.settings import Settings

LOCK_SECONDS_MAX = 180.0
"""How long another command may hold the stack: the first start on a machine fetches 54 MB."""

Provider = Literal["processes", "containers", "external"]
State = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class External:
    """Servers that somebody else runs: the settings name them, nothing here starts or stops them."""

    kafka: str
    postgres: str = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "External | None":
        """The servers the settings name; None where the local stack is meant. One alone is a mistake."""
        if settings.kafka is None and settings.postgres is None:
            return None
        if settings.kafka is None or settings.postgres is None:
            raise StackError("REDRESS_KAFKA and REDRESS_POSTGRES: set both, or neither to use the local stack")
        return cls(settings.kafka, settings.postgres.get_secret_value())


@dataclass(frozen=True, slots=True)
class Stack:
    """`kafka` is host:port, `postgres` a URL with its password; both empty if there never was a stack."""

    kafka: str
    postgres: str = field(repr=False)
    provider: Provider
    state: State
    kafka_state: State
    postgres_state: State
    folder: str


class Server(Protocol):
    def start(self) -> str:
        """The address, once clients are answered."""

    def stop(self) -> None: ...


def choose(external: External | None, engine_answers: Callable[[], bool]) -> Provider:
    """Named servers first, then a Docker engine, then plain processes, which need nothing but Python."""
    if external is not None:
        return "external"
    return "containers" if engine_answers() else "processes"


def up(
    state: Path,
    external: External | None = None,
    options: Options | None = None,
    provider: Provider | None = None,
) -> Stack:
    """The running stack, started if need be; what runs already is left alone.

    Blocks for seconds (the first time on a machine for the download too). Raises StackError.
    """
    if external is not None:
        return _reachable(external, state)
    _make_folder(state)
    with _locked(state):
        now = _look(state)
        if now.state == "up":
            return now
        recorded = now.provider if _record_file(state).exists() else None
        chosen = recorded or provider or choose(None, containers.engine_answers)
        kafka, postgres = servers(state, chosen, options or Options.for_this_machine())
        missing = {"kafka": kafka} if now.kafka_state == "down" else {}
        missing |= {"postgres": postgres} if now.postgres_state == "down" else {}
        addresses = {"kafka": now.kafka, "postgres": now.postgres} | _start(missing)
        _remember(state, chosen, addresses)
        return Stack(**addresses, provider=chosen, state="up", kafka_state="up", postgres_state="up", folder=str(state))


def down(state: Path, external: External | None = None) -> Stack:
    """Stops both servers and waits until they are gone; the data stay. Servers named by settings are not touched."""
    if external is not None:
        return status(state, external)
    if not state.exists():
        return _look(state)
    with _locked(state):
        now = _look(state)
        with ThreadPoolExecutor(2) as pool:
            both = servers(state, now.provider, Options.for_this_machine())
            for stopping in [pool.submit(server.stop) for server in both]:
                stopping.result()
        _record_file(state).unlink(missing_ok=True)
        return Stack(now.kafka, now.postgres, now.provider, "down", "down", "down", str(state))


def status(state: Path, external: External | None = None) -> Stack:
    """What answers now. Takes no lock: it may look while another command starts the stack."""
    if external is not None:
        return _stack(External(external.kafka, external.postgres), "external", state)
    return _look(state)


def running(state: Path, external: External | None = None) -> Stack:
    """The stack a command works with: the servers of the settings, or the local stack, which must be up."""
    if external is not None:
        return _reachable(external, state)
    now = _look(state)
    if now.state == "down":
        raise StackError(
            "no local stack is running: start it with `redress local up`, or set REDRESS_KAFKA and REDRESS_POSTGRES"
        )
    return now


def servers(state: Path, provider: Provider, options: Options) -> tuple[Server, Server]:
    """Kafka and Postgres of a state folder, running or not."""
    ports_file = state / "ports.json"
    if provider == "processes":
        kafka = KafkaServer(state / "kafka", ports_file, options)
        return kafka, PostgresServer(state / "postgres", ports_file, options)
    if provider == "containers":
        password = stored_password(state / "postgres")
        kafka_container = containers.kafka_server(state, ports_file, options)
        return kafka_container, containers.postgres_server(state, ports_file, password, options)
    if provider == "external":
        raise StackError("these servers are not ours to start or stop")
    assert_never(provider)


def _start(missing: dict[str, Server]) -> dict[str, str]:
    """All at once. If one fails, or the user interrupts, none of them is left running."""
    pool = ThreadPoolExecutor(max(1, len(missing)))
    try:
        starting = {name: pool.submit(_start_anew, server) for name, server in missing.items()}
        return {name: future.result() for name, future in starting.items()}
    except BaseException:
        _stop_all(missing)  # those still starting notice that their process is gone
        pool.shutdown(wait=True)
        _stop_all(missing)  # one that was about to be started at the first pass
        raise
    finally:
        pool.shutdown(wait=True)


def _start_anew(server: Server) -> str:
    server.stop()  # one that runs but does not answer, or whose address was lost
    return server.start()


def _stop_all(started: dict[str, Server]) -> None:
    for server in started.values():
        server.stop()


def _reachable(external: External, state: Path) -> Stack:
    now = status(state, external)
    if now.kafka_state == "down":
        raise StackError(f"REDRESS_KAFKA: no broker answers at {external.kafka}")
    if now.postgres_state == "down":
        problem = probe.postgres_problem(external.postgres)
        raise StackError(f"REDRESS_POSTGRES: {without_password(external.postgres)}: {problem}")
    return now


def _look(state: Path) -> Stack:
    try:
        record = json.loads(_record_file(state).read_text(encoding="utf-8"))
        return _stack(External(record["kafka"], record["postgres"]), record["provider"], state)
    except (FileNotFoundError, ValueError, KeyError):
        return Stack("", "", "processes", "down", "down", "down", str(state))


def _stack(addresses: External, provider: Provider, state: Path) -> Stack:
    kafka: State = "up" if probe.kafka_answers(addresses.kafka) else "down"
    postgres: State = "up" if probe.postgres_answers(addresses.postgres) else "down"
    both: State = "up" if kafka == postgres == "up" else "down"
    return Stack(addresses.kafka, addresses.postgres, provider, both, kafka, postgres, str(state))


def _remember(state: Path, provider: Provider, addresses: dict[str, str]) -> None:
    file = _record_file(state)
    file.touch(mode=0o600)  # it holds the database's password
    file.write_text(json.dumps({"provider": provider, **addresses}, indent=1), encoding="utf-8")


def _record_file(state: Path) -> Path:
    return state / "stack.json"


def _make_folder(state: Path) -> None:
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"REDRESS_STATE: {state} cannot be made: {error.strerror}") from None


@contextlib.contextmanager
def _locked(state: Path) -> Iterator[None]:
    def taken() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    with (state / ".lock").open("w") as lock:
        if not wait_until(taken, LOCK_SECONDS_MAX):
            raise StackError(f"another command has held {state / '.lock'} for {LOCK_SECONDS_MAX:.0f} s")
        yield


def without_password(url: str) -> str:
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}@{host}" if user else host
    return urlunsplit(parts._replace(netloc=shown, query=""))


def as_json(stack: Stack) -> dict[str, str]:
    return asdict(stack)
