"""The pure domain and the oracle, fed with the same records and held against each other."""

from collections.abc import Iterable
from typing import Any, Literal

import orjson

from redress.contracts.decode import decode
from redress.domain.accounts import Account
from redress.domain.beneficiary import Beneficiary, Parked, Voucher
from redress.domain.entry import Cause, Entry, Line
from redress.domain.event import Coordinates, Event, Standing, Topic
from redress.domain.lot import Lot, LotStatus
from redress.domain.shard import DeadLetter, Results, Shard
from redress.domain.step import take_all
from tests.oracle.model import Oracle

Envelope = dict[str, Any]
Row = dict[str, Any]
Clock = Literal["system", "manual"]

LIABILITIES = (Account.ENTITLEMENT, Account.UNCLAIMED, Account.AVAILABLE, Account.HELD)


class Twin:
    """One shard of the domain beside one of the oracle. Every record gets the next offset of its topic."""

    def __init__(self, *, parking_seconds: int = 86_400, clock: Clock = "manual", shard: int = 0) -> None:
        self.oracle = Oracle(parking_seconds=parking_seconds, clock=clock, shard=shard)
        self.shard = Shard(number=shard, parking_seconds=parking_seconds, system_clock=clock == "system")
        self.entries: list[Entry] = []
        self.dead_letters: list[DeadLetter] = []
        self._offsets: dict[str, int] = {}

    def feed(self, topic: str, envelope: Envelope) -> Results:
        """Give both the record and compare what they make of it; what the domain decided is returned."""
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        event = read(topic, envelope, offset)
        take_all(self.shard, event, event.data)
        results = self.shard.take_results()
        known = len(self.oracle.dead_letters)
        expected = self.oracle.feed(topic, envelope, partition=0, offset=offset)
        self.entries += results.entries
        self.dead_letters += results.dead_letters
        assert _by_person(show_entry(self.shard, entry) for entry in results.entries) == _by_person(expected)
        assert [entry.seq for entry in results.entries] == [entry["seq"] for entry in expected]
        assert [show_dead_letter(dead) for dead in results.dead_letters] == self.oracle.dead_letters[known:]
        return results

    def compare_figures(self) -> None:
        """Vouchers, liability, waves and what is parked."""
        assert show_vouchers(self.shard) == self.oracle.vouchers()
        assert show_liability(self.shard) == self.oracle.liability()
        assert show_waves(self.shard) == self.oracle.waves()
        assert show_parked(self.shard) == self.oracle.parked()


def read(topic: str, envelope: Envelope, offset: int) -> Event:
    """The record over the wire: what is written as bytes and read again."""
    event = decode(Topic(topic), 0, offset, envelope["partitionkey"].encode(), orjson.dumps(envelope), partitions=1)
    assert isinstance(event, Event), event
    return event


def _by_person(entries: Iterable[Row]) -> dict[str | None, list[Row]]:
    """Each person's entries in their order, without the shard's numbers.

    When a wave or programme wakes the parked events of several people, the rules order those of each person, by
    arrival; whose turn comes first changes no figure, and the two take turns differently.
    """
    people: dict[str | None, list[Row]] = {}
    for entry in entries:
        people.setdefault(entry["beneficiary"], []).append({name: entry[name] for name in entry if name != "seq"})
    return people


# --- as the oracle writes it


def show_entry(shard: Shard, entry: Entry) -> Row:
    return {
        "seq": entry.seq,
        "shard": shard.number,
        "beneficiary": str(entry.beneficiary) if entry.beneficiary else None,
        "outcome": entry.outcome.value,
        "reason": entry.reason.value if entry.reason else None,
        "cause": _show_cause(entry.cause),
        "occurred_at": entry.occurred_at,
        "effective_at": entry.effective_at,
        "terms_version": entry.terms_version,
        "redemption": entry.redemption,
        "lines": [_show_line(shard, line) for line in entry.lines],
    }


def _show_line(shard: Shard, line: Line) -> Row:
    return {
        "movement": line.posting.movement.value,
        "debit": line.posting.debit.value,
        "credit": line.posting.credit.value,
        "amount": line.amount,
        "currency": shard.programmes[line.lot.programme].latest.currency,
        "programme": line.lot.programme,
        "wave": line.lot.wave,
        "benefit": line.lot.benefit,
        "voucher": str(line.shown_voucher) if line.shown_voucher else None,
        "effective_at": line.effective,
        "by_lot": line.by_lot,
    }


def _show_cause(cause: Cause) -> Row:
    return {"source": cause.source, "id": cause.id, "type": cause.type, **_show_place(cause.at)}


def _show_place(at: Coordinates) -> Row:
    return {"topic": at.topic.value, "partition": at.partition, "offset": at.offset}


def show_dead_letter(dead: DeadLetter) -> Row:
    return {**_show_place(dead.at), "reason": dead.reason.value}


def show_vouchers(shard: Shard) -> dict[str, Row]:
    return {
        str(voucher.id): _show_voucher(shard, person, voucher)
        for person in shard.beneficiaries.values()
        for voucher in person.vouchers.values()
        if voucher.issued
    }


def _show_voucher(shard: Shard, person: Beneficiary, voucher: Voucher) -> Row:
    lot = shard.lot(voucher.lot)
    own = voucher.amounts
    row: Row = {
        "voucher": str(voucher.id),
        "beneficiary": str(person.id),
        "programme": lot.key.programme,
        "wave": lot.key.wave,
        "benefit": lot.key.benefit,
        "service": lot.benefit.service,
        "currency": lot.terms.currency,
        "status": _status(lot, voucher),
        "face": lot.benefit.amount,
        "unclaimed": voucher.unclaimed,
        "available": voucher.available,
        "held": voucher.held,
        "redeemed": own[Account.REDEMPTION_CLEARING],
        "forfeited": own[Account.BREAKAGE_FORFEITED],
        "cancelled": own[Account.BREAKAGE_CANCELLED],
        "expired": 0,
        "revoked": own[Account.REVOKED],
        "declined": own[Account.DECLINED],
        "valid_from": lot.valid_from,
        "valid_until": lot.valid_until,
        "standing": _standing(person, voucher),
    }
    if not lot.is_open:
        row[lot.status.value] += row["unclaimed"] + row["available"]
        row["unclaimed"] = row["available"] = 0
    return row


def _status(lot: Lot, voucher: Voucher) -> str:
    own = voucher.amounts
    spent = own[Account.REDEMPTION_CLEARING] + own[Account.BREAKAGE_FORFEITED] + own[Account.BREAKAGE_CANCELLED]
    if voucher.held:
        return "held"
    if voucher.declined:
        return "declined"
    if voucher.is_revoked:
        return "revoked"
    if spent and not voucher.has_something_left:
        return "redeemed"
    if lot.status is not LotStatus.OPEN:
        return lot.status.value
    return "available" if voucher.available else "unclaimed"


def _standing(person: Beneficiary, voucher: Voucher) -> str:
    grant = person.grants[voucher.lot.programme, voucher.lot.wave]
    if grant.withdrawn:
        return "withdrawn"
    return "enrolled" if grant.enrolled else Standing(grant.standing).value


def show_liability(shard: Shard) -> dict[tuple[str, str, str], dict[str, int]]:
    return {
        (lot.key.programme, lot.key.wave, lot.key.benefit): {
            **{account.value: lot.balances[account] for account in LIABILITIES},
            "vouchers_open": lot.vouchers_open if lot.is_open else lot.vouchers_held,
        }
        for lot in shard.lots()
    }


def show_waves(shard: Shard) -> dict[tuple[str, str], Row]:
    rows: dict[tuple[str, str], Row] = {}
    for programme in shard.programmes.values():
        for code, wave in programme.waves.items():
            expected, count = wave.opened.expected, wave.count
            rows[programme.code, code] = {
                "programme": programme.code,
                "wave": code,
                "expected_beneficiaries": expected.beneficiaries if expected else None,
                "expected_amount": expected.amount if expected else None,
                "granted": count.granted,
                "refused": count.refused,
                "withdrawn": count.withdrawn,
                "enrolled": count.enrolled,
                "issued": count.issued,
                "entitled_amount": count.entitled_amount,
                "issued_amount": count.issued_amount,
            }
    return rows


def show_parked(shard: Shard) -> list[Row]:
    return [_show_parked(parked) for parked in shard.parked.values()]


def _show_parked(parked: Parked) -> Row:
    event = parked.event
    cause = {"source": event.source, "id": event.id, "type": event.type, **_show_place(event.at)}
    return {**cause, "beneficiary": str(parked.beneficiary), "since": parked.parked_at}
