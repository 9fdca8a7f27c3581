"""The oracle against the rules' worked example, and against their tables one row at a time."""

from collections.abc import Iterable
from random import Random
from typing import Any, Literal

import pytest

from tests.oracle import instant
from tests.oracle.model import Oracle
from tests.oracle.scenario import EURO, WON, Scenario
from tests.oracle.voucher_id import voucher_id

ANNA = "6f1d2c3b-4a59-4e68-8777-869504132211"
BORA = "0b1e2d3c-4f5a-4b69-9787-a6b5c4d3e2f1"
FOREIGN = voucher_id("kr", "w1", BORA, "travel")
TOPICS = {
    "programme": "redress.programme",
    "wave": "redress.programme",
    "lot": "redress.programme",
    "clock": "redress.programme",
    "eligibility": "redress.eligibility",
    "redemption": "redress.redemption",
    "voucher": "redress.redemption",
}
"""By the subject of a type; `voucher.issued` and `voucher.revoked` stand on `redress.issuance`."""
KR = {
    **WON,
    "programme": "kr",
    "benefits": [{"code": "travel", "service": "travel", "amount": 20_000}],
    "reservation_ttl_seconds": 600,
}
EU = {**EURO, "programme": "eu", "benefits": [{"code": "ride", "service": "*", "amount": 2_000}]}

Line = tuple[str, int, str, str]


def kst(text: str) -> str:
    """`01-16` or `01-16 10:00` of the example's year, in Seoul."""
    day, _, clock = text.partition(" ")
    return f"2026-{day}T{clock or '00:00'}{'' if clock.count(':') == 2 else ':00'}+09:00"


def us(text: str) -> int:
    return instant.read(kst(text))


class Desk:
    """Writes events down shortly and feeds them to an oracle, which is checked after each."""

    def __init__(self, **settings: Any) -> None:
        self.oracle = Oracle(**settings)
        self.offset = 0

    def send(self, kind: str, at: str, key: str, *, id: str | None = None, **data: Any) -> list[dict[str, Any]]:  # noqa: A002
        self.offset += 1
        subject, _, _ = kind.partition(".")
        topic = "redress.issuance" if kind in ("voucher.issued", "voucher.revoked") else TOPICS[subject]
        envelope = {
            "specversion": "1.0",
            "id": id or f"e-{self.offset}",
            "type": f"redress.{kind}.v1",
            "source": "/test",
            "time": kst(at),
            "partitionkey": key,
            "datacontenttype": "application/json",
            "data": data,
        }
        entries = self.oracle.feed(topic, envelope, partition=0, offset=self.offset)
        self.oracle.check()
        return entries

    def tick(self, at: str) -> list[dict[str, Any]]:
        return self.send("clock.ticked", at, "clock", now=kst(at))

    def publish(self, terms: dict[str, Any], at: str = "01-01", **change: Any) -> list[dict[str, Any]]:
        return self.send("programme.published", at, terms["programme"], **{**terms, **change})

    def open(
        self, wave: str, start: str, end: str, *, programme: str = "kr", at: str = "01-01"
    ) -> list[dict[str, Any]]:
        dates = {"valid_from": kst(start), "valid_until": kst(end)}
        rest: dict[str, Any] = {"terms_version": 1, "expected": None, "roster_sha256": None}
        return self.send("wave.opened", at, programme, programme=programme, wave=wave, **dates, **rest)

    def extend(self, at: str, until: str, **lot: str) -> list[dict[str, Any]]:
        data = {"programme": "kr", "wave": "w1", "benefit": "travel", **lot}
        return self.send("lot.extended", at, data["programme"], **data, valid_until=kst(until), reason="goodwill")

    def revoke_lot(self, at: str, **lot: str) -> list[dict[str, Any]]:
        data = {"programme": "kr", "wave": "w1", "benefit": "travel", **lot}
        return self.send("lot.revoked", at, data["programme"], **data, reason="court")

    def eligibility(self, what: str, at: str, who: str = ANNA, **data: Any) -> list[dict[str, Any]]:
        more = {"standing": "member"} if what == "granted" else {}
        more |= {"reason": "check"} if what in ("withdrawn", "reinstated") else {}
        data = {"programme": "kr", "wave": "w1", "beneficiary": who, **more, **data}
        return self.send(f"eligibility.{what}", at, who, **data)

    def issue(self, at: str, who: str = ANNA, *, programme: str = "kr", wave: str = "w1") -> list[dict[str, Any]]:
        benefit = (KR if programme == "kr" else EU)["benefits"][0]
        voucher = voucher_id(programme, wave, who, benefit["code"])
        vouchers = [{"voucher": voucher, "benefit": benefit["code"], "amount": benefit["amount"]}]
        return self.send("voucher.issued", at, who, programme=programme, wave=wave, beneficiary=who, vouchers=vouchers)

    def voucher(self, what: str, at: str, who: str = ANNA, **data: Any) -> list[dict[str, Any]]:
        more = {"channel": "app"} if what == "claimed" else {"reason": "check"}
        programme = data.get("programme", "kr")
        benefit = "travel" if programme == "kr" else "ride"
        data = {"voucher": voucher_id(programme, "w1", who, benefit), **more, **data}
        return self.send(f"voucher.{what}", at, who, **{"programme": "kr", "beneficiary": who, **data})

    def redemption(
        self, what: str, at: str, redemption: str, *amounts: int, who: str = ANNA, programme: str = "kr", **data: Any
    ) -> list[dict[str, Any]]:
        benefit = "travel" if programme == "kr" else "ride"
        mine = voucher_id(programme, "w1", who, benefit)
        more: dict[str, Any] = {"lines": [{"voucher": mine, "amount": amount} for amount in amounts]}
        if what in ("requested", "recorded"):
            more |= {"order": f"o-{redemption}", "service": "travel", "applied_by": "customer"}
        if what in ("released", "reversed"):
            more["reason"] = "cancelled"
        if what == "released":
            del more["lines"]
        if what == "reversed":
            more["scope"] = "partial" if amounts else "whole_order"
        names = {"programme": programme, "redemption": redemption, "beneficiary": who}
        return self.send(f"redemption.{what}", at, who, **{**names, **more, **data})


def answer(entries: list[dict[str, Any]]) -> tuple[str, str | None]:
    assert len(entries) == 1, entries
    return entries[0]["outcome"], entries[0]["reason"]


def lines(entries: Iterable[dict[str, Any]]) -> list[Line]:
    return [(x["movement"], x["amount"], x["debit"], x["credit"]) for entry in entries for x in entry["lines"]]


def times(entries: Iterable[dict[str, Any]]) -> list[int]:
    return [line["effective_at"] for entry in entries for line in entry["lines"]]


@pytest.fixture
def desk() -> Desk:
    """Both programmes with their first wave, running since 2 January."""
    desk = Desk()
    desk.publish(KR)
    desk.publish(EU)
    desk.open("w1", "01-15 10:00", "04-16")
    desk.open("w1", "01-15 10:00", "04-16", programme="eu")
    desk.tick("01-02")
    return desk


@pytest.fixture
def anna(desk: Desk) -> Desk:
    """Anna has a claimed voucher of 20,000 won, and on 1 February one of 20 euros."""
    desk.tick("01-31")
    desk.eligibility("granted", "01-10")
    desk.issue("01-15 10:00")
    desk.voucher("claimed", "01-16")
    desk.eligibility("granted", "01-10", programme="eu")
    desk.issue("01-15 10:00", programme="eu")
    desk.tick("02-01")
    return desk


# --- the worked example


def test_the_worked_example_line_by_line() -> None:
    desk = Desk()
    desk.publish(KR)
    desk.open("w1", "01-15 10:00", "04-16")
    desk.tick("01-10 00:01")

    entries = desk.eligibility("granted", "01-10")
    assert lines(entries) == [("entitled", 20_000, "programme_grant", "entitlement")]
    assert times(entries) == [us("01-10")]

    desk.tick("01-15 10:00")
    assert lines(desk.issue("01-15 10:00")) == [("issued", 20_000, "entitlement", "unclaimed")]

    desk.tick("01-16")
    assert lines(desk.voucher("claimed", "01-16")) == [("claimed", 20_000, "unclaimed", "available")]

    desk.tick("02-01")
    entries = desk.redemption("requested", "02-01", "R1", 15_000)
    assert lines(entries) == [("reserved", 15_000, "available", "held")]
    assert answer(desk.redemption("requested", "02-01", "R2", 5_000)) == ("refused", "already_reserved")
    assert lines(desk.redemption("captured", "02-01", "R1", 15_000)) == [
        ("redeemed", 15_000, "held", "redemption_clearing"),
        ("forfeited", 5_000, "available", "breakage_forfeited"),
    ]

    desk.tick("02-03")
    entries = desk.redemption("reversed", "02-03", "R1", 4_000)
    assert lines(entries) == [("cancelled", 4_000, "redemption_clearing", "breakage_cancelled")]

    desk.tick("02-04")
    assert lines(desk.redemption("reversed", "02-04", "R1")) == [
        ("restored", 11_000, "redemption_clearing", "available"),
        ("restored", 5_000, "breakage_forfeited", "available"),
    ]

    desk.tick("04-15 23:58")
    entries = desk.redemption("requested", "04-15 23:58", "R3", 16_000)
    assert lines(entries) == [("reserved", 16_000, "available", "held")]

    entries = desk.tick("04-16")
    assert [entry["beneficiary"] for entry in entries] == [None]
    assert lines(entries) == []
    assert entries[0]["occurred_at"] == entries[0]["effective_at"] == us("04-16") - 1

    desk.tick("04-16 00:04")
    entries = desk.redemption("released", "04-16 00:04", "R3")
    assert lines(entries) == [
        ("released", 16_000, "held", "available"),
        ("expired", 16_000, "available", "expired_available"),
    ]
    assert [line["by_lot"] for line in entries[0]["lines"]] == [False, True]
    assert times(entries) == [us("04-16 00:04")] * 2

    desk.tick("04-17")
    entries = desk.redemption("recorded", "04-15 22:00", "R4", 1_000)
    assert lines(entries) == [
        ("expiry_reversed", 1_000, "expired_available", "available"),
        ("redeemed", 1_000, "available", "redemption_clearing"),
        ("expiry_reversed", 15_000, "expired_available", "available"),
        ("forfeited", 15_000, "available", "breakage_forfeited"),
    ]
    assert times(entries) == [us("04-16 00:04")] * 4
    assert answer(entries) == ("accepted", None)

    desk.tick("04-20")
    entries = desk.extend("04-20", "05-01")
    assert answer(entries) == ("accepted", None)
    assert lines(entries) == []

    lot = ("kr", "w1", "travel")
    assert desk.oracle.liability()[lot] == dict.fromkeys(
        ("entitlement", "unclaimed", "available", "held", "vouchers_open"), 0
    )
    balances = {account: balance for account, balance in desk.oracle.accounts()[lot].items() if balance}
    assert balances == {
        "programme_grant": -20_000,
        "redemption_clearing": 1_000,
        "breakage_forfeited": 15_000,
        "breakage_cancelled": 4_000,
    }
    row = desk.oracle.vouchers()[voucher_id("kr", "w1", ANNA, "travel")]
    assert (row["status"], row["redeemed"], row["forfeited"], row["cancelled"]) == ("redeemed", 1_000, 15_000, 4_000)
    assert [entry["seq"] for entry in desk.oracle.entries] == list(range(1, len(desk.oracle.entries) + 1))


def test_liability_as_of_counts_what_is_effective_before_the_instant(anna: Desk) -> None:
    lot = ("kr", "w1", "travel")
    assert anna.oracle.liability_as_of(us("01-10"))[lot]["entitlement"] == 0
    assert anna.oracle.liability_as_of(us("01-10") + 1)[lot]["entitlement"] == 20_000
    assert anna.oracle.liability_as_of(us("01-16"))[lot]["unclaimed"] == 20_000
    assert anna.oracle.liability_as_of(us("01-16") + 1)[lot]["available"] == 20_000
    assert anna.oracle.roll_forward()["kr", "w1", "travel", "issued"] == 20_000


# --- control


def test_terms_and_waves_published_again(desk: Desk) -> None:
    assert answer(desk.publish(KR)) == ("no_effect", "superseded")
    assert answer(desk.open("w1", "01-15 10:00", "04-16")) == ("no_effect", "superseded")
    assert desk.publish(KR, claim="none") == []
    assert desk.open("w1", "01-15 10:00", "04-17") == []
    assert [letter["reason"] for letter in desk.oracle.dead_letters] == ["conflict", "conflict"]


def test_the_same_wave_is_superseded_also_after_its_end(desk: Desk) -> None:
    desk.tick("05-01")
    assert answer(desk.open("w1", "01-15 10:00", "04-16", at="05-01")) == ("no_effect", "superseded")


@pytest.mark.parametrize("change", [{"currency": "USD"}, {"timezone": "UTC"}])
def test_currency_and_zone_of_a_programme_never_change(desk: Desk, change: dict[str, str]) -> None:
    assert desk.publish(KR, version=2, **change) == []
    assert desk.oracle.dead_letters[-1]["reason"] == "invalid"


def test_control_events_that_make_no_sense_are_invalid(desk: Desk) -> None:
    desk.open("w2", "01-15", "01-15")
    desk.open("w2", "01-01", "01-02")
    desk.open("unknown", "01-15", "04-16")
    desk.open("w2", "01-15", "04-16", programme="ghost")
    desk.extend("01-02", "05-01", benefit="none")
    desk.extend("01-02", "01-02")
    desk.revoke_lot("01-02", wave="none")
    assert [letter["reason"] for letter in desk.oracle.dead_letters] == ["invalid"] * 7


def test_only_the_first_shard_dead_letters_a_control_record() -> None:
    desk = Desk(shard=1, shards=2)
    desk.tick("01-01")
    desk.open("w1", "01-15", "04-16")
    assert desk.oracle.dead_letters == []


def test_a_lower_version_is_registered_and_the_latest_stays(desk: Desk) -> None:
    desk.publish(KR, version=3, request_max_age_seconds=60)
    assert answer(desk.publish(KR, version=2)) == ("accepted", None)
    desk.tick("02-01")
    assert answer(desk.redemption("requested", "01-31 23:58", "R1", 1)) == ("refused", "stale_request")


@pytest.mark.parametrize(("clock", "has_moved"), [("system", False), ("manual", True)])
def test_a_tick_far_ahead_is_invalid_under_the_system_clock(
    clock: Literal["system", "manual"], has_moved: bool
) -> None:
    desk = Desk(clock=clock)
    desk.tick("01-02")
    desk.tick("01-03 00:00:01")
    assert (desk.oracle.books.now == us("01-03 00:00:01")) is has_moved
    assert [letter["reason"] for letter in desk.oracle.dead_letters] == ([] if has_moved else ["invalid"])


# --- lots


def test_a_lot_lapses_with_what_stands_in_it(anna: Desk) -> None:
    entries = anna.tick("04-16")
    assert [entry["lines"][0]["programme"] for entry in entries] == ["eu", "kr"]
    assert lines(entries)[1] == ("expired", 20_000, "available", "expired_available")
    assert times(entries) == [us("04-16") - 1] * 2
    row = anna.oracle.vouchers()[voucher_id("kr", "w1", ANNA, "travel")]
    assert (row["status"], row["available"], row["expired"]) == ("expired", 0, 20_000)
    assert anna.oracle.liability()["kr", "w1", "travel"]["vouchers_open"] == 0


def test_an_expired_lot_reopens(anna: Desk) -> None:
    anna.tick("04-20")
    entries = anna.extend("04-10", "05-01")
    assert lines(entries) == [("expiry_reversed", 20_000, "expired_available", "available")]
    assert times(entries) == [us("04-16")]
    assert times(anna.redemption("recorded", "04-15", "R1", 20_000)) == [us("04-16")]
    assert answer(anna.extend("04-20", "05-01")) == ("no_effect", "superseded")


def test_a_revoked_lot_stays_revoked(anna: Desk) -> None:
    entries = anna.revoke_lot("01-12")
    assert lines(entries) == [("revoked", 20_000, "available", "revoked")]
    assert times(entries) == [us("01-16")], "not before the lot's last line"
    assert answer(anna.revoke_lot("02-01")) == ("no_effect", "revoked")
    assert answer(anna.extend("02-01", "05-01")) == ("no_effect", "revoked")
    assert answer(anna.redemption("requested", "02-01", "R1", 100)) == ("refused", "revoked")
    anna.tick("04-16")
    assert answer(anna.revoke_lot("04-16", programme="eu", benefit="ride")) == ("no_effect", "expired")


def test_an_entitlement_in_a_lapsed_lot_leaves_in_the_same_entry(desk: Desk) -> None:
    desk.tick("04-17")
    entries = desk.eligibility("granted", "04-17")
    assert lines(entries) == [
        ("entitled", 20_000, "programme_grant", "entitlement"),
        ("expired", 20_000, "entitlement", "expired_entitlement"),
    ]
    assert lines(desk.issue("04-17")) == [
        ("expiry_reversed", 20_000, "expired_entitlement", "entitlement"),
        ("issued", 20_000, "entitlement", "unclaimed"),
        ("expired", 20_000, "unclaimed", "expired_unclaimed"),
    ]


# --- entitlement and issue


def test_once_per_programme_and_once_per_wave(anna: Desk) -> None:
    anna.open("w2", "01-15", "04-16")
    anna.open("w2", "01-15", "04-16", programme="eu")
    assert answer(anna.eligibility("granted", "02-01")) == ("refused", "already_granted")
    assert answer(anna.eligibility("granted", "02-01", wave="w2")) == ("refused", "already_entitled")
    assert answer(anna.eligibility("granted", "02-01", wave="w2", programme="eu")) == ("accepted", None)
    assert anna.oracle.waves()["kr", "w2"]["refused"] == 1


def test_a_withdrawn_grant_makes_room_for_another(anna: Desk) -> None:
    anna.open("w2", "01-15", "04-16")
    assert lines(anna.eligibility("withdrawn", "02-01")) == [("revoked", 20_000, "available", "revoked")]
    assert answer(anna.eligibility("granted", "02-01", wave="w2")) == ("accepted", None)
    assert answer(anna.eligibility("reinstated", "02-01")) == ("no_effect", "already_entitled")
    assert lines(anna.eligibility("withdrawn", "02-01", wave="w2"))[0][0] == "withdrawn"
    assert lines(anna.eligibility("reinstated", "02-01")) == [("revocation_reversed", 20_000, "revoked", "available")]
    assert anna.oracle.waves()["kr", "w1"]["issued_amount"] == 20_000


def test_what_returns_to_a_withdrawn_voucher_leaves_and_comes_back_with_it(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 1_500, programme="eu")
    assert lines(anna.eligibility("withdrawn", "02-01", programme="eu")) == [("revoked", 500, "available", "revoked")]
    assert lines(anna.redemption("released", "02-01", "R1", programme="eu")) == [
        ("released", 1_500, "held", "available"),
        ("revoked", 1_500, "available", "revoked"),
    ]
    entries = anna.eligibility("reinstated", "02-01", programme="eu")
    assert lines(entries) == [("revocation_reversed", 2_000, "revoked", "available")]


def test_the_states_of_a_grant(desk: Desk) -> None:
    desk.eligibility("granted", "01-02", standing="former_member")
    assert desk.issue("01-02") == []
    entries = desk.eligibility("enrolled", "01-02")
    assert [entry["cause"]["type"] for entry in entries] == [
        "redress.eligibility.enrolled.v1",
        "redress.voucher.issued.v1",
    ]
    assert answer(desk.eligibility("enrolled", "01-02")) == ("no_effect", "already_enrolled")
    assert answer(desk.issue("01-02")) == ("no_effect", "already_issued")
    assert answer(desk.eligibility("reinstated", "01-02")) == ("no_effect", "not_withdrawn")
    desk.eligibility("withdrawn", "01-02")
    assert answer(desk.eligibility("enrolled", "01-02")) == ("no_effect", "already_withdrawn")
    assert answer(desk.eligibility("withdrawn", "01-02")) == ("no_effect", "already_withdrawn")
    assert answer(desk.issue("01-02")) == ("refused", "not_entitled")


def test_an_issue_that_is_not_exactly_what_is_due(desk: Desk) -> None:
    desk.eligibility("granted", "01-02")
    voucher = {"voucher": voucher_id("kr", "w1", ANNA, "travel"), "benefit": "travel", "amount": 19_999}
    names = {"programme": "kr", "wave": "w1", "beneficiary": ANNA}
    entries = desk.send("voucher.issued", "01-02", ANNA, **names, vouchers=[voucher])
    assert answer(entries) == ("refused", "not_as_entitled")


# --- vouchers


def test_claims(desk: Desk) -> None:
    desk.eligibility("granted", "01-02")
    desk.issue("01-02")
    assert answer(desk.voucher("claimed", "01-02")) == ("accepted", None)
    assert answer(desk.voucher("claimed", "01-02")) == ("no_effect", "already_claimed")
    desk.voucher("declined", "01-02")
    assert answer(desk.voucher("claimed", "01-02")) == ("no_effect", "declined")


def test_a_late_claim_of_an_early_time_is_booked_in_the_lapsed_lot(desk: Desk) -> None:
    desk.eligibility("granted", "01-02")
    desk.issue("01-02")
    desk.tick("04-17")
    assert lines(desk.voucher("claimed", "04-15")) == [
        ("expiry_reversed", 20_000, "expired_unclaimed", "unclaimed"),
        ("claimed", 20_000, "unclaimed", "available"),
        ("expired", 20_000, "available", "expired_available"),
    ]
    assert answer(desk.voucher("declined", "04-16")) == ("no_effect", "expired")


def test_a_declined_voucher_keeps_its_hold_and_gives_up_what_returns(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 20_000)
    entries = anna.voucher("declined", "02-01")
    assert answer(entries) == ("accepted", None)
    assert lines(entries) == []
    anna.tick("02-01 00:11")
    released = anna.oracle.entries[-1]
    assert (released["redemption"], released["occurred_at"]) == ("R1", us("02-01 00:10"))
    assert lines([released]) == [
        ("released", 20_000, "held", "available"),
        ("declined", 20_000, "available", "declined"),
    ]
    assert answer(anna.voucher("revoked", "02-01")) == ("no_effect", "declined")


def test_nothing_left_to_decline(anna: Desk) -> None:
    anna.redemption("recorded", "02-01", "R1", 20_000)
    assert answer(anna.voucher("declined", "02-01")) == ("no_effect", "nothing_left")
    assert answer(anna.voucher("revoked", "02-01")) == ("no_effect", "nothing_left")
    assert answer(anna.voucher("claimed", "02-01")) == ("no_effect", "already_claimed")


# --- requests


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"at": "01-31 23:00"}, "stale_request"),
        ({"at": "02-01 00:05:01"}, "future_request"),
        ({"lines": [{"voucher": FOREIGN, "amount": 1}]}, "not_owner"),
        ({"lines": [{"voucher": voucher_id("kr", "w9", ANNA, "travel"), "amount": 1}]}, "unknown_voucher"),
        ({"lines": [{"voucher": voucher_id("eu", "w1", ANNA, "ride"), "amount": 1}]}, "unknown_voucher"),
        ({"programme": "ghost"}, "unknown_voucher"),
        ({"service": "eats"}, "wrong_service"),
        ({"amount": 20_001}, "insufficient_balance"),
        ({"amount": 20_000}, None),
    ],
)
def test_what_a_request_is_refused_for(anna: Desk, change: dict[str, Any], reason: str | None) -> None:
    at, amount = change.pop("at", "02-01"), change.pop("amount", 1)
    entries = anna.redemption("requested", at, "R1", amount, **change)
    assert answer(entries) == ("refused" if reason else "accepted", reason)


def test_not_yet_valid_comes_before_not_claimed(desk: Desk) -> None:
    desk.eligibility("granted", "01-02")
    desk.issue("01-02")
    assert answer(desk.redemption("requested", "01-02", "R1", 1)) == ("refused", "not_yet_valid")
    desk.tick("01-15 10:00")
    assert answer(desk.redemption("requested", "01-15 10:00", "R2", 1)) == ("refused", "not_claimed")


def test_a_request_known_before(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 100)
    anna.redemption("recorded", "02-01", "R9", 100, programme="eu")
    assert answer(anna.redemption("requested", "02-01", "R1", 100)) == ("accepted", None)
    assert anna.oracle.entries[-1]["lines"] == []
    assert answer(anna.redemption("requested", "02-01", "R1", 101)) == ("refused", "conflict")
    assert answer(anna.redemption("requested", "02-01", "R9", 100, programme="eu")) == ("refused", "conflict")


def test_a_lapsed_lot_still_serves_a_request_of_an_earlier_time(anna: Desk) -> None:
    anna.tick("04-16 00:01")
    assert lines(anna.redemption("requested", "04-15 23:59:59", "R1", 5_000)) == [
        ("expiry_reversed", 5_000, "expired_available", "available"),
        ("reserved", 5_000, "available", "held"),
    ]
    assert answer(anna.redemption("requested", "04-16", "R2", 1)) == ("refused", "expired")


def test_vouchers_per_order() -> None:
    benefits = [{"code": "travel", "service": "*", "amount": 20_000}, {"code": "eats", "service": "*", "amount": 5_000}]
    desk = Desk()
    desk.publish(KR, benefits=benefits, claim="none")
    desk.open("w1", "01-02", "04-16")
    desk.tick("01-02")
    desk.eligibility("granted", "01-02")
    names = {"programme": "kr", "wave": "w1", "beneficiary": ANNA}
    ids = {b["code"]: voucher_id("kr", "w1", ANNA, str(b["code"])) for b in benefits}
    due = [{"voucher": ids[b["code"]], "benefit": b["code"], "amount": b["amount"]} for b in benefits]
    desk.send("voucher.issued", "01-02", ANNA, **names, vouchers=due)
    eats: dict[str, Any] = {"lines": [{"voucher": ids["eats"], "amount": 1}]}
    desk.redemption("requested", "01-02", "R1", 100, order="o")
    assert answer(desk.redemption("requested", "01-02", "R2", order="o", **eats)) == ("refused", "too_many_vouchers")
    desk.redemption("captured", "01-02", "R1", 100)
    assert answer(desk.redemption("requested", "01-02", "R3", order="o", **eats)) == ("refused", "too_many_vouchers")
    desk.redemption("reversed", "01-02", "R1")
    assert answer(desk.redemption("requested", "01-02", "R4", order="o", **eats)) == ("accepted", None)


# --- settling


def test_a_fact_takes_all_there_is_and_the_rest_is_exception(anna: Desk) -> None:
    entries = anna.redemption("recorded", "02-01", "R1", 25_000)
    assert answer(entries) == ("accepted", "insufficient_balance")
    assert lines(entries) == [
        ("redeemed", 20_000, "available", "redemption_clearing"),
        ("exception", 5_000, "exception", "redemption_clearing"),
    ]


def test_a_fact_claims_what_was_not_claimed(desk: Desk) -> None:
    desk.eligibility("granted", "01-02")
    desk.issue("01-02")
    entries = desk.redemption("recorded", "01-02", "R1", 1_000)
    assert answer(entries) == ("accepted", "not_yet_valid")
    assert [line[:2] for line in lines(entries)] == [("claimed", 20_000), ("redeemed", 1_000), ("forfeited", 19_000)]


def test_a_capture_nobody_asked_for(anna: Desk) -> None:
    entries = anna.redemption("captured", "02-01", "R1", 500, programme="eu")
    assert answer(entries) == ("accepted", "unknown_redemption")
    assert lines(entries) == [("redeemed", 500, "available", "redemption_clearing")]
    again = anna.redemption("captured", "02-01", "R1", 500, programme="eu")
    assert answer(again) == ("no_effect", "already_settled")


def test_a_foreign_voucher_is_an_exception_in_the_reserved_lot(anna: Desk) -> None:
    entries = anna.redemption("recorded", "02-01", "R1", lines=[{"voucher": FOREIGN, "amount": 300}])
    assert answer(entries) == ("accepted", "not_owner")
    line = entries[0]["lines"][0]
    assert (line["wave"], line["benefit"], line["voucher"]) == ("unknown", "unknown", FOREIGN)
    assert lines(anna.redemption("reversed", "02-01", "R1"))[0][0] == "exception_reversed"


def test_kept_terms_release_the_rest_of_the_hold(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 1_500, programme="eu")
    assert lines(anna.redemption("captured", "02-01", "R1", 1_600, programme="eu")) == [
        ("redeemed", 1_500, "held", "redemption_clearing"),
        ("redeemed", 100, "available", "redemption_clearing"),
    ]
    anna.redemption("requested", "02-01", "R2", 300, programme="eu")
    assert lines(anna.redemption("captured", "02-01", "R2", 200, programme="eu")) == [
        ("redeemed", 200, "held", "redemption_clearing"),
        ("released", 100, "held", "available"),
    ]


def test_another_redemptions_hold_is_not_taken_under_forfeited_terms(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 5_000)
    entries = anna.redemption("recorded", "02-01", "R2", 1_000)
    assert answer(entries) == ("accepted", "already_reserved")
    assert lines(entries) == [("exception", 1_000, "exception", "redemption_clearing")]


@pytest.mark.parametrize(("at", "is_covered"), [("04-16 00:10:59", True), ("04-16 00:11", False)])
def test_a_capture_just_after_the_time_out_counts_the_lot_as_usable(anna: Desk, at: str, is_covered: bool) -> None:
    anna.tick("04-16")
    anna.redemption("requested", "04-15 23:59:59", "R1", 5_000)
    anna.tick("04-16 00:12")
    assert lines([anna.oracle.entries[-1]])[0][0] == "released"
    entries = anna.redemption("captured", "04-16 00:10:58" if is_covered else at, "R1", 5_000)
    assert answer(entries) == ("accepted", None if is_covered else "expired")
    moved = [line[0] for line in lines(entries)]
    if is_covered:
        assert moved == ["expiry_reversed", "redeemed", "expiry_reversed", "forfeited"]
    else:
        assert moved == ["exception"]


def test_a_capture_releases_holds_it_does_not_name(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 5_000)
    entries = anna.redemption("captured", "02-01", "R1", lines=[{"voucher": FOREIGN, "amount": 10}])
    assert [line[0] for line in lines(entries)] == ["exception", "released"]


# --- reversing


def test_reversals_without_anything_to_reverse(anna: Desk) -> None:
    assert answer(anna.redemption("reversed", "02-01", "R1")) == ("no_effect", "unknown_redemption")
    assert answer(anna.redemption("released", "02-01", "R1")) == ("no_effect", "unknown_redemption")
    anna.redemption("requested", "02-01", "R1", 100)
    assert answer(anna.redemption("reversed", "02-01", "R1", 100)) == ("no_effect", "not_captured")
    assert lines(anna.redemption("reversed", "02-01", "R1")) == [("released", 100, "held", "available")]
    assert answer(anna.redemption("reversed", "02-01", "R1")) == ("no_effect", "nothing_held")
    assert answer(anna.redemption("released", "02-01", "R1")) == ("no_effect", "nothing_held")


def test_partial_reversals_under_any_before_expiry(anna: Desk) -> None:
    anna.redemption("recorded", "02-01", "R1", 2_500, programme="eu")
    assert lines(anna.redemption("reversed", "02-01", "R1", 700, programme="eu")) == [
        ("exception_reversed", 500, "redemption_clearing", "exception"),
        ("restored", 200, "redemption_clearing", "available"),
    ]
    other = anna.redemption(
        "reversed",
        "02-01",
        "R1",
        programme="eu",
        scope="partial",
        lines=[
            {"voucher": FOREIGN, "amount": 1},
        ],
    )
    assert answer(other) == ("no_effect", "nothing_left")
    anna.redemption("reversed", "02-01", "R1", 5_000, programme="eu")
    assert answer(anna.redemption("reversed", "02-01", "R1", 1, programme="eu")) == ("no_effect", "already_reversed")


def test_forfeited_comes_back_when_restores_add_up() -> None:
    desk = Desk()
    desk.publish(KR, claim="none", restore="any_before_expiry")
    desk.open("w1", "01-02", "04-16")
    desk.tick("01-02")
    desk.eligibility("granted", "01-02")
    desk.issue("01-02")
    desk.redemption("recorded", "01-02", "R1", 15_000)
    assert [line[:2] for line in lines(desk.redemption("reversed", "01-02", "R1", 4_000))] == [("restored", 4_000)]
    assert lines(desk.redemption("reversed", "01-02", "R1", 11_000)) == [
        ("restored", 11_000, "redemption_clearing", "available"),
        ("restored", 5_000, "breakage_forfeited", "available"),
    ]


def test_after_expiry_nothing_comes_back(anna: Desk) -> None:
    anna.redemption("recorded", "02-01", "R1", 20_000)
    anna.tick("04-16")
    entries = anna.redemption("reversed", "04-16", "R1")
    assert lines(entries) == [("cancelled", 20_000, "redemption_clearing", "breakage_cancelled")]


def test_what_is_restored_to_a_revoked_voucher_leaves_line_by_line(anna: Desk) -> None:
    anna.redemption("recorded", "02-01", "R1", 15_000)
    anna.eligibility("withdrawn", "02-01")
    assert [line[:2] for line in lines(anna.redemption("reversed", "02-01", "R1"))] == [
        ("restored", 15_000),
        ("revoked", 15_000),
        ("restored", 5_000),
        ("revoked", 5_000),
    ]


# --- order, parking, duplicates


def test_a_line_is_never_effective_before_the_vouchers_last_nor_after_now(anna: Desk) -> None:
    assert times(anna.redemption("recorded", "01-15 11:00", "R1", 100, programme="eu")) == [us("01-15 11:00")]
    assert times(anna.redemption("recorded", "02-01 23:00", "R2", 100, programme="eu")) == [us("02-01")]
    assert times(anna.redemption("recorded", "01-20", "R3", 100, programme="eu")) == [us("02-01")]


def test_facts_wait_for_their_voucher_in_order(desk: Desk) -> None:
    assert desk.voucher("claimed", "01-02") == []
    assert desk.issue("01-02") == []
    assert desk.redemption("recorded", "01-02", "R1", 20_000) == []
    assert [event["offset"] for event in desk.oracle.parked()] == [6, 7, 8]
    entries = desk.eligibility("granted", "01-02")
    assert [entry["cause"]["type"].split(".")[2] for entry in entries] == ["granted", "issued", "claimed", "recorded"]
    assert desk.oracle.parked() == []


def test_a_parked_fact_blocks_later_facts_of_its_redemption(anna: Desk) -> None:
    unknown = voucher_id("kr", "w2", ANNA, "travel")
    anna.redemption("requested", "02-01", "R1", 5_000)
    assert anna.redemption("captured", "02-01", "R1", lines=[{"voucher": unknown, "amount": 1}]) == []
    assert anna.redemption("released", "02-01", "R1") == []
    assert answer(anna.redemption("requested", "02-01", "R1", 5_000)) == ("accepted", None)
    anna.tick("02-01 12:00")
    entries = anna.tick("02-02")
    assert [(entry["cause"]["type"].split(".")[2], entry["reason"]) for entry in entries] == [
        ("captured", "unknown_voucher"),
        ("released", "nothing_held"),
    ]


def test_parking_ends_in_a_dead_letter_that_is_forgotten(desk: Desk) -> None:
    desk.voucher("claimed", "01-02", id="same")
    desk.tick("01-02 23:59:59")
    assert desk.oracle.dead_letters == []
    desk.tick("01-03")
    assert desk.oracle.dead_letters[-1]["reason"] == "parked_too_long"
    assert desk.voucher("claimed", "01-03", id="same", channel="mail") == []
    assert len(desk.oracle.parked()) == 1


def test_a_settling_fact_of_a_programme_never_published_is_dead_lettered(desk: Desk) -> None:
    desk.redemption("recorded", "01-02", "R1", 5, programme="ghost")
    assert desk.tick("01-03") == []
    assert desk.oracle.dead_letters[-1]["reason"] == "parked_too_long"


def test_at_most_a_hundred_are_parked_per_beneficiary(desk: Desk) -> None:
    for _ in range(101):
        desk.voucher("claimed", "01-02")
    assert len(desk.oracle.parked()) == 100
    assert [letter["reason"] for letter in desk.oracle.dead_letters] == ["parked_too_long"]


def test_duplicates_and_conflicts(anna: Desk) -> None:
    anna.redemption("requested", "02-01", "R1", 100, id="same")
    assert anna.redemption("requested", "02-01 00:00:07", "R1", 100, id="same") == []
    assert anna.oracle.dead_letters == []
    assert anna.redemption("requested", "02-01", "R1", 101, id="same") == []
    assert anna.oracle.dead_letters[-1]["reason"] == "conflict"


def test_a_fact_too_far_ahead_is_invalid_but_a_duplicate_of_it_is_not(anna: Desk) -> None:
    anna.voucher("declined", "02-02", id="same")
    assert anna.oracle.entries[-1]["outcome"] == "accepted"
    assert anna.voucher("declined", "02-03", id="same") == []
    assert anna.oracle.dead_letters == []
    anna.voucher("declined", "02-02 00:00:01")
    assert anna.oracle.dead_letters[-1]["reason"] == "invalid"


# --- random sequences


@pytest.mark.parametrize("seed", range(12))
def test_the_invariants_hold_after_every_event_of_a_random_sequence(seed: int) -> None:
    clock: Literal["system", "manual"] = "system" if seed % 2 else "manual"
    oracle = Oracle(clock=clock)
    for offset, (topic, event) in enumerate(Scenario(Random(seed), events=150, clock=clock)):
        oracle.feed(topic, event, partition=0, offset=offset)
        oracle.check()


@pytest.mark.parametrize("seed", range(12))
def test_what_was_decided_or_is_parked_makes_nothing_when_it_is_fed_again(seed: int) -> None:
    oracle = Oracle()
    records = list(Scenario(Random(seed), events=200))
    for offset, (topic, event) in enumerate(records):
        oracle.feed(topic, event, partition=0, offset=offset)
    dead = {letter["offset"] for letter in oracle.dead_letters}
    for offset, (topic, event) in enumerate(records):
        if offset not in dead:
            assert oracle.feed(topic, event, partition=0, offset=offset) == []
    assert len(oracle.dead_letters) == len(dead)


def test_the_same_seed_gives_the_same_sequence_and_the_same_entries() -> None:
    def entries() -> list[dict[str, Any]]:
        oracle = Oracle()
        for offset, (topic, event) in enumerate(Scenario(Random(7))):
            oracle.feed(topic, event, partition=0, offset=offset)
        return oracle.entries

    assert entries() == entries()


def test_the_audit_sees_a_line_that_does_not_belong(anna: Desk) -> None:
    line = {**anna.oracle.entries[-1]["lines"][0], "movement": "released", "debit": "held", "credit": "available"}
    forged = {**anna.oracle.entries[-1], "seq": len(anna.oracle.entries) + 1, "lines": [line]}
    anna.oracle.entries.append(forged)
    with pytest.raises(AssertionError, match="held is -2000"):
        anna.oracle.check()
