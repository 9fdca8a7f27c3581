"""What the routes answer, by example: one person of the example programme, after the travel voucher was spent."""

from typing import Any, Final

from redress.contracts.examples import (
    BENEFICIARY,
    ORDER,
    PROGRAMME,
    REDEMPTION,
    TRAVEL_VOUCHER,
    WAVE,
    example_events,
)

_EVENTS: Final = example_events()
_FROM, _UNTIL = "2026-01-15T01:00:00Z", "2026-04-15T15:00:00Z"
_CLAIMED, _CAPTURED = "2026-01-15T02:30:00Z", "2026-02-01T11:03:00Z"
_LOT: Final = {"programme": PROGRAMME, "wave": WAVE, "benefit": "travel"}
_BENEFIT: Final = {"benefit": "travel", "service": "travel", "amount": 20_000, "currency": "KRW"}
_POSITION: Final = [
    {"shard": 0, "batch": 912, "next_seq": 4214, "recorded_at": "2026-02-01T11:03:00.734512Z", "now": _CAPTURED}
]
_OWED: Final = {
    "entitlement": 0,
    "unclaimed": 180_000,
    "available": 60_000,
    "held": 15_000,
    "outstanding": 255_000,
    "vouchers_open": 13,
}
_VOUCHER: Final = {
    "voucher": str(TRAVEL_VOUCHER),
    **_LOT,
    "service": "travel",
    "currency": "KRW",
    "status": "redeemed",
    "face": 20_000,
    "unclaimed": 0,
    "available": 0,
    "held": 0,
    "redeemed": 15_000,
    "forfeited": 5_000,
    "cancelled": 0,
    "expired": 0,
    "revoked": 0,
    "declined": 0,
    "valid_from": _FROM,
    "valid_until": _UNTIL,
    "version": 4213,
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "RedemptionDecided": _EVENTS["redress.redemption.decided.v1"]["data"],
    "Pending": {
        "status": "pending",
        "source": "/redress/main/api/checkout-travel",
        "id": "0190c0f2-6a3e-7c51-9d2b-5f0e8a7b6c4d",
    },
    "VoucherView": {**_VOUCHER, "beneficiary": str(BENEFICIARY)},
    "BeneficiaryView": {
        "beneficiary": str(BENEFICIARY),
        "entitlements": [
            {"programme": PROGRAMME, "wave": WAVE, "standing": "member", "issued": True, "benefits": [_BENEFIT]}
        ],
        "vouchers": [_VOUCHER],
    },
    "HistoryPage": {
        "voucher": str(TRAVEL_VOUCHER),
        "entries": [
            {
                "shard": 0,
                "seq": 1107,
                "type": "redress.voucher.claimed.v1",
                "source": "/redress/main/api/app",
                "id": "0190c0f2-1c1e-7aae-b119-65df5620d12e",
                "outcome": "accepted",
                "reason": None,
                "redemption": None,
                "occurred_at": _CLAIMED,
                "effective_at": _CLAIMED,
                "recorded_at": "2026-01-15T02:30:00.412903Z",
                "lines": [
                    {
                        "movement": "claimed",
                        "debit": "unclaimed",
                        "credit": "available",
                        "amount": 20_000,
                        "currency": "KRW",
                        "voucher": str(TRAVEL_VOUCHER),
                        "effective_at": _CLAIMED,
                        "by_lot": False,
                    }
                ],
            }
        ],
        "next": f"/v1/vouchers/{TRAVEL_VOUCHER}/history?from=630&limit=50",
    },
    "RedemptionState": {
        "programme": PROGRAMME,
        "redemption": REDEMPTION,
        "beneficiary": str(BENEFICIARY),
        "status": "settled",
        "reason": None,
        "order": ORDER,
        "service": "travel",
        "expires_at": None,
        "lines": [
            {
                "voucher": str(TRAVEL_VOUCHER),
                "held": 0,
                "redeemed": 15_000,
                "forfeited": 5_000,
                "exception": 0,
                "restored": 0,
                "forfeited_restored": 0,
                "cancelled": 0,
                "exception_reversed": 0,
            }
        ],
    },
    "LiabilityView": {
        "programme": PROGRAMME,
        "as_of": None,
        "known_at": None,
        "final": None,
        "source": "balances",
        "rows": [{"programme": PROGRAMME, "wave": WAVE, "benefit": None, "currency": "KRW", **_OWED}],
        "totals": {"KRW": _OWED},
        "position": _POSITION,
    },
    "RollForwardView": {
        "programme": PROGRAMME,
        "from": "2026-01-01",
        "to": None,
        "proved": True,
        "source": "roll-ups",
        "rows": [
            {
                "programme": PROGRAMME,
                "wave": None,
                "benefit": None,
                "currency": "KRW",
                "opening": 0,
                "movements": {"entitled": 300_000, "redeemed": 40_000, "forfeited": 5_000},
                "closing": 255_000,
                "outstanding": 255_000,
                "difference": 0,
            }
        ],
        "position": _POSITION,
    },
    "ProgrammeState": {
        "programme": PROGRAMME,
        "versions": [_EVENTS["redress.programme.published.v1"]["data"]],
        "waves": [_EVENTS["redress.wave.opened.v1"]["data"]],
        "lots": [
            {
                "wave": WAVE,
                **_BENEFIT,
                "state": "open",
                "valid_from": _FROM,
                "valid_until": _UNTIL,
                "terms_version": 1,
            }
        ],
        "next": None,
    },
    "WaveState": {
        "programme": PROGRAMME,
        "wave": WAVE,
        "expected": 7,
        "expected_amount": 350_000,
        "granted": 6,
        "refused": 0,
        "dead_lettered": 0,
        "missing": 1,
        "issued": 6,
        "not_issued": 0,
        "withdrawn": 0,
        "enrolled": 0,
        "entitled_amount": 300_000,
        "issued_amount": 300_000,
    },
    "Alive": {"status": "ok"},
    "Ready": {"status": "ok", "postgres": "ok", "kafka": "ok"},
}
"""By the name of the model."""
