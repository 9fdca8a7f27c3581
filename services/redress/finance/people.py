"""One person's books: vouchers, redemptions and the whole history. A history is a walk back along primary keys."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from redress.contracts.instants import format_instant
from redress.contracts.partitioner import partition_of
from redress.domain.ids import Instant, neighbourhood
from redress.finance.queries import query
from redress.ledger.connection import Connection

_REQUEST_PARTS: Final = ("order", "service", "time", "outcome", "reason", "lines")


@dataclass(frozen=True, slots=True)
class VoucherView:
    """A row of `finance.voucher_balance`; amounts in minor units."""

    voucher: str
    beneficiary: str
    programme: str
    wave: str
    benefit: str
    service: str
    currency: str
    status: str
    face: int
    unclaimed: int
    available: int
    held: int
    redeemed: int
    forfeited: int
    cancelled: int
    expired: int
    revoked: int
    declined: int
    valid_from: Instant
    valid_until: Instant
    standing: str
    version: int


@dataclass(frozen=True, slots=True)
class GrantView:
    """How a person stands in a wave."""

    programme: str
    wave: str
    former_member: bool
    refused: bool
    enrolled: bool
    withdrawn: bool
    issued: bool


@dataclass(frozen=True, slots=True)
class RedemptionLineView:
    """What became of one voucher in a redemption, in minor units."""

    voucher: str
    held: int
    redeemed: int
    forfeited: int
    exception: int
    restored: int
    forfeited_restored: int
    cancelled: int
    exception_reversed: int


@dataclass(frozen=True, slots=True)
class RedemptionView:
    """A redemption as the ledger has it; `request` is None where nobody asked."""

    programme: str
    redemption: str
    status: str
    order: str | None
    service: str | None
    expires_at: Instant | None
    request: dict[str, Any] | None
    lines: list[RedemptionLineView]


@dataclass(frozen=True, slots=True)
class ParkedView:
    """An event that waits."""

    topic: str
    offset: int
    parked_at: Instant
    wakes_on: str | None


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of an entry."""

    movement: str
    debit: str
    credit: str
    amount: int
    currency: str
    programme: str
    wave: str
    benefit: str
    voucher: str | None
    effective_at: Instant
    by_lot: bool


@dataclass(slots=True)
class EntryView:
    """One entry of the journal with its lines. `about`: what its event says, where its lines do not tell."""

    seq: int
    batch: int
    type: str
    source: str
    id: str
    outcome: str
    reason: str | None
    redemption: str | None
    beneficiary: str | None
    occurred_at: Instant
    effective_at: Instant
    recorded_at: Instant
    about: dict[str, Any] | None
    lines: list[LineView] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PersonView:
    """All about one beneficiary."""

    beneficiary: str
    shard: int
    grants: list[GrantView]
    vouchers: list[VoucherView]
    redemptions: list[RedemptionView]
    parked: list[ParkedView]
    history: list[EntryView]


async def load_person(connection: Connection, shards: int, beneficiary: str) -> PersonView | None:
    """The beneficiary; None if the ledger has never heard of it."""
    shard = shard_of(beneficiary, shards)
    last_seq = await connection.fetchval(query("person"), shard, beneficiary)
    parked = [ParkedView(*row) for row in await connection.fetch(query("parked_events"), shard, beneficiary)]
    if last_seq is None and not parked:
        return None
    return PersonView(
        beneficiary,
        shard,
        [GrantView(*row) for row in await connection.fetch(query("grants"), shard, beneficiary)],
        await load_vouchers(connection, beneficiary),
        await load_redemptions(connection, shard, beneficiary),
        parked,
        await load_history(connection, shard, await _walk(connection, shard, last_seq)),
    )


async def find_voucher(connection: Connection, voucher: str) -> tuple[int, VoucherView] | None:
    """The voucher with its shard, by its id alone: its first bytes lead to its beneficiary's neighbourhood."""
    for row in await connection.fetch(query("neighbours"), *neighbourhood(voucher)):
        for found in await load_vouchers(connection, row["beneficiary"]):
            if found.voucher == voucher:
                return row["shard"], found
    return None


async def load_voucher_history(connection: Connection, shard: int, voucher: VoucherView) -> list[EntryView]:
    """Entries that moved the voucher, named it, or were about its wave; and the last one that changed its whole lot."""
    last_seq = await connection.fetchval(query("person"), shard, voucher.beneficiary)
    lot = voucher.programme, voucher.wave, voucher.benefit
    changes = [row["seq"] for row in await connection.fetch(query("lot_changes"), shard, *lot)]
    seqs = [*await _walk(connection, shard, last_seq), *changes]
    entries = await load_history(connection, shard, seqs, keep=lambda line: _concerns(line, voucher))
    return [entry for entry in entries if entry.lines or _is_about(entry, voucher)]


async def load_redemption(
    connection: Connection, shards: int, beneficiary: str, redemption: str
) -> tuple[list[RedemptionView], list[EntryView]]:
    """The redemptions of that name (one per programme) and their entries; both empty if there is none."""
    shard = shard_of(beneficiary, shards)
    last_seq = await connection.fetchval(query("person"), shard, beneficiary)
    entries = await load_history(connection, shard, await _walk(connection, shard, last_seq))
    found = await load_redemptions(connection, shard, beneficiary, redemption)
    return found, [entry for entry in entries if entry.redemption == redemption]


async def load_vouchers(connection: Connection, beneficiary: str) -> list[VoucherView]:
    """A beneficiary's vouchers."""
    return [VoucherView(*row) for row in await connection.fetch(query("vouchers"), beneficiary)]


async def load_redemptions(
    connection: Connection, shard: int, beneficiary: str, redemption: str | None = None
) -> list[RedemptionView]:
    """A beneficiary's redemptions, in the order in which they were last changed; or those of one name."""
    rows = await connection.fetch(query("redemptions"), shard, beneficiary, redemption)
    return [_redemption(row) for row in rows]


async def load_history(
    connection: Connection, shard: int, seqs: Iterable[int], keep: Callable[[LineView], bool] = lambda _: True
) -> list[EntryView]:
    """Entries by seq, with those of their lines that `keep` takes."""
    entries: dict[int, EntryView] = {}
    for row in await connection.fetch(query("history"), shard, sorted(set(seqs))):
        entry = entries.get(row["seq"]) or entries.setdefault(row["seq"], _entry(row))
        if row["movement"] is not None:
            entry.effective_at = max(entry.effective_at, row["effective_at"])
            line = _line(row)
            if keep(line):
                entry.lines.append(line)
    return list(entries.values())


def shard_of(beneficiary: str, shards: int) -> int:
    """Where the beneficiary's books are."""
    return partition_of(beneficiary.encode(), shards)


async def _walk(connection: Connection, shard: int, last_seq: int | None) -> list[int]:
    return [row["seq"] for row in await connection.fetch(query("walk"), shard, last_seq)] if last_seq else []


def _concerns(line: LineView, voucher: VoucherView) -> bool:
    """Whether the line moved the voucher: as such, as the promise it was, or with its whole lot."""
    lot = (line.programme, line.wave, line.benefit) == (voucher.programme, voucher.wave, voucher.benefit)
    return line.voucher == voucher.voucher or (line.voucher is None and lot)


def _is_about(entry: EntryView, voucher: VoucherView) -> bool:
    about = entry.about or {}
    if voucher.voucher in str(about):
        return True
    eligibility = entry.type.startswith("redress.eligibility.")
    return eligibility and (about.get("programme"), about.get("wave")) == (voucher.programme, voucher.wave)


def _redemption(row: Any) -> RedemptionView:
    return RedemptionView(
        row["programme"],
        row["redemption"],
        row["status"],
        row["order"],
        row["service"],
        row["expires_at"],
        _request(row["request"]),
        [RedemptionLineView(*line[:9]) for line in row["lines"]],
    )


def _request(stored: list[Any] | None) -> dict[str, Any] | None:
    """A request by the names of its parts; it is stored by their places."""
    if stored is None:
        return None
    named = dict(zip(_REQUEST_PARTS, stored, strict=True))
    return named | {"time": format_instant(named["time"])}


def _entry(row: Any) -> EntryView:
    return EntryView(
        row["seq"],
        row["batch"],
        row["cause_type"],
        row["cause_source"],
        row["cause_id"],
        row["outcome"],
        row["reason"],
        row["redemption"],
        row["beneficiary"],
        row["occurred_at"],
        row["effective_at"],
        row["recorded_at"],
        row["detail"],
    )


def _line(row: Any) -> LineView:
    return LineView(
        row["movement"],
        row["debit"],
        row["credit"],
        row["amount"],
        row["currency"],
        row["programme"],
        row["wave"],
        row["benefit"],
        row["voucher"],
        row["effective_at"],
        row["by_lot"],
    )
