"""What the tests of the command line share."""

from pathlib import Path

import pytest

from redress.runtime.local import Stack
from tests.harness.command import Command, environment_of


@pytest.fixture
def redress(
    stack: Stack,
    database: str,
    topic_prefix: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """`redress` with the settings of the test's own ledger."""
    return Command(environment_of(stack, database, topic_prefix, tmp_path), capsys, monkeypatch)
