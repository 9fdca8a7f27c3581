"""Programmes, terms, waves and lots: rows of a shard to its state and back."""

from collections.abc import Iterable
from typing import Any

from redress.contracts.encode import to_wire
from redress.contracts.programme import ProgrammePublished as ProgrammePublishedModel
from redress.contracts.programme import WaveOpened as WaveOpenedModel
from redress.domain.accounts import Account
from redress.domain.entry import LotKey
from redress.domain.event import ProgrammePublished
from redress.domain.lot import Lot, LotStatus, reserved_lot
from redress.domain.programme import Programme, Wave, WaveCount
from redress.domain.seen import Seen
from redress.domain.shard import Shard
from redress.domain.terms import Terms
from redress.ledger.numbering import Numbering

_COUNTS = tuple(WaveCount.__slots__)


def restore_programmes(shard: Shard, programmes: Iterable[Any], terms: Iterable[Any]) -> None:
    """Programmes with their versions; waves and lots come after them."""
    versions: dict[str, dict[int, Terms]] = {}
    for row in terms:
        published = ProgrammePublishedModel.model_validate(row["data"]).to_domain()
        versions.setdefault(row["programme"], {})[row["version"]] = published.terms
    for row in programmes:
        own = versions[row["code"]]
        first = next(iter(own.values()))
        shard.programmes[row["code"]] = Programme(
            row["code"], own, reserved_lot(row["code"], first), seen=Seen(row["seen"])
        )


def restore_waves(shard: Shard, numbering: Numbering, rows: Iterable[Any]) -> None:
    """Waves, in order of their numbers, each with its lots as they were opened."""
    for row in rows:
        opened = WaveOpenedModel.model_validate(row["opened"]).to_domain()
        programme = shard.programmes[opened.programme]
        terms = programme.versions[opened.terms_version]
        lots = {
            benefit.code: Lot(
                LotKey(opened.programme, opened.wave, benefit.code),
                benefit,
                terms,
                opened.valid_from,
                opened.valid_until,
            )
            for benefit in terms.benefits
        }
        count = WaveCount(**{name: row[name] for name in _COUNTS})
        programme.waves[opened.wave] = Wave(opened, terms, lots, count)
        numbering.add_wave((opened.programme, opened.wave), row["no"])


def restore_lots(shard: Shard, numbering: Numbering, rows: Iterable[Any]) -> None:
    """Lots as they stand, in order of their numbers."""
    for row in rows:
        key = LotKey(row["programme"], row["wave"], row["benefit"])
        numbering.add_lot(key, row["no"])
        lot = shard.lot(key)
        lot.valid_from = row["valid_from"]
        lot.valid_until = row["valid_until"]
        lot.status = LotStatus(row["status"])
        lot.revoked_at = row["revoked_at"]
        lot.booked_at = row["booked_at"]
        lot.reopened_at = row["reopened_at"]
        lot.last_line = row["last_line"]
        lot.vouchers_open = row["vouchers_open"]
        lot.vouchers_held = row["vouchers_held"]
        lot.seq = row["seq"]
        for account in Account:
            lot.balances[account] = row[account.value]


def lot_columns(lots: Iterable[Lot], numbering: Numbering) -> list[list[Any]]:
    """Columns for `put_lots`, ordered by number."""
    rows = [_lot_row(lot, numbering) for lot in lots]
    return [list(column) for column in zip(*sorted(rows), strict=True)]


def _lot_row(lot: Lot, numbering: Numbering) -> tuple[Any, ...]:
    return (
        numbering.lots[lot.key],
        *lot.key,
        lot.benefit.service,
        lot.benefit.amount,
        lot.terms.currency,
        lot.terms.timezone,
        lot.terms.version,
        lot.valid_from,
        lot.valid_until,
        lot.status.value,
        lot.revoked_at,
        lot.booked_at,
        lot.reopened_at,
        lot.last_line,
        lot.vouchers_open,
        lot.vouchers_held,
        lot.seq,
        *(lot.balances[account] for account in Account),
    )


def wave_columns(waves: Iterable[Wave], numbering: Numbering) -> list[list[Any]]:
    """Columns for `put_waves`, ordered by number."""
    rows = [
        (
            numbering.waves[wave.opened.programme, wave.opened.wave],
            wave.opened.programme,
            wave.opened.wave,
            to_wire(wave.opened)[1],
            *(getattr(wave.count, name) for name in _COUNTS),
        )
        for wave in waves
    ]
    return [list(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True)]


def terms_columns(terms: Iterable[Terms]) -> list[list[Any]]:
    """Columns for `put_terms`."""
    rows = [(t.programme, t.version, to_wire(ProgrammePublished(t))[1]) for t in terms]
    return [list(column) for column in zip(*rows, strict=True)]


def programme_columns(programmes: Iterable[Programme]) -> list[list[Any]]:
    """Columns for `put_programmes`."""
    rows = [(p.code, p.seen.packed) for p in programmes]
    return [list(column) for column in zip(*rows, strict=True)]
