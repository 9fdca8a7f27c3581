"""Every invariant that can be checked on a live ledger, as one assertion."""

from redress.ledger.connection import connect
from redress.projections.verify import Report, verify


async def verified(dsn: str) -> Report:
    """All checks, with every batch digest recomputed and every shard rebuilt."""
    connection = await connect(dsn, application_name="test-verify")
    try:
        return await verify(connection, everything=True, rebuild=True)
    finally:
        await connection.close()


async def assert_ledger_sound(dsn: str) -> None:
    """Raises AssertionError with the problems that were found."""
    report = await verified(dsn)
    problems = [f"{check.name}: {problem}" for check in report.checks for problem in check.problems]
    assert report.passed, "\n".join(["the ledger is not sound:", *problems])
