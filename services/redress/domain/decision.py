"""What can become of an event: an entry in the making, parking, or a dead letter."""

from dataclasses import dataclass, field

from redress.domain.booking import Booking
from redress.domain.entry import DeadLetterReason, Line, LotClosing, Outcome, Reason
from redress.domain.ids import Instant, ProgrammeCode, WaveCode
from redress.domain.value import value


@dataclass(slots=True)
class Draft:
    """An entry before it has its number. `effective_at` None: the event's own time, never past the clock."""

    outcome: Outcome
    reason: Reason | None = None
    lines: list[Line] = field(default_factory=list)
    effective_at: Instant | None = None
    terms_version: int | None = None
    lot_closing: LotClosing | None = None


@value
class Park:
    """The event waits: for something of the programme topic (`wakes_on`) or of its beneficiary (None)."""

    wakes_on: str | None = None


@value
class Dead:
    """The event cannot be taken; `detail` names field and rule, never a value."""

    reason: DeadLetterReason
    detail: str


Decision = Draft | Park | Dead


def accepted(booking: Booking, terms_version: int | None, reason: Reason | None = None) -> Draft:
    """The event counts, with the lines that were booked for it."""
    return Draft(
        Outcome.ACCEPTED,
        reason,
        lines=booking.lines,
        effective_at=booking.effective_at,
        terms_version=terms_version,
    )


def no_effect(reason: Reason, terms_version: int | None = None) -> Draft:
    """The event was right and changes nothing."""
    return Draft(Outcome.NO_EFFECT, reason, terms_version=terms_version)


def refused(reason: Reason, terms_version: int | None = None) -> Draft:
    """The event asked for value that is not due."""
    return Draft(Outcome.REFUSED, reason, terms_version=terms_version)


def wakes_on_programme(programme: ProgrammeCode) -> str:
    """What a fact of a programme that was never published waits for."""
    return f"programme/{programme}"


def wakes_on_wave(programme: ProgrammeCode, wave: WaveCode) -> str:
    """What a grant in a wave that is not open waits for."""
    return f"wave/{programme}/{wave}"
