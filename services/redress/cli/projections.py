"""`redress projections`: what is made of the journal, made anew."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from redress.cli.output import AsJson, WrongUseError, note, plain_table, write, write_json, write_table
from redress.cli.session import Session, open_session
from redress.projections.promote import Progress as Told
from redress.projections.promote import ServedError, compare_shards, promote_shards
from redress.projections.rebuild import BrokenJournalError
from redress.projections.scratch import Rebuilt, steps

EXIT_FOUND = 1

app = typer.Typer(help="What is made of the journal.", no_args_is_help=True)

Shards = Annotated[
    list[int] | None, typer.Option("--shard", min=0, help="Only this shard; may be repeated. All by default.")
]
Promote = Annotated[
    bool,
    typer.Option(
        "--promote",
        help="Put what differs in place, shard by shard, each in one transaction. No worker may serve them.",
    ),
]


@app.callback()
def root() -> None:
    """Nothing before the sub-command."""


@app.command(
    "rebuild",
    epilog="Examples: redress projections rebuild · redress projections rebuild --shard 3 --promote",
)
def rebuild_command(*, shard: Shards = None, promote: Promote = False, json: AsJson = False) -> None:
    """Make state and projections anew from the journal alone, beside the live ones, and show what differs.

    Balances of people, redemptions, lots, waves, terms, roll-ups and counts are rebuilt by shard in scratch tables;
    workers go on undisturbed. With --promote the rows that differ are replaced; a worker that serves one of the
    shards has to be stopped first. What is parked, dead-lettered or published is left alone.

    Exit status 0: nothing differs, or it was put in place; 1: something differs, or a journal does not make sense.
    """
    session = open_session()
    outside = [number for number in shard or () if number >= session.identity.shards]
    if outside:
        raise WrongUseError(f"--shard: the ledger has no shard {outside[0]}")
    shards = sorted(set(shard or range(session.identity.shards)))
    begun_at = time.monotonic()
    try:
        with _progress(len(shards), quiet=json) as told:
            rebuilt = session.run(_rebuild(session, shards, told, promote=promote))
    except ServedError as error:
        raise WrongUseError(str(error)) from error
    except BrokenJournalError as error:
        _tell(
            f"{error}; `redress verify --all` says more. It cannot be healed from itself: recover the ledger", json=json
        )
        raise typer.Exit(EXIT_FOUND) from None
    seconds = time.monotonic() - begun_at
    if json:
        write_json(_as_json(session, rebuilt, seconds))
    else:
        _show(rebuilt, seconds)
    if any(each.rows and not each.promoted for each in rebuilt):
        raise typer.Exit(EXIT_FOUND)


async def _rebuild(session: Session, shards: list[int], told: Told, *, promote: bool) -> list[Rebuilt]:
    await session.check()
    work = promote_shards if promote else compare_shards
    return await work(session.servers.postgres, session.identity, shards, told)


@contextmanager
def _progress(shards: int, *, quiet: bool) -> Iterator[Told]:
    """A bar on standard error, where a terminal is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<36}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    disabled = quiet or not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task("rebuild", total=shards * len(steps()))
        counted = set(steps())
        yield lambda shard, step: bar.update(
            task, description=f"shard {shard}: {step.replace('_', ' ')}", advance=step in counted
        )


def _show(rebuilt: list[Rebuilt], seconds: float) -> None:
    numbers = ("shard", "entries", "lines", "rows that differ")
    table = plain_table(*numbers, "in", numbers=numbers)
    for each in rebuilt:
        where = ", ".join(f"{d.table} {d.rows:,}" for d in each.differences)
        table.add_row(f"{each.shard}", f"{each.entries:,}", f"{each.lines:,}", f"{each.rows:,}", where)
    write_table(table)
    for each in rebuilt:
        for difference in each.differences:
            for problem in difference.problems:
                write(f"shard {each.shard} {difference.table} {problem}")
            if difference.rows > len(difference.problems):
                write(f"shard {each.shard} {difference.table}: and {difference.rows - len(difference.problems):,} more")
    lines, rows = sum(each.lines for each in rebuilt), sum(each.rows for each in rebuilt)
    rate = f"{lines:,} lines in {seconds:.1f} s, {lines / seconds:,.0f} lines/s"
    if not rows:
        write(f"rebuilt is what stands: {rate}")
    elif any(each.promoted for each in rebuilt):
        write(f"{rows:,} rows were put in place: {rate}")
        note("check with `redress verify --all --rebuild`; publish balances again with `redress relay re-emit`")
    else:
        write(f"{rows:,} rows are not what the journal says: {rate}")
        note("nothing was changed; put the rebuilt ones in place with --promote")


def _tell(message: str, *, json: bool) -> None:
    if json:
        write_json({"error": message})
    else:
        note(message)


def _as_json(session: Session, rebuilt: list[Rebuilt], seconds: float) -> dict[str, Any]:
    return {
        "ledger": session.identity.name,
        "passed": not any(each.rows for each in rebuilt),
        "promoted": any(each.promoted for each in rebuilt),
        "entries": sum(each.entries for each in rebuilt),
        "lines": sum(each.lines for each in rebuilt),
        "rows_that_differ": sum(each.rows for each in rebuilt),
        "seconds": round(seconds, 3),
        "shards": [asdict(each) for each in rebuilt],
    }
