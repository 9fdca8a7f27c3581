"""Schema and roles: plain SQL files, forward only, run by yoyo; then the shards, once, with what never changes."""

from collections.abc import Callable
from importlib.resources import as_file, files
from urllib.parse import urlencode, urlsplit, urlunsplit

import psycopg
from yoyo import get_backend, read_migrations

from redress.ledger.identity import LedgerIdentity


class IdentityError(Exception):
    """A setting differs from what the ledger began with. The message names the variable."""


def migrate(dsn: str, identity: LedgerIdentity, *, up_to: str | None = None) -> list[str]:
    """Bring the database up to date; the names of the migrations applied now.

    `up_to`: the last migration to apply; None: all.

    Raises:
        IdentityError: the ledger began with other settings.
        psycopg.OperationalError: the server cannot be reached.
    """
    applied = _apply(dsn, lambda name: up_to is None or name <= up_to)
    with psycopg.connect(dsn) as connection:
        _fix_identity(connection, identity)
    return applied


def check_identity(stored: LedgerIdentity, wanted: LedgerIdentity) -> None:
    """Refuse settings that differ from the ledger's.

    Raises:
        IdentityError: naming the variable and both values.
    """
    pairs = (
        ("REDRESS_LEDGER", stored.name, wanted.name),
        ("REDRESS_SHARDS", stored.shards, wanted.shards),
        ("REDRESS_CLOCK", stored.clock, wanted.clock),
        ("REDRESS_PARKING_SECONDS", stored.parking_seconds, wanted.parking_seconds),
    )
    for variable, has, asked in pairs:
        if has != asked:
            raise IdentityError(f"{variable} is {asked!r}, but this ledger began with {has!r}, which never changes")


def _apply(dsn: str, wanted: Callable[[str], bool]) -> list[str]:
    folder_of_package = as_file(files("redress.ledger").joinpath("migrations"))
    with get_backend(_for_yoyo(dsn)) as backend, folder_of_package as folder, backend.lock():
        migrations = read_migrations(str(folder)).filter(lambda m: wanted(m.id))
        pending = backend.to_apply(migrations)
        backend.apply_migrations(pending)
        return [migration.id for migration in pending]


def _for_yoyo(dsn: str) -> str:
    """Its own tables stay in `public`: a user called redress would else find them in the schema of that name."""
    parts = urlsplit(dsn)
    options = urlencode({"options": "-csearch_path=public"})
    return urlunsplit(parts._replace(scheme="postgresql+psycopg", query="&".join(filter(None, (parts.query, options)))))


def _fix_identity(connection: psycopg.Connection, identity: LedgerIdentity) -> None:
    # Two first migrations at once: the lock lets one write, and the other read what it wrote.
    connection.execute("lock table redress.ledger in access exclusive mode")
    row = connection.execute("select name, shards, clock, parking_seconds from redress.ledger").fetchone()
    if row is not None:
        check_identity(LedgerIdentity(*row), identity)
        return
    connection.execute(
        "insert into redress.ledger (name, shards, clock, parking_seconds) values (%s, %s, %s, %s)",
        (identity.name, identity.shards, identity.clock, identity.parking_seconds),
    )
    connection.execute("select redress.create_shards(%s)", (identity.shards,))
