"""`redress verify`: the invariants, checked on the live ledger."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from secrets import randbelow
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from redress.cli.output import AsJson, show_amount, write, write_json, write_table
from redress.cli.session import Session, open_session
from redress.ledger.connection import connect
from redress.projections.checks import CheckResult
from redress.projections.verify import Progress as Told
from redress.projections.verify import Report, verify

EXIT_FOUND = 1

Everything = Annotated[bool, typer.Option("--all", help="Recompute the digests of all batches, not of a sample.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Make every shard's state anew from its journal, in memory, and compare.")
]


def verify_command(*, everything: Everything = False, rebuild: Rebuild = False, json: AsJson = False) -> None:
    """Check all invariants on the live ledger, in one snapshot; workers go on undisturbed.

    Exit status 0: nothing was found; 1: a check found something; 2: the ledger cannot be reached.
    """
    session = open_session()
    report = session.run(_verify(session, everything=everything, rebuild=rebuild, quiet=json))
    if json:
        write_json({"ledger": report.ledger, "passed": report.passed, "checks": [_as_json(c) for c in report.checks]})
    else:
        _show(report)
    if not report.passed:
        raise typer.Exit(EXIT_FOUND)


async def _verify(session: Session, *, everything: bool, rebuild: bool, quiet: bool) -> Report:
    await session.check()
    connection = await connect(session.servers.postgres, application_name="redress-verify")
    try:
        with _progress(quiet=quiet) as told:
            return await verify(
                connection, everything=everything, rebuild=rebuild, seed=randbelow(2**32), progress=told
            )
    finally:
        await connection.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Told]:
    """A bar on standard error, where a terminal is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda name, done, steps: bar.update(task, description=name, completed=done, total=steps)


def _show(report: Report) -> None:
    table = Table(title=f"ledger {report.ledger}", box=None, title_justify="left", pad_edge=False, header_style="bold")
    for column in ("check", "", "figures", "what holds"):
        table.add_column(column, overflow="fold")
    for check in report.checks:
        mark = "[green]ok[/]" if check.passed else f"[red]{check.wrong} wrong[/]"
        table.add_row(check.name, mark, _figures(check), check.meaning)
    write_table(table)
    for check in report.checks:
        for problem in check.problems:
            write(f"{check.name}: {problem}")
        if check.wrong > len(check.problems):
            write(f"{check.name}: and {check.wrong - len(check.problems)} more")
    found = sum(not check.passed for check in report.checks)
    sys.stdout.write(
        f"{len(report.checks)} checks, all green\n" if not found else f"{found} of {len(report.checks)} checks failed\n"
    )


def _figures(check: CheckResult) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {show_amount(int(value or 0))}" for name, value in check.figures.items()
    )


def _as_json(check: CheckResult) -> dict[str, Any]:
    return {**asdict(check), "passed": check.passed}
