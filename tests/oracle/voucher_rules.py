"""What happens to a voucher by itself (section 6 of the rules)."""

from tests.oracle.books import Books
from tests.oracle.decision import ACCEPTED, PARK, Decision, no_effect
from tests.oracle.event import Event
from tests.oracle.grant import Piece


def claimed(books: Books, event: Event) -> Decision | None:
    piece = _voucher(books, event)
    if piece is None:
        return PARK
    if forbidden := _forbidden(piece, event.x):
        return no_effect(forbidden)
    if piece.is_claimed:
        return no_effect("already_claimed")
    piece.is_claimed = True
    books.move(event.x, piece, "claimed", "unclaimed", "available", piece.balances["unclaimed"])
    return ACCEPTED


def declined(books: Books, event: Event) -> Decision | None:
    piece = _voucher(books, event)
    if piece is None:
        return PARK
    if forbidden := _forbidden(piece, event.x):
        return no_effect(forbidden)
    if not piece.left:
        return no_effect("nothing_left")
    piece.is_declined = True
    _give_up(books, event.x, piece, "declined")
    return ACCEPTED


def revoked(books: Books, event: Event) -> Decision | None:
    piece = _voucher(books, event)
    if piece is None:
        return PARK
    if forbidden := _forbidden(piece, event.x):
        return no_effect(forbidden)
    if not piece.left:
        return no_effect("nothing_left")
    piece.is_revoked = True
    _give_up(books, event.x, piece, "revoked")
    return ACCEPTED


def _voucher(books: Books, event: Event) -> Piece | None:
    return books.voucher(event.data["beneficiary"], event.data["programme"], event.data["voucher"])


def _forbidden(piece: Piece, x: int) -> str | None:
    """The name of the state, of the voucher or its lot, that takes nothing at `x`."""
    if piece.is_declined:
        return "declined"
    if piece.shows_revoked:
        return "revoked"
    return piece.lot.closing_name if piece.lot.is_closed_at(x) else None


def _give_up(books: Books, x: int, piece: Piece, movement: str) -> None:
    for account in ("unclaimed", "available"):
        books.move(x, piece, movement, account, movement, piece.balances[account])
