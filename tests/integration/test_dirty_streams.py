"""The same events sent clean, and as they really arrive: both ledgers show the same figures."""

from collections import defaultdict
from random import Random
from typing import Any

from redress.runtime.local import Stack
from tests.harness.bad_records import PERSON
from tests.harness.events import people
from tests.harness.ledger_sound import assert_ledger_sound
from tests.harness.oracles import assert_agrees
from tests.harness.recovery import empty_ledger
from tests.harness.running_ledger import RunningLedger
from tests.harness.streams import Company
from tests.oracle.event import TICKED

PEOPLE = 350
NETTED = {"expiry_reversed": ("expired", -1)}
WITHIN = {"issued", "claimed", "reserved", "released"}
"""Movements between the accounts of what is owed: no part of the roll-forward."""

RollForward = dict[tuple[Any, ...], int]
VoucherLines = dict[tuple[Any, ...], list[tuple[Any, ...]]]


async def test_duplicates_late_conflicting_and_poisonous_records_change_no_figure(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    """30 % duplicates, 10 % late, 1 % conflicting, 1 % poison.

    RULES section 2 promises the same balances for another order as long as no request is raced by what it needs and no
    fact by the clock; section 8 that a fact waits for what it needs. So late are facts, never a request, nor what a
    request, a cancellation or a withdrawal needs, beyond that one. Within this each voucher has the very same lines, of
    the same effective times, since money is moved by the time of the event (section 3).

    Two kinds of lateness that the clock does race end in the same balances too, as nothing else wanted the money: a
    capture or release after its hold has timed out, which settles without it; and a fact of the last day after its lot
    has lapsed, which the closed-lot rule undoes and does again (section 4). Their lines differ. Their roll-forward does
    not, by day on the effective axis, once `expiry_reversed` is taken off `expired`: both fall on the lot's last day.
    """
    company = Company([PERSON, *people(PEOPLE, seed=51)])
    clean, dirty = company.clean(), company.dirty(Random(52))
    async with (
        empty_ledger(stack) as other,
        RunningLedger(stack.kafka, database, f"{topic_prefix}clean.") as orderly,
        RunningLedger(stack.kafka, other, f"{topic_prefix}dirty.", workers_at_start=2) as messy,
    ):
        assert await clean.feed(orderly) == []
        poison = await dirty.feed(messy)

        # then each record that could not be taken is a dead letter with its reason, and there are no others
        assert await orderly.dead_letters() == []
        expected = {(sent.topic, sent.partition, sent.offset): bad.reason for sent, bad in poison}
        for sent in messy.sent:
            if any(sent.event is conflicting for conflicting in dirty.conflicting):
                expected[sent.topic, sent.partition, sent.offset] = "conflict"
        letters = await messy.dead_letters()
        assert {(r["topic"], r["record_partition"], r["record_offset"]): r["reason"] for r in letters} == expected

        # and all else is the same
        assert await _booked(messy) == await _booked(orderly)
        assert await _balances(messy) == await _balances(orderly)
        assert await _roll_forward(messy) == await _roll_forward(orderly)
        lines, others = await _lines(orderly), await _lines(messy)
        in_time = {key for key in lines if key[0] not in dirty.past_a_bound}
        assert {key: others[key] for key in in_time} == {key: lines[key] for key in in_time}

        # and this was no small matter
        assert len(dirty.past_a_bound) > PEOPLE / 10
        assert len(in_time) > len(lines) / 2
        assert others != lines
        for ledger in (orderly, messy):
            await assert_agrees(ledger)
    await assert_ledger_sound(database)


async def _booked(ledger: RunningLedger) -> list[tuple[str, str]]:
    """The events that were decided, each once. What fell due is not among them: a late capture's hold has timed out."""
    entries = await ledger.entries()
    return sorted((e["cause"]["source"], e["cause"]["id"]) for e in entries if e["cause"]["type"] != TICKED)


async def _balances(ledger: RunningLedger) -> dict[str, list[str]]:
    """Of every voucher, lot and wave."""
    rows = {name: await ledger.view(name) for name in _VIEWS}
    for row in rows["voucher_balance"]:
        del row["version"]
    return {name: sorted(str(sorted(row.items())) for row in rows[name]) for name in _VIEWS}


_VIEWS = ("voucher_balance", "outstanding_liability", "account_balance", "wave")


async def _roll_forward(ledger: RunningLedger) -> RollForward:
    """By lot, effective day and movement of the roll-forward."""
    sums: defaultdict[tuple[Any, ...], int] = defaultdict(int)
    for row in await ledger.view("roll_forward"):
        movement, sign = NETTED.get(row["movement"], (row["movement"], 1))
        if movement not in WITHIN:
            sums[row["wave"], row["benefit"], row["effective_day"], movement] += sign * row["amount"]
    return dict(sums)


async def _lines(ledger: RunningLedger) -> VoucherLines:
    """Each voucher's lines in their order, by person, wave and benefit."""
    found: VoucherLines = defaultdict(list)
    for entry in await ledger.entries():
        for line in entry["lines"]:
            if entry["beneficiary"]:
                about = (line["movement"], line["debit"], line["credit"], line["amount"], line["effective_at"])
                found[entry["beneficiary"], line["wave"], line["benefit"]].append(about)
    return found
