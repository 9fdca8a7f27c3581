"""`redress wave`: opening one, and what became of its people."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from redress.cli.following import send_and_follow
from redress.cli.output import AsJson, NotFoundError, WrongUseError, plain_table, show_amount, write_json, write_table
from redress.cli.programme import Time, Wait, read_time, show_sent
from redress.cli.session import open_session
from redress.contracts.programme import WaveOpened
from redress.finance.programmes import Funnel, load_funnel, programmes_with_wave
from redress.ledger.connection import Connection
from redress.runtime.publish.programme_file import explain

app = typer.Typer(help="Waves: cohorts entitled together.", no_args_is_help=True)

Wave = Annotated[str, typer.Argument(metavar="W", help="Code of the wave.")]
Programme = Annotated[str, typer.Option("--programme", metavar="P", help="Code of the programme.")]
SomeProgramme = Annotated[
    str | None,
    typer.Option("--programme", metavar="P", help="Needed where several programmes have a wave of this name."),
]
ValidFrom = Annotated[str, typer.Option(metavar="T", help="From when on vouchers are valid, and issued.")]
ValidUntil = Annotated[str, typer.Option(metavar="T", help="When they lapse: the first instant they are not valid.")]
TermsVersion = Annotated[int, typer.Option(metavar="N", min=1, help="Version of the terms that the wave keeps.")]
ExpectedPeople = Annotated[
    int | None, typer.Option("--expected-beneficiaries", metavar="N", help="How many people are expected.")
]
ExpectedAmount = Annotated[
    int | None, typer.Option("--expected-amount", metavar="N", help="How much in all, in the currency's minor unit.")
]
Roster = Annotated[
    str | None,
    typer.Option("--roster-sha256", metavar="HEX", help="SHA-256 over the beneficiary ids, sorted, one per line."),
]


@app.command(
    "open",
    epilog="Example: redress wave open third --programme relief-2026 --valid-from 2026-03-01T10:00:00+09:00 "
    "--valid-until 2026-04-16T00:00:00+09:00 --expected-beneficiaries 1000 --expected-amount 50000000",
)
def open_command(
    wave: Wave,
    *,
    programme: Programme,
    valid_from: ValidFrom,
    valid_until: ValidUntil,
    terms_version: TermsVersion = 1,
    expected_beneficiaries: ExpectedPeople = None,
    expected_amount: ExpectedAmount = None,
    roster_sha256: Roster = None,
    time: Time = None,
    wait: Wait = True,
    json: AsJson = False,
) -> None:
    """Open a wave. Opening the same wave again changes nothing; under the same code with other dates it is refused."""
    if (expected_beneficiaries is None) != (expected_amount is None):
        raise WrongUseError("--expected-beneficiaries and --expected-amount: give both or neither")
    expected = (
        None if expected_beneficiaries is None else {"beneficiaries": expected_beneficiaries, "amount": expected_amount}
    )
    opened = _validated(
        {
            "programme": programme,
            "wave": wave,
            "terms_version": terms_version,
            "valid_from": valid_from,
            "valid_until": valid_until,
            "expected": expected,
            "roster_sha256": roster_sha256,
        }
    )
    session = open_session()
    show_sent(
        session.run(send_and_follow(session, [opened.to_domain()], at=read_time(time), wait=wait)), as_json_object=json
    )


@app.command("show", epilog="Example: redress wave show first --programme relief-2026")
def show_command(wave: Wave, *, programme: SomeProgramme = None, json: AsJson = False) -> None:
    """The wave's people: expected = granted + refused + dead-lettered + missing, and what became of the granted."""
    session = open_session()

    async def work() -> Funnel:
        async with session.snapshot() as connection:
            return await _find(connection, programme, wave)

    funnel = session.run(work())
    if json:
        write_json(_funnel_json(funnel))
    else:
        _show(funnel)


def _validated(fields: dict[str, Any]) -> WaveOpened:
    try:
        return WaveOpened.model_validate(fields)
    except ValidationError as error:
        option, _, rule = explain(error).partition(": ")
        name = "W" if option == "wave" else f"--{option.replace('expected.', 'expected-').replace('_', '-')}"
        raise WrongUseError(f"{name}: {rule}" if rule else option) from None


async def _find(connection: Connection, programme: str | None, wave: str) -> Funnel:
    having = [programme] if programme is not None else await programmes_with_wave(connection, wave)
    if len(having) > 1:
        raise WrongUseError(f"--programme: {', '.join(having)} have a wave {wave}: say which")
    funnel = await load_funnel(connection, having[0], wave) if having else None
    if funnel is None:
        raise NotFoundError(f"no wave {wave} in {f'programme {programme}' if programme else 'this ledger'}")
    return funnel


def _show(funnel: Funnel) -> None:
    entitled = funnel.granted - funnel.withdrawn
    table = plain_table(f"{funnel.programme} / {funnel.wave}", "people", "amount", numbers=("people", "amount"))
    expected = "not said" if funnel.expected is None else show_amount(funnel.expected)
    table.add_row("expected", expected, "" if funnel.expected_amount is None else show_amount(funnel.expected_amount))
    table.add_section()
    table.add_row("= granted", show_amount(funnel.granted), "")
    table.add_row("+ refused (already entitled)", show_amount(funnel.refused), "")
    table.add_row("+ dead-lettered", show_amount(funnel.dead_lettered), "")
    table.add_row("+ missing", "-" if funnel.missing is None else show_amount(funnel.missing), "")
    table.add_section()
    table.add_row("granted", show_amount(funnel.granted), "")
    table.add_row("- withdrawn", show_amount(funnel.withdrawn), "")
    table.add_row("= entitled now", show_amount(entitled), show_amount(funnel.entitled_amount))
    table.add_row("  issued", show_amount(funnel.issued), show_amount(funnel.issued_amount))
    not_issued = funnel.entitled_amount - funnel.issued_amount
    table.add_row("  not yet issued", show_amount(funnel.not_issued), show_amount(not_issued))
    table.add_section()
    table.add_row("enrolled (former members)", show_amount(funnel.enrolled), "")
    write_table(table)


def _funnel_json(funnel: Funnel) -> dict[str, Any]:
    names = (
        *("programme", "wave", "expected", "expected_amount", "granted", "refused", "dead_lettered", "missing"),
        *("issued", "not_issued", "withdrawn", "enrolled", "entitled_amount", "issued_amount"),
    )
    return {name: getattr(funnel, name) for name in names}
