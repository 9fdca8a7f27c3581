"""Free loopback ports, remembered so that a restarted stack keeps its addresses."""

import json
import random
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from redress.runtime.local.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the range from which systems pick ports for outgoing connections (Linux: 32768 on): otherwise a client that
# reconnects while a server is down may be given the server's own port, and the server cannot come back.
PORT_FIRST, PORT_LAST = 15_000, 32_000
ATTEMPTS_MAX = 200
"""Ports that are tried before the machine is said to have none."""
# The two servers start in threads of one process, which holds the stack's lock, and share one file.
_file_lock = threading.Lock()


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: connections in TIME_WAIT of the last run are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def find_free(taken: Iterable[int] = ()) -> int:
    excluded = set(taken)
    for _ in range(ATTEMPTS_MAX):
        port = random.randint(PORT_FIRST, PORT_LAST)  # noqa: S311 - spreads stacks started at once, guards nothing
        if port not in excluded and is_free(port):
            return port
    raise StackError(f"no free port on {LOOPBACK} between {PORT_FIRST} and {PORT_LAST}")


def remembered(file: Path, name: str) -> int:
    """The port `name` had last time if it is free, else a new one, written down in `file`. Callers hold the lock."""
    with _file_lock:
        known = _read(file)
        port = known.get(name, 0)
        if not port or not is_free(port):
            port = find_free(known.values())
            file.write_text(json.dumps(known | {name: port}, indent=1), encoding="utf-8")
        return port


def _read(file: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in json.loads(file.read_text(encoding="utf-8")).items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}
