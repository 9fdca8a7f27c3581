"""Control events: terms, waves, extension and revocation of lots. Source: RULES sections 4 and 9."""

from redress.domain.accounts import EXPIRY_REVERSED, LAPSABLE, REVOKED
from redress.domain.booking import Booking
from redress.domain.decision import Dead, Draft, no_effect
from redress.domain.entry import DeadLetterReason, LotClosing, Outcome, Reason
from redress.domain.event import LotExtended, LotRevoked, ProgrammePublished, WaveOpened
from redress.domain.ids import UNKNOWN_WAVE, Instant
from redress.domain.lot import LOTS_MAX, Lot, LotStatus
from redress.domain.shard import Shard

Answer = Draft | Dead


def publish(shard: Shard, data: ProgrammePublished) -> Answer:
    """A version of a programme's terms; once published it never changes, nor do currency and time zone."""
    terms = data.terms
    programme = shard.programmes.get(terms.programme)
    if programme is None:
        if shard.count_lots() >= LOTS_MAX:
            return _invalid(f"data.programme: the ledger has {LOTS_MAX} lots, the most there can be")
        return Draft(Outcome.ACCEPTED, terms_version=terms.version)
    known = programme.versions.get(terms.version)
    if known is not None:
        if known == terms:
            return no_effect(Reason.SUPERSEDED, terms.version)
        if (known.currency, known.timezone) == (terms.currency, terms.timezone):
            return Dead(DeadLetterReason.CONFLICT, "data.version: published before with other content")
    if terms.currency != programme.latest.currency:
        return _invalid("data.currency: differs from the programme's")
    if terms.timezone != programme.latest.timezone:
        return _invalid("data.timezone: differs from the programme's")
    return Draft(Outcome.ACCEPTED, terms_version=terms.version)


def open_wave(shard: Shard, data: WaveOpened, x: Instant) -> Answer:
    """A wave pins a version of the terms and opens one lot per benefit."""
    programme = shard.programmes.get(data.programme)
    if programme is None:
        return _invalid("data.programme: not published")
    if data.terms_version not in programme.versions:
        return _invalid("data.terms_version: not published")
    if data.wave == UNKNOWN_WAVE:
        return _invalid("data.wave: reserved")
    if data.valid_from >= data.valid_until:
        return _invalid("data.valid_until: not after data.valid_from")
    known = programme.waves.get(data.wave)
    if known is not None and known.opened == data:
        return no_effect(Reason.SUPERSEDED, data.terms_version)
    if data.valid_until <= shard.clock(x):
        return _invalid("data.valid_until: not after the ledger's clock")
    if known is not None:
        return Dead(DeadLetterReason.CONFLICT, "data.wave: opened before with other content")
    if shard.count_lots() + len(programme.versions[data.terms_version].benefits) > LOTS_MAX:
        return _invalid(f"data.wave: with its lots the ledger would have more than {LOTS_MAX}")
    return Draft(Outcome.ACCEPTED, terms_version=data.terms_version)


def extend(shard: Shard, data: LotExtended, x: Instant) -> Answer:
    """A later end; an expired lot reopens and gets back what it gave up."""
    lot = _lot(shard, data)
    if lot is None:
        return _invalid("data.benefit: no such lot")
    if data.valid_until <= shard.clock(x):
        return _invalid("data.valid_until: not after the ledger's clock")
    version = lot.terms.version
    if lot.status is LotStatus.REVOKED:
        return no_effect(Reason.REVOKED, version)
    if data.valid_until <= lot.valid_until:
        return no_effect(Reason.SUPERSEDED, version)
    if lot.status is LotStatus.OPEN:
        return Draft(Outcome.ACCEPTED, terms_version=version)
    booking = Booking(shard, x)
    reopened_at = min(max(lot.valid_until, x, lot.last_line), booking.now)
    for account in LAPSABLE:
        booking.move_lot(EXPIRY_REVERSED[account], lot, reopened_at)
    return Draft(
        Outcome.ACCEPTED,
        lines=booking.lines,
        effective_at=booking.effective_at,
        terms_version=version,
        lot_closing=LotClosing(reopened_at, None),
    )


def revoke(shard: Shard, data: LotRevoked, x: Instant) -> Answer:
    """All that the lot owes and does not hold is taken back."""
    lot = _lot(shard, data)
    if lot is None:
        return _invalid("data.benefit: no such lot")
    version = lot.terms.version
    if lot.status is LotStatus.EXPIRED:
        return no_effect(Reason.EXPIRED, version)
    if lot.status is LotStatus.REVOKED:
        return no_effect(Reason.REVOKED, version)
    booking = Booking(shard, x)
    booked_at = min(max(x, lot.last_line), booking.now)
    for account in LAPSABLE:
        booking.move_lot(REVOKED[account], lot, booked_at)
    return Draft(
        Outcome.ACCEPTED,
        lines=booking.lines,
        effective_at=booking.effective_at,
        terms_version=version,
        lot_closing=LotClosing(booked_at, min(lot.valid_until, x, booking.now)),
    )


def _lot(shard: Shard, data: LotExtended | LotRevoked) -> Lot | None:
    wave = shard.wave(data.programme, data.wave)
    return wave.lots.get(data.benefit) if wave else None


def _invalid(detail: str) -> Dead:
    return Dead(DeadLetterReason.INVALID, detail)
