"""`redress voucher`, `redress beneficiary`, `redress redemption`: state and full history."""

from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer

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
from redress.domain.ids import Instant
from redress.finance.people import (
    EntryView,
    GrantView,
    PersonView,
    RedemptionView,
    VoucherView,
    find_voucher,
    load_person,
    load_redemption,
    load_voucher_history,
)

VoucherId = Annotated[str, typer.Argument(metavar="ID", help="The voucher's id.")]
BeneficiaryId = Annotated[str, typer.Argument(metavar="ID", help="The beneficiary's reference.")]
RedemptionId = Annotated[str, typer.Argument(metavar="ID", help="The redemption's id.")]
OfBeneficiary = Annotated[str, typer.Option("--beneficiary", metavar="B", help="Whose redemption it is.")]

_INSTANTS = ("valid_from", "valid_until", "expires_at", "parked_at", "occurred_at", "effective_at", "recorded_at")
_AMOUNTS = ("unclaimed", "available", "held", "redeemed", "forfeited", "cancelled", "expired", "revoked", "declined")


def voucher_command(voucher: VoucherId, *, json: AsJson = False) -> None:
    """What a voucher is worth and how it came about."""
    wanted = _uuid(voucher, "ID")
    session = open_session()

    async def work() -> tuple[VoucherView, list[EntryView]] | None:
        async with session.snapshot() as connection:
            found = await find_voucher(connection, wanted)
            return found and (found[1], await load_voucher_history(connection, *found))

    found = session.run(work())
    if found is None:
        raise NotFoundError(f"no voucher {wanted} in this ledger")
    view, history = found
    if json:
        write_json(_plain({"voucher": asdict(view), "history": [asdict(entry) for entry in history]}))
        return
    write(f"voucher {view.voucher}: {view.status}")
    write(f"beneficiary {view.beneficiary} ({view.standing})")
    _show_vouchers([view])
    _show_history(history)


def beneficiary_command(beneficiary: BeneficiaryId, *, json: AsJson = False) -> None:
    """A beneficiary's entitlements, vouchers, redemptions, and all that the ledger made of its events."""
    wanted = _uuid(beneficiary, "ID")
    session = open_session()

    async def work() -> PersonView | None:
        async with session.snapshot() as connection:
            return await load_person(connection, session.identity.shards, wanted)

    person = session.run(work())
    if person is None:
        raise NotFoundError(f"no beneficiary {wanted} in this ledger")
    if json:
        write_json(_plain(asdict(person)))
    else:
        _show_person(person)


def redemption_command(redemption: RedemptionId, *, beneficiary: OfBeneficiary, json: AsJson = False) -> None:
    """What became of a redemption. Its id is known together with its beneficiary."""
    whose = _uuid(beneficiary, "--beneficiary")
    session = open_session()

    async def work() -> tuple[list[RedemptionView], list[EntryView]]:
        async with session.snapshot() as connection:
            return await load_redemption(connection, session.identity.shards, whose, redemption)

    found, history = session.run(work())
    if not found and not history:
        raise NotFoundError(f"no redemption {redemption} of beneficiary {whose} in this ledger")
    if json:
        redemptions = [asdict(view) for view in found]
        write_json(_plain({"redemptions": redemptions, "history": [asdict(entry) for entry in history]}))
        return
    for view in found:
        _show_redemption(view)
    _show_history(history)


def _uuid(text: str, name: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise WrongUseError(f"{name}: not a UUID") from None


def _plain(value: Any, name: str = "") -> Any:
    """Instants as text: in the views they are numbers, told by their names."""
    if isinstance(value, dict):
        return {key: _plain(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return json_instant(Instant(value)) if name in _INSTANTS and isinstance(value, int) else value


def _show_person(person: PersonView) -> None:
    write(f"beneficiary {person.beneficiary} (shard {person.shard})")
    for grant in person.grants:
        write(f"  {grant.programme} / {grant.wave}: {_standing(grant)}")
    if person.vouchers:
        _show_vouchers(person.vouchers)
    for redemption in person.redemptions:
        _show_redemption(redemption)
    for parked in person.parked:
        waiting = f", waits for {parked.wakes_on}" if parked.wakes_on else ""
        write(f"parked: {parked.topic} offset {parked.offset} since {show_instant(parked.parked_at)}{waiting}")
    _show_history(person.history)


def _standing(grant: GrantView) -> str:
    if grant.refused:
        return "refused"
    said = ["former member" if grant.former_member else "member"]
    said += [word for word in ("enrolled", "withdrawn", "issued") if getattr(grant, word)]
    return ", ".join(said)


def _show_vouchers(vouchers: list[VoucherView]) -> None:
    shown = [name for name in _AMOUNTS if any(getattr(voucher, name) for voucher in vouchers)]
    numbers = ("face", *shown)
    table = plain_table("voucher", "lot", "service", "status", *numbers, "valid until", numbers=numbers)
    for v in vouchers:
        lot = f"{v.programme}/{v.wave}/{v.benefit}"
        amounts = [show_amount(getattr(v, name)) for name in numbers]
        table.add_row(v.voucher, lot, v.service, v.status, *amounts, show_instant(v.valid_until))
    write_table(table)


def _show_redemption(view: RedemptionView) -> None:
    parts = [f"redemption {view.redemption} ({view.programme}): {view.status}"]
    parts += [f"order {view.order}"] if view.order else []
    parts += [f"service {view.service}"] if view.service else []
    parts += [f"hold until {show_instant(view.expires_at)}"] if view.expires_at and view.status == "held" else []
    write(", ".join(parts))
    for line in view.lines:
        amounts = [f"{name} {amount:,}" for name, amount in asdict(line).items() if name != "voucher" and amount]
        write(f"  voucher {line.voucher}: {', '.join(amounts) or 'nothing'}")


def _show_history(history: list[EntryView]) -> None:
    columns = (
        "seq",
        "effective",
        "event",
        "outcome",
        "movement",
        "amount",
        "from",
        "to",
        "voucher or lot",
        "source id",
    )
    table = plain_table(*columns, numbers=("seq", "amount"))
    for entry in history:
        outcome = f"{entry.outcome} {entry.reason}" if entry.reason else entry.outcome
        event = entry.type.removeprefix("redress.").removesuffix(".v1")
        if entry.redemption:
            event += f" {entry.redemption}"
        head = [str(entry.seq), show_instant(entry.effective_at), event, outcome]
        cause = f"{entry.source} {entry.id}"
        if not entry.lines:
            table.add_row(*head, "", "", "", "", "", cause)
        for number, line in enumerate(entry.lines):
            first = head if number == 0 else ["", show_instant(line.effective_at), "", ""]
            what = line.voucher or f"{line.programme}/{line.wave}/{line.benefit}"
            movement = f"{line.movement} (by lot)" if line.by_lot else line.movement
            moved = (movement, show_amount(line.amount), line.debit, line.credit, what)
            table.add_row(*first, *moved, cause if number == 0 else "")
    write_table(table)
