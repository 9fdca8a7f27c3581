"""Requests and the facts that follow them (section 7 of the rules)."""

from heapq import heappush
from typing import Any

from tests.oracle.books import Books
from tests.oracle.decision import ACCEPTED, PARK, Decision, no_effect, refused
from tests.oracle.event import CAPTURED, Event
from tests.oracle.grant import Piece
from tests.oracle.instant import SECOND_US
from tests.oracle.redemption import Redemption, RedemptionKey, Request, Spent, State
from tests.oracle.terms import Terms
from tests.oracle.voucher_id import is_owner

FUTURE_LIMIT_US = 300 * SECOND_US
GRACE_US = 60 * SECOND_US
"""A reservation is released this long after it expired."""


def requested(books: Books, event: Event) -> Decision:
    data, key = event.data, _key(event)
    content = frozenset((line["voucher"], line["amount"]) for line in data["lines"])
    known = books.redemptions.get(key)
    if known is not None:
        earlier = known.request
        if earlier is None or (earlier.order, earlier.service, earlier.lines) != (
            data["order"],
            data["service"],
            content,
        ):
            return refused("conflict")
        return earlier.decision
    reason = _refusal(books, event)
    decision = refused(reason) if reason else ACCEPTED
    redemption = Redemption(
        key,
        State.REFUSED if reason else State.HELD,
        Request(data["order"], data["service"], content, decision, event.x),
        order=data["order"],
        service=data["service"],
    )
    _remember(books, redemption)
    if not reason:
        _reserve(books, event, redemption)
    return decision


def captured(books: Books, event: Event) -> Decision | None:
    return _settle_fact(books, event, is_ending=False)


def recorded(books: Books, event: Event) -> Decision | None:
    return _settle_fact(books, event, is_ending=False)


def settled_without(books: Books, event: Event) -> Decision | None:
    """A settling fact whose parking ended: what has not come is booked as an exception."""
    return _settle_fact(books, event, is_ending=True)


def released(books: Books, event: Event) -> Decision | None:
    if event.data["programme"] not in books.programmes:
        return PARK
    redemption = books.redemptions.get(_key(event))
    if redemption is None:
        return no_effect("unknown_redemption")
    if redemption.state is not State.HELD:
        return no_effect("nothing_held")
    release(books, event.x, redemption, State.RELEASED)
    return ACCEPTED


def reversed_(books: Books, event: Event) -> Decision | None:
    if event.data["programme"] not in books.programmes:
        return PARK
    redemption = books.redemptions.get(_key(event))
    is_whole = event.data["scope"] == "whole_order"
    if redemption is None:
        return no_effect("unknown_redemption")
    if redemption.state is State.HELD:
        if not is_whole:
            return no_effect("not_captured")
        release(books, event.x, redemption, State.RELEASED)
        return ACCEPTED
    if not redemption.is_settled:
        return no_effect("nothing_held")
    if redemption.is_wholly_reversed:
        return no_effect("already_reversed")
    if is_whole:
        for spent in redemption.spent.values():
            _reverse(books, event.x, redemption, spent, spent.left, is_whole=True)
        return ACCEPTED
    return _reverse_partly(books, event, redemption)


def release(books: Books, x: int, redemption: Redemption, state: State) -> None:
    """Gives back all that a redemption still holds."""
    for voucher, amount in redemption.holds.items():
        books.move_back(x, books.vouchers[voucher], "released", "held", "available", amount)
    redemption.holds.clear()
    redemption.state = state


def _key(event: Event) -> RedemptionKey:
    return (event.data["beneficiary"], event.data["programme"], event.data["redemption"])


def _remember(books: Books, redemption: Redemption) -> None:
    books.redemptions[redemption.key] = redemption
    books.redemptions_of[redemption.key[:2]].append(redemption)


# --- requests


def _refusal(books: Books, event: Event) -> str | None:
    programme = books.programmes.get(event.data["programme"])
    if programme is None:
        return "unknown_voucher"
    now = books.now_or(event.x)
    if event.x < now - programme.latest.request_max_age_seconds * SECOND_US:
        return "stale_request"
    if event.x > now + FUTURE_LIMIT_US:
        return "future_request"
    for line in event.data["lines"]:
        if reason := _line_refusal(books, event, line):
            return reason
    return "too_many_vouchers" if _is_over_limit(books, event, programme.latest) else None


def _line_refusal(books: Books, event: Event, line: dict[str, Any]) -> str | None:
    beneficiary, voucher, x = event.data["beneficiary"], line["voucher"], event.x
    if not is_owner(beneficiary, voucher):
        return "not_owner"
    piece = books.voucher(beneficiary, event.data["programme"], voucher)
    if piece is None:
        return "unknown_voucher"
    lot, balances = piece.lot, piece.balances
    tests = (
        ("wrong_service", not lot.benefit.serves(event.data["service"])),
        ("revoked", piece.shows_revoked or (lot.state == "revoked" and lot.is_closed_at(x))),
        ("declined", piece.is_declined),
        ("expired", x >= lot.valid_until),
        ("not_yet_valid", x < lot.valid_from),
        ("not_claimed", not piece.is_claimed),
        ("already_redeemed", balances["available"] + balances["held"] == 0),
        ("already_reserved", lot.terms.is_one_use and balances["held"] > 0),
        ("insufficient_balance", balances["available"] < line["amount"]),
    )
    return next((reason for reason, applies in tests if applies), None)


def _is_over_limit(books: Books, event: Event, terms: Terms) -> bool:
    if terms.vouchers_per_order is None:
        return False
    vouchers = {line["voucher"] for line in event.data["lines"]}
    for other in books.redemptions_of[event.data["beneficiary"], event.data["programme"]]:
        if other.order == event.data["order"]:
            vouchers.update(other.vouchers_in_use())
    return len(vouchers) > terms.vouchers_per_order


def _reserve(books: Books, event: Event, redemption: Redemption) -> None:
    ttl_seconds = books.programmes[event.data["programme"]].latest.reservation_ttl_seconds
    redemption.expires_at = event.x + ttl_seconds * SECOND_US
    for line in event.data["lines"]:
        voucher, amount = line["voucher"], line["amount"]
        redemption.holds[voucher] = amount
        books.move(event.x, books.vouchers[voucher], "reserved", "available", "held", amount)
    redemption.held_vouchers = frozenset(redemption.holds)
    heappush(books.reservations, (redemption.expires_at, redemption.key))


# --- settling


def _settle_fact(books: Books, event: Event, *, is_ending: bool) -> Decision | None:
    if event.data["programme"] not in books.programmes:
        return PARK
    redemption = books.redemptions.get(_key(event))
    if redemption is not None and redemption.is_settled:
        return no_effect("already_settled")
    if not is_ending and any(_is_to_come(books, event, line["voucher"]) for line in event.data["lines"]):
        return PARK
    reason = None
    if redemption is None:
        redemption = Redemption(_key(event), State.SETTLED)
        _remember(books, redemption)
        reason = "unknown_redemption" if event.type == CAPTURED else None
    if event.type != CAPTURED:
        redemption.order, redemption.service = event.data["order"], event.data["service"]
    for line in event.data["lines"]:
        reason = _settle(books, event, redemption, line["voucher"], line["amount"], reason)
    release(books, event.x, redemption, State.SETTLED)
    return Decision("accepted", reason)


def _is_to_come(books: Books, event: Event, voucher: str) -> bool:
    """Whether a voucher of this beneficiary is not there yet."""
    beneficiary, programme = event.data["beneficiary"], event.data["programme"]
    if not is_owner(beneficiary, voucher) or books.is_of_another_programme(beneficiary, programme, voucher):
        return False
    return books.voucher(beneficiary, programme, voucher) is None


def _settle(
    books: Books, event: Event, redemption: Redemption, voucher: str, amount: int, reason: str | None
) -> str | None:
    """Settles one line; returns the entry's reason as it is now."""
    beneficiary, programme = event.data["beneficiary"], event.data["programme"]
    piece = books.voucher(beneficiary, programme, voucher)
    spent = redemption.spent[voucher] = Spent(voucher, piece)
    if piece is None:
        spent.exception_left = amount
        books.move_stray(
            event.x, (beneficiary, programme, voucher), "exception", "exception", "redemption_clearing", amount
        )
        return reason or ("unknown_voucher" if is_owner(beneficiary, voucher) else "not_owner")
    x, lot = event.x, piece.lot
    is_in_grace = _is_in_grace(event, redemption, piece)
    is_closed = lot.is_closed_at(x) and not is_in_grace
    hold = redemption.holds.pop(voucher, 0)
    rest = amount
    is_held_by_another = lot.terms.is_one_use and piece.balances["held"] > hold

    from_hold = min(rest, hold)
    rest -= from_hold
    if rest and reason is None:
        reason = _settling_reason(event, redemption, piece, rest, is_held_by_another, is_in_grace)
    books.move(x, piece, "redeemed", "held", "redemption_clearing", from_hold)

    from_voucher = 0
    if rest and not (piece.is_declined or piece.shows_revoked or is_closed or is_held_by_another):
        piece.is_claimed = True
        books.move(x, piece, "claimed", "unclaimed", "available", piece.balances["unclaimed"])
        from_voucher = min(rest, piece.balances["available"])
        rest -= from_voucher
        books.move(x, piece, "redeemed", "available", "redemption_clearing", from_voucher)
    books.move(x, piece, "exception", "exception", "redemption_clearing", rest)

    spent.exception_left = rest
    spent.redeemed = spent.redeemed_left = from_hold + from_voucher
    if spent.redeemed:
        spent.forfeited_left = _settle_remainder(books, x, piece, hold - from_hold, is_closed=is_closed)
    return reason


def _is_in_grace(event: Event, redemption: Redemption, piece: Piece) -> bool:
    """Whether the redemption's lots count as usable although its reservation timed out."""
    if event.type != CAPTURED or redemption.state is not State.TIMED_OUT or redemption.request is None:
        return False
    return (
        event.x < redemption.expires_at + GRACE_US
        and piece.voucher in redemption.held_vouchers
        and piece.lot.is_usable_at(redemption.request.x)
    )


def _settling_reason(
    event: Event, redemption: Redemption, piece: Piece, rest: int, is_held_by_another: bool, is_in_grace: bool
) -> str | None:
    lot, x = piece.lot, event.x
    tests = (
        ("wrong_service", not lot.benefit.serves(redemption.service)),
        ("revoked", piece.shows_revoked or (lot.state == "revoked" and lot.is_closed_at(x) and not is_in_grace)),
        ("declined", piece.is_declined),
        ("expired", x >= lot.valid_until and not is_in_grace),
        ("not_yet_valid", x < lot.valid_from and not is_in_grace),
        ("not_claimed", not piece.is_claimed),
        ("already_reserved", is_held_by_another),
        ("insufficient_balance", piece.balances["available"] < rest),
    )
    return next((reason for reason, applies in tests if applies), None)


def _settle_remainder(books: Books, x: int, piece: Piece, hold_rest: int, *, is_closed: bool) -> int:
    """What the terms make of what is left; returns the amount forfeited."""
    if not piece.lot.terms.is_one_use:
        books.move_back(x, piece, "released", "held", "available", hold_rest)
        return 0
    available = 0 if is_closed else piece.balances["available"]
    books.move(x, piece, "forfeited", "held", "breakage_forfeited", hold_rest)
    books.move(x, piece, "forfeited", "available", "breakage_forfeited", available)
    return hold_rest + available


# --- reversing


def _reverse_partly(books: Books, event: Event, redemption: Redemption) -> Decision:
    did_reverse = False
    for line in event.data["lines"]:
        spent = redemption.spent.get(line["voucher"])
        if spent is not None and spent.left:
            did_reverse = True
            _reverse(books, event.x, redemption, spent, min(line["amount"], spent.left), is_whole=False)
    return ACCEPTED if did_reverse else no_effect("nothing_left")


def _reverse(books: Books, x: int, redemption: Redemption, spent: Spent, amount: int, *, is_whole: bool) -> None:
    """Reverses an amount of what was spent on a voucher: the exception part first."""
    exception = min(amount, spent.exception_left)
    spent.exception_left -= exception
    if spent.piece is None:
        if exception:
            names = ("exception_reversed", "redemption_clearing", "exception")
            books.move_stray(x, (*redemption.key[:2], spent.voucher), *names, exception)
        return
    piece, redeemed = spent.piece, amount - exception
    books.move(x, piece, "exception_reversed", "redemption_clearing", "exception", exception)
    if not redeemed:
        return
    spent.redeemed_left -= redeemed
    if not _is_restored(piece, x, is_whole=is_whole):
        books.move(x, piece, "cancelled", "redemption_clearing", "breakage_cancelled", redeemed)
        return
    spent.restored += redeemed
    books.move_back(x, piece, "restored", "redemption_clearing", "available", redeemed)
    if is_whole or spent.restored == spent.redeemed:
        forfeited, spent.forfeited_left = spent.forfeited_left, 0
        books.move_back(x, piece, "restored", "breakage_forfeited", "available", forfeited)


def _is_restored(piece: Piece, x: int, *, is_whole: bool) -> bool:
    restore = piece.lot.terms.restore
    allows = restore == "any_before_expiry" or (is_whole and restore == "whole_order_before_expiry")
    return allows and not piece.lot.is_closed_at(x)
