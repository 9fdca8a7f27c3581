"""So many requests at once: who comes on top is told to come again, in the form all errors have."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from redress.api.problems import overloaded, problem_response

REQUESTS_MAX: Final = 4_096
"""Requests under way, whatever they wait for: twice the callers who may wait for a decision."""
ALWAYS_LET_IN: Final = "/livez"
"""A process that has much to do is alive: to restart it would lose what it has begun."""


class RequestLimit:
    """Turns away who comes while as many requests are under way as there may be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count, and pass on."""
        if scope["type"] != "http" or scope["path"] == ALWAYS_LET_IN:
            await self._app(scope, receive, send)
        elif self._under_way >= REQUESTS_MAX:
            await problem_response(overloaded(), scope["path"])(scope, receive, send)
        else:
            self._under_way += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._under_way -= 1
