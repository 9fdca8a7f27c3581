"""The image: what its Dockerfile copies and runs, done in a folder of its own, makes a `redress` that works.

No engine takes part, so the base images and the last stage's user are not covered.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.conftest import TEST_LEDGER
from tests.harness.command import Command
from tests.unit.test_proof_page import ROOT

DOCKERFILE: Final = ROOT / "deploy" / "image" / "Dockerfile"
MIGRATIONS: Final = ROOT / "services" / "redress" / "ledger" / "migrations"
UV: Final = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))


class Instruction(NamedTuple):
    """A line of a Dockerfile."""

    name: str
    words: list[str]


def stages() -> list[list[Instruction]]:
    """Instructions of each stage, `FROM` first."""
    found: list[list[Instruction]] = []
    for line in DOCKERFILE.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found += [[]] if name == "FROM" else []
            found[-1].append(Instruction(name, shlex.split(rest)))
    return found


def ignored(path: str) -> bool:
    """Whether the build does not see it: everything is left out that no line lets in."""
    lines = DOCKERFILE.with_suffix(".dockerignore").read_text().splitlines()
    return not any(path == line[1:] or path.startswith(f"{line[1:]}/") for line in lines if line.startswith("!"))


def build(source: Path, installed: Path) -> None:
    """What the first stage does."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for name, words in stages()[0]:
        if name == "ENV":
            environment |= dict(word.split("=", 1) for word in words)
            environment |= {"UV_PROJECT_ENVIRONMENT": str(installed), "UV_PYTHON": sys.executable}
        elif name == "COPY":
            for word in words[:-1]:
                assert not ignored(word), word
                _copy(ROOT / word, source / words[-1] / (word if words[-1] == "./" else ""))
        elif name == "RUN" and words[0] == "uv":
            assert UV is not None, "uv is not there: `make setup` installs it"
            subprocess.run([UV, "--quiet", *words[1:]], cwd=source, env=environment, check=True)


def _copy(of: Path, to: Path) -> None:
    if of.is_dir():
        shutil.copytree(of, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(of, to)


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Path]:
    installed = tmp_path / "installed"
    build(tmp_path / "source", installed)
    shutil.rmtree(tmp_path / "source")
    yield installed
    shutil.rmtree(installed)


async def test_what_the_image_holds_migrates_a_database_makes_topics_and_serves_shards(
    redress: Command, empty_database: str, built: Path
) -> None:
    program = replace(redress, program=(str(built / "bin" / "redress"),))
    settings = {"REDRESS_POSTGRES": empty_database}

    async with program.process("migrate", "--json", **settings) as migrating:
        migrated = (await migrating.ends()).json
    async with program.process("topics", "apply", "--json", **settings) as applying:
        applied = await applying.ends()
    async with program.process("run", "worker", **settings) as worker:
        for shard in range(TEST_LEDGER.shards):
            await worker.says(f"shard={shard} ")
        stopped = await worker.stop()

    assert migrated["applied"] == sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    assert applied.status == 0, applied.err
    assert stopped.status == 0, stopped.err


def test_the_last_stage_takes_what_the_first_installed_and_runs_it_as_nobody_special() -> None:
    first, last = stages()

    (installed,) = [word for name, words in first if name == "ENV" for word in words if "PROJECT_ENVIRONMENT" in word]
    path = installed.partition("=")[2]
    assert Instruction("COPY", ["--from=build", path, path]) in last
    assert any(word == f"PATH={path}/bin:$PATH" for name, words in last if name == "ENV" for word in words)
    assert first[0].words == [*last[0].words, "AS", "build"]
    (user,) = [words[0] for name, words in last if name == "USER"]
    assert user.isdecimal()
    assert user != "0"


def test_the_image_installs_with_the_uv_of_the_makefile() -> None:
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    installing = [words for name, words in stages()[0] if name == "RUN" and words[0] == "pip"]

    assert version is not None
    assert [words[-1] for words in installing] == [f"uv=={version[1]}"]
