"""Bodies as the contract takes JSON: an object, UTF-8, no key given twice."""

from collections.abc import Awaitable, Callable, Coroutine
from json import JSONDecodeError
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from redress.contracts.document import DocumentError, read_object

Quick = Callable[[Request], Awaitable[Response | None]]
"""Answers a request in which nothing is unusual; None: FastAPI reads it, and says what is wrong with it."""
_QUICK: dict[Callable[..., Any], Quick] = {}


def quick(endpoint: Callable[..., Any]) -> Callable[[Quick], Quick]:
    """Marks what is tried first for the route of this endpoint; before the route is added."""

    def mark(answer: Quick) -> Quick:
        _QUICK[endpoint] = answer
        return answer

    return mark


class StrictBody(APIRoute):
    """A route that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, over a request that reads strictly."""
        handler = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            answer = _QUICK.get(self.endpoint)
            response = None if answer is None else await answer(strict)
            return await handler(strict) if response is None else response

        return strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return read_object(await self.body())
        except DocumentError as error:
            raise JSONDecodeError(str(error), "", 0) from None
