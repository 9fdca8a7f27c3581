"""Who is entitled, and what was issued. Source: RULES section 5."""

from redress.domain.accounts import (
    ENTITLED,
    ISSUED_AVAILABLE,
    ISSUED_UNCLAIMED,
    REVOCATION_REVERSED,
    REVOKED,
    WITHDRAWN,
    Account,
)
from redress.domain.beneficiary import Beneficiary, Grant, Voucher
from redress.domain.booking import Booking
from redress.domain.decision import Decision, Park, accepted, no_effect, refused, wakes_on_wave
from redress.domain.entry import LotKey, Reason
from redress.domain.event import Enrolled, Granted, Issued, Reinstated, Withdrawn
from redress.domain.ids import FAR_PAST, BenefitCode, Instant, ProgrammeCode, VoucherId, WaveCode, voucher_id
from redress.domain.programme import Wave
from redress.domain.shard import Shard
from redress.domain.terms import Claim, OncePer


def grant(shard: Shard, person: Beneficiary, data: Granted, x: Instant) -> Decision:
    """A person is entitled to every benefit of a wave."""
    wave = shard.wave(data.programme, data.wave)
    if wave is None:
        return Park(wakes_on_wave(data.programme, data.wave))
    version = wave.terms.version
    if _grant(person, data) is not None:
        return refused(Reason.ALREADY_GRANTED, version)
    if _entitled_elsewhere(person, data, wave):
        return refused(Reason.ALREADY_ENTITLED, version)
    booking = Booking(shard, x)
    _entitle(booking, person, wave)
    return accepted(booking, wave.terms.version)


def enrol(shard: Shard, person: Beneficiary, data: Enrolled, x: Instant) -> Decision:
    """A former member has joined again; without effect for anybody else."""
    held = _grant(person, data)
    wave = shard.wave(data.programme, data.wave)
    if held is None or wave is None:
        return Park()
    if held.withdrawn:
        return no_effect(Reason.ALREADY_WITHDRAWN, wave.terms.version)
    if not held.awaits_enrolment:
        return no_effect(Reason.ALREADY_ENROLLED, wave.terms.version)
    return accepted(Booking(shard, x), wave.terms.version)


def issue(shard: Shard, person: Beneficiary, data: Issued, x: Instant) -> Decision:
    """The entitlement becomes vouchers, exactly those of the wave."""
    held = _grant(person, data)
    wave = shard.wave(data.programme, data.wave)
    if held is None or wave is None:
        return Park()
    version = wave.terms.version
    if held.withdrawn:
        return refused(Reason.NOT_ENTITLED, version)
    if held.awaits_enrolment:
        return Park()
    if held.issued:
        return no_effect(Reason.ALREADY_ISSUED, version)
    if {(v.voucher, v.benefit, v.amount) for v in data.vouchers} != _due(person, wave):
        return refused(Reason.NOT_AS_ENTITLED, version)
    booking = Booking(shard, x)
    posting = ISSUED_UNCLAIMED if wave.terms.claim is Claim.REQUIRED else ISSUED_AVAILABLE
    for voucher in _vouchers(booking, person, wave):
        # An exception may have named the voucher before it came: its time counts as the voucher's last.
        voucher.last = max(voucher.last, person.strays.get((data.programme, voucher.id), FAR_PAST))
        booking.move(posting, voucher, voucher.amounts[Account.ENTITLEMENT])
    return accepted(booking, wave.terms.version)


def withdraw(shard: Shard, person: Beneficiary, data: Withdrawn, x: Instant) -> Decision:
    """An entitlement is taken back: the promise before issue, the vouchers after it."""
    held = _grant(person, data)
    wave = shard.wave(data.programme, data.wave)
    if held is None or wave is None:
        return Park()
    if held.withdrawn:
        return no_effect(Reason.ALREADY_WITHDRAWN, wave.terms.version)
    booking = Booking(shard, x)
    for voucher in _vouchers(booking, person, wave):
        if held.issued:
            booking.move(REVOKED[Account.UNCLAIMED], voucher, voucher.unclaimed)
            booking.move(REVOKED[Account.AVAILABLE], voucher, voucher.available)
        else:
            booking.move(WITHDRAWN, voucher, voucher.amounts[Account.ENTITLEMENT], promised=True)
    return accepted(booking, wave.terms.version)


def reinstate(shard: Shard, person: Beneficiary, data: Reinstated, x: Instant) -> Decision:
    """A withdrawal is taken back."""
    held = _grant(person, data)
    wave = shard.wave(data.programme, data.wave)
    if held is None or wave is None:
        return Park()
    if not held.withdrawn:
        return no_effect(Reason.NOT_WITHDRAWN, wave.terms.version)
    if _entitled_elsewhere(person, data, wave):
        return no_effect(Reason.ALREADY_ENTITLED, wave.terms.version)
    booking = Booking(shard, x)
    if not held.issued:
        _entitle(booking, person, wave)
        return accepted(booking, wave.terms.version)
    for voucher in _vouchers(booking, person, wave):
        voucher.withdrawn = False
        target = Account.AVAILABLE if voucher.claimed else Account.UNCLAIMED
        booking.give_back(REVOCATION_REVERSED[target], voucher, voucher.withdrawn_amount)
    return accepted(booking, wave.terms.version)


def _grant(person: Beneficiary, data: Granted | Enrolled | Issued | Withdrawn | Reinstated) -> Grant | None:
    held = person.grants.get((data.programme, data.wave))
    return None if held is None or held.refused else held


def _entitled_elsewhere(person: Beneficiary, data: Granted | Reinstated, wave: Wave) -> bool:
    return wave.terms.once_per is OncePer.PROGRAMME and person.standing_grant_besides(data.programme, data.wave)


def _vouchers(booking: Booking, person: Beneficiary, wave: Wave) -> list[Voucher]:
    ids = (voucher_id(*_programme_wave(wave), person.id, benefit.code) for benefit in wave.terms.benefits)
    return [booking.on(person.vouchers[voucher]) for voucher in ids]


def _entitle(booking: Booking, person: Beneficiary, wave: Wave) -> None:
    programme, code = _programme_wave(wave)
    for benefit in wave.terms.benefits:
        slot = voucher_id(programme, code, person.id, benefit.code)
        known = person.vouchers.get(slot) or Voucher(slot, LotKey(programme, code, benefit.code))
        booking.move(ENTITLED, booking.on(known), benefit.amount, promised=True)


def _due(person: Beneficiary, wave: Wave) -> set[tuple[VoucherId, BenefitCode, int]]:
    programme, code = _programme_wave(wave)
    return {
        (voucher_id(programme, code, person.id, benefit.code), benefit.code, benefit.amount)
        for benefit in wave.terms.benefits
    }


def _programme_wave(wave: Wave) -> tuple[ProgrammeCode, WaveCode]:
    return wave.opened.programme, wave.opened.wave
