"""`redress migrate`: schema, roles and shards of the ledger."""

from dataclasses import asdict

from redress.cli.output import AsJson, write, write_json
from redress.cli.session import open_session
from redress.ledger.migrate import migrate


def migrate_command(*, json: AsJson = False) -> None:
    """Bring the database's schema and roles up to date; the first time, begin the ledger.

    The first run writes REDRESS_LEDGER, REDRESS_SHARDS, REDRESS_CLOCK and REDRESS_PARKING_SECONDS into the ledger,
    where they never change: a setting that differs later is an error.
    """
    session = open_session()

    async def work() -> list[str]:
        return migrate(session.servers.postgres, session.identity)

    applied = session.run(work())
    if json:
        write_json({"applied": applied, "ledger": asdict(session.identity)})
        return
    for name in applied:
        write(f"applied    {name}")
    identity = session.identity
    write(
        f"{'begun' if applied else 'up to date'}: ledger {identity.name}, {identity.shards} shards, "
        f"clock {identity.clock}, parking {identity.parking_seconds} s"
    )
