"""What integration tests share."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from redress.runtime.local import Stack
from tests.conftest import with_database
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


@pytest.fixture
async def empty_database(stack: Stack) -> AsyncIterator[str]:
    """Nothing was migrated here."""
    name = f"redress_test_{uuid4().hex[:12]}"
    server = await asyncpg.connect(stack.postgres)
    try:
        await server.execute(f'CREATE DATABASE "{name}"')
        yield with_database(stack.postgres, name)
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()
