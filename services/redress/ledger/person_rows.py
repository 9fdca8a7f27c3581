"""Beneficiaries and redemptions: rows of a shard to its state and back."""

from collections.abc import Iterable
from typing import Any

from redress.contracts.instants import format_instant, parse_instant
from redress.domain.beneficiary import (
    Beneficiary,
    Redemption,
    RedemptionKey,
    RedemptionLine,
    RedemptionStatus,
    Request,
)
from redress.domain.entry import Outcome, Reason
from redress.domain.event import Spend
from redress.domain.ids import BeneficiaryId, OrderId, ProgrammeCode, RedemptionId, ServiceCode, VoucherId
from redress.ledger.numbering import Numbering
from redress.ledger.packing import pack_grants, pack_seen, pack_vouchers, unpack_grants, unpack_seen, unpack_vouchers

SEEN_IN_ROW_MAX = 64
"""Events seen that a beneficiary's row keeps (12 bytes each); older ones move to `seen_spill`, so rows stay small."""

_LINE_FIELDS = (
    "held",
    "redeemed",
    "forfeited",
    "exception",
    "restored",
    "forfeited_restored",
    "cancelled",
    "exception_reversed",
    "stray",
)


def restore_person(row: Any, numbering: Numbering) -> Beneficiary:
    """A beneficiary without redemptions and parked events: those have rows of their own."""
    person = Beneficiary(BeneficiaryId(row["beneficiary"]), last_seq=row["last_seq"] or None)
    unpack_grants(row["grants"], person, numbering)
    unpack_vouchers(row["vouchers"], person, numbering)
    person.seen = unpack_seen(row["seen"])
    for programme, voucher, last in row["strays"] or ():
        person.strays[ProgrammeCode(programme), VoucherId(voucher)] = last
    return person


STATE_COLUMNS = ("shard", "beneficiary", "last_seq", "spilled", "grants", "vouchers", "seen", "strays")


def state_row(person: Beneficiary, spilled: int, numbering: Numbering) -> tuple[Any, ...]:
    """A row of `move_states`, and with its shard of `STATE_COLUMNS`; `spilled`: events seen that were moved out."""
    return (
        person.id,
        person.last_seq or 0,
        spilled,
        pack_grants(person, numbering),
        pack_vouchers(person.vouchers.values(), numbering),
        pack_seen(person.seen.items()),
        # A tuple, as for lines below: in an array of jsonb asyncpg takes a list for one more dimension.
        tuple([programme, voucher, last] for (programme, voucher), last in person.strays.items()) or None,
    )


def restore_redemption(row: Any) -> tuple[RedemptionKey, Redemption]:
    """A redemption with its key."""
    key = ProgrammeCode(row["programme"]), RedemptionId(row["redemption"])
    return key, Redemption(
        RedemptionStatus(row["status"]),
        _restore_request(row["request"]),
        row["order"],
        row["service"],
        row["expires_at"],
        {
            VoucherId(voucher): RedemptionLine(**dict(zip(_LINE_FIELDS, parts, strict=True)))
            for voucher, *parts in row["lines"]
        },
    )


def redemption_row(person: Beneficiary, key: RedemptionKey, seq: int) -> tuple[Any, ...]:
    """A row for `put_redemptions`."""
    redemption = person.redemptions[key]
    lines = tuple(
        [voucher, *(getattr(line, name) for name in _LINE_FIELDS)] for voucher, line in redemption.lines.items()
    )
    return (
        person.id,
        *key,
        redemption.status.value,
        redemption.order,
        redemption.service,
        redemption.expires_at,
        _request_json(redemption.request),
        lines,
        seq,
    )


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows turned, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]


def _request_json(request: Request | None) -> dict[str, Any] | None:
    if request is None:
        return None
    return {
        "order": request.order,
        "service": request.service,
        "lines": [[spend.voucher, spend.amount] for spend in request.lines],
        "time": format_instant(request.time),
        "outcome": request.outcome,
        "reason": request.reason,
    }


def _restore_request(stored: dict[str, Any] | None) -> Request | None:
    if stored is None:
        return None
    return Request(
        OrderId(stored["order"]),
        ServiceCode(stored["service"]),
        tuple(Spend(VoucherId(voucher), amount) for voucher, amount in stored["lines"]),
        parse_instant(stored["time"]),
        Outcome(stored["outcome"]),
        Reason(stored["reason"]) if stored["reason"] else None,
    )
