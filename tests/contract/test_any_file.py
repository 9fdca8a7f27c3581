"""Whatever a file or an operator says ends as what was meant, or as one clear line about it; nothing else is raised."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from redress.contracts.dead_letter import RecordDeadLettered
from redress.contracts.decode import Rejected
from redress.contracts.examples import example_events
from redress.contracts.ledger import BatchCommitted
from redress.contracts.registry import INPUTS
from redress.domain.entry import DeadLetterReason
from redress.domain.event import Topic
from redress.intake.batch_log import ReplayError
from redress.intake.marker_log import read_letter, read_marker
from redress.runtime.dead_letters import CoordinatesError, parse_coordinates
from redress.runtime.publish.lines import Place, chunks
from redress.runtime.publish.programme_file import ProgrammeFileError, read_programme
from redress.runtime.publish.route import UnroutableError, route
from tests.contract.corpus_replay import files
from tests.contract.records import EXAMPLES, decode_value, topic_of
from tests.contract.test_any_bytes import mutated

PROGRAMME_FILE = (Path(__file__).parents[2] / "deploy/examples/voucher-programme.toml").read_text(encoding="utf-8")
SHARDS = 4
Read = TypeVar("Read")
FROM_DECODER = {
    DeadLetterReason.MALFORMED,
    DeadLetterReason.UNKNOWN_TYPE,
    DeadLetterReason.INVALID,
    DeadLetterReason.MISROUTED,
}
HUGE_NUMBER = "9" * 5_000
CORPUS_LINES = [line for file in files() for line in file.read_bytes().splitlines()]

lines = st.one_of(
    st.binary(max_size=200),
    mutated(),
    st.sampled_from(CORPUS_LINES),
    st.sampled_from(
        [b"", b"  ", b"null", b"[]", b'{"type": 1}', b"[" * 2_000, b'{"a": ' + HUGE_NUMBER.encode() + b"}"]
    ),
).map(lambda line: line.replace(b"\n", b" "))


@given(line=lines)
def test_any_line_is_routed_or_refused_in_one_line(line: bytes) -> None:
    found = _outcome(lambda: route(line), UnroutableError)
    if isinstance(found, str):
        return
    assert found.topic is INPUTS[json.loads(line)["type"]].topic
    assert found.key


@given(file=st.lists(lines, max_size=8), ends=st.booleans())
def test_every_line_of_any_file_is_sent_unchanged_or_reported_once(file: list[bytes], ends: bool) -> None:
    text = b"\n".join(file) + (b"\n" if ends else b"")

    found = list(chunks(io.BytesIO(text), SHARDS, Place()))

    sent = [record.value for chunk in found for record in chunk.records]
    reported = [unrouted.line for chunk in found for unrouted in chunk.unrouted]
    said = {n: line for n, line in enumerate(text.split(b"\n"), start=1) if line.strip()}
    assert len(set(reported)) == len(reported)
    assert sent == [line for n, line in said.items() if n not in reported]


@given(line=lines, topic=st.sampled_from(Topic))
def test_what_is_no_event_is_one_named_dead_letter(line: bytes, topic: Topic) -> None:
    outcome = decode_value(line, topic, "clock")

    if isinstance(outcome, Rejected):
        assert outcome.reason in FROM_DECODER
        assert 0 < len(outcome.detail) <= 200
        assert "\n" not in outcome.detail
    else:
        assert INPUTS[outcome.type].topic is topic


@given(name=st.sampled_from(sorted(EXAMPLES)), secret=st.text("abcdefghij", min_size=12, max_size=20), data=st.data())
def test_a_dead_letter_repeats_no_value(name: str, secret: str, data: st.DataObject) -> None:
    event = json.loads(json.dumps(EXAMPLES[name]))
    where = data.draw(st.sampled_from(["data", "envelope", "new field"]))
    if where == "data":
        event["data"][data.draw(st.sampled_from(sorted(event["data"])))] = [secret]
    elif where == "new field":
        event["data"][secret] = secret
    else:
        event[data.draw(st.sampled_from(["time", "source", "id", "specversion"]))] = {secret: secret}

    outcome = decode_value(json.dumps(event).encode(), topic_of(event), EXAMPLES[name]["partitionkey"])

    assert isinstance(outcome, Rejected)
    assert secret not in outcome.detail


@st.composite
def programme_texts(draw: st.DrawFn) -> str:
    """The example with a piece replaced, or any text."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.text())
    text = PROGRAMME_FILE
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    pieces = [
        "",
        "[",
        "]",
        "[[wave]]\n",
        "[wave]\n",
        "wave = [1]\n",
        "= 1\n",
        '"',
        "'",
        "=",
        "{",
        "\n",
        "2026-01-01",
        "nan",
    ]
    return text[:start] + draw(st.sampled_from(pieces) | st.text(max_size=5)) + text[end:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=programme_texts())
@example("wave = [1]\n[programme]")
@example(PROGRAMME_FILE.partition("[[wave]]")[0].replace("[programme]", "wave = [1]\n[programme]", 1))
@example(PROGRAMME_FILE.partition("[[wave]]")[0].replace("[programme]", 'wave = ["w", {}]\n[programme]', 1))
@example(f"a = {HUGE_NUMBER}")
@example("a = " + "[" * 5_000)
@example("programme = 1")
@example("[programme]\nversion = 1979-05-27")
def test_any_programme_file_is_read_or_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "programme.toml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")

    found = _outcome(lambda: read_programme(file), ProgrammeFileError)

    assert found.startswith(f"{file}: ") if isinstance(found, str) else len(found) >= 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary())
def test_any_bytes_as_programme_file_are_refused_in_one_line(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "programme.toml"
    file.write_bytes(raw)

    with pytest.raises(ProgrammeFileError) as raised:
        read_programme(file)
    assert len(str(raised.value).splitlines()) == 1


@given(
    text=st.text() | st.builds("{}/{}/{}".format, st.sampled_from(Topic) | st.text(), st.integers(), st.integers()),
    prefix=st.sampled_from(["", "trial.", "redress."]),
)
def test_any_coordinates_are_read_or_refused(text: str, prefix: str) -> None:
    assert _outcome(lambda: parse_coordinates(text, prefix), CoordinatesError)


@given(topic=st.sampled_from(Topic), partition=st.integers(0, 2**15 - 1), offset=st.integers(0, 2**63 - 1))
def test_coordinates_are_read_with_and_without_prefix(topic: Topic, partition: int, offset: int) -> None:
    for prefix in ("", "trial."):
        found = parse_coordinates(f"{prefix}{topic.value}/{partition}/{offset}", "trial.")
        assert (found.topic, found.partition, found.offset) == (topic, partition, offset)


OUT = {name: event for name, event in example_events().items() if name not in EXAMPLES}
PUBLISHED = [json.dumps(event).encode() for event in OUT.values()]


@given(value=st.none() | st.binary() | mutated(PUBLISHED) | mutated())
@example(value=b"[]")
@example(value=b'"type"')
@example(value=b'{"type": "redress.batch.committed.v1", "data": []}')
def test_what_a_recovery_reads_back_is_what_was_published_or_refused_in_one_line(value: bytes | None) -> None:
    for read in (read_marker, read_letter):
        found = _outcome(lambda read=read: read("redress.ledger/0/7", value), ReplayError)  # type: ignore[misc]
        if isinstance(found, str):
            assert found.startswith("redress.ledger/0/7 ")
        else:
            assert type(found).model_validate(json.loads(value or b"")["data"]) == found


def test_markers_and_dead_letters_are_read_back() -> None:
    marker, letter = OUT["redress.batch.committed.v1"], OUT["redress.record.dead_lettered.v1"]

    assert read_marker("", json.dumps(marker).encode()) == BatchCommitted.model_validate(marker["data"])
    assert read_letter("", json.dumps(letter).encode()) == RecordDeadLettered.model_validate(letter["data"])


def _outcome(read: Callable[[], Read], refusal: type[Exception]) -> Read | str:
    """What was read, or the one line that says why not."""
    try:
        return read()
    except refusal as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    return said
