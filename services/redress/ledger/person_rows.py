"""Beneficiaries and redemptions: rows of a shard to its state and back."""

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter, itemgetter
from typing import Any, Final

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
from redress.domain.ids import BeneficiaryId
from redress.domain.seen import Seen
from redress.ledger.numbering import Numbering
from redress.ledger.stored import StoredGrants, StoredVouchers, packed_grants, packed_vouchers

SEEN_IN_ROW_MAX = 64
"""Events seen that a beneficiary's row keeps (12 bytes each); older ones move to `seen_spill`, so rows stay small."""

_amounts_of: Final = attrgetter(*(field.name for field in fields(RedemptionLine)))
"""A line of a redemption as it is stored, its voucher apart."""
_STATUSES: Final = {status.value: status for status in RedemptionStatus}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_REASONS: Final = {reason.value: reason for reason in Reason}


_of_person: Final = itemgetter("beneficiary", "last_seq", "grants", "vouchers", "seen", "strays")
_of_redemption: Final = itemgetter(
    "beneficiary", "programme", "redemption", "status", "order", "service", "expires_at", "request", "lines"
)


def restore_person(row: Any, numbering: Numbering) -> Beneficiary:
    """A beneficiary without redemptions and parked events: those have rows of their own. `row`: of `state`."""
    owner, last_seq, grants, vouchers, seen, strays = _of_person(row)
    return Beneficiary(
        owner,
        StoredGrants(grants, numbering),
        StoredVouchers(vouchers, owner, numbering),
        strays={(programme, voucher): last for programme, voucher, last in strays} if strays else {},
        seen=Seen(seen),
        last_seq=last_seq or None,
    )


STATE_COLUMNS = ("shard", "beneficiary", "last_seq", "spilled", "grants", "vouchers", "seen", "strays")


def state_row(person: Beneficiary, spilled: int, numbering: Numbering) -> tuple[Any, ...]:
    """A row of `move_states`, and with its shard of `STATE_COLUMNS`; `spilled`: events seen that were moved out."""
    return (
        person.id,
        person.last_seq or 0,
        spilled,
        packed_grants(person.grants, numbering),
        packed_vouchers(person.vouchers, numbering),
        person.seen.packed,
        # A tuple: in an array of jsonb asyncpg takes a list for one more dimension.
        tuple([programme, voucher, last] for (programme, voucher), last in person.strays.items()) or None,
    )


def moved_vouchers(person: Beneficiary, spilled: int, numbering: Numbering) -> tuple[Any, ...] | None:
    """A row of `move_vouchers`; None where grants, spilled events or strays may have changed too."""
    if spilled or person.strays or not isinstance(person.grants, StoredGrants) or not person.grants.are_as_stored:
        return None
    return person.id, person.last_seq or 0, packed_vouchers(person.vouchers, numbering), person.seen.packed


def restore_redemption(row: Any) -> tuple[BeneficiaryId, RedemptionKey, Redemption]:
    """A redemption, whose it is and its key. `row`: of `redemption`."""
    beneficiary, programme, redemption, status, order, service, expires_at, request, lines = _of_redemption(row)
    return (
        beneficiary,
        (programme, redemption),
        Redemption(
            _STATUSES[status],
            _restore_request(request),
            order,
            service,
            expires_at,
            {voucher: RedemptionLine(*amounts) for voucher, *amounts in lines},
        ),
    )


REDEMPTION_COLUMNS: Final = (
    "beneficiary",
    "programme",
    "redemption",
    "status",
    "order",
    "service",
    "expires_at",
    "lines",
    "seq",
    "request",
)


def redemption_row(person: Beneficiary, key: RedemptionKey, seq: int) -> tuple[Any, ...]:
    """A row of redemptions, in order of `REDEMPTION_COLUMNS`."""
    return *redemption_changes(person, key, seq), _request_json(person.redemptions[key].request)


def redemption_changes(person: Beneficiary, key: RedemptionKey, seq: int) -> tuple[Any, ...]:
    """A row of `change_redemptions`: the same without the request, as what was asked at first never changes."""
    redemption = person.redemptions[key]
    return (
        person.id,
        *key,
        redemption.status.value,
        redemption.order,
        redemption.service,
        redemption.expires_at,
        tuple([(voucher, *_amounts_of(line)) for voucher, line in redemption.lines.items()]),
        seq,
    )


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Rows turned, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]


def _request_json(request: Request | None) -> tuple[Any, ...] | None:
    if request is None:
        return None
    return (
        request.order,
        request.service,
        request.time,
        request.outcome,
        request.reason,
        tuple([(spend.voucher, spend.amount) for spend in request.lines]),
    )


def _restore_request(stored: list[Any] | None) -> Request | None:
    if stored is None:
        return None
    order, service, time, outcome, reason, lines = stored
    return Request(
        order,
        service,
        tuple([Spend(voucher, amount) for voucher, amount in lines]),
        time,
        _OUTCOMES[outcome],
        _REASONS[reason] if reason else None,
    )
