"""The list of planted bugs fits the code as it is: each can still be made, and names tests that are there."""

import re
from collections import Counter

import pytest

from tests.planted.run import ROOT, Bug, load

BUGS = load()
BUGS_MIN = 25


def test_there_are_many_and_each_has_its_own_name() -> None:
    assert len(BUGS) >= BUGS_MIN
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_text_to_change_stands_there_once(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text(encoding="utf-8").count(bug.old) == 1
    assert bug.new != bug.old


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_names_the_tests_that_notice(bug: Bug) -> None:
    assert bug.tests
    for test in bug.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test
