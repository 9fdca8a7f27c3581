"""The user PostgreSQL runs as: it refuses root, so that root lends it to an unprivileged account."""

import os
import pwd
import stat
from pathlib import Path

from redress.runtime.local.errors import StackError
from redress.runtime.local.process import Account

# There on every system, so that no user need be made. `pgserver` is what the wheel itself would make.
CANDIDATES = ("pgserver", "nobody")


def unprivileged() -> Account | None:
    """None where the present user will do."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StackError(f"PostgreSQL does not run as root, and none of the users {', '.join(CANDIDATES)} exists")


def give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


def open_way(path: Path, account: Account | None) -> None:
    """Lets the account pass through (not list) the folders above `path`, for instance root's home."""
    if account is None:
        return
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
