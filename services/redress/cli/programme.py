"""`redress programme`: terms, and the waves a file names."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from redress.cli.following import EXIT_REFUSED, send_and_follow
from redress.cli.instants import read_instant
from redress.cli.output import (
    AsJson,
    NotFoundError,
    plain_table,
    show_amount,
    show_instant,
    write,
    write_json,
    write_table,
)
from redress.cli.session import open_session
from redress.domain.ids import Instant
from redress.finance.programmes import LotView, ProgrammeView, load_programme_views
from redress.runtime.publish.programme_file import read_programme

app = typer.Typer(help="Programmes: their terms and waves.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML: a table programme, and any number of tables wave.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every shard has read it.")]
Time = Annotated[
    str | None,
    typer.Option(metavar="T", help="When it was decided.", show_default="now, or the ledger's now if moved by hand"),
]
Code = Annotated[str | None, typer.Argument(metavar="[P]", help="Code of a programme; all of them by default.")]


@app.command("publish", epilog="Example: redress programme publish deploy/examples/voucher-programme.toml")
def publish_command(file: File, *, time: Time = None, wait: Wait = True, json: AsJson = False) -> None:
    """Publish the terms of a file and open its waves. The same file again changes nothing.

    A version's terms never change once published: what differs is refused (exit status 1) and needs another version.
    """
    events = read_programme(file)
    session = open_session()
    show_sent(session.run(send_and_follow(session, events, at=read_time(time), wait=wait)), as_json_object=json)


@app.command("show", epilog="Example: redress programme show relief-2026")
def show_command(programme: Code = None, *, json: AsJson = False) -> None:
    """Terms, waves and lots as the ledger has them."""
    session = open_session()

    async def work() -> list[ProgrammeView]:
        async with session.snapshot() as connection:
            return await load_programme_views(connection, programme)

    found = session.run(work())
    if programme is not None and not found:
        raise NotFoundError(f"no programme {programme} in this ledger")
    if json:
        write_json({"programmes": [view_json(view) for view in found]})
        return
    for view in found:
        _show(view)
    if not found:
        write("no programme yet: publish one with `redress programme publish FILE`")


def read_time(text: str | None) -> Instant | None:
    """When the operator decided; None: now."""
    return None if text is None else read_instant(text, "--time")


def show_sent(sent: Iterable[dict[str, Any]], *, as_json_object: bool) -> None:
    """What was sent and what became of it; exit status 1 if the ledger refused something."""
    events = list(sent)
    if as_json_object:
        write_json({"events": events})
    else:
        for event in events:
            state = {None: "sent", True: "taken", False: f"refused: {event['refused']}"}[event["taken"]]
            write(f"{event['type']:<32} {event['id']}  offset {event['offset']}  {state}")
    if any(event["refused"] for event in events):
        raise typer.Exit(EXIT_REFUSED)


def view_json(view: ProgrammeView) -> dict[str, Any]:
    """A programme for programs: terms and waves as they were published, lots as they stand."""
    return {
        "programme": view.programme,
        "versions": view.versions,
        "waves": view.waves,
        "lots": [lot_json(lot) for lot in view.lots],
    }


def lot_json(lot: LotView) -> dict[str, Any]:
    """A lot for programs."""
    return {
        "wave": lot.wave,
        "benefit": lot.benefit,
        "service": lot.service,
        "amount": lot.amount,
        "currency": lot.currency,
        "state": lot.status,
        "valid_from": show_instant(lot.valid_from),
        "valid_until": show_instant(lot.valid_until),
        "terms_version": lot.terms_version,
    }


def _show(view: ProgrammeView) -> None:
    for terms in view.versions:
        limit = terms["vouchers_per_order"]
        write(
            f"{view.programme} version {terms['version']}: {terms['currency']}, {terms['timezone']}; "
            f"claim {terms['claim']}, remainder {terms['remainder']}, restore {terms['restore']}, "
            f"{'any number of vouchers' if limit is None else f'at most {limit}'} per order, "
            f"once per {terms['once_per']}; holds last {terms['reservation_ttl_seconds']} s, "
            f"requests are at most {terms['request_max_age_seconds']} s old"
        )
    zone = view.versions[-1]["timezone"]
    numbers = ("amount", "version")
    table = plain_table(
        "wave", "benefit", "service", "amount", "state", "valid from", "valid until", "version", numbers=numbers
    )
    for lot in view.lots:
        validity = (show_instant(lot.valid_from, zone), show_instant(lot.valid_until, zone))
        amount, version = show_amount(lot.amount), str(lot.terms_version)
        table.add_row(lot.wave, lot.benefit, lot.service, amount, lot.status, *validity, version)
    if view.lots:
        write_table(table)
