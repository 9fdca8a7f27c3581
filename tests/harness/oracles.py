"""The oracle beside a running ledger: one per shard, fed along the shard's batch log.

The batch log says which records of each topic a batch took; inside a batch the order is the rules': programme,
eligibility, issuance, redemption, each by offset. So the oracle sees what the shard saw, however it was cut.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from redress.domain.event import Topic
from tests.harness.running_ledger import RunningLedger, Sent
from tests.oracle.model import Oracle

Row = dict[str, Any]


class Oracles:
    """What the ledger ought to have booked, of well-formed events."""

    def __init__(self, shards: list[Oracle]) -> None:
        self.shards = shards

    @classmethod
    async def along(cls, ledger: RunningLedger) -> "Oracles":
        """Fed with what was sent, in the order in which the ledger took it."""
        records = {(sent.topic, sent.partition, sent.offset): sent for sent in ledger.sent}
        identity = ledger.identity
        oracles = []
        for shard in range(identity.shards):
            oracle = Oracle(
                ledger=identity.name,
                shard=shard,
                shards=identity.shards,
                parking_seconds=identity.parking_seconds,
                clock=identity.clock,
            )
            for batch in await ledger.batch_log(shard):
                for sent in _taken(records, shard, batch):
                    if sent.event is not None:
                        oracle.feed(sent.topic, sent.event, partition=sent.partition, offset=sent.offset)
            oracle.check()
            oracles.append(oracle)
        return cls(oracles)

    def entries(self) -> list[Row]:
        return [entry for oracle in self.shards for entry in oracle.entries]

    def dead_letters(self) -> list[Row]:
        return [letter for oracle in self.shards for letter in oracle.dead_letters]

    def vouchers(self) -> dict[str, Row]:
        return {voucher: row for oracle in self.shards for voucher, row in oracle.vouchers().items()}

    def liability(self) -> dict[Any, Row]:
        return _summed(oracle.liability() for oracle in self.shards)

    def accounts(self) -> dict[Any, Row]:
        return _summed(oracle.accounts() for oracle in self.shards)

    def waves(self) -> dict[Any, Row]:
        same = ("programme", "wave", "expected_beneficiaries", "expected_amount")
        sums = _summed(
            {
                key: {name: count for name, count in row.items() if name not in same}
                for key, row in oracle.waves().items()
            }
            for oracle in self.shards
        )
        opened = self.shards[0].waves()
        return {key: {**{name: opened[key][name] for name in same}, **row} for key, row in sums.items()}

    def roll_forward(self) -> dict[Any, tuple[int, int]]:
        """By programme, wave, benefit, effective day and movement: amount and number of lines."""
        sums: defaultdict[Any, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for oracle in self.shards:
            for key, (amount, lines) in oracle.roll_forward_by_day().items():
                sums[key] = (sums[key][0] + amount, sums[key][1] + lines)
        return dict(sums)

    def parked(self) -> int:
        return sum(len(oracle.parked()) for oracle in self.shards)


def _taken(records: dict[tuple[str, int, int], Sent], shard: int, batch: Row) -> Iterable[Sent]:
    for topic in Topic:
        name = topic.name.lower()
        partition = 0 if topic is Topic.PROGRAMME else shard
        for offset in range(batch[f"{name}_from"], batch[f"{name}_offset"]):
            if (topic.value, partition, offset) in records:  # not so where a transaction left its marker
                yield records[topic.value, partition, offset]


def _summed(parts: Iterable[dict[Any, dict[str, int]]]) -> dict[Any, Row]:
    sums: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    for part in parts:
        for key, row in part.items():
            for name, value in row.items():
                sums[key][name] += value
    return {key: dict(row) for key, row in sums.items()}


async def assert_agrees(ledger: RunningLedger) -> Oracles:
    """Entries, dead letters, what is parked, and every view of finance are what the oracle says."""
    oracles = await Oracles.along(ledger)
    await _assert_entries(ledger, oracles)
    letters = [
        {
            "topic": row["topic"],
            "partition": row["record_partition"],
            "offset": row["record_offset"],
            "reason": row["reason"],
        }
        for row in await ledger.dead_letters()
        if _is_event(ledger, row)
    ]
    assert _sorted(letters) == _sorted(oracles.dead_letters())
    assert await ledger.database.fetchval("select count(*) from redress.parked") == oracles.parked()
    await _assert_views(ledger, oracles)
    return oracles


async def _assert_entries(ledger: RunningLedger, oracles: Oracles) -> None:
    booked, expected = await ledger.entries(), oracles.entries()
    assert len(booked) == len(expected), f"{len(booked)} entries, expected {len(expected)}"
    histories = _by_person(expected)
    for key, entries in _by_person(booked).items():
        for entry, other in zip(entries, histories.get(key, []), strict=True):
            assert entry == other, f"booked {entry}, expected {other}"


def _by_person(entries: list[Row]) -> dict[Any, list[Row]]:
    """Each person's entries in their order, and those of no person.

    Where a wave or programme wakes the parked events of several people, the rules order those of each person, by
    arrival; whose turn comes first changes no figure, and ledger and oracle take turns differently. So `seq` is left
    out; that it has no gap is checked elsewhere.
    """
    people: dict[Any, list[Row]] = {}
    for entry in entries:
        rest = {name: value for name, value in entry.items() if name != "seq"}
        people.setdefault((entry["shard"], entry["beneficiary"]), []).append(rest)
    return people


async def _assert_views(ledger: RunningLedger, oracles: Oracles) -> None:
    vouchers = {row["voucher"]: row for row in await ledger.view("voucher_balance")}
    for row in vouchers.values():
        assert row.pop("version") > 0
    assert vouchers == oracles.vouchers()

    liability = {_lot(row): row for row in await ledger.view("outstanding_liability") if row["wave"] != "unknown"}
    assert {key: {name: row[name] for name in _OWED} for key, row in liability.items()} == oracles.liability()
    for row in liability.values():
        assert row["outstanding"] == sum(row[name] for name in _OWED if name != "vouchers_open")

    accounts: defaultdict[Any, Row] = defaultdict(dict)
    for row in await ledger.view("account_balance"):
        accounts[_lot(row)][row["account"]] = row["balance"]
    assert _without_zeros(accounts) == _without_zeros(oracles.accounts())

    assert {(row["programme"], row["wave"]): row for row in await ledger.view("wave")} == oracles.waves()

    rolled: defaultdict[Any, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in await ledger.view("roll_forward"):
        key = (*_lot(row), row["effective_day"], row["movement"])
        rolled[key] = (rolled[key][0] + row["amount"], rolled[key][1] + row["lines"])
    assert rolled == oracles.roll_forward()


_OWED = ("entitlement", "unclaimed", "available", "held", "vouchers_open")


def _lot(row: Row) -> tuple[str, str, str]:
    return row["programme"], row["wave"], row["benefit"]


def _without_zeros(balances: dict[Any, Row]) -> dict[Any, Row]:
    rows = {key: {name: value for name, value in row.items() if value} for key, row in balances.items()}
    return {key: row for key, row in rows.items() if row}


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["topic"], row["partition"], row["offset"]))


def _is_event(ledger: RunningLedger, row: Row) -> bool:
    where = (row["topic"], row["record_partition"], row["record_offset"])
    return any(sent.event is not None and (sent.topic, sent.partition, sent.offset) == where for sent in ledger.sent)
