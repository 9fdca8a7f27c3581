"""`redress demo`: the whole programme on the local stack, and the proof of its figures."""

import asyncio
import os
import signal
import sys
import time
from typing import Annotated

import orjson
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from redress.cli.figures import liability_command, roll_forward_command
from redress.cli.output import write
from redress.cli.wave import show_command as wave_show_command
from redress.ledger.connection import connect
from redress.runtime.demo.proof import Figure, compare
from redress.runtime.demo.run import DemoLedger, Progress, play, prepare
from redress.runtime.demo.story import FIRST, SECOND, Story
from redress.runtime.local import External, down, status, up
from redress.runtime.settings import Settings, load_settings

PEOPLE_MIN = 100
"""Below it some of the story's ways would have nobody to walk them."""
PEOPLE = 33_865
"""The real programme at 1 : 1,000: 33,700 people and 165 more."""
REFRESH_PER_SECOND = 4


def demo(
    *,
    beneficiaries: Annotated[
        int, typer.Option("--beneficiaries", "-n", min=PEOPLE_MIN, help="How many people, in both waves together.")
    ] = PEOPLE,
    once: Annotated[
        bool, typer.Option("--once", help="End after the proof (implied without a terminal); else wait for Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Run a whole compensation programme on real Kafka and real Postgres, and prove its figures.

    Starts the local stack if it is down, makes a ledger of its own, tells the story from January to the last expiry,
    and ends with every figure of the ledger beside an independent count. Exit status 0 only if all agree.

    Example: redress demo --beneficiaries 5000 --once
    """
    settings = load_settings()
    console = Console(stderr=as_json)
    external = External.of(settings)
    was_up = status(settings.state, external).state == "up"
    console.print("Starting Kafka and Postgres …" if not was_up else "Kafka and Postgres are running.")
    stack = up(settings.state, external)
    try:
        ledger, agrees = asyncio.run(
            _run(settings, stack.kafka, stack.postgres, beneficiaries, console, as_json=as_json)
        )
        if not as_json:
            _look_around(ledger)
        if not once and not as_json and sys.stdout.isatty():
            console.print("\nThe servers stay up until you press Ctrl-C.")
            signal.pause()
    finally:
        if not was_up:
            down(settings.state, external)
            console.print("\nThe servers are stopped; `redress local up` starts them again, with all that is in them.")
    raise typer.Exit(0 if agrees else 1)


async def _run(
    settings: Settings, kafka: str, postgres: str, people: int, console: Console, *, as_json: bool
) -> tuple[DemoLedger, bool]:
    ledger = await prepare(kafka, postgres, settings.state)
    story, progress = Story(people), Progress()
    began = time.monotonic()
    with Live(console=console, refresh_per_second=REFRESH_PER_SECOND, transient=False) as live:
        await play(ledger, story, progress, lambda: live.update(_view(progress)))
    took = time.monotonic() - began
    reader = await connect(ledger.servers.postgres, application_name="redress-demo")
    try:
        console.print("Checking every figure …")
        figures = await compare(reader, story, progress)
    finally:
        await reader.close()
    agrees = all(figure.agrees for figure in figures)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(_json(figures, progress, took), option=orjson.OPT_APPEND_NEWLINE))
    else:
        console.print(_rates(progress, took), _proof(figures))
        console.print("[green]Every figure agrees.[/]" if agrees else "[red]Figures differ: see the lines marked ≠.[/]")
        console.print(_commands(ledger, story), soft_wrap=True, highlight=False)
    return ledger, agrees


def _look_around(ledger: DemoLedger) -> None:
    """Show the figures as anybody would ask for them."""
    os.environ.update(ledger.environment())
    write("\n$ redress liability --as-of 2026-02-05 --by wave,benefit")
    liability_command(as_of="2026-02-05", by="wave,benefit")
    write("\n$ redress liability --by wave,benefit")
    liability_command(by="wave,benefit")
    write("\n$ redress roll-forward")
    roll_forward_command()
    for wave in (FIRST, SECOND):
        write(f"\n$ redress wave show {wave}")
        wave_show_command(wave)


def _view(progress: Progress) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_row("chapter", f"{progress.told} of {progress.chapters}: {progress.chapter}")
    table.add_row("the ledger's clock", progress.clock)
    table.add_row("events accepted by Kafka", f"{progress.accepted:,}")
    table.add_row("entries in the ledger", f"{progress.entries:,}")
    table.add_row("outstanding", f"{progress.outstanding:,} KRW")
    return Group(table, ProgressBar(total=max(1, progress.chapters), completed=len(progress.took)))


def _rates(progress: Progress, took: float) -> Table:
    table = Table("chapter", "events", "seconds", "durable/s", title="Measured", title_justify="left")
    for name in ("events", "seconds", "durable/s"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for chapter in progress.took:
        rate = chapter.events / max(chapter.seconds, 0.001)
        table.add_row(chapter.title, f"{chapter.events:,}", f"{chapter.seconds:.1f}", f"{rate:,.0f}")
    accepted = progress.accepted / max(progress.accept_seconds, 0.001)
    durable = progress.entries / max(progress.durable_seconds, 0.001)
    table.caption = (
        f"{progress.accepted:,} events accepted at {accepted:,.0f}/s; "
        f"{progress.entries:,} entries durable at {durable:,.0f}/s; {took:.0f} s in all"
    )
    return table


def _proof(figures: list[Figure]) -> Table:
    table = Table("", "the ledger", "counted apart", "", title="Proof of the figures", title_justify="left")
    table.columns[1].justify = table.columns[2].justify = "right"
    for figure in figures:
        mark = "=" if figure.agrees else "[red]≠[/]"
        table.add_row(f"{figure.name} ({figure.group})", f"{figure.ledger:,}", f"{figure.counted:,}", mark)
    return table


def _commands(ledger: DemoLedger, story: Story) -> str:
    samples = story.samples
    lines = [
        "Look around (the first line tells the commands which ledger):",
        f"  source {ledger.environment_file}",
        "  redress liability --by wave,benefit",
        "  redress liability --as-of 2026-02-05 --by benefit",
        "  redress roll-forward",
        "  redress wave show second",
        f"  redress voucher {samples.voucher}",
        f"  redress beneficiary {samples.beneficiary}",
        f"  redress redemption {samples.redemption} --beneficiary {samples.redeemer}",
        "  redress verify --all",
        "  redress status",
    ]
    return "\n".join(lines)


def _json(figures: list[Figure], progress: Progress, took: float) -> dict[str, object]:
    return {
        "agrees": all(figure.agrees for figure in figures),
        "figures": [
            {"group": f.group, "name": f.name, "ledger": f.ledger, "counted": f.counted, "agrees": f.agrees}
            for f in figures
        ],
        "events": progress.accepted,
        "entries": progress.entries,
        "accepted_per_second": round(progress.accepted / max(progress.accept_seconds, 0.001)),
        "durable_per_second": round(progress.entries / max(progress.durable_seconds, 0.001)),
        "seconds": round(took, 1),
    }
