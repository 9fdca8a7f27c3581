"""Control events: terms, waves and lots (sections 4 and 9 of the rules), and the lapse of a lot."""

from zoneinfo import ZoneInfo

from tests.oracle import instant
from tests.oracle.books import LAPSING, Books
from tests.oracle.decision import ACCEPTED, Decision, no_effect
from tests.oracle.event import LOT_EXTENDED, LOT_REVOKED, PUBLISHED, WAVE_OPENED, Event
from tests.oracle.lot import LOTS_MAX, UNKNOWN, Lot, Opening, Wave
from tests.oracle.terms import Programme, Terms


def is_invalid(books: Books, event: Event) -> bool:
    """Whether what is known, or the clock, makes no sense of the event."""
    match event.type:
        case t if t == PUBLISHED:
            return _terms_make_no_sense(books, Terms.read(event.data))
        case t if t == WAVE_OPENED:
            return _wave_makes_no_sense(books, event)
    lot = _lot(books, event)
    if lot is None:
        return True
    return event.type == LOT_EXTENDED and instant.read(event.data["valid_until"]) <= books.now_or(event.x)


def is_conflict(books: Books, event: Event) -> bool:
    """Whether a terms version or wave is published again with other content."""
    if event.type == PUBLISHED:
        terms = Terms.read(event.data)
        known = _known_version(books, terms)
        return known is not None and known != terms
    if event.type == WAVE_OPENED:
        wave = _wave(books, event)
        return wave is not None and wave.opening != Opening.read(event.data)
    return False


def decide(books: Books, event: Event) -> Decision:
    match event.type:
        case t if t == PUBLISHED:
            return _publish(books, Terms.read(event.data))
        case t if t == WAVE_OPENED:
            return _open(books, event)
        case t if t == LOT_REVOKED:
            return _revoke(books, event)
    return _extend(books, event)


def terms_version(books: Books, event: Event) -> int | None:
    if event.type == PUBLISHED:
        return int(event.data["version"])
    wave = _wave(books, event)
    return wave.terms.version if wave else None


def lapse(books: Books, lot: Lot) -> None:
    lot.state = "expired"
    lot.booked_at = lot.valid_until - 1
    for account in LAPSING:
        books.move_lot(lot, "expired", account, lot.taken_account(account), lot.booked_at)


def _terms_make_no_sense(books: Books, terms: Terms) -> bool:
    known = books.programmes.get(terms.programme)
    if known is None and _would_be_too_many_lots(books, 1):
        return True
    if known is not None and (known.currency, known.timezone) != (terms.currency, terms.timezone):
        return True
    codes = [benefit.code for benefit in terms.benefits]
    limits = [terms.version, terms.reservation_ttl_seconds, terms.request_max_age_seconds]
    if terms.vouchers_per_order is not None:
        limits.append(terms.vouchers_per_order)
    return not codes or len(set(codes)) < len(codes) or min(limits) < 1 or not _is_zone(terms.timezone)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _wave_makes_no_sense(books: Books, event: Event) -> bool:
    programme = books.programmes.get(event.data["programme"])
    opening = Opening.read(event.data)
    if programme is None or opening.terms_version not in programme.versions:
        return True
    wave = _wave(books, event)
    if wave is not None and wave.opening == opening:
        return False  # the same again is superseded, also after its end
    if event.data["wave"] == UNKNOWN or opening.valid_from >= opening.valid_until:
        return True
    if wave is None and _would_be_too_many_lots(books, len(programme.versions[opening.terms_version].benefits)):
        return True
    return opening.valid_until <= books.now_or(event.x)


def _would_be_too_many_lots(books: Books, more: int) -> bool:
    return len(books.lots) + len(books.programmes) + more > LOTS_MAX


def _known_version(books: Books, terms: Terms) -> Terms | None:
    programme = books.programmes.get(terms.programme)
    return programme.versions.get(terms.version) if programme else None


def _wave(books: Books, event: Event) -> Wave | None:
    return books.waves.get((event.data["programme"], event.data["wave"]))


def _lot(books: Books, event: Event) -> Lot | None:
    return books.lots.get((event.data["programme"], event.data["wave"], event.data["benefit"]))


def _publish(books: Books, terms: Terms) -> Decision:
    if _known_version(books, terms) is not None:
        return no_effect("superseded")
    fresh = Programme(terms.programme, terms.currency, terms.timezone)
    books.programmes.setdefault(terms.programme, fresh).versions[terms.version] = terms
    return ACCEPTED


def _open(books: Books, event: Event) -> Decision:
    if _wave(books, event) is not None:
        return no_effect("superseded")
    programme, code = event.data["programme"], event.data["wave"]
    opening = Opening.read(event.data)
    terms = books.programmes[programme].versions[opening.terms_version]
    lots = tuple(
        Lot((programme, code, benefit.code), benefit, terms, opening.valid_from, opening.valid_until)
        for benefit in terms.benefits
    )
    books.waves[programme, code] = Wave(programme, code, terms, opening, lots)
    books.lots.update({lot.key: lot for lot in lots})
    return ACCEPTED


def _revoke(books: Books, event: Event) -> Decision:
    lot = _lot(books, event)
    assert lot is not None
    if lot.is_closed:
        return no_effect(lot.state)
    now = books.now_or(event.x)
    lot.state = "revoked"
    lot.revoked_at = min(event.x, now)
    lot.booked_at = min(max(event.x, books.lot_last[lot.key]), now)
    for account in LAPSING:
        books.move_lot(lot, "revoked", account, "revoked", lot.booked_at)
    return ACCEPTED


def _extend(books: Books, event: Event) -> Decision:
    lot = _lot(books, event)
    assert lot is not None
    valid_until = instant.read(event.data["valid_until"])
    if lot.state == "revoked":
        return no_effect("revoked")
    if valid_until <= lot.valid_until:
        return no_effect("superseded")
    if lot.state == "expired":
        _reopen(books, lot, event.x)
    lot.valid_until = valid_until
    return ACCEPTED


def _reopen(books: Books, lot: Lot, x: int) -> None:
    at = min(max(lot.valid_until, x, books.lot_last[lot.key]), books.now_or(x))
    for account in LAPSING:
        books.move_lot(lot, "expiry_reversed", lot.taken_account(account), account, at)
    lot.state = "open"
    lot.reopened_at = at
