"""Numbers the journal stores for names. Once given they never change meaning; the migrations hold the same tables."""

from typing import Final

from redress.domain.entry import Happening, Lapsed, Outcome, Reason, TimedOut
from redress.domain.event import (
    Captured,
    Claimed,
    Declined,
    Enrolled,
    Granted,
    Issued,
    LotExtended,
    LotRevoked,
    ProgrammePublished,
    Recorded,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Topic,
    VoucherRevoked,
    WaveOpened,
    Withdrawn,
)

RULES_VERSION: Final = 1
"""Stands on every batch: which rules and which canonical form its digest was made by."""

CLOCK_TYPE: Final = "redress.clock.ticked.v1"

KINDS: Final[dict[type[Happening], int]] = {
    ProgrammePublished: 1,
    WaveOpened: 2,
    LotExtended: 3,
    LotRevoked: 4,
    Lapsed: 5,
    TimedOut: 6,
    Granted: 7,
    Enrolled: 8,
    Withdrawn: 9,
    Reinstated: 10,
    Issued: 11,
    VoucherRevoked: 12,
    Claimed: 13,
    Declined: 14,
    Requested: 15,
    Captured: 16,
    Released: 17,
    Recorded: 18,
    Reversed: 19,
}
KIND_BY_CODE: Final = {code: kind for kind, code in KINDS.items()}

TYPES: Final[dict[int, str]] = {
    1: "redress.programme.published.v1",
    2: "redress.wave.opened.v1",
    3: "redress.lot.extended.v1",
    4: "redress.lot.revoked.v1",
    5: CLOCK_TYPE,
    6: CLOCK_TYPE,
    7: "redress.eligibility.granted.v1",
    8: "redress.eligibility.enrolled.v1",
    9: "redress.eligibility.withdrawn.v1",
    10: "redress.eligibility.reinstated.v1",
    11: "redress.voucher.issued.v1",
    12: "redress.voucher.revoked.v1",
    13: "redress.voucher.claimed.v1",
    14: "redress.voucher.declined.v1",
    15: "redress.redemption.requested.v1",
    16: "redress.redemption.captured.v1",
    17: "redress.redemption.released.v1",
    18: "redress.redemption.recorded.v1",
    19: "redress.redemption.reversed.v1",
}
"""Event type of the cause, by code of the kind."""


def topic_of(kind: int) -> Topic:
    """The topic the cause of such an entry came from."""
    if kind <= 6:
        return Topic.PROGRAMME
    if kind <= 10:
        return Topic.ELIGIBILITY
    return Topic.ISSUANCE if kind <= 12 else Topic.REDEMPTION


OUTCOMES: Final = {outcome: code for code, outcome in enumerate(Outcome, start=1)}
OUTCOME_BY_CODE: Final = {code: outcome for outcome, code in OUTCOMES.items()}
REASONS: Final = {reason: code for code, reason in enumerate(Reason, start=1)}
REASON_BY_CODE: Final = {code: reason for reason, code in REASONS.items()}
NO_REASON: Final = 0
