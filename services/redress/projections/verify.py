"""`verify`: the invariants of the ledger, checked on a live one, all in the same snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from redress.ledger.connection import Connection
from redress.ledger.identity import LedgerIdentity
from redress.ledger.queries import query
from redress.projections.checks import PACKAGE, CheckResult, Findings, run_sql_check, sql_checks
from redress.projections.digests import check_digests
from redress.projections.rebuild import compare_shard

SHOWN_MAX = 10
"""Problems shown of each check: enough to see the pattern."""
REBUILD_MEANING: Final = "every shard rebuilt from its journal alone is the live one, row by row"

Progress = Callable[[str, int, int], None]
"""Called with the name of what begins, how many steps are done, and how many there are."""


class NoLedgerError(Exception):
    """The database holds no ledger."""


@dataclass(frozen=True, slots=True)
class Report:
    """All checks, in order."""

    ledger: str
    checks: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no check found anything."""
        return all(check.passed for check in self.checks)


async def verify(
    connection: Connection,
    *,
    everything: bool = False,
    rebuild: bool = False,
    seed: int = 0,
    shown_max: int = SHOWN_MAX,
    progress: Progress = lambda _name, _done, _steps: None,
) -> Report:
    """Run all checks in one snapshot; writers go on undisturbed.

    `everything`: recompute all batch digests, not a sample (`seed` chooses it). `rebuild`: make every shard's state
    anew from its journal, in memory, and compare it with the live rows.

    Raises:
        NoLedgerError: nothing was migrated here.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        identity = await _identity(connection)
        shards = [row["shard"] for row in await connection.fetch(query("read_shards", PACKAGE))]
        names = sql_checks()
        steps = len(names) + 1 + (len(shards) if rebuild else 0)
        checks: list[CheckResult] = []
        for name in names:
            progress(name, len(checks), steps)
            checks.append(await run_sql_check(connection, name, shown_max))
        progress("digests", len(checks), steps)
        checks.append(
            await check_digests(connection, identity, shards, everything=everything, seed=seed, shown_max=shown_max)
        )
        if rebuild:
            checks.append(await _check_rebuilt(connection, identity, shards, shown_max, progress))
        progress("done", steps, steps)
    return Report(identity.name, tuple(checks))


async def _identity(connection: Connection) -> LedgerIdentity:
    if await connection.fetchval(query("has_ledger", PACKAGE)) is None:
        raise NoLedgerError("there is no ledger in this database: run `redress migrate` first")
    row = await connection.fetchrow(query("load_ledger"))
    if row is None:
        raise NoLedgerError("the ledger in this database was never begun: run `redress migrate` first")
    return LedgerIdentity(*row)


async def _check_rebuilt(
    connection: Connection, identity: LedgerIdentity, shards: list[int], shown_max: int, progress: Progress
) -> CheckResult:
    findings = Findings(shown_max)
    rows = equal = 0
    done = len(sql_checks()) + 1
    for shard in shards:
        progress(f"rebuild of shard {shard}", done + shard, done + len(shards))
        comparison = await compare_shard(connection, identity, shard)
        rows += comparison.rows
        equal += comparison.live_digest == comparison.rebuilt_digest
        findings.add(comparison.differences)
        if comparison.live_digest != comparison.rebuilt_digest and not comparison.differences:
            findings.add([f"shard {shard}: digests of live and rebuilt rows differ"])
    return findings.result("rebuild", REBUILD_MEANING, {"rows": rows, "shards_equal": equal})
