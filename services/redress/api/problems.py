"""Errors as RFC 9457 problem details: what is wrong, in which field, by which rule. No value is ever repeated."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 1
"""What `Retry-After` says: a server that is away, or busy, is worth another look in a second."""


class Kind(Enum):
    """The problems there are: end of the type's URN, title, status."""

    MALFORMED = "malformed", "The body is not JSON", 400
    UNAUTHENTICATED = "unauthenticated", "A valid bearer token is needed", 401
    FORBIDDEN = "forbidden", "The token lacks a scope", 403
    NOT_FOUND = "not-found", "There is no such thing", 404
    METHOD = "method-not-allowed", "The route has no such method", 405
    TOO_SLOW = "request-timeout", "The body came too slowly", 408
    AMBIGUOUS = "ambiguous", "There are several", 409
    TOO_LARGE = "too-large", "The body is too large", 413
    INVALID = "invalid", "A field is not as it must be", 422
    KEY_REUSED = "idempotency-key-reused", "The key was used with another body", 422
    FAILED = "internal-error", "This should not have happened", 500
    OVERLOADED = "overloaded", "Too many requests at once", 503
    UNAVAILABLE = "unavailable", "A server behind this one is away", 503

    def __init__(self, slug: str, title: str, status: int) -> None:
        self.urn = f"urn:redress:problem:{slug}"
        self.title = title
        self.status = status


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: Annotated[str, Field(description="Where it is, such as `body.lines.0.amount`.", examples=["body.order"])]
    reason: Annotated[str, Field(description="The rule it breaks.", examples=["string_pattern_mismatch"])]


class Problem(BaseModel):
    """An error, by RFC 9457. It never repeats a value."""

    type: Annotated[
        str, Field(description="Which problem it is: compare this one.", examples=["urn:redress:problem:invalid"])
    ]
    title: Annotated[str, Field(description="The same for every problem of the type.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="This one, in words.")]
    instance: Annotated[str, Field(description="The path that was asked for.")]
    errors: Annotated[list[FieldError], Field(description="The fields that are wrong; may be none.")]


class ProblemError(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = headers


def unavailable(server: str, more: str = "") -> ProblemError:
    """A server behind this one does not answer."""
    return ProblemError(Kind.UNAVAILABLE, f"{server} does not answer{more}")


def overloaded() -> ProblemError:
    """There is no room for another request."""
    return ProblemError(Kind.OVERLOADED, "more requests at once than can be answered in time")


def problem_body(error: ProblemError, instance: str) -> dict[str, Any]:
    """The error as RFC 9457 has it."""
    return {
        "type": error.kind.urn,
        "title": error.kind.title,
        "status": error.kind.status,
        "detail": error.detail,
        "instance": instance,
        "errors": [{"field": field, "reason": reason} for field, reason in error.errors],
    }


def problem_response(error: ProblemError, instance: str) -> Response:
    """The error as a response."""
    headers = dict(error.headers or {})
    if error.kind.status == Kind.UNAVAILABLE.status:
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return Response(orjson.dumps(problem_body(error, instance)), error.kind.status, headers, MEDIA_TYPE)
