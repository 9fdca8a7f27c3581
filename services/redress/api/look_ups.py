"""Reads about people: beneficiaries, vouchers, redemptions."""

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from redress.api import models
from redress.api.context import Api, MayRead, The, VoucherInPath, good, instant_text, json_response, problems
from redress.api.people import beneficiary_view, find_voucher, voucher_view
from redress.api.problems import Kind, ProblemError
from redress.api.queries import query
from redress.contracts import scalars as s
from redress.domain.beneficiary import RedemptionStatus, Voucher
from redress.domain.ids import neighbourhood
from redress.finance.people import EntryView, LineView, RedemptionView, load_history, load_redemptions, shard_of
from redress.ledger.connection import Connection

PAGE_MAX: Final = 200
"""Entries of one page of a history."""
PAGE: Final = 50

router = APIRouter(prefix="/v1")

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Entries of the person looked at for one page.")]
From = Annotated[
    int | None,
    Query(alias="from", ge=1, le=2**63 - 1, description="Where the page begins: take it from `next`, as it is."),
]


@router.get(
    "/beneficiaries/{b}",
    tags=["look-ups"],
    operation_id="getBeneficiary",
    summary="Entitlements and vouchers of a person",
    response_model=None,
    responses={200: good(models.BeneficiaryView), **problems(422)},
)
async def get_beneficiary(b: s.Beneficiary, api: The, _caller: MayRead) -> Response:
    """What a person is entitled to, and every voucher with what it is worth now.

    One who is not entitled and one who is not known get the same answer: both lists are empty.
    """
    shard = shard_of(b, api.identity.shards)
    async with api.reader.through(api.reader.gates.look_up) as connection:
        row = await connection.fetchrow(query("person"), shard, b)
        view = await api.book.with_book(connection, lambda book: beneficiary_view(b, shard, row, book))
    return json_response(view)


@router.get(
    "/vouchers/{v}",
    tags=["look-ups"],
    operation_id="getVoucher",
    summary="A voucher now",
    response_model=None,
    responses={200: good(models.VoucherView), **problems(404, 422)},
)
async def get_voucher(v: VoucherInPath, api: The, _caller: MayRead) -> Response:
    """A voucher by its id alone: the first six bytes lead to its beneficiary."""
    async with api.reader.through(api.reader.gates.look_up) as connection:
        row, voucher = await _find(api, connection, v)
        shard = row["shard"]
        view = await api.book.with_book(connection, lambda book: voucher_view(voucher, book.lots[shard, voucher.lot]))
    return json_response(view | {"beneficiary": row["beneficiary"]})


@router.get(
    "/vouchers/{v}/history",
    tags=["look-ups"],
    operation_id="getVoucherHistory",
    summary="How a voucher came to be worth what it is",
    response_model=None,
    responses={200: good(models.HistoryPage), **problems(404, 422)},
)
async def get_voucher_history(
    v: VoucherInPath, api: The, _caller: MayRead, limit: Limit = PAGE, start: From = None
) -> Response:
    """The entries that moved the voucher or were about it, the latest first, page by page along `next`.

    Each page looks at `limit` entries of the person, so it may show fewer. Entries are never changed: a page that was
    read stays true.
    """
    async with api.reader.snapshot(api.reader.gates.look_up) as connection:
        row, voucher = await _find(api, connection, v)
        shard = row["shard"]
        walked = await connection.fetch(query("walk_back"), shard, row["beneficiary"], start, limit)
        if not walked:
            raise ProblemError(Kind.INVALID, "no page begins there", errors=[("query.from", "not from a `next`")])
        next_seq = walked[-1]["prev_seq"]
        seqs = [entry["seq"] for entry in walked]
        changes = await connection.fetch(query("lot_change"), shard, *voucher.lot)
        seqs += [c["seq"] for c in changes if (next_seq or 0) < c["seq"] and (start is None or c["seq"] <= start)]
        entries = await load_history(connection, shard, seqs, keep=lambda line: _concerns(line, voucher))
    shown = [_entry(shard, entry) for entry in reversed(entries) if entry.lines or _is_about(entry, voucher)]
    following = None if next_seq is None else f"/v1/vouchers/{v}/history?from={next_seq}&limit={limit}"
    return json_response({"voucher": v, "entries": shown, "next": following})


@router.get(
    "/redemptions/{r}",
    tags=["redemptions"],
    operation_id="getRedemption",
    summary="A redemption now",
    response_model=None,
    responses={200: good(models.RedemptionState), **problems(404, 409, 422)},
)
async def get_redemption(
    r: s.Redemption,
    api: The,
    _caller: MayRead,
    beneficiary: Annotated[s.Beneficiary, Query()],
    programme: Annotated[
        s.Programme | None, Query(description="Needed only where several programmes have a redemption of this name.")
    ] = None,
) -> Response:
    """What became of a redemption. 404: the ledger has not heard of it, or not yet: ask again until your deadline."""
    shard = shard_of(beneficiary, api.identity.shards)
    async with api.reader.through(api.reader.gates.look_up) as connection:
        found = await load_redemptions(connection, shard, beneficiary, r)
    found = [each for each in found if programme in (None, each.programme)]
    if not found:
        raise ProblemError(Kind.NOT_FOUND, "the ledger has no such redemption of this beneficiary, or not yet")
    if len(found) > 1:
        raise ProblemError(
            Kind.AMBIGUOUS,
            "several programmes have a redemption of this name",
            errors=[("query.programme", "missing")],
        )
    return json_response(_redemption(found[0], beneficiary))


async def _find(api: Api, connection: Connection, wanted: str) -> tuple[Any, Voucher]:
    """The voucher with the row it stands in."""
    for row in await connection.fetch(query("neighbours"), *neighbourhood(wanted)):
        found = await api.book.with_book(connection, partial(find_voucher, wanted, row))
        if found is not None:
            return row, found
    raise ProblemError(Kind.NOT_FOUND, "there is no such voucher")


def _concerns(line: LineView, voucher: Voucher) -> bool:
    """Whether the line moved the voucher: as such, as the promise it was, or with its whole lot."""
    return line.voucher == voucher.id or (
        line.voucher is None and (line.programme, line.wave, line.benefit) == tuple(voucher.lot)
    )


def _is_about(entry: EntryView, voucher: Voucher) -> bool:
    """Whether the entry's event named the voucher, or was about its lot, or its person's place in the wave."""
    about = entry.about or {}
    if about.get("voucher") == voucher.id or all(about.get(n) == v for n, v in voucher.lot._asdict().items()):
        return True
    if any(line.get("voucher") == voucher.id for line in about.get("lines", ())):
        return True
    eligibility = entry.type.startswith("redress.eligibility.")
    return eligibility and (about.get("programme"), about.get("wave")) == (voucher.lot.programme, voucher.lot.wave)


def _entry(shard: int, entry: EntryView) -> dict[str, Any]:
    return {
        "shard": shard,
        "seq": entry.seq,
        "type": entry.type,
        "source": entry.source,
        "id": entry.id,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "redemption": entry.redemption,
        "occurred_at": instant_text(entry.occurred_at),
        "effective_at": instant_text(entry.effective_at),
        "recorded_at": instant_text(entry.recorded_at),
        "lines": [
            {
                "movement": line.movement,
                "debit": line.debit,
                "credit": line.credit,
                "amount": line.amount,
                "currency": line.currency,
                "voucher": line.voucher,
                "effective_at": instant_text(line.effective_at),
                "by_lot": line.by_lot,
            }
            for line in entry.lines
        ],
    }


def _redemption(view: RedemptionView, beneficiary: str) -> dict[str, Any]:
    return {
        "programme": view.programme,
        "redemption": view.redemption,
        "beneficiary": beneficiary,
        "status": view.status,
        "reason": view.request["reason"] if view.request else None,
        "order": view.order,
        "service": view.service,
        "expires_at": instant_text(view.expires_at) if view.status == RedemptionStatus.HELD else None,
        "lines": view.lines,
    }
