"""What every route works with, and who is asking."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

import orjson
from fastapi import Depends, Path, Request, Response, Security
from fastapi.security import HTTPBearer, SecurityScopes
from pydantic import BaseModel

from redress.api.auth import Caller
from redress.api.decisions import DecisionListener
from redress.api.lot_book import LotBook
from redress.api.metrics import Metrics
from redress.api.problems import MEDIA_TYPE, Kind, ProblemError, overloaded, problem_body, unavailable
from redress.api.reader import Reader
from redress.api.redeemer import Redeemer
from redress.contracts import scalars as s
from redress.contracts.examples import TRAVEL_VOUCHER
from redress.contracts.instants import format_instant
from redress.domain.ids import Instant
from redress.ledger.identity import LedgerIdentity
from redress.runtime.status import Status


@dataclass(frozen=True, slots=True)
class Api:
    """The parts of one running API."""

    identity: LedgerIdentity
    reader: Reader
    book: LotBook
    listener: DecisionListener
    redeemer: Redeemer
    metrics: Metrics
    load_status: Callable[[], Awaitable[Status]]


# Dependencies are coroutines: FastAPI sends what is none to a thread, which takes longer than the work.


async def api_of(request: Request) -> Api:
    """The API that a request has come to."""
    return cast("Api", request.app.state.api)


_bearer = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    auto_error=False,
    description="A JWT whose `scope` has what the route needs; `redress token` makes one for a local ledger.",
)


async def caller_of(request: Request, scopes: SecurityScopes, _described: Annotated[Any, Depends(_bearer)]) -> Caller:
    """Who asks; the token was checked before.

    Raises:
        ProblemError: 403, where it lacks a scope.
    """
    caller = cast("Caller", request.state.caller)
    missing = [scope for scope in scopes.scopes if scope not in caller.scopes]
    if missing:
        challenge = f'Bearer realm="redress", error="insufficient_scope", scope="{" ".join(scopes.scopes)}"'
        raise ProblemError(Kind.FORBIDDEN, f"the scope {missing[0]} is needed", headers={"WWW-Authenticate": challenge})
    return caller


VoucherInPath = Annotated[s.Voucher, Path(examples=[str(TRAVEL_VOUCHER)])]

The = Annotated[Api, Depends(api_of)]
MayRead = Annotated[Caller, Security(caller_of, scopes=["read"])]
MayRedeem = Annotated[Caller, Security(caller_of, scopes=["redeem"])]
MayOperate = Annotated[Caller, Security(caller_of, scopes=["operate"])]

_DESCRIPTIONS: Final = {
    400: "The body is not JSON, or gives a key twice.",
    401: "No valid bearer token.",
    403: "The token lacks the scope.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "There are several: say which.",
    413: "The body has more than 64 KiB.",
    422: "A field is not as it must be; or the key was used with another body.",
    500: "This should not have happened. A write may be sent again with the same key.",
    503: "Too much at once, or Kafka or Postgres is away. `Retry-After` says when to ask again.",
}
_HEADERS: Final = {
    401: ("WWW-Authenticate", "Why the token was not taken, by RFC 6750."),
    403: ("WWW-Authenticate", "The scope that is needed, by RFC 6750."),
    503: ("Retry-After", "In how many seconds to ask again."),
}
_EXAMPLES: Final = (
    ProblemError(Kind.MALFORMED, "the body: Expecting value", errors=[("body", "Expecting value")]),
    ProblemError(Kind.UNAUTHENTICATED, "the token has expired"),
    ProblemError(Kind.FORBIDDEN, "the scope redeem is needed"),
    ProblemError(Kind.NOT_FOUND, "there is no such voucher"),
    ProblemError(Kind.TOO_SLOW, "the body took more than 10 s"),
    ProblemError(
        Kind.AMBIGUOUS, "several programmes have a redemption of this name", errors=[("query.programme", "missing")]
    ),
    ProblemError(Kind.TOO_LARGE, "a body has at most 65536 bytes"),
    ProblemError(
        Kind.INVALID, "a field is not as it must be", errors=[("body.lines.0.amount", "greater_than_equal 1")]
    ),
    ProblemError(
        Kind.KEY_REUSED,
        "this Idempotency-Key was used for the same beneficiary with another body, or on another route",
        errors=[("header.Idempotency-Key", "used with another body")],
    ),
    ProblemError(Kind.FAILED, "see the log of the server"),
    overloaded(),
    unavailable("Kafka"),
)


def problems(*statuses: int, everywhere: tuple[int, ...] = (401, 403, 500, 503)) -> dict[int | str, dict[str, Any]]:
    """Responses of a route besides the good ones, for its description."""
    return {status: _problem(status) for status in sorted({*everywhere, *statuses})}


def _problem(status: int) -> dict[str, Any]:
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "examples": {
            each.kind.urn.rpartition(":")[2]: {
                "summary": each.kind.title,
                "value": problem_body(each, "/v1/redemptions"),
            }
            for each in _EXAMPLES
            if each.kind.status == status
        },
    }
    described: dict[str, Any] = {"description": _DESCRIPTIONS[status], "content": {MEDIA_TYPE: content}}
    if status in _HEADERS:
        name, about = _HEADERS[status]
        described["headers"] = {name: {"description": about, "required": True, "schema": {"type": "string"}}}
    return described


def good(model: type[BaseModel], description: str | None = None) -> dict[str, Any]:
    """The response of a route that did what was asked, for its description."""
    return {"model": model, "description": description or (model.__doc__ or "").partition("\n")[0]}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The body as JSON."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def instant_text(instant: Instant | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if instant is None else format_instant(instant)
