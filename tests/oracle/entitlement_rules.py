"""Entitlement and issue (section 5 of the rules)."""

from typing import Any

from tests.oracle.books import Books
from tests.oracle.decision import ACCEPTED, PARK, Decision, no_effect, refused
from tests.oracle.event import Event
from tests.oracle.grant import Grant


def granted(books: Books, event: Event) -> Decision | None:
    data = event.data
    key = (data["beneficiary"], data["programme"], data["wave"])
    wave = books.waves.get(key[1:])
    if wave is None:
        return PARK
    if key in books.grants:
        return refused("already_granted")
    if wave.terms.is_once_per_programme and _another_stands(books, event):
        books.refused_grants.add(key)
        return refused("already_entitled")
    grant = Grant(key[0], wave, data["standing"])
    books.grants[key] = grant
    books.grants_of[key[:2]].append(grant)
    books.refused_grants.discard(key)
    _entitle(books, event.x, grant)
    return ACCEPTED


def enrolled(books: Books, event: Event) -> Decision | None:
    grant = _grant(books, event)
    if grant is None:
        return PARK
    if grant.is_withdrawn:
        return no_effect("already_withdrawn")
    if grant.may_be_issued:
        return no_effect("already_enrolled")
    grant.is_enrolled = True
    books.enrolments[grant.wave.programme, grant.wave.code] += 1
    return ACCEPTED


def issued(books: Books, event: Event) -> Decision | None:
    grant = _grant(books, event)
    if grant is None:
        return PARK
    if grant.is_withdrawn:
        return refused("not_entitled")
    if not grant.may_be_issued:
        return PARK
    if grant.is_issued:
        return no_effect("already_issued")
    if not _is_as_entitled(grant, event.data["vouchers"]):
        return refused("not_as_entitled")
    grant.is_issued = True
    terms = grant.wave.terms
    for piece in grant.pieces:
        books.issue(piece)
        piece.is_claimed = terms.claim == "none"
        books.move(event.x, piece, "issued", "entitlement", terms.first_account, piece.lot.benefit.amount)
    return ACCEPTED


def withdrawn(books: Books, event: Event) -> Decision | None:
    grant = _grant(books, event)
    if grant is None:
        return PARK
    if grant.is_withdrawn:
        return no_effect("already_withdrawn")
    grant.is_withdrawn = True
    for piece in grant.pieces:
        piece.revoked_since_withdrawal = 0
        if grant.is_issued:
            for account in ("unclaimed", "available"):
                books.move(event.x, piece, "revoked", account, "revoked", piece.balances[account])
        else:
            books.move(event.x, piece, "withdrawn", "entitlement", "programme_grant", piece.balances["entitlement"])
    return ACCEPTED


def reinstated(books: Books, event: Event) -> Decision | None:
    grant = _grant(books, event)
    if grant is None:
        return PARK
    if not grant.is_withdrawn:
        return no_effect("not_withdrawn")
    if grant.wave.terms.is_once_per_programme and _another_stands(books, event):
        return no_effect("already_entitled")
    grant.is_withdrawn = False
    if not grant.is_issued:
        _entitle(books, event.x, grant)
        return ACCEPTED
    for piece in grant.pieces:
        amount, piece.revoked_since_withdrawal = piece.revoked_since_withdrawal, 0
        account = "available" if piece.is_claimed else "unclaimed"
        books.move_back(event.x, piece, "revocation_reversed", "revoked", account, amount)
    return ACCEPTED


def _grant(books: Books, event: Event) -> Grant | None:
    return books.grants.get((event.data["beneficiary"], event.data["programme"], event.data["wave"]))


def _another_stands(books: Books, event: Event) -> bool:
    grants = books.grants_of[event.data["beneficiary"], event.data["programme"]]
    return any(not grant.is_withdrawn and grant.wave.code != event.data["wave"] for grant in grants)


def _entitle(books: Books, x: int, grant: Grant) -> None:
    for piece in grant.pieces:
        books.move(x, piece, "entitled", "programme_grant", "entitlement", piece.lot.benefit.amount)


def _is_as_entitled(grant: Grant, vouchers: list[dict[str, Any]]) -> bool:
    due = sorted((piece.voucher, piece.lot.benefit.code, piece.lot.benefit.amount) for piece in grant.pieces)
    return due == sorted((voucher["voucher"], voucher["benefit"], voucher["amount"]) for voucher in vouchers)
