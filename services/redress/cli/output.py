"""What all commands share in what they say: JSON, times, amounts, notes."""

import sys
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console
from rich.table import Table

from redress.contracts.instants import format_instant
from redress.domain.ids import Instant

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

WIDE = 200
"""Columns of a table that does not go to a terminal: nothing is cut."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotFoundError(Exception):
    """What was asked for is not there: exit status 1."""


class WrongUseError(Exception):
    """The command was given something it cannot work with: exit status 2."""


def write_json(value: Any) -> None:
    """One JSON object on standard output."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    sys.stdout.write(orjson.dumps(plain, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")


def write(text: str) -> None:
    """Lines on standard output."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def note(message: str) -> None:
    """A line beside the result, on standard error."""
    sys.stderr.write(f"redress: {message}\n")


def write_table(table: Table) -> None:
    """A table on standard output: as wide as the terminal, or as wide as it needs."""
    console = Console(file=sys.stdout, soft_wrap=False, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(table)


def plain_table(*columns: str, numbers: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table with headings; the columns in `numbers` are right-aligned."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", no_wrap=column in numbers)
    return table


def show_amount(amount: int) -> str:
    """In the currency's minor unit, thousands apart."""
    return f"{amount:,}"


def show_instant(instant: Instant | None, zone: str | None = None) -> str:
    """RFC 3339 in that time zone, UTC without one; `-` where there is none."""
    if instant is None:
        return "-"
    if zone is None:
        return format_instant(instant)
    return (_EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).isoformat()


def json_instant(instant: Instant | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if instant is None else format_instant(instant)
