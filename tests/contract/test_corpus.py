"""Every event version that was ever published is read, and decided as it was: a ledger is replayed years later."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from redress.contracts.registry import INPUTS
from tests.contract.corpus_replay import files, outcomes, pinned

VARIANTS_MIN = 3
"""Of each type: forms that differ in more than their ids."""


@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_the_corpus_is_decided_as_it_was(file: Path) -> None:
    assert list(outcomes(file)) == pinned(file).read_text(encoding="utf-8").splitlines()


def test_every_type_is_there_in_several_forms_and_is_accepted() -> None:
    seen: Counter[str] = Counter()
    accepted = set()
    for file in files():
        for line, outcome in zip(file.read_bytes().splitlines(), outcomes(file), strict=False):
            name = orjson.loads(line)["type"]
            if "rejected" not in outcome:
                seen[name] += 1
            if " accepted" in outcome or "clock" in name:
                accepted.add(name)

    assert accepted == INPUTS.keys()
    assert {name for name, count in seen.items() if count >= VARIANTS_MIN} == INPUTS.keys()


def test_outcomes_of_every_kind_are_pinned() -> None:
    text = "".join(pinned(file).read_text(encoding="utf-8") for file in files())

    for outcome in ("accepted", "refused", "no_effect", "duplicate", "parked", "dead letter", "rejected", "by lot"):
        assert f" {outcome}" in text, outcome
