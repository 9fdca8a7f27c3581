"""`make planted`: small wrong edits, each of which a named test must notice.

`bugs.toml` lists them. Each is made in a copy of the code, its tests are run there, and they must fail; the same tests
must pass on the copy as it was. Exit status 1 if a bug is not noticed, or no longer fits the code.

    python -m tests.planted.run [NAME ...]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUGS = Path(__file__).with_name("bugs.toml")
COPIED = ("services", "tests", "deploy", "schemas", "pyproject.toml")
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
    missed = []
    with tempfile.TemporaryDirectory(prefix="redress-planted-") as folder:
        tree = Path(folder)
        for part in COPIED:
            _copy(ROOT / part, tree / part)
        sound = _passes(sorted({test for bug in bugs for test in bug.tests}), tree)
        sys.stdout.write(f"without a bug: {'green' if sound else 'RED: nothing can be shown'}\n")
        if not sound:
            return 1
        for n, bug in enumerate(bugs, start=1):
            if not _is_noticed(bug, tree, f"{n}/{len(bugs)}"):
                missed.append(bug.name)
    sys.stdout.write(f"{len(bugs) - len(missed)} of {len(bugs)} planted bugs were noticed\n")
    return 1 if missed else 0


def _is_noticed(bug: Bug, tree: Path, place: str) -> bool:
    began = time.monotonic()
    try:
        text = plant(bug, tree)
    except ValueError as error:
        sys.stdout.write(f"{place} {error}\n")
        return False
    noticed = not _passes(bug.tests, tree)
    (tree / bug.file).write_text(text, encoding="utf-8")
    mark = "noticed" if noticed else "MISSED "
    sys.stdout.write(f"{place} {mark} {bug.name}: {bug.why} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.flush()
    return noticed


def _passes(tests: list[str], tree: Path) -> bool:
    # The copy comes before the installed package on the path, so that it is the copy that runs.
    environment = os.environ | {"PYTHONPATH": f"{tree / 'services'}:{tree}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:xdist", *tests]
    try:
        ended = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=TEST_SECONDS_MAX, check=False
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


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


if __name__ == "__main__":
    sys.exit(main())
