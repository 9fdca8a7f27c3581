"""The application: routes, what stands before them, and what runs beside them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.types import ExceptionHandler

from redress.api import figures, look_ups, probes, redemptions
from redress.api.answers import Answers
from redress.api.auth import Authentication, Verifier
from redress.api.body_limit import BodyLimit
from redress.api.context import Api
from redress.api.decisions import DecisionListener
from redress.api.examples import EXAMPLES
from redress.api.lot_book import LotBook
from redress.api.metrics import Metrics, Stopwatch
from redress.api.problems import Kind, Problem, ProblemError, problem_response
from redress.api.publisher import Publisher
from redress.api.reader import Reader
from redress.api.redeemer import Redeemer, WallClock
from redress.api.request_limit import RequestLimit
from redress.api.scopes import SCOPES
from redress.contracts.detail import field_and_rule
from redress.contracts.registry import OutTopic
from redress.domain.ids import Instant
from redress.intake.worker import Servers
from redress.ledger.identity import LedgerIdentity
from redress.runtime.status import Status, input_ends, load_status
from redress.runtime.wiring import SharedProducer

log = structlog.get_logger()

DESCRIPTION: Final = """
The ledger of a compensation programme over HTTP: what people are entitled to, what each voucher is worth now, and the
ledger's decision on each redemption.

**Writes** publish one event and wait for the ledger's decision on it. `Idempotency-Key` is the event's id: no answer,
202 or 503 means *ask again with the same key and body*; nothing happens twice. 200 is a decision: look at `outcome`.

**Errors** are problem details (RFC 9457): compare `type`; `errors` names field and rule. No value is ever repeated.

**Tokens** are JWTs with a `scope`: """ + " ".join(f"`{name}`: {about}" for name, about in SCOPES.items())

TAGS: Final = {
    "redemptions": "Ask whether vouchers may be used, and say what became of the order.",
    "vouchers": "What a person does with a voucher.",
    "look-ups": "People and vouchers as they stand, and how they came to it.",
    "programmes": "Terms and figures: what is owed, and why.",
    "operation": "Probes and metrics.",
}
NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""The framework's own would tell of paths, which have ids of people in them, wherever the environment says."""
_BY_STATUS: Final = {404: Kind.NOT_FOUND, 405: Kind.METHOD}


def create_app(
    servers: Servers,
    identity: LedgerIdentity,
    verifier: Verifier,
    *,
    connections: int,
    wall_clock: WallClock = lambda: Instant(time.time_ns() // 1000),
) -> FastAPI:
    """The application; it connects when it starts, and starts whether its servers answer or not."""
    reader = Reader(servers.postgres, connections)
    book = LotBook()
    decisions = servers.topic_prefix + OutTopic.DECISION.value
    listener = DecisionListener(servers.kafka, decisions, identity.shards)
    producer = SharedProducer(servers, linger_ms=0)  # somebody waits for each record
    publisher = Publisher(producer, servers.topic_prefix)
    redeemer = Redeemer(
        Answers(reader, book, identity),
        listener,
        publisher,
        manual_clock=identity.clock == "manual",
        wall_clock=wall_clock,
    )
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await reader.open()
        listening = asyncio.create_task(listener.run(), name="decisions")
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await publisher.stop()
            await producer.stop()
            await reader.close()

    app = FastAPI(
        title="Redress",
        version=version("redress"),
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_tags=[{"name": name, "description": about} for name, about in TAGS.items()],
        servers=[{"url": "/", "description": "Where this document came from."}],
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
        separate_input_output_schemas=False,
    )
    app.state.api = Api(identity, reader, book, listener, redeemer, metrics, _status_loader(servers, identity, reader))
    for router in (look_ups.router, redemptions.router, figures.router, probes.router):
        app.include_router(router)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    # The last one is the outermost: who is turned away counts in the metrics too.
    app.add_middleware(BodyLimit)
    app.add_middleware(Authentication, verifier=verifier)
    app.add_middleware(RequestLimit)
    app.add_middleware(Stopwatch, metrics=metrics)
    _describe(app)
    return app


def _status_loader(servers: Servers, identity: LedgerIdentity, reader: Reader) -> Callable[[], Awaitable[Status]]:
    async def load() -> Status:
        ends = await input_ends(servers, identity.shards)
        async with reader.snapshot(reader.gates.figures) as connection:
            return await load_status(connection, identity.name, identity.clock, ends)

    return load


# --- errors -----------------------------------------------------------------------------------------------------------


async def _on_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return problem_response(error, request.url.path)


async def _on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = error.errors()
    if wrong and wrong[0]["type"] == "json_invalid":
        why = str(wrong[0]["ctx"]["error"])
        problem = ProblemError(Kind.MALFORMED, f"the body: {why}", errors=[("body", why)])
    else:
        fields = [field_and_rule((), each) for each in wrong]
        problem = ProblemError(Kind.INVALID, "a field is not as it must be", errors=fields)
    return problem_response(problem, request.url.path)


async def _on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    kind = _BY_STATUS.get(error.status_code, Kind.MALFORMED)
    return problem_response(ProblemError(kind, kind.title, headers=error.headers), request.url.path)


async def _on_failure(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.scope.get("path"), exc_info=error)
    return problem_response(ProblemError(Kind.FAILED, "see the log of the server"), request.url.path)


_HANDLERS: Final[dict[type[Exception], ExceptionHandler]] = {
    ProblemError: _on_problem,
    RequestValidationError: _on_invalid,
    HTTPException: _on_http,
    Exception: _on_failure,
}


# --- description ------------------------------------------------------------------------------------------------------


def _describe(app: FastAPI) -> None:
    """The OpenAPI document, made once, with the schema of problems."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                servers=app.servers,
                license_info=app.license_info,
                separate_input_output_schemas=False,
            )
            schemas = document["components"]["schemas"]
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs"))
            schemas["Problem"] = problem
            _add_examples(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document


def _add_examples(document: dict[str, Any]) -> None:
    """An example for every good answer. Here, because FastAPI drops what is null from those of a route."""
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        for response in operation["responses"].values():
            media = response.get("content", {}).get("application/json")
            if media is not None:
                media["example"] = EXAMPLES[media["schema"]["$ref"].rpartition("/")[2]]
