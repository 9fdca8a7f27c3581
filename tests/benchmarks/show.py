"""The figures as tables."""

from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console, Group
from rich.table import Table

from tests.benchmarks.figures import PUBLISHED_BYTES_MAX, VOUCHER_BYTES_MAX, WORKER_MIB_MAX, Measured, Report
from tests.benchmarks.people import LINES

HOW = (
    "A load is on Kafka before its first record can be read: it stands in open transactions, committed at once while "
    "the workers serve every shard and have nothing to do. Time runs from that commit to the last batch's recorded_at, "
    "and every entry counts; the start of processes does not. Rates are the middle of the rounds; a ratio is of two "
    "runs in the same round, one right after the other: the middle one, and in brackets the range."
)


def show(report: Report, console: Console) -> None:
    """Print everything."""
    console.print(_rates(report), _cpu(report))
    if report.storage or report.published:
        console.print(_sizes(report))
    for peer, why in report.left_out.items():
        console.print(f"left out: {peer}: {why}")
    console.print(HOW)


def _rates(report: Report) -> Table:
    machine = report.machine
    table = Table(
        title=f"{report.people:,} people, {machine['cores']} cores, load {machine['load']} before, {machine['date']}",
        title_justify="left",
    )
    for name in ("path", "workers", "rate", "goal", "", "against"):
        table.add_column(name, justify="right" if name in {"workers", "rate", "goal"} else "left")
    for measured in report.measured:
        table.add_row(
            measured.path,
            str(measured.workers),
            f"{measured.rate:,.0f} {measured.goal.unit}",
            f"{measured.goal.rate:,.0f}",
            "[green]met[/]" if measured.met else "[red]missed[/]",
            "\n".join(_against(measured, peer) for peer in measured.peers),
        )
    return table


def _against(measured: Measured, peer: str) -> str:
    ratios = measured.ratios(peer)
    least = measured.goal.ratios.get(peer)
    goal = f", goal {least:g} ×" if least else ""
    theirs = median(measured.peers[peer])
    return f"{median(ratios):.2f} × {peer} ({min(ratios):.2f} – {max(ratios):.2f}{goal}; {theirs:,.0f})"


def _cpu(report: Report) -> Group:
    table = Table(title="CPU seconds, and peak memory of a worker", title_justify="left")
    names = list(dict.fromkeys(name for measured in report.measured for name in measured.cpu_seconds))
    for name in ("path", "workers", *names, "MiB"):
        table.add_column(name, justify="left" if name == "path" else "right")
    for measured in report.measured:
        seconds = [f"{measured.cpu_seconds[name]:,.1f}" if name in measured.cpu_seconds else "" for name in names]
        peak = measured.worker_peak_mib
        mark = f"{peak}" if peak <= WORKER_MIB_MAX else f"[red]{peak}[/]"
        table.add_row(measured.path, str(measured.workers), *seconds, mark if peak else "")
    return Group(table, f"goal: {WORKER_MIB_MAX} MiB at most")


def _sizes(report: Report) -> Table:
    table = Table(title="Bytes per voucher", title_justify="left")
    for name in ("", "heap", "indexes", "together", "goal"):
        table.add_column(name, justify="right" if name else "left")
    for name, parts in report.storage.items():
        table.add_row(name, f"{parts['heap']:.1f}", f"{parts['indexes']:.1f}", f"{sum(parts.values()):.1f}", "")
    if report.storage:
        met = "green" if report.voucher_bytes <= VOUCHER_BYTES_MAX else "red"
        total = f"[{met}]{report.voucher_bytes:.1f}[/]"
        table.add_row("all tables, grant and issue", "", "", total, str(VOUCHER_BYTES_MAX))
    for name, size in report.published.items():
        table.add_row(f"topic {name}, issue", "", "", f"{size:.1f}", "")
    if report.published:
        size = sum(report.published.values())
        met = "green" if size <= PUBLISHED_BYTES_MAX else "red"
        table.add_row("ledger and balance, issue", "", "", f"[{met}]{size:.1f}[/]", str(PUBLISHED_BYTES_MAX))
    return table


def show_growth(figures: dict[str, Any], folder: Path, console: Console) -> None:
    """Print what a line costs as the ledger grows."""
    table = Table(title=f"Cost of a line, {figures['workers']} workers", title_justify="left")
    for name in ("people", "vouchers", "granted µs", "issued µs"):
        table.add_column(name, justify="right")
    costs = {kind: {p["people"]: p["us_per_line"] for p in points} for kind, points in figures["curve"].items()}
    for people in dict.fromkeys(people for points in costs.values() for people in points):
        shown = (f"{cost:.2f}" if (cost := costs[kind].get(people)) else "" for kind in ("granted", "issued"))
        table.add_row(f"{people:,}", f"{people * LINES:,}", *shown)
    mark = "[green]met[/]" if figures["met"] else "[red]missed[/]"
    growth = ", ".join(f"{kind} {times:.2f} ×" for kind, times in figures["growth"].items())
    console.print(table, f"last by first: {growth} (goal at most {figures['growth_max']} ×): {mark}")
    peaks = list(figures["worker_peak_mib"].values())
    console.print(f"peak memory of a worker: {peaks[0]} MiB at first, {peaks[-1]} MiB at last (goal {WORKER_MIB_MAX})")
    console.print(f"{folder / 'curve.svg'} and curve.json; the ledger stays in that folder until you remove it")
