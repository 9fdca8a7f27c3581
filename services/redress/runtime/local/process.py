"""Server processes that outlive the command that started them."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redress.runtime.local.errors import StackError

POLL_SECONDS = 0.05
KILL_WAIT_SECONDS = 10.0
TAIL_LINES = 25
PROC = Path("/proc")
LOG_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of a log before a start begins another; one older one is kept."""

# The shell leaves the server behind as an orphan and says its process id. Its output goes to the log (the shell's
# stderr), so that nothing keeps the pipe open.
LAUNCH = '"$@" </dev/null >&2 & echo $!'


@dataclass(frozen=True, slots=True)
class Account:
    """The user a server runs as, where it must not be root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process by its id file. `marker` is part of its command line: an id reused by another program is not it."""

    pid_file: Path
    marker: str

    def pid(self) -> int | None:
        """The id if the process runs, None if it does not (or only a zombie is left)."""
        try:
            pid = int(self.pid_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if self.marker in command_line(pid) else None

    def spawn(self, command: Sequence[str], log: Path, account: Account | None = None) -> None:
        with log.open("ab") as output:
            launcher = subprocess.run(  # noqa: S603 - our own argument list
                ["/bin/sh", "-c", LAUNCH, "launch", *command],
                stdout=subprocess.PIPE,
                stderr=output,
                check=True,
                start_new_session=True,  # Ctrl-C in the terminal is for the command, not for the servers
                cwd="/",
                env=environment(),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self.pid_file.write_text(launcher.stdout.decode().strip(), encoding="utf-8")

    def stop(self, first: signal.Signals, grace_seconds: float) -> None:
        """Ask, wait, then kill. Returns when the process is gone."""
        pid = self.pid()
        if pid is not None and not self._end(pid, first, grace_seconds):
            self.kill()
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        pid = self.pid()
        if pid is not None and not self._end(pid, signal.SIGKILL, KILL_WAIT_SECONDS):
            raise StackError(f"process {pid} does not end, even after SIGKILL")

    def _end(self, pid: int, by: signal.Signals, wait_seconds: float) -> bool:
        try:
            os.kill(pid, by)
        except ProcessLookupError:
            return True
        except PermissionError:
            raise StackError(
                f"process {pid} belongs to another user: stop the stack as the user who started it"
            ) from None
        return wait_until(lambda: self.pid() is None and _has_ended(pid), wait_seconds)


def runs(pid: int) -> bool:
    """False for a zombie too: where nobody reaps them (a container's process 1) they stay for long."""
    return bool(command_line(pid))


def _has_ended(pid: int) -> bool:
    """Whether its ports are free. Its command line is gone earlier, while threads of it still close their sockets."""
    try:
        state = (PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        threads = list((PROC / str(pid) / "task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX" and len(threads) <= 1


def working_in(folder: Path) -> list[int]:
    """The processes whose working directory is `folder`. Only Linux tells; elsewhere none."""
    found = []
    for process in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found


def wait_until(condition: Callable[[], bool], seconds_max: float) -> bool:
    """Whether `condition` became true in time."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def run(command: Sequence[str], account: Account | None = None) -> subprocess.CompletedProcess[str]:
    """A command to its end, its output (both streams) in `stdout`."""
    return subprocess.run(  # noqa: S603 - our own argument list
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd="/",
        env=environment(),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def environment() -> dict[str, str]:
    """The little the servers need: a PG… or KAFKA… variable of the user's shell must not change them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", "LC_ALL": "C", "TZ": "UTC"}


def fresh_log(log: Path) -> None:
    """Keeps one older log once the file has grown large, and marks where this start begins."""
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(log.suffix + ".1"))


def tail(*logs: Path) -> str:
    """The last lines of the logs, each under its path, for an error message."""
    parts = []
    for log in logs:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        if lines:
            parts.append("\n".join([f"--- last lines of {log}", *lines[-TAIL_LINES:]]))
    return "\n".join(parts) or "(its log is empty)"


def command_line(pid: int) -> str:
    """Empty for a process that does not exist or has ended and waits to be reaped."""
    if (PROC / "self" / "cmdline").exists():
        try:
            return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return run(["ps", "-ww", "-o", "command=", "-p", str(pid)]).stdout
