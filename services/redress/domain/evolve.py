"""`evolve(state, entry)`: what an entry changes. Applied to a journal in order, it rebuilds a shard.

Nothing here decides: every choice stands in the entry.
"""

import heapq
from typing import Final, assert_never

from redress.domain.accounts import Account, Movement
from redress.domain.beneficiary import (
    Beneficiary,
    Grant,
    Redemption,
    RedemptionLine,
    RedemptionStatus,
    Request,
    Voucher,
)
from redress.domain.entry import Entry, Lapsed, Line, LotKey, Outcome, TimedOut
from redress.domain.event import (
    Captured,
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
    Settling,
    VoucherRevoked,
    WaveOpened,
    Withdrawn,
)
from redress.domain.ids import UNKNOWN_WAVE, Instant, VoucherId
from redress.domain.lot import Lot, LotStatus, reserved_lot
from redress.domain.programme import Programme, Wave
from redress.domain.shard import Shard
from redress.domain.time import SECOND

_OF_GRANTS: Final = (Granted, Enrolled, Issued, Withdrawn, Reinstated)
_FLAGGING: Final = (Declined, VoucherRevoked, Withdrawn, Reinstated)
_OF_REDEMPTIONS: Final = (Requested, Captured, Recorded, Released, Reversed, TimedOut)


def evolve(shard: Shard, entry: Entry) -> None:
    """Apply one entry; entries come in order of `seq`."""
    shard.next_seq = entry.seq + 1
    if entry.beneficiary is None:
        _evolve_control(shard, entry)
        return
    person = shard.beneficiary(entry.beneficiary)
    person.last_seq = entry.seq
    if not isinstance(entry.happening, TimedOut):
        person.seen.add(entry.cause.source, entry.cause.id, entry.cause.fingerprint)
    if entry.outcome is Outcome.NO_EFFECT:
        return
    happening = entry.happening
    if isinstance(happening, _OF_GRANTS):
        _evolve_grant(shard, person, entry, happening)
    _apply_personal_lines(shard, person, entry)
    if isinstance(happening, _FLAGGING) and entry.outcome is Outcome.ACCEPTED:
        _evolve_flags(person, entry, happening)
    if isinstance(happening, _OF_REDEMPTIONS):
        _evolve_redemption(shard, person, entry, happening)


def _evolve_control(shard: Shard, entry: Entry) -> None:
    for line in entry.lines:
        shard.lot(line.lot).apply(line)
    happening = entry.happening
    if entry.outcome is Outcome.ACCEPTED:
        match happening:
            case ProgrammePublished(terms):
                programme = shard.programmes.get(terms.programme)
                if programme is None:
                    reserved = reserved_lot(terms.programme, terms)
                    programme = shard.programmes[terms.programme] = Programme(terms.programme, {}, reserved)
                programme.versions[terms.version] = terms
            case WaveOpened():
                _open_wave(shard, happening, entry.seq)
            case LotExtended(valid_until=valid_until):
                _extend(shard.lot(_key(happening)), valid_until, entry)
            case LotRevoked():
                _close(shard.lot(_key(happening)), LotStatus.REVOKED, entry)
            case Lapsed(key):
                _close(shard.lot(key), LotStatus.EXPIRED, entry)
            case _:
                pass
    if not isinstance(happening, Lapsed):
        _remember(shard, entry)


def _remember(shard: Shard, entry: Entry) -> None:
    match entry.happening:
        case ProgrammePublished(terms):
            code = terms.programme
        case WaveOpened() | LotExtended() | LotRevoked():
            code = entry.happening.programme
        case _:
            return
    shard.programmes[code].seen.add(entry.cause.source, entry.cause.id, entry.cause.fingerprint)


def _key(data: LotExtended | LotRevoked) -> LotKey:
    return LotKey(data.programme, data.wave, data.benefit)


def _open_wave(shard: Shard, data: WaveOpened, seq: int) -> None:
    programme = shard.programmes[data.programme]
    terms = programme.versions[data.terms_version]
    lots = {
        benefit.code: Lot(
            LotKey(data.programme, data.wave, benefit.code), benefit, terms, data.valid_from, data.valid_until, seq=seq
        )
        for benefit in terms.benefits
    }
    programme.waves[data.wave] = Wave(data, terms, lots)


def _extend(lot: Lot, valid_until: Instant, entry: Entry) -> None:
    lot.valid_until = valid_until
    lot.seq = entry.seq
    if entry.lot_closing is not None:
        lot.status = LotStatus.OPEN
        lot.reopened_at = entry.lot_closing.booked_at


def _close(lot: Lot, status: LotStatus, entry: Entry) -> None:
    closing = entry.lot_closing
    if closing is None:
        raise ValueError(f"entry {entry.seq} closes lot {lot.key} and does not say when")
    lot.status = status
    lot.seq = entry.seq
    lot.booked_at = closing.booked_at
    if status is LotStatus.REVOKED and closing.closed_at is not None:
        lot.revoked_at = closing.closed_at


def _evolve_grant(
    shard: Shard, person: Beneficiary, entry: Entry, happening: Granted | Enrolled | Issued | Withdrawn | Reinstated
) -> None:
    """How the person stands in the wave, and the wave's counts."""
    key = happening.programme, happening.wave
    wave = shard.programmes[key[0]].waves[key[1]]
    if isinstance(happening, Granted):
        _evolve_granted(person, wave, happening, entry)
        return
    grant = person.grants[key]
    if entry.outcome is not Outcome.ACCEPTED:
        return
    _count(wave, grant, -1)
    match happening:
        case Enrolled():
            grant.enrolled = True
            wave.count.enrolled += 1
        case Issued():
            grant.issued = True
        case Withdrawn() | Reinstated():
            grant.withdrawn = isinstance(happening, Withdrawn)
            for voucher in _vouchers_of(person, wave):
                voucher.withdrawn = grant.withdrawn
        case _:
            assert_never(happening)
    _count(wave, grant, +1)
    _set_due(grant, entry)


def _evolve_granted(person: Beneficiary, wave: Wave, data: Granted, entry: Entry) -> None:
    key = data.programme, data.wave
    known = person.grants.get(key)
    if entry.outcome is Outcome.REFUSED:
        if known is None:
            person.grants[key] = Grant(data.standing, refused=True)
            wave.count.refused += 1
        return
    if known is not None:
        wave.count.refused -= 1
    grant = person.grants[key] = Grant(data.standing)
    wave.count.granted += 1
    _count(wave, grant, +1)
    _set_due(grant, entry)


def _set_due(grant: Grant, entry: Entry) -> None:
    """Issuance is due from the entry after which the person stands, is enrolled if need be, and has nothing yet."""
    if grant.issued or not grant.stands or grant.awaits_enrolment:
        grant.due_seq = None
    elif grant.due_seq is None:
        grant.due_seq = entry.seq
        grant.due_at = entry.effective_at


def _count(wave: Wave, grant: Grant, sign: int) -> None:
    """Add (+1) or take out (-1) a grant as it stands."""
    count = wave.count
    if grant.withdrawn:
        count.withdrawn += sign
        count.withdrawn_unissued += 0 if grant.issued else sign
        return
    count.entitled_amount += sign * wave.amount
    if grant.issued:
        count.issued += sign
        count.issued_amount += sign * wave.amount


def _vouchers_of(person: Beneficiary, wave: Wave) -> list[Voucher]:
    keys = {lot.key for lot in wave.lots.values()}
    return [voucher for voucher in person.vouchers.values() if voucher.lot in keys]


def _apply_personal_lines(shard: Shard, person: Beneficiary, entry: Entry) -> None:
    before: dict[VoucherId, tuple[Voucher, bool, bool]] = {}
    for line in entry.lines:
        shard.lot(line.lot).apply(line)
        slot = line.voucher
        if slot is None:
            continue
        if line.lot.wave == UNKNOWN_WAVE:
            _apply_stray(person, line, slot)
            continue
        if slot in before:
            voucher = before[slot][0]
        else:
            voucher = person.vouchers.get(slot) or _promise(person, slot, line.lot)
            before[slot] = voucher, voucher.has_something_left, voucher.held > 0
        voucher.apply(line)
        if not line.promised:
            voucher.issued = True
            if line.posting.credit is Account.AVAILABLE:
                voucher.claimed = True
        if line.posting.movement is Movement.REVOKED and voucher.withdrawn and not line.by_lot:
            voucher.withdrawn_amount += line.amount
    for voucher, was_open, was_held in before.values():
        voucher.version = entry.seq
        lot = shard.lot(voucher.lot)
        lot.vouchers_open += voucher.has_something_left - was_open
        lot.vouchers_held += (voucher.held > 0) - was_held


def _promise(person: Beneficiary, slot: VoucherId, lot: LotKey) -> Voucher:
    voucher = person.vouchers[slot] = Voucher(slot, lot)
    return voucher


def _apply_stray(person: Beneficiary, line: Line, voucher: VoucherId) -> None:
    person.strays[line.lot.programme, voucher] = line.effective
    issued = person.issued_voucher(line.lot.programme, voucher)
    if issued is not None:
        issued.last = max(issued.last, line.effective)


def _evolve_flags(
    person: Beneficiary, entry: Entry, happening: Declined | VoucherRevoked | Withdrawn | Reinstated
) -> None:
    match happening:
        case Declined(voucher=voucher):
            person.vouchers[voucher].declined = True
            person.vouchers[voucher].version = entry.seq
        case VoucherRevoked(voucher=voucher):
            person.vouchers[voucher].revoked = True
            person.vouchers[voucher].version = entry.seq
        case Withdrawn() | Reinstated():
            for slot in person.vouchers.values():
                if (slot.lot.programme, slot.lot.wave) == (happening.programme, happening.wave):
                    slot.version = entry.seq if slot.issued else slot.version
                    if isinstance(happening, Reinstated):
                        slot.withdrawn_amount = 0
        case _:
            assert_never(happening)


def _evolve_redemption(
    shard: Shard,
    person: Beneficiary,
    entry: Entry,
    happening: Requested | Captured | Recorded | Released | Reversed | TimedOut,
) -> None:
    key = happening.programme, happening.redemption
    if isinstance(happening, Requested):
        if key not in person.redemptions:
            add_request(shard, person, happening, entry)
        return
    redemption = person.redemptions.get(key)
    if redemption is None:
        redemption = person.redemptions[key] = Redemption(RedemptionStatus.SETTLED)
    _apply_redemption_lines(redemption, entry.lines)
    match happening:
        case Captured():
            _settle(redemption, happening)
        case Recorded():
            _settle(redemption, happening)
            redemption.order = happening.order
            redemption.service = happening.service
        case Released():
            redemption.status = RedemptionStatus.RELEASED
        case TimedOut():
            redemption.status = RedemptionStatus.TIMED_OUT
        case Reversed():
            if redemption.status is RedemptionStatus.HELD:
                redemption.status = RedemptionStatus.RELEASED
            elif not any(line.redeemed_left or line.exception_left for line in redemption.lines.values()):
                redemption.status = RedemptionStatus.REVERSED
        case _:
            assert_never(happening)


def _settle(redemption: Redemption, data: Settling) -> None:
    """Settled; from here the redemption's lines stand in the order of the settlement, which a reversal repeats."""
    redemption.status = RedemptionStatus.SETTLED
    redemption.lines = {spend.voucher: redemption.lines[spend.voucher] for spend in data.lines} | redemption.lines


def add_request(shard: Shard, person: Beneficiary, data: Requested, entry: Entry) -> None:
    """What a first request leaves: a hold if it was accepted, and its answer in any case."""
    request = Request(data.order, data.service, data.lines, entry.occurred_at, entry.outcome, entry.reason)
    redemption = Redemption(RedemptionStatus.REFUSED, request, data.order, data.service)
    person.redemptions[data.programme, data.redemption] = redemption
    if entry.outcome is not Outcome.ACCEPTED:
        return
    redemption.status = RedemptionStatus.HELD
    ttl = shard.programmes[data.programme].latest.reservation_ttl_seconds * SECOND
    redemption.expires_at = Instant(entry.occurred_at + ttl)
    _apply_redemption_lines(redemption, entry.lines)
    heapq.heappush(shard.deadlines, (redemption.expires_at, person.id, data.programme, data.redemption))


def _apply_redemption_lines(redemption: Redemption, lines: list[Line]) -> None:
    for line in lines:
        if line.voucher is None or line.by_lot:
            continue
        if line.posting.movement in _REDEMPTION_MOVEMENTS:
            part = redemption.lines.setdefault(line.voucher, RedemptionLine())
            _apply_redemption_line(part, line)


_REDEMPTION_MOVEMENTS = frozenset(
    {
        Movement.RESERVED,
        Movement.RELEASED,
        Movement.REDEEMED,
        Movement.FORFEITED,
        Movement.EXCEPTION,
        Movement.RESTORED,
        Movement.CANCELLED,
        Movement.EXCEPTION_REVERSED,
    }
)


def _apply_redemption_line(part: RedemptionLine, line: Line) -> None:
    if line.posting.debit is Account.HELD:
        part.held -= line.amount
    match line.posting.movement:
        case Movement.RESERVED:
            part.held += line.amount
        case Movement.REDEEMED:
            part.redeemed += line.amount
        case Movement.FORFEITED:
            part.forfeited += line.amount
        case Movement.EXCEPTION:
            part.exception += line.amount
            part.stray = line.lot.wave == UNKNOWN_WAVE
        case Movement.RESTORED:
            if line.posting.debit is Account.BREAKAGE_FORFEITED:
                part.forfeited_restored += line.amount
            else:
                part.restored += line.amount
        case Movement.CANCELLED:
            part.cancelled += line.amount
        case Movement.EXCEPTION_REVERSED:
            part.exception_reversed += line.amount
        case _:
            pass
