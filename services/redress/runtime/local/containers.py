"""The same two servers as containers, where a Docker engine answers. They outlive the command that started them."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from redress.runtime.local import ports, postgres, probe, resources
from redress.runtime.local.errors import StackError
from redress.runtime.local.options import Options
from redress.runtime.local.process import TAIL_LINES, wait_until

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:18"
KAFKA_DATA = "/var/lib/kafka/data"
POSTGRES_VOLUME = "/var/lib/postgresql"
POSTGRES_PORT = 5432
# Fixed, so that a container made anew accepts the volume of the one before.
KAFKA_CLUSTER_ID = "cmVkcmVzcy1sb2NhbC0wMQ"
ENGINE_SECONDS_MAX = 3
"""How long a Docker engine may take to say that it is there."""
STOP_GRACE_SECONDS = 30
SHARED_MEMORY = "256m"  # the engine's 64 MB are too few for a parallel query
# Ours says "no socket"; the image's entry point makes its first database through one.
NOT_FOR_THE_IMAGE = {"unix_socket_directories"}


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that is decided about a container before an engine is asked."""

    name: str
    image: str
    port: int
    host_port: int
    volume: str
    volume_path: str
    environment: Mapping[str, str] = field(repr=False)
    command: tuple[str, ...] = ()


def kafka_spec(folder: Path, host_port: int, options: Options) -> ContainerSpec:
    # Inside and outside the port has one number: clients and the broker's own connections to itself (transaction
    # markers) both go to the advertised 127.0.0.1:port, and both arrive.
    values = {
        "host": ports.LOOPBACK,
        "port": str(host_port),
        "listen_host": "0.0.0.0",  # noqa: S104 - inside the container; published on loopback only
        "listen_port": str(host_port),
        "controller_host": ports.LOOPBACK,
        "controller_port": str(host_port + 1),
        "data": KAFKA_DATA,
    }
    settings = resources.pairs(resources.fill("server.properties", values))
    environment = {as_variable(key): value for key, value in settings.items()}
    environment["CLUSTER_ID"] = KAFKA_CLUSTER_ID
    environment["KAFKA_HEAP_OPTS"] = f"-Xms256m -Xmx{options.kafka_heap_mb}m"
    name = _name(folder, "kafka")
    return ContainerSpec(name, KAFKA_IMAGE, host_port, host_port, name, KAFKA_DATA, environment)


def postgres_spec(folder: Path, host_port: int, password: str, options: Options) -> ContainerSpec:
    values = {"listen_host": "*", "port": str(POSTGRES_PORT), "shared_buffers_mb": str(options.shared_buffers_mb)}
    settings = resources.pairs(resources.fill("postgresql.conf", values))
    flags = [
        flag for key, value in settings.items() if key not in NOT_FOR_THE_IMAGE for flag in ("-c", f"{key}={value}")
    ]
    environment = {
        "POSTGRES_USER": postgres.USER,
        "POSTGRES_DB": postgres.DATABASE,
        "POSTGRES_PASSWORD": password,
        "POSTGRES_HOST_AUTH_METHOD": "scram-sha-256",
        "POSTGRES_INITDB_ARGS": " ".join(postgres.INITDB_OPTIONS),
    }
    name = _name(folder, "postgres")
    return ContainerSpec(
        name, POSTGRES_IMAGE, POSTGRES_PORT, host_port, name, POSTGRES_VOLUME, environment, ("postgres", *flags)
    )


def as_variable(key: str) -> str:
    """The image's rule: KAFKA_, upper case, and `.`, `-`, `_` as one, two, three underscores."""
    return "KAFKA_" + key.replace("_", "___").replace("-", "__").replace(".", "_").upper()


def engine_answers() -> bool:
    """Whether a Docker engine on this machine answers, within a few seconds.

    One elsewhere does not count: its ports would have to be open to the network.
    """
    try:
        from docker.errors import DockerException  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415
    except ImportError:
        return False
    try:
        client = DockerClient(timeout=ENGINE_SECONDS_MAX)
        return bool(client.client.ping()) and client.host() in {"localhost", ports.LOOPBACK}
    except (DockerException, OSError):
        return False


@dataclass(frozen=True, slots=True)
class ContainerServer:
    """One server in a container. Its name follows from the state folder; its data lie in a volume that outlives it."""

    name: str
    spec: Callable[[], ContainerSpec]
    address: Callable[[ContainerSpec], str]
    answers: Callable[[str], bool]
    options: Options

    def start(self) -> str:
        from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - as above

        testcontainers_config.ryuk_disabled = True  # it would remove the containers when this command ends
        self.stop()
        spec = self.spec()
        with _engine_trouble_explained():
            container = make(spec).start()
        address = self.address(spec)
        if not wait_until(lambda: self.answers(address), self.options.start_seconds_max):
            log = b"\n".join(container.get_logs()).decode(errors="replace").splitlines()[-TAIL_LINES:]
            self.stop()
            raise StackError(
                "\n".join([f"{spec.image} did not answer within {self.options.start_seconds_max} s", *log])
            )
        return address

    def stop(self) -> None:
        """Stops and removes the container, by its name: also one whose start was cut short. The volume stays."""
        from docker.errors import NotFound  # noqa: PLC0415 - as above
        from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415

        with _engine_trouble_explained(), contextlib.suppress(NotFound):
            container = DockerClient().client.containers.get(self.name)
            container.stop(timeout=STOP_GRACE_SECONDS)
            container.remove()


def make(spec: ContainerSpec) -> "DockerContainer":
    """The container as testcontainers starts it."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - as above

    container = (
        DockerContainer(spec.image)
        .with_name(spec.name)
        .with_envs(**spec.environment)
        .with_volume_mapping(spec.volume, spec.volume_path, "rw")
        .with_kwargs(shm_size=SHARED_MEMORY)
    )
    # The engine takes (address, port) here; testcontainers' own type and with_bind_ports know ports only, and those
    # would be open to the network.
    container.ports[f"{spec.port}/tcp"] = (ports.LOOPBACK, spec.host_port)  # type: ignore[assignment]
    return container.with_command(list(spec.command)) if spec.command else container


@contextlib.contextmanager
def _engine_trouble_explained() -> Iterator[None]:
    from docker.errors import DockerException, NotFound  # noqa: PLC0415 - as above

    try:
        yield
    except NotFound:
        raise
    except (DockerException, OSError) as error:
        raise StackError(f"the Docker engine: {error}") from None


def kafka_server(folder: Path, ports_file: Path, options: Options) -> ContainerServer:
    return ContainerServer(
        name=_name(folder, "kafka"),
        spec=lambda: kafka_spec(folder, ports.remembered(ports_file, "kafka"), options),
        address=lambda spec: f"{ports.LOOPBACK}:{spec.host_port}",
        answers=probe.kafka_answers,
        options=options,
    )


def postgres_server(folder: Path, ports_file: Path, password: str, options: Options) -> ContainerServer:
    return ContainerServer(
        name=_name(folder, "postgres"),
        spec=lambda: postgres_spec(folder, ports.remembered(ports_file, "postgres"), password, options),
        address=lambda spec: postgres.url(password, spec.host_port),
        answers=probe.postgres_answers,
        options=options,
    )


def _name(folder: Path, server: str) -> str:
    """One name per state folder: two stacks on one engine do not meet."""
    return f"redress-{hashlib.sha256(str(folder).encode()).hexdigest()[:10]}-{server}"
