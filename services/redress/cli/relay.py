"""`redress relay`: what the ledger publishes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from redress.cli.output import AsJson, WrongUseError, json_instant, note, write, write_json
from redress.cli.session import Session, open_session
from redress.ledger.connection import connect
from redress.ledger.queries import query
from redress.runtime.publish.barrier import LedgerProgress

app = typer.Typer(help="What the ledger publishes.", no_args_is_help=True)

Shards = Annotated[
    list[int] | None, typer.Option("--shard", min=0, help="Only this shard; may be repeated. All by default.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Ask for it, and do not wait until it is done.")]


@app.callback()
def root() -> None:
    """Nothing before the sub-command."""


@app.command("re-emit", epilog="Example: redress relay re-emit --shard 3")
def re_emit_command(*, shard: Shards = None, no_wait: NoWait = False, json: AsJson = False) -> None:
    """Publish what every beneficiary and lot has now once more on redress.balance, from the ledger in Postgres.

    The workers that serve the shards do it, between what else they publish; it goes on over their restarts. Run it
    again to see how far it is: what is under way is not begun anew.
    """
    session = open_session()
    outside = [number for number in shard or () if number >= session.identity.shards]
    if outside:
        raise WrongUseError(f"--shard: the ledger has no shard {outside[0]}")
    shards = frozenset(shard or range(session.identity.shards))
    with _progress(quiet=json) as moved:
        rows = session.run(_re_emit(session, shards, moved, wait=not no_wait))
    people, done = sum(row["people"] for row in rows), all(row["done_at"] for row in rows)
    if json:
        write_json({"done": done, "people": people, "shards": [_as_json(row) for row in rows]})
    elif done:
        write(f"published the balances of {people:,} beneficiaries again, on {len(rows)} shards")
    else:
        write(f"asked for on {len(rows)} shards; {people:,} beneficiaries are done")


async def _re_emit(
    session: Session, shards: frozenset[int], moved: Callable[[int, int], None], *, wait: bool
) -> list[Any]:
    """Ask, and wait where somebody is there to do it; how far each shard is."""
    await session.check()
    connection = await connect(session.servers.postgres, application_name="redress-cli")
    try:
        await connection.execute(query("request_re_emission"), sorted(shards))
        if wait:
            await _follow(session, shards, moved)
        return [row for row in await connection.fetch(query("re_emissions")) if row["shard"] in shards]
    finally:
        connection.terminate()


async def _follow(session: Session, shards: frozenset[int], moved: Callable[[int, int], None]) -> None:
    progress = LedgerProgress(session.servers, session.identity.shards, note)
    try:
        if await progress.live_workers() == 0:
            note("no worker is alive: it is done once one runs (`redress run worker`)")
            return
        await progress.wait_for_re_emission(shards, moved)
    finally:
        await progress.stop()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, where a terminal is."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("balances", total=100)

        def moved(percent: int, people: int) -> None:
            bar.update(task, completed=percent, description=f"{people:,} beneficiaries")

        yield moved


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "shard": row["shard"],
        "people": row["people"],
        "requested_at": json_instant(row["requested_at"]),
        "done_at": json_instant(row["done_at"]),
    }
