"""Bodies are read whole, up to a limit, before anything looks at them."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redress.api.problems import Kind, ProblemError, problem_response

BODY_BYTES_MAX: Final = 64 * 1024
"""A request with 32 lines takes 3 KiB."""
BODY_SECONDS_MAX: Final = 10.0
"""How long a body may take to come: a client that sends none of it must not keep its connection."""


class BodyLimit:
    """Refuses bodies that are too large, or come too slowly."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, then pass on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        try:
            _check_declared(Headers(scope=scope).get("content-length"))
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await _read(receive)
        except TimeoutError:
            error = ProblemError(Kind.TOO_SLOW, f"the body took more than {BODY_SECONDS_MAX:.0f} s")
            await problem_response(error, scope["path"])(scope, receive, send)
        except ProblemError as error:
            await problem_response(error, scope["path"])(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, _replay(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    """The body; None if the client has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _check_declared(length: str | None) -> None:
    if length is not None and length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise _too_large()


def _too_large() -> ProblemError:
    return ProblemError(Kind.TOO_LARGE, f"a body has at most {BODY_BYTES_MAX} bytes")
