"""What was released stays readable: each way to break it is found and named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redress.contracts.compatibility import main

SCHEMAS = Path(__file__).parents[2] / "schemas"
CLAIMED = "redress.redemption/redress.voucher.claimed.v1.schema.json"
REQUESTED = "redress.redemption/redress.redemption.requested.v1.schema.json"
ENTRY = "redress.ledger/redress.entry.appended.v1.schema.json"

Schema = dict[str, Any]


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """A copy of the folder, to be spoiled."""
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


def said(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    status = main([str(root)])
    return status, [line.removeprefix(f"{root}: ") for line in capsys.readouterr().out.splitlines()]


def edit(path: Path, change: Callable[[Schema], object]) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    change(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")


def test_nothing_is_wrong_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(SCHEMAS, capsys) == (0, [])


def test_an_optional_field_and_other_words_may_be_added(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def add(schema: Schema) -> None:
        claimed = schema["$defs"]["VoucherClaimed"]
        claimed["properties"]["device"] = {"type": "string", "default": "app"}
        claimed["properties"]["channel"]["description"] = "Where it was claimed."
        claimed["properties"]["channel"]["examples"] = ["web"]

    edit(schemas / CLAIMED, add)

    assert said(schemas, capsys) == (0, [])


def test_a_definition_may_get_another_name(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (schemas / REQUESTED).read_text(encoding="utf-8")
    (schemas / REQUESTED).write_text(text.replace("SpendLine", "Line"), encoding="utf-8")

    assert said(schemas, capsys) == (0, [])


BREAKS: list[tuple[str, str, Callable[[Schema], object], str]] = [
    (
        "removed",
        CLAIMED,
        lambda s: s["$defs"]["VoucherClaimed"]["properties"].pop("channel"),
        "data.channel: the field was removed or renamed",
    ),
    (
        "retyped",
        CLAIMED,
        lambda s: s["$defs"]["VoucherClaimed"]["properties"]["channel"].update(type="integer"),
        'data.channel: another type: type was "string", is "integer"',
    ),
    (
        "pattern",
        CLAIMED,
        lambda s: s["$defs"]["VoucherClaimed"]["properties"]["channel"].update(pattern="^app$"),
        'data.channel: pattern was "^[a-z0-9][a-z0-9_-]{0,39}$", is "^app$"',
    ),
    (
        "maximum",
        REQUESTED,
        lambda s: _lines(s)["items"].pop("$ref") and _lines(s)["items"].update(_tight(s)),
        "data.lines[].amount: tightened: maximum was 1000000000000, is 5000",
    ),
    (
        "definition",
        REQUESTED,
        lambda s: s["$defs"]["SpendLine"]["properties"]["amount"].update(minimum=0),
        "data.lines[].amount: loosened: minimum was 1, is 0",
    ),
    (
        "new rule",
        REQUESTED,
        lambda s: _lines(s).update(uniqueItems=True),
        "data.lines: tightened: uniqueItems was not there, is true",
    ),
    (
        "fewer lines",
        REQUESTED,
        lambda s: _lines(s).update(maxItems=8),
        "data.lines: tightened: maxItems was 32, is 8",
    ),
    (
        "new required field",
        CLAIMED,
        lambda s: (
            s["$defs"]["VoucherClaimed"]["required"].append("device"),
            s["$defs"]["VoucherClaimed"]["properties"].update(device={"type": "string"}),
        ),
        "data.device: the field is new and required",
    ),
    (
        "required now",
        CLAIMED,
        lambda s: s["required"].append("traceparent"),
        "traceparent: the field is required now",
    ),
    (
        "required no more",
        ENTRY,
        lambda s: s["$defs"]["EntryAppended"]["required"].remove("seq"),
        "data.seq: the field is required no more",
    ),
    (
        "another value",
        ENTRY,
        lambda s: s["$defs"]["Outcome"]["enum"].append("postponed"),
        'data.outcome: enum was ["accepted", "refused", "no_effect"], is ["accepted", "refused", ',
    ),
    (
        "null no more",
        ENTRY,
        lambda s: s["$defs"]["EntryAppended"]["properties"]["reason"].update(
            anyOf=s["$defs"]["EntryAppended"]["properties"]["reason"]["anyOf"][:1]
        ),
        "data.reason: anyOf was ",
    ),
    (
        "open",
        CLAIMED,
        lambda s: s["$defs"]["VoucherClaimed"].pop("additionalProperties"),
        "data: loosened: additionalProperties was false, is not there",
    ),
]


def _lines(schema: Schema) -> Schema:
    found: Schema = schema["$defs"]["RedemptionRequested"]["properties"]["lines"]
    return found


def _tight(schema: Schema) -> Schema:
    spend: Schema = json.loads(json.dumps(schema["$defs"]["SpendLine"]))
    spend["properties"]["amount"]["maximum"] = 5000
    return spend


@pytest.mark.parametrize(("file", "change", "expected"), [row[1:] for row in BREAKS], ids=[row[0] for row in BREAKS])
def test_a_change_that_is_more_than_an_optional_field_is_named(
    schemas: Path, capsys: pytest.CaptureFixture[str], file: str, change: Callable[[Schema], object], expected: str
) -> None:
    edit(schemas / file, change)

    status, lines = said(schemas, capsys)

    assert (status, len(lines)) == (1, 1), lines
    name = Path(file).name.removesuffix(".schema.json")
    assert lines[0].startswith(f"{name}: {expected}"), lines
    assert lines[0].endswith("(released in v0.1.0)")


def test_a_type_that_is_gone_is_missed_as_model_and_as_release(
    schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (schemas / CLAIMED).unlink()

    assert said(schemas, capsys) == (
        1,
        [
            "redress.voucher.claimed.v1: a model without schema in redress.redemption/",
            "redress.voucher.claimed.v1: the type was removed (released in v0.1.0)",
        ],
    )


def test_a_type_that_moved_to_another_topic_is_found(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (schemas / CLAIMED).rename(schemas / "redress.issuance" / Path(CLAIMED).name)

    assert said(schemas, capsys) == (
        1,
        [
            "redress.voucher.claimed.v1: its schema lies in redress.issuance/, its topic is redress.redemption",
            "redress.voucher.claimed.v1: was on topic redress.redemption, is on redress.issuance (released in v0.1.0)",
        ],
    )


def test_schemas_and_examples_without_model_and_models_without_example_are_found(
    schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(schemas / CLAIMED, schemas / "redress.redemption" / "redress.voucher.gifted.v1.schema.json")
    examples = schemas / "examples"
    (examples / "redress.voucher.claimed.v1.json").rename(examples / "redress.voucher.lent.v1.json")

    assert said(schemas, capsys) == (
        1,
        [
            "redress.voucher.claimed.v1: a model without example",
            "redress.voucher.gifted.v1: a schema without model",
            "redress.voucher.lent.v1: an example without model",
        ],
    )


@pytest.mark.parametrize(
    ("topic", "old", "new", "expected"),
    [
        ("balance", 'partitions = "ledger"', "partitions = 1", "redress.balance: partitions was 'ledger', is 1"),
        ("eligibility", 'key = "beneficiary"', 'key = "wave"', "redress.eligibility: key was 'beneficiary', is 'wave'"),
        ("decision", 'direction = "out"', 'direction = "in"', "redress.decision: direction was 'out', is 'in'"),
        ("ledger", '"delete"', '"compact"', "redress.ledger: cleanup.policy was delete, is compact"),
        (
            "issuance",
            '"retention.ms" = -1',
            '"retention.ms" = 1000',
            "redress.issuance: retention.ms was -1, is 1000: less is kept",
        ),
    ],
)
def test_a_topic_that_is_not_what_it_was_is_found(
    schemas: Path, capsys: pytest.CaptureFixture[str], topic: str, old: str, new: str, expected: str
) -> None:
    declared = (schemas / "topics.toml").read_text(encoding="utf-8")
    head, name, rest = declared.partition(f'name = "redress.{topic}"')
    (schemas / "topics.toml").write_text(head + name + rest.replace(old, new, 1), encoding="utf-8")

    assert said(schemas, capsys) == (1, [f"{expected} (released in v0.1.0)"])


def test_a_topic_that_is_gone_or_has_no_types_is_found(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared = (schemas / "topics.toml").read_text(encoding="utf-8")
    (schemas / "topics.toml").write_text(declared.replace('"redress.decision"', '"redress.answer"'), encoding="utf-8")

    assert said(schemas, capsys) == (
        1,
        [
            "redress.decision: types without declared topic",
            "redress.answer: a declared topic without types",
            "redress.decision: the topic was removed (released in v0.1.0)",
        ],
    )


def test_without_a_release_there_is_nothing_to_trust(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(schemas / "released")

    assert said(schemas, capsys) == (1, ["released/: no release to compare with"])


def test_a_release_is_kept_as_it_is(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(schemas), "--release", "v9.9.9"]) == 0

    edit(schemas / CLAIMED, lambda s: s["$defs"]["VoucherClaimed"]["properties"].pop("channel"))
    status, lines = said(schemas, capsys)
    assert status == 1
    assert [line.partition(" (")[2] for line in lines] == ["released in v0.1.0)", "released in v9.9.9)"]
