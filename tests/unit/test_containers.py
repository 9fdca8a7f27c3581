"""Where the servers come from, and the containers' configuration: all of it that needs no Docker engine."""

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from redress.runtime.local import External, Options, StackError
from redress.runtime.local.containers import (
    KAFKA_DATA,
    ContainerSpec,
    as_variable,
    engine_answers,
    kafka_server,
    kafka_spec,
    postgres_spec,
)
from redress.runtime.local.resources import pairs, text
from redress.runtime.local.stack import choose
from redress.runtime.settings import load_settings

FOLDER = Path("/some/state")
OPTIONS = Options(shared_buffers_mb=256, kafka_heap_mb=512)
PASSWORD = "open-sesame"


def kafka() -> ContainerSpec:
    return kafka_spec(FOLDER, 20_000, OPTIONS)


def postgres() -> ContainerSpec:
    return postgres_spec(FOLDER, 20_010, PASSWORD, OPTIONS)


def never_asked() -> bool:
    raise AssertionError("the engine was asked although the servers are named")


def test_named_servers_are_used_without_looking_for_an_engine() -> None:
    assert choose(External("k:1", "postgresql://p"), never_asked) == "external"


def test_an_engine_that_answers_runs_containers() -> None:
    assert choose(None, lambda: True) == "containers"


def test_without_an_engine_plain_processes_run() -> None:
    assert choose(None, lambda: False) == "processes"


@pytest.mark.parametrize(
    "environ",
    [{"REDRESS_KAFKA": "k:9092"}, {"REDRESS_POSTGRES": "postgresql://u:p@h:5432/d"}],
    ids=["kafka", "postgres"],
)
def test_one_named_server_without_the_other_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(StackError, match="set both"):
        External.of(load_settings(environ))


@pytest.mark.timeout(10)
def test_no_engine_behind_a_socket_is_found_out_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")

    assert engine_answers() is False


def test_the_images_are_pinned_to_the_versions_of_the_processes() -> None:
    locked = next(line for line in text("kafka.lock").splitlines() if line.startswith("org.apache.kafka:kafka_2.13:"))

    assert kafka().image == f"apache/kafka:{locked.split()[0].rsplit(':', 1)[1]}"
    assert postgres().image == "postgres:18"


def test_kafkas_settings_become_variables_by_the_images_rule() -> None:
    assert as_variable("auto.create.topics.enable") == "KAFKA_AUTO_CREATE_TOPICS_ENABLE"
    assert as_variable("a_b.c-d") == "KAFKA_A___B_C__D"


def test_every_setting_of_the_broker_reaches_the_container() -> None:
    environment = kafka().environment

    assert {as_variable(key) for key in pairs(text("server.properties"))} <= environment.keys()
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_LOG_DIRS"] == KAFKA_DATA
    assert environment["KAFKA_HEAP_OPTS"] == "-Xms256m -Xmx512m"
    assert not [value for value in environment.values() if "${" in value]


def test_clients_outside_and_the_broker_inside_use_one_address() -> None:
    spec = kafka()

    assert spec.port == spec.host_port == 20_000
    assert spec.environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:20000"
    assert spec.environment["KAFKA_LISTENERS"] == "PLAINTEXT://0.0.0.0:20000,CONTROLLER://127.0.0.1:20001"


def test_every_setting_of_postgres_reaches_the_container() -> None:
    command = postgres().command
    given = dict(flag.split("=", 1) for flag in command[2::2])

    assert command[0] == "postgres"
    assert set(command[1::2]) == {"-c"}
    assert pairs(text("postgresql.conf")).keys() - given.keys() == {"unix_socket_directories"}
    assert (given["fsync"], given["synchronous_commit"], given["full_page_writes"]) == ("on", "on", "on")
    assert (given["shared_buffers"], given["port"], given["listen_addresses"]) == ("256MB", "5432", "*")


def test_postgres_takes_its_password_from_the_environment_and_keeps_it_out_of_repr() -> None:
    spec = postgres()

    assert spec.environment["POSTGRES_PASSWORD"] == PASSWORD
    assert spec.environment["POSTGRES_HOST_AUTH_METHOD"] == "scram-sha-256"
    assert PASSWORD not in repr(spec)


def test_data_lie_in_a_volume_named_after_the_state_folder() -> None:
    other = kafka_spec(Path("/other/state"), 20_000, OPTIONS)

    assert kafka().volume == kafka().name
    assert (kafka().volume_path, postgres().volume_path) == (KAFKA_DATA, "/var/lib/postgresql")
    assert len({kafka().name, postgres().name, other.name}) == 3


# --- what an engine is asked for --------------------------------------------------------------------------------------


class Engine(BaseHTTPRequestHandler):
    """Writes down what is asked; answers like an engine that has the images and no containers. Runs nothing."""

    asked: ClassVar[list[tuple[str, dict[str, Any]]]]

    def do_GET(self) -> None:
        if self.path.endswith("/_ping"):
            return self._answer(200, "OK")
        if self.path.endswith("/version"):
            return self._answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24"})
        if "/images/" in self.path:
            return self._answer(200, {"Id": "sha256:0", "Config": {}})
        if self.path.endswith("/containers/made/json"):
            return self._answer(200, {"Id": "made", "Name": "/made", "State": {"Status": "running"}, "Config": {}})
        if "/networks" in self.path:
            return self._answer(200, [])
        return self._answer(404, {"message": "no such container"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.path.split("/", 2)[2], json.loads(body) if body else {}))
        self._answer(201 if "/create" in self.path else 204, {"Id": "made"} if "/create" in self.path else "")

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, status: int, content: object) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The requests that would have changed something on the engine: (path, body)."""
    Engine.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield Engine.asked
        server.shutdown()
        serving.join()


def test_the_engine_is_asked_for_exactly_what_was_decided(
    asked: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    server = dataclasses.replace(
        kafka_server(tmp_path, tmp_path / "ports.json", OPTIONS), spec=kafka, answers=lambda _: True
    )

    assert engine_answers() is True
    assert server.start() == "127.0.0.1:20000"

    (create_path, body), (start_path, _) = asked
    assert create_path == f"containers/create?name={kafka().name}"
    assert start_path == "containers/made/start"
    assert body["Image"] == kafka().image
    assert set(body["Env"]) == {f"{key}={value}" for key, value in kafka().environment.items()}
    assert body["HostConfig"]["PortBindings"] == {"20000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20000"}]}
    assert body["HostConfig"]["Binds"] == [f"{kafka().volume}:{KAFKA_DATA}:rw"]
    assert body["HostConfig"]["ShmSize"] == 256 * 2**20
