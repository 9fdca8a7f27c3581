"""`redress liability` and `redress roll-forward`: what is owed, and how it came about."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from redress.cli.instants import read_moment
from redress.cli.output import (
    AsJson,
    NotFoundError,
    WrongUseError,
    json_instant,
    plain_table,
    show_amount,
    show_instant,
    write,
    write_json,
    write_table,
)
from redress.cli.session import open_session
from redress.finance.liability import BY_ALL, By, Liability, Owed, Row, load_liability
from redress.finance.moments import Moment
from redress.finance.movements import LIABILITIES, Period, PeriodError
from redress.finance.positions import Position
from redress.finance.roll_forward import ADDED, TAKEN, RollForward, Statement, load_roll_forward

EXIT_DIFFERS = 1

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="T", help="Count what took effect before T. A date is its midnight.", show_default="now"
    ),
]
KnownAt = Annotated[
    str | None,
    typer.Option("--known-at", metavar="T", help="Count what the ledger had learned before T.", show_default="now"),
]
From = Annotated[str | None, typer.Option("--from", metavar="T", help="Begin here.", show_default="the beginning")]
To = Annotated[str | None, typer.Option("--to", metavar="T", help="End before this.", show_default="now")]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="wave,benefit", help="Tell rows apart by wave, benefit, or both.")
]
ProgrammeOption = Annotated[str | None, typer.Option("--programme", metavar="P", help="This programme only.")]


def liability_command(
    *,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    by: ByOption = None,
    programme: ProgrammeOption = None,
    json: AsJson = False,
) -> None:
    """What is owed, now or as of a moment, in the currency's minor unit.

    The position says at which batch of each shard the figures stand: asked again as of the same moments, known at a
    moment that is final, they are the same for ever.
    """
    period = Period(None, _moment(as_of, "--as-of"), _moment(known_at, "--known-at"))
    session = open_session()

    async def work() -> Liability:
        async with session.snapshot() as connection:
            return await load_liability(connection, period, _by(by), programme)

    found = session.run(work())
    _known_programme(programme, found.sources)
    if json:
        write_json(_liability_json(found, period))
    else:
        _show_liability(found, _by(by))


def roll_forward_command(
    *, start: From = None, to: To = None, by: ByOption = None, programme: ProgrammeOption = None, json: AsJson = False
) -> None:
    """How what is owed came about, down to the proof: closing − outstanding = difference 0.

    The exit status is 1 if a difference is not 0.
    """
    period = Period(_moment(start, "--from"), _moment(to, "--to"))
    session = open_session()

    async def work() -> Statement:
        async with session.snapshot() as connection:
            return await load_roll_forward(connection, period, _by(by), programme)

    try:
        statement = session.run(work())
    except PeriodError:
        raise WrongUseError("--to: is before --from") from None
    _known_programme(programme, statement.sources)
    if json:
        write_json(_statement_json(statement))
    else:
        _show_statement(statement)
    if not statement.is_proved:
        raise typer.Exit(EXIT_DIFFERS)


def _moment(text: str | None, option: str) -> Moment | None:
    return None if text is None else read_moment(text, option)


def _by(text: str | None) -> By:
    asked = frozenset(filter(None, (text or "").split(",")))
    if not asked <= BY_ALL:
        raise WrongUseError(f"--by: {', '.join(sorted(asked - BY_ALL))}: only wave and benefit are known")
    return asked


def _known_programme(programme: str | None, found: Iterable[str]) -> None:
    if programme is not None and programme not in found:
        raise NotFoundError(f"no programme {programme} in this ledger")


# --- liability --------------------------------------------------------------------------------------------------------


def _show_liability(found: Liability, by: By) -> None:
    names = [name for name in ("wave", "benefit") if name in by]
    amounts = (*LIABILITIES, "outstanding")
    with_vouchers = all(row.owed.vouchers_open is not None for row in found.rows)
    numbers = (*amounts, "vouchers open") if with_vouchers else amounts
    table = plain_table("programme", *names, "currency", *numbers, numbers=numbers)
    for row in found.rows:
        labels = [row.programme, *(getattr(row, name) for name in names), row.currency]
        table.add_row(*labels, *_cells(row.owed, with_vouchers=with_vouchers))
    for currency, owed in found.totals.items():
        table.add_section()
        labels = ["total", *("" for _ in names), currency]
        table.add_row(*labels, *_cells(owed, with_vouchers=with_vouchers), style="bold")
    write_table(table)
    write(position_line(found.positions))
    if found.final is False:
        write("not final: a shard has no batch recorded at or after --known-at yet")


def _cells(owed: Owed, *, with_vouchers: bool) -> list[str]:
    cells = [show_amount(getattr(owed, name)) for name in (*LIABILITIES, "outstanding")]
    return [*cells, show_amount(owed.vouchers_open or 0)] if with_vouchers else cells


def _liability_json(found: Liability, period: Period) -> dict[str, Any]:
    return {
        "as_of": _moment_json(period.end),
        "known_at": _moment_json(period.known_at),
        "final": found.final,
        "rows": [_row_json(row) for row in found.rows],
        "totals": {currency: _owed_json(owed) for currency, owed in found.totals.items()},
        "sources": found.sources,
        "position": positions_json(found.positions),
    }


def _row_json(row: Row) -> dict[str, Any]:
    names = {"programme": row.programme, "wave": row.wave, "benefit": row.benefit, "currency": row.currency}
    return {name: value for name, value in names.items() if value is not None} | _owed_json(row.owed)


def _owed_json(owed: Owed) -> dict[str, Any]:
    amounts = {name: getattr(owed, name) for name in (*LIABILITIES, "outstanding")}
    return amounts | ({} if owed.vouchers_open is None else {"vouchers_open": owed.vouchers_open})


def _moment_json(moment: Moment | None) -> str | None:
    if moment is None or isinstance(moment, int):
        return json_instant(moment)
    return moment.isoformat()


# --- roll-forward -----------------------------------------------------------------------------------------------------


def _show_statement(statement: Statement) -> None:
    for row in statement.rows:
        _show_roll_forward(row)
    write(position_line(statement.positions))


def _show_roll_forward(row: RollForward) -> None:
    names = " ".join(filter(None, (row.programme, row.wave, row.benefit, row.currency)))
    amounts = [("  opening", row.opening)]
    amounts += [(f"+ {name}", row.movements[name]) for name in ADDED]
    amounts += [(f"- {name}", row.movements[name]) for name in TAKEN]
    amounts += [("= closing", row.closing), ("- outstanding", row.outstanding), ("= difference", row.difference)]
    table = plain_table(names, "amount", numbers=("amount",))
    for label, amount in amounts:
        if label in ("= closing", "= difference"):
            table.add_section()
        table.add_row(label, show_amount(amount), style="bold" if label.startswith("=") else None)
    write_table(table)
    sign = "" if row.difference == 0 else "  <- WRONG"
    write(f"closing {row.closing:,} - outstanding {row.outstanding:,} = difference {row.difference:,}{sign}\n")


def _statement_json(statement: Statement) -> dict[str, Any]:
    rows = []
    for row in statement.rows:
        names = {"programme": row.programme, "wave": row.wave, "benefit": row.benefit, "currency": row.currency}
        line: dict[str, Any] = {name: value for name, value in names.items() if value is not None}
        line |= {"opening": row.opening, **row.movements, "closing": row.closing}
        rows.append(line | {"outstanding": row.outstanding, "difference": row.difference})
    return {
        "rows": rows,
        "proved": statement.is_proved,
        "sources": statement.sources,
        "position": positions_json(statement.positions),
    }


# --- positions --------------------------------------------------------------------------------------------------------


def position_line(positions: list[Position]) -> str:
    """Shard and batch of every shard, and the ledger's clock."""
    batches = " ".join(f"{p.shard}:{p.batch}" for p in positions)
    clocks = [p.now for p in positions if p.now is not None]
    clock = show_instant(min(clocks)) if clocks else "not begun"
    return f"position (shard:batch) {batches}\nclock {clock}"


def positions_json(positions: list[Position]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "shard": p.shard,
            "batch": p.batch,
            "next_seq": p.next_seq,
            "recorded_at": json_instant(p.recorded_at),
            "now": json_instant(p.now),
        }
        for p in positions
    ]
