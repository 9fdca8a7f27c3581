"""Java programs, compiled by the Eclipse compiler and run on the Java runtime of the local stack.

`python -m tests.harness.java_program` downloads the compiler ahead.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from redress.runtime.local.java import jar_folder, java

RELEASE: Final = "21"
"""What the programs are written in; the runtime is newer."""
LOCK: Final = Path(__file__).with_name("ecj.lock")


def compiled(source: Path, libraries: Sequence[Path], folder: Path) -> list[str]:
    """Compile one file into a folder, a warning being an error; the command that runs it."""
    class_path = ":".join(str(library) for library in libraries)
    done = subprocess.run(
        [
            *(java(), "-cp", f"{compiler()}/*", "org.eclipse.jdt.internal.compiler.batch.Main"),
            *("-source", RELEASE, "-target", RELEASE, "-failOnWarning", "-cp", class_path, "-d", folder, source),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [str(java()), "-cp", f"{class_path}:{folder}", source.stem]


def compiler() -> Path:
    """The folder it lies in."""
    return jar_folder("ecj", LOCK.read_text(encoding="utf-8"))


if __name__ == "__main__":
    compiler()
