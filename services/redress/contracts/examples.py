"""One example per type of event, as they follow each other in a programme. They are published with the schemas."""

from typing import Any

import orjson

from redress.contracts.encode import encode_event, encode_record
from redress.contracts.instants import parse_instant
from redress.domain import event as e
from redress.domain import ids, terms

PROGRAMME = ids.ProgrammeCode("relief-2026")
WAVE = ids.WaveCode("first")
BENEFICIARY = ids.BeneficiaryId("3f6c1d2e-8a4b-4c5d-9e6f-7a8b9c0d1e2f")
REDEMPTION = ids.RedemptionId("r-7f3a91")
ORDER = ids.OrderId("o-7f3a")
TRAVEL = ids.BenefitCode("travel")
TRAVEL_VOUCHER = ids.voucher_id(PROGRAMME, WAVE, BENEFICIARY, TRAVEL)

_BENEFITS = (
    terms.Benefit(ids.BenefitCode("all-products"), terms.ANY_SERVICE, 5_000),
    terms.Benefit(ids.BenefitCode("food-delivery"), ids.ServiceCode("food-delivery"), 5_000),
    terms.Benefit(TRAVEL, ids.ServiceCode("travel"), 20_000),
    terms.Benefit(ids.BenefitCode("beauty-fashion"), ids.ServiceCode("beauty-fashion"), 20_000),
)
_SPENT = (e.Spend(TRAVEL_VOUCHER, 15_000),)


def _at(text: str) -> ids.Instant:
    return parse_instant(text)


INPUT_EVENTS: tuple[tuple[str, str, e.Data], ...] = (
    (
        "2026-01-05T09:00:00+09:00",
        "/control",
        e.ProgrammePublished(
            terms.Terms(
                programme=PROGRAMME,
                version=1,
                currency="KRW",
                timezone="Asia/Seoul",
                benefits=_BENEFITS,
                claim=terms.Claim.REQUIRED,
                remainder=terms.Remainder.FORFEITED,
                restore=terms.Restore.WHOLE_ORDER_BEFORE_EXPIRY,
                vouchers_per_order=1,
                once_per=terms.OncePer.PROGRAMME,
                reservation_ttl_seconds=900,
                request_max_age_seconds=300,
            )
        ),
    ),
    (
        "2026-01-05T09:01:00+09:00",
        "/control",
        e.WaveOpened(
            programme=PROGRAMME,
            wave=WAVE,
            terms_version=1,
            valid_from=_at("2026-01-15T10:00:00+09:00"),
            valid_until=_at("2026-04-16T00:00:00+09:00"),
            expected=e.Expected(33_700_000, 1_685_000_000_000),
            roster_sha256=None,
        ),
    ),
    ("2026-01-10T00:00:00+09:00", "/clock", e.ClockTicked(_at("2026-01-10T00:00:00+09:00"))),
    ("2026-01-10T09:00:00+09:00", "/eligibility", e.Granted(PROGRAMME, WAVE, BENEFICIARY, e.Standing.FORMER_MEMBER)),
    ("2026-01-12T12:30:00+09:00", "/membership", e.Enrolled(PROGRAMME, WAVE, BENEFICIARY)),
    (
        "2026-01-15T10:00:00+09:00",
        "/redress/main/issuance",
        e.Issued(
            PROGRAMME,
            WAVE,
            BENEFICIARY,
            tuple(
                e.IssuedVoucher(ids.voucher_id(PROGRAMME, WAVE, BENEFICIARY, b.code), b.code, b.amount)
                for b in _BENEFITS
            ),
        ),
    ),
    ("2026-01-16T08:15:00+09:00", "/app", e.Claimed(PROGRAMME, BENEFICIARY, TRAVEL_VOUCHER, "app")),
    (
        "2026-02-01T20:00:00.250000+09:00",
        "/checkout/travel",
        e.Requested(PROGRAMME, REDEMPTION, BENEFICIARY, ORDER, ids.ServiceCode("travel"), e.AppliedBy.CUSTOMER, _SPENT),
    ),
    ("2026-02-01T20:03:00+09:00", "/checkout/travel", e.Captured(PROGRAMME, REDEMPTION, BENEFICIARY, _SPENT)),
    (
        "2026-02-01T20:10:00+09:00",
        "/checkout/travel",
        e.Released(PROGRAMME, ids.RedemptionId("r-7f3a92"), BENEFICIARY, "payment_failed"),
    ),
    (
        "2026-02-02T11:00:00+09:00",
        "/checkout/travel",
        e.Recorded(
            PROGRAMME,
            ids.RedemptionId("r-7f3a93"),
            BENEFICIARY,
            ids.OrderId("o-7f3b"),
            ids.ServiceCode("travel"),
            e.AppliedBy.AGENT,
            (e.Spend(TRAVEL_VOUCHER, 1_000),),
        ),
    ),
    (
        "2026-02-03T09:00:00+09:00",
        "/checkout/travel",
        e.Reversed(
            PROGRAMME,
            REDEMPTION,
            BENEFICIARY,
            e.Scope.PARTIAL,
            (e.Spend(TRAVEL_VOUCHER, 4_000),),
            "item_returned",
        ),
    ),
    ("2026-02-05T10:00:00+09:00", "/eligibility", e.Withdrawn(PROGRAMME, WAVE, BENEFICIARY, "account_invalid")),
    ("2026-02-06T10:00:00+09:00", "/eligibility", e.Reinstated(PROGRAMME, WAVE, BENEFICIARY, "review_upheld")),
    ("2026-02-07T10:00:00+09:00", "/app", e.Declined(PROGRAMME, BENEFICIARY, TRAVEL_VOUCHER, "not_wanted")),
    ("2026-02-08T10:00:00+09:00", "/control", e.VoucherRevoked(PROGRAMME, BENEFICIARY, TRAVEL_VOUCHER, "fraud")),
    (
        "2026-04-10T10:00:00+09:00",
        "/control",
        e.LotExtended(PROGRAMME, WAVE, TRAVEL, _at("2026-05-01T00:00:00+09:00"), "service_outage"),
    ),
    ("2026-04-20T10:00:00+09:00", "/control", e.LotRevoked(PROGRAMME, WAVE, TRAVEL, "service_closed")),
)
"""Time, source and content of each."""

_RECORDED = "2026-02-01T11:03:00.734512Z"
_CAPTURED = "2026-02-01T11:03:00Z"
_ENTRY_LINE = {
    "debit": "held",
    "currency": "KRW",
    "programme": PROGRAMME,
    "wave": WAVE,
    "benefit": TRAVEL,
    "voucher": str(TRAVEL_VOUCHER),
    "effective_at": _CAPTURED,
    "by_lot": False,
}
_CAUSE = {"source": "/checkout/travel", "id": "example-9", "type": "redress.redemption.captured.v1"}
_SIGNAL = {
    "ledger": "main",
    "shard": 0,
    "window": {"start": "2026-02-01T11:02:50Z", "end": _CAPTURED},
    "first_seq": 4201,
}

OUTPUT_EVENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "redress.entry.appended.v1": (
        str(BENEFICIARY),
        {
            "ledger": "main",
            "shard": 0,
            "seq": 4213,
            "batch": 96,
            "beneficiary": str(BENEFICIARY),
            "outcome": "accepted",
            "reason": None,
            "cause": {**_CAUSE, "topic": "redress.redemption", "partition": 0, "offset": 1806},
            "occurred_at": _CAPTURED,
            "effective_at": _CAPTURED,
            "recorded_at": _RECORDED,
            "terms_version": 1,
            "redemption": REDEMPTION,
            "lines": [
                {"movement": "redeemed", **_ENTRY_LINE, "credit": "redemption_clearing", "amount": 15_000},
                {
                    "movement": "forfeited",
                    **_ENTRY_LINE,
                    "debit": "available",
                    "credit": "breakage_forfeited",
                    "amount": 5_000,
                },
            ],
        },
    ),
    "redress.batch.committed.v1": (
        "shard/0",
        {
            "ledger": "main",
            "shard": 0,
            "batch": 96,
            "first_seq": 4213,
            "next_seq": 4214,
            "offsets": {"programme": 31, "eligibility": 2106, "issuance": 2104, "redemption": 1807},
            "recorded_at": _RECORDED,
            "rules_version": 1,
            "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
    ),
    "redress.beneficiary.balance.v1": (
        str(BENEFICIARY),
        {
            "beneficiary": str(BENEFICIARY),
            "shard": 0,
            "seq": 4213,
            "vouchers": [
                {
                    "voucher": str(TRAVEL_VOUCHER),
                    "programme": PROGRAMME,
                    "wave": WAVE,
                    "benefit": TRAVEL,
                    "service": "travel",
                    "status": "redeemed",
                    "face": 20_000,
                    "available": 0,
                    "held": 0,
                    "redeemed": 15_000,
                    "forfeited": 5_000,
                    "version": 4213,
                }
            ],
        },
    ),
    "redress.lot.state.v1": (
        f"lot/{PROGRAMME}/{WAVE}/{TRAVEL}",
        {
            "programme": PROGRAMME,
            "wave": WAVE,
            "benefit": TRAVEL,
            "service": "travel",
            "state": "open",
            "valid_from": "2026-01-15T01:00:00Z",
            "valid_until": "2026-04-15T15:00:00Z",
            "terms_version": 1,
            "version": 2,
            "shard": 0,
            "seq": 2,
        },
    ),
    "redress.redemption.decided.v1": (
        str(BENEFICIARY),
        {
            "ledger": "main",
            "shard": 0,
            "seq": 4213,
            "cause": _CAUSE,
            "beneficiary": str(BENEFICIARY),
            "redemption": REDEMPTION,
            "order": ORDER,
            "outcome": "accepted",
            "reason": None,
            "lines": [
                {
                    "voucher": str(TRAVEL_VOUCHER),
                    "reserved": 0,
                    "redeemed": 15_000,
                    "forfeited": 5_000,
                    "released": 0,
                    "restored": 0,
                    "exception": 0,
                    "balance": 0,
                }
            ],
        },
    ),
    "redress.record.dead_lettered.v1": (
        "redress.redemption/0/1806",
        {
            "reason": "invalid",
            "detail": "data.lines.0.amount: less_than_equal 1000000000000",
            "topic": "redress.redemption",
            "partition": 0,
            "offset": 1806,
            "size": 713,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
    ),
    "redress.signal.rate.v1": (
        PROGRAMME,
        {
            **_SIGNAL,
            "programme": PROGRAMME,
            "entries": 1,
            "beneficiaries": 1,
            "currency": "KRW",
            "movements": [
                {"movement": "forfeited", "lines": 1, "amount": 5_000},
                {"movement": "redeemed", "lines": 1, "amount": 15_000},
            ],
        },
    ),
    "redress.signal.velocity.v1": (
        "shard/0",
        {**_SIGNAL, "programme": None, "beneficiary": str(BENEFICIARY), "requests": 14, "refused": 14},
    ),
    "redress.signal.anomaly.v1": (
        PROGRAMME,
        {**_SIGNAL, "programme": PROGRAMME, "kind": "exceptions", "entries": 1, "of": None, "amount": 15_000},
    ),
}
"""Key and data of each type that goes out."""

_OUTPUT_IDS = {
    "redress.entry.appended.v1": "main-0-4213",
    "redress.batch.committed.v1": "main-0-batch-96",
    "redress.beneficiary.balance.v1": "main-0-4213-balance",
    "redress.lot.state.v1": f"main-0-2-{WAVE}-{TRAVEL}",
    "redress.redemption.decided.v1": "main-0-4213-decision",
    "redress.record.dead_lettered.v1": "0/redemption/0/1806",
    "redress.signal.rate.v1": "main-0-4201-rate",
    "redress.signal.velocity.v1": "main-0-4201-velocity",
    "redress.signal.anomaly.v1": "main-0-4201-exceptions",
}


def example_events() -> dict[str, dict[str, Any]]:
    """A whole CloudEvent for each type, by its name."""
    events = {}
    for number, (time, source, data) in enumerate(INPUT_EVENTS, start=1):
        record = encode_record(data, event_id=f"example-{number}", source=source, time=_at(time))
        event = orjson.loads(record.value)
        events[event["type"]] = event
    for name, (key, wire) in OUTPUT_EVENTS.items():
        event = encode_event(
            type_name=name,
            event_id=_OUTPUT_IDS[name],
            source="/redress/main",
            time=_at(_CAPTURED),
            partitionkey=key,
            data=wire,
        )
        events[name] = orjson.loads(event)
    return events
