"""Every type of event there is: its name, topic, direction and model. The single source for decoder and schemas."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel

from redress.contracts import eligibility, issuance, programme, redemption
from redress.contracts.balance import BeneficiaryBalance, LotState
from redress.contracts.dead_letter import RecordDeadLettered
from redress.contracts.decision import RedemptionDecided
from redress.contracts.ledger import BatchCommitted, EntryAppended
from redress.contracts.scalars import InEvent
from redress.contracts.signal import Anomaly, Rate, Velocity
from redress.domain import event as e


class OutTopic(StrEnum):
    """The topics Redress writes."""

    LEDGER = "redress.ledger"
    BALANCE = "redress.balance"
    DECISION = "redress.decision"
    DEAD_LETTER = "redress.dead-letter"
    SIGNAL = "redress.signal"


@dataclass(frozen=True, slots=True)
class InputType:
    """A type of event that comes in."""

    name: str
    topic: e.Topic
    model: type[InEvent]
    domain: type[e.Data]


@dataclass(frozen=True, slots=True)
class OutputType:
    """A type of event that goes out."""

    name: str
    topic: OutTopic
    model: type[BaseModel]


def _inputs(topic: e.Topic, *rows: tuple[str, type[InEvent], type[e.Data]]) -> dict[str, InputType]:
    return {name: InputType(name, topic, model, domain) for name, model, domain in rows}


INPUTS: dict[str, InputType] = {
    **_inputs(
        e.Topic.PROGRAMME,
        ("redress.programme.published.v1", programme.ProgrammePublished, e.ProgrammePublished),
        ("redress.wave.opened.v1", programme.WaveOpened, e.WaveOpened),
        ("redress.lot.extended.v1", programme.LotExtended, e.LotExtended),
        ("redress.lot.revoked.v1", programme.LotRevoked, e.LotRevoked),
        ("redress.clock.ticked.v1", programme.ClockTicked, e.ClockTicked),
    ),
    **_inputs(
        e.Topic.ELIGIBILITY,
        ("redress.eligibility.granted.v1", eligibility.EligibilityGranted, e.Granted),
        ("redress.eligibility.enrolled.v1", eligibility.EligibilityEnrolled, e.Enrolled),
        ("redress.eligibility.withdrawn.v1", eligibility.EligibilityWithdrawn, e.Withdrawn),
        ("redress.eligibility.reinstated.v1", eligibility.EligibilityReinstated, e.Reinstated),
    ),
    **_inputs(
        e.Topic.ISSUANCE,
        ("redress.voucher.issued.v1", issuance.VoucherIssued, e.Issued),
        ("redress.voucher.revoked.v1", issuance.VoucherRevoked, e.VoucherRevoked),
    ),
    **_inputs(
        e.Topic.REDEMPTION,
        ("redress.voucher.claimed.v1", redemption.VoucherClaimed, e.Claimed),
        ("redress.voucher.declined.v1", redemption.VoucherDeclined, e.Declined),
        ("redress.redemption.requested.v1", redemption.RedemptionRequested, e.Requested),
        ("redress.redemption.captured.v1", redemption.RedemptionCaptured, e.Captured),
        ("redress.redemption.released.v1", redemption.RedemptionReleased, e.Released),
        ("redress.redemption.recorded.v1", redemption.RedemptionRecorded, e.Recorded),
        ("redress.redemption.reversed.v1", redemption.RedemptionReversed, e.Reversed),
    ),
}
"""By name."""

OUTPUTS: dict[str, OutputType] = {
    output.name: output
    for output in (
        OutputType("redress.entry.appended.v1", OutTopic.LEDGER, EntryAppended),
        OutputType("redress.batch.committed.v1", OutTopic.LEDGER, BatchCommitted),
        OutputType("redress.beneficiary.balance.v1", OutTopic.BALANCE, BeneficiaryBalance),
        OutputType("redress.lot.state.v1", OutTopic.BALANCE, LotState),
        OutputType("redress.redemption.decided.v1", OutTopic.DECISION, RedemptionDecided),
        OutputType("redress.record.dead_lettered.v1", OutTopic.DEAD_LETTER, RecordDeadLettered),
        OutputType("redress.signal.rate.v1", OutTopic.SIGNAL, Rate),
        OutputType("redress.signal.velocity.v1", OutTopic.SIGNAL, Velocity),
        OutputType("redress.signal.anomaly.v1", OutTopic.SIGNAL, Anomaly),
    )
}
"""By name."""

TYPES: dict[str, InputType | OutputType] = {**INPUTS, **OUTPUTS}
"""All, by name."""
