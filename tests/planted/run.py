"""`make planted`: small wrong edits, each of which a named test must notice.

`bugs.toml` lists them. Each is made in a copy of the code, its tests are run there, and they must fail; the same tests
must pass on the copy as it was. One Kafka and one Postgres serve them all. Exit status 1 if a bug is not noticed, or no
longer fits the code.

    python -m tests.planted.run [NAME ...]
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from compileall import compile_dir
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue

from redress.runtime.local import Stack, down, up
from tests.conftest import TEST_SIZE

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).with_name("bugs.toml")
COPIED = ("services", "tests", "deploy", "schemas", "pyproject.toml")
TREES = 2
"""Copies in which bugs are planted at the same time: tests wait for servers more than they compute."""
TEST_SECONDS_MAX = 300
"""A test that takes longer has noticed too, by hanging; but none here should."""


@dataclass(frozen=True, slots=True)
class Bug:
    """One wrong edit: in `file`, `old` (which stands there once) becomes `new`; `tests` must fail."""

    name: str
    why: str
    file: str
    old: str
    new: str
    tests: list[str]


def load(file: Path = BUGS) -> list[Bug]:
    """The list of bugs."""
    return [Bug(**bug) for bug in tomllib.loads(file.read_text(encoding="utf-8"))["bug"]]


def plant(bug: Bug, tree: Path) -> str:
    """Make the edit in a copy; the text as it was.

    Raises:
        ValueError: the text does not stand there just once.
    """
    path = tree / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: the text to change stands {text.count(bug.old)} times in {bug.file}")
    path.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    return text


def main() -> int:
    """Plant each bug in turn, and say which test noticed."""
    parser = argparse.ArgumentParser(description="Plant small bugs and see that their tests notice.")
    parser.add_argument("names", nargs="*", help="only these bugs")
    wanted = set(parser.parse_args().names)
    bugs = [bug for bug in load() if not wanted or bug.name in wanted]
    if not bugs or (wanted and len(bugs) != len(wanted)):
        sys.stderr.write("no such bug; they are listed in tests/planted/bugs.toml\n")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the servers would go on
    folder = Path(tempfile.mkdtemp(prefix="redress-planted-"))
    try:
        missed = _plant_all(bugs, folder)
    finally:
        down(folder / "stack")
        shutil.rmtree(folder)
    return 1 if missed else 0


def _plant_all(bugs: list[Bug], folder: Path) -> int:
    """How many were not noticed; all of them where the tests fail without a bug."""
    stack = up(folder / "stack", options=TEST_SIZE, provider="processes")
    trees: SimpleQueue[Tree] = SimpleQueue()
    for number in range(TREES):
        trees.put(Tree(folder / str(number), stack))

    def pass_in_a_tree(tests: list[str]) -> bool:
        with _taken(trees) as tree:
            return tree.passes(tests)

    def is_noticed_in_a_tree(bug: Bug) -> bool:
        with _taken(trees) as tree:
            return _is_noticed(bug, tree)

    tests = sorted({test for bug in bugs for test in bug.tests})
    with ThreadPoolExecutor(TREES) as pool:
        sound = all(list(pool.map(pass_in_a_tree, (tests[n::TREES] for n in range(TREES)))))
        sys.stdout.write(f"without a bug: {'green' if sound else 'RED: nothing can be shown'}\n")
        if not sound:
            return len(bugs)
        found = list(pool.map(is_noticed_in_a_tree, bugs))
    sys.stdout.write(f"{sum(found)} of {len(bugs)} planted bugs were noticed\n")
    return found.count(False)


class Tree:
    """A copy of the code, in which one bug at a time is planted and its tests are run."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.folder = folder
        for part in COPIED:
            _copy(ROOT / part, folder / part)
        # By hash, not by time: a bug comes and goes within a second.
        compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        # The copy comes before the installed package on the path, so that it is the copy that runs.
        self._environment = os.environ | {
            "PYTHONPATH": f"{folder / 'services'}:{folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "REDRESS_KAFKA": stack.kafka,
            "REDRESS_POSTGRES": stack.postgres,
        }

    def passes(self, tests: list[str]) -> bool:
        """Whether they all do."""
        if not tests:
            return True
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:xdist", *tests]
        try:
            ended = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                timeout=TEST_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        if ended.returncode == 1:
            failed = [line for line in ended.stdout.decode(errors="replace").splitlines() if line.startswith("FAILED")]
            sys.stdout.write("".join(f"    {line}\n" for line in failed))
        if ended.returncode not in (0, 1):
            sys.stderr.buffer.write(ended.stdout[-2_000:])
            raise RuntimeError(f"pytest ended with {ended.returncode}: is a test of bugs.toml gone?")
        return ended.returncode == 0


@contextmanager
def _taken(trees: "SimpleQueue[Tree]") -> Iterator[Tree]:
    tree = trees.get()
    try:
        yield tree
    finally:
        trees.put(tree)


def _is_noticed(bug: Bug, tree: Tree) -> bool:
    began = time.monotonic()
    try:
        text = plant(bug, tree.folder)
    except ValueError as error:
        sys.stdout.write(f"{error}\n")
        return False
    noticed = not tree.passes(bug.tests)
    (tree.folder / bug.file).write_text(text, encoding="utf-8")
    mark = "noticed" if noticed else "MISSED "
    sys.stdout.write(f"{mark} {bug.name}: {bug.why} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.flush()
    return noticed


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


if __name__ == "__main__":
    sys.exit(main())
