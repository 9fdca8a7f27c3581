"""How far a file was sent, kept beside the local stack, so that the same command goes on where it stopped."""

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from redress.intake.worker import Servers
from redress.runtime.publish.lines import Place

HEAD_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """`place`: what is acknowledged; `unrouted`: how many lines of it had no topic or key."""

    place: Place
    unrouted: int


class Bookmark:
    """One file's, towards one ledger's topics. A file that was changed since is another file: it begins anew."""

    def __init__(self, state: Path, file: Path, servers: Servers) -> None:
        self._path = state / "publish" / f"{_identify(file, servers)}.json"
        self._file = file

    def read(self) -> Progress | None:
        """Where the file stands; None if it was never begun, or was finished."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return Progress(Place(kept["line"], kept["offset"]), kept["unrouted"])
        except (OSError, ValueError, KeyError):
            return None

    def write(self, progress: Progress) -> None:
        """Keep it, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        kept = {"file": str(self._file), **asdict(progress.place), "unrouted": progress.unrouted}
        new.write_text(json.dumps(kept), encoding="utf-8")
        new.replace(self._path)

    def forget(self) -> None:
        """The file is finished."""
        self._path.unlink(missing_ok=True)


def _identify(file: Path, servers: Servers) -> str:
    stat = file.stat()
    with file.open("rb") as opened:
        head = sha256(opened.read(HEAD_BYTES)).hexdigest()
    place = os.path.realpath(file)
    parts = (servers.kafka, servers.topic_prefix, place, stat.st_ino, stat.st_size, stat.st_mtime_ns, head)
    return sha256(repr(parts).encode()).hexdigest()[:32]
