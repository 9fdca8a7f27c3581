"""Alerts and dashboard ask for metrics that there are, by labels that they have, and say what to do."""

import json
from collections.abc import Iterator
from typing import Any, Final

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from redress.api.metrics import Metrics
from redress.domain.ids import Instant
from redress.runtime.status import ShardStatus, Status
from tests.unit.test_proof_page import ROOT

FOLDER: Final = ROOT / "deploy" / "monitoring"
LEDGER: Final = Status(
    "main",
    "system",
    ["worker"],
    [ShardStatus(0, "worker", 1, 1, 1, Instant(0), 0.0, 0.0, {"redress.programme": 0}, False, None, 0, 0, 0, 0, 0)],
    {"malformed": 1},
    {"refused": {"expired": 1}},
)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return found


@pytest.fixture
async def told() -> dict[str, set[str]]:
    """What a scrape tells: labels by the name of a sample."""
    metrics = Metrics()
    metrics.answered("GET", "/livez", 200, 0.1)
    metrics.decided("RedemptionRequested", "accepted", 0.1)
    metrics.pending("RedemptionRequested")

    async def load() -> Status:
        return LEDGER

    text = (await metrics.exposition(load, {"look_up": 0})).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """What an expression asks for."""
    found: list[promql_parser.VectorSelector] = []
    promql_parser.walk(
        promql_parser.parse(expression.replace("$__rate_interval", "5m")),
        lambda node: found.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    yield from found


EXPRESSIONS: Final = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in rules()),
    *(pytest.param(target["expr"], id=panel["title"]) for panel in panels() for target in panel["targets"]),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_what_is_told(expression: str, told: dict[str, set[str]]) -> None:
    asked = list(selectors(expression))

    assert asked
    for selector in asked:
        assert selector.name in told
        assert {matcher.name for matcher in selector.matchers.matchers} <= told[selector.name]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_groups_by_labels_of_what_it_asks_for(expression: str, told: dict[str, set[str]]) -> None:
    grouped: list[tuple[set[str], str]] = []

    def look(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped.extend((set(node.modifier.labels), of.name or "") for of in selectors(node.expr.prettify()))

    promql_parser.walk(promql_parser.parse(expression.replace("$__rate_interval", "5m")), look)

    assert all(labels <= told[name] for labels, name in grouped)


def test_every_alert_says_what_to_do() -> None:
    page = (ROOT / "docs" / "runbooks" / "alerts.md").read_text()
    names = [rule["alert"] for rule in rules()]

    assert len(set(names)) == len(names)
    assert [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")] == names
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/runbooks/alerts.md#{rule['alert'].lower()}"
        # what a summary names is left by the expression
        assert "{{ $labels." not in rule["annotations"]["summary"] or " by (" in rule["expr"]
