"""What `deploy` runs is there: commands, settings, probes and images, held against the product."""

import base64
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
import typer
import yaml

from redress.api.probes import router
from redress.cli.main import app
from redress.runtime.local.containers import KAFKA_IMAGE, POSTGRES_IMAGE
from redress.runtime.settings import PREFIX, load_settings
from tests.unit.test_proof_page import ROOT

DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES: Final[list[dict[str, Any]]] = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "redress.yaml").read_text()))
SECRETS: Final = {"redress-postgres": "postgresql://redress:x@postgres:5432/redress"}
PUBLIC_PEM: Final = "/etc/redress/public.pem"


class Started(NamedTuple):
    """A process of the product as it is started somewhere."""

    name: str
    arguments: list[str]
    environment: dict[str, str]


def composed() -> Iterator[Started]:
    for name, service in COMPOSE["services"].items():
        if service["image"] == "redress":
            yield Started(f"compose-{name}", service["command"], service["environment"])


def pods() -> Iterator[dict[str, Any]]:
    for document in KUBERNETES:
        if "template" in document.get("spec", {}):
            yield document["spec"]["template"]


def orchestrated() -> Iterator[Started]:
    common = {d["metadata"]["name"]: d["data"] for d in KUBERNETES if d["kind"] == "ConfigMap"}
    for pod in pods():
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            environment = dict(common[container["envFrom"][0]["configMapRef"]["name"]])
            for variable in container["env"]:
                secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
                environment[variable["name"]] = variable.get("value") or SECRETS[secret]
            yield Started(f"kubernetes-{container['name']}", container["args"], environment)


STARTED: Final = [*composed(), *orchestrated()]
every = pytest.mark.parametrize("started", STARTED, ids=[started.name for started in STARTED])


@every
def test_a_command_is_one_of_ours(started: Started) -> None:
    command: Any = typer.main.get_command(app)
    for word in started.arguments:
        command = command.commands[word]
    assert command.callback is not None
    assert not hasattr(command, "commands")  # no group, which would only say what else to type


@every
def test_settings_are_read(started: Started) -> None:
    settings = load_settings(started.environment)

    assert all(name.startswith(PREFIX) for name in started.environment)
    assert {name.removeprefix(PREFIX).lower() for name in started.environment} <= set(type(settings).model_fields)
    assert settings.kafka is not None
    assert settings.postgres is not None
    if started.arguments == ["run", "api"]:
        assert (settings.api_host, settings.api_public_key is None) == ("0.0.0.0", False)


def test_all_processes_are_run_both_ways() -> None:
    wanted = {("migrate",), ("topics", "apply"), *(("run", name) for name in ("worker", "clock", "watch", "api"))}

    assert {tuple(started.arguments) for started in composed()} == wanted
    assert {tuple(started.arguments) for started in orchestrated()} == wanted


def test_the_servers_of_compose_are_those_of_the_local_stack() -> None:
    services = COMPOSE["services"]

    assert (services["kafka"]["image"], services["postgres"]["image"]) == (KAFKA_IMAGE, POSTGRES_IMAGE)
    cluster = services["kafka"]["environment"]["CLUSTER_ID"]
    assert len(base64.urlsafe_b64decode(cluster + "==")) == 16
    assert services["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_labels_select_what_is_meant() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods()]
    selectors = [d["spec"]["selector"] for d in KUBERNETES if "selector" in d.get("spec", {})]

    assert len(selectors) == 6
    for selector in selectors:
        wanted = selector.get("matchLabels", selector)
        assert [found for found in labels if wanted.items() <= found.items()] == [wanted]


def test_probes_ask_routes_that_need_no_token() -> None:
    routes = {route.path for route in router.routes if route.path != "/metrics"}  # type: ignore[attr-defined]
    container = next(pod["spec"]["containers"][0] for pod in pods() if pod["spec"]["containers"][0]["name"] == "api")

    probed = {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness")}

    assert probed == routes
    port = load_settings({}).api_port
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert COMPOSE["services"]["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/readyz" in COMPOSE["services"]["api"]["healthcheck"]["test"][-1]
