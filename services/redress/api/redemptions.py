"""Writes: each publishes one event under the caller's key, and answers with the ledger's decision on it."""

import re
import time
from json import JSONDecodeError
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import BaseModel, ValidationError

from redress.api import models
from redress.api.auth import Caller, source_of
from redress.api.context import Api, MayRedeem, The, VoucherInPath, good, json_response, problems
from redress.api.problems import Kind, ProblemError
from redress.api.redeemer import Order
from redress.api.strict_body import StrictBody, quick
from redress.contracts import redemption as events
from redress.contracts import scalars as s
from redress.contracts.decision import RedemptionDecided
from redress.contracts.detail import field_and_rule
from redress.contracts.envelope import valid_traceparent
from redress.contracts.examples import BENEFICIARY, ORDER, PROGRAMME, REDEMPTION, TRAVEL_VOUCHER

WAIT_MS: Final = 2_000
WAIT_MS_MAX: Final = 30_000
"""How long a caller may wait for a decision: half the minute after which proxies give a connection up."""

router = APIRouter(prefix="/v1", route_class=StrictBody)

Wait = Annotated[
    int, Query(ge=0, le=WAIT_MS_MAX, description="How long to wait for the decision; 0: answer 202 at once.")
]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=s.EVENT_ID_PATTERN,
        description="Becomes the event's id: unique per caller and beneficiary, a UUID is recommended. Ask again with "
        "the same key and body as often as you like: nothing happens twice.",
        examples=["0190c0f2-6a3e-7c51-9d2b-5f0e8a7b6c4d"],
    ),
]
Trace = Annotated[
    str | None,
    Header(
        description="W3C trace context, carried through; ignored if not valid.",
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: good(RedemptionDecided, "The ledger's decision: look at `outcome`."),
    202: {
        **good(models.Pending, "Taken, and not decided yet. Ask again with the same key, or at `Location`."),
        "headers": {"Location": {"description": "Where it can be looked up.", "schema": {"type": "string"}}},
    },
    **problems(400, 408, 413, 422),
}
_NEXT: Final = {
    operation: {"operationId": operation, "parameters": {"r": "$request.body#/redemption"}, "description": about}
    for operation, about in {
        "captureRedemption": "When the order was paid.",
        "releaseRedemption": "When it did not come about, or no decision came in time.",
        "reverseRedemption": "When it was cancelled after it was paid.",
    }.items()
} | {
    "getRedemption": {
        "operationId": "getRedemption",
        "parameters": {
            "r": "$request.body#/redemption",
            "beneficiary": "$request.body#/beneficiary",
            "programme": "$request.body#/programme",
        },
        "description": "What became of it.",
    }
}
_REQUEST_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    **_ANSWERS,
    200: {**_ANSWERS[200], "links": _NEXT},
    202: {**_ANSWERS[202], "links": _NEXT},
}
_KEY: Final = re.compile(s.EVENT_ID_PATTERN)
_WAIT: Final = re.compile(rb"(?:wait_ms=(0|[1-9][0-9]{0,4}))?")
"""The query of nearly all requests."""
_WHO: Final = {"programme": PROGRAMME, "beneficiary": str(BENEFICIARY)}
_LINES: Final = [{"voucher": str(TRAVEL_VOUCHER), "amount": 15_000}]


def _example(summary: str, value: dict[str, Any]) -> Any:
    return Body(openapi_examples={"example": {"summary": summary, "value": value}})


@router.post(
    "/redemptions",
    tags=["redemptions"],
    operation_id="requestRedemption",
    summary="May this order be paid with these vouchers?",
    response_model=None,
    responses=_REQUEST_ANSWERS,
)
async def request_redemption(
    body: Annotated[
        events.RedemptionRequested,
        _example(
            "15,000 won of a travel voucher",
            {
                **_WHO,
                "redemption": REDEMPTION,
                "order": ORDER,
                "service": "travel",
                "applied_by": "customer",
                "lines": _LINES,
            },
        ),
    ],
    api: The,
    caller: MayRedeem,
    idempotency_key: Key,
    wait_ms: Wait = WAIT_MS,
    traceparent: Trace = None,
) -> Response:
    """Publishes `redress.redemption.requested.v1` and waits for the decision.

    `accepted`: the amounts are reserved until the programme's time to live ends: capture or release them.
    `refused`: `reason` says why, and nothing was reserved.
    """
    at = _redemption_path(body.redemption, body.beneficiary, body.programme)
    return await _ask(api, caller, body, body.beneficiary, idempotency_key, wait_ms, traceparent, at)


@quick(request_redemption)
async def _request_quickly(request: Request) -> Response | None:
    """What FastAPI makes of the usual request, in less than half the time: a checkout waits for it."""
    headers, asked = request.headers, _WAIT.fullmatch(request.scope["query_string"])
    key, caller = headers.get("idempotency-key", ""), request.state.caller
    wait_ms = int(asked[1] or WAIT_MS) if asked else WAIT_MS_MAX + 1
    usual = headers.get("content-type") == "application/json" and _KEY.fullmatch(key) and "redeem" in caller.scopes
    if not usual or wait_ms > WAIT_MS_MAX:
        return None
    try:
        body = events.RedemptionRequested.model_validate(await request.json())
    except (JSONDecodeError, ValidationError):
        return None
    return await request_redemption(body, request.app.state.api, caller, key, wait_ms, headers.get("traceparent"))


@router.post(
    "/redemptions/{r}/capture",
    tags=["redemptions"],
    operation_id="captureRedemption",
    summary="The order was paid",
    response_model=None,
    responses=_ANSWERS,
)
async def capture_redemption(
    r: s.Redemption,
    body: Annotated[models.CaptureBody, _example("All of it", {**_WHO, "lines": _LINES})],
    api: The,
    caller: MayRedeem,
    idempotency_key: Key,
    wait_ms: Wait = WAIT_MS,
    traceparent: Trace = None,
) -> Response:
    """Publishes `redress.redemption.captured.v1`: a fact, recorded whatever the ledger thinks of it.

    What it contradicts stands in `exception` of the decision's lines.
    """
    event = _event(events.RedemptionCaptured, body, redemption=r)
    at = _redemption_path(r, body.beneficiary, body.programme)
    return await _ask(api, caller, event, body.beneficiary, idempotency_key, wait_ms, traceparent, at)


@router.post(
    "/redemptions/{r}/release",
    tags=["redemptions"],
    operation_id="releaseRedemption",
    summary="The order did not come about",
    response_model=None,
    responses=_ANSWERS,
)
async def release_redemption(
    r: s.Redemption,
    body: Annotated[models.ReleaseBody, _example("The card was declined", {**_WHO, "reason": "payment_failed"})],
    api: The,
    caller: MayRedeem,
    idempotency_key: Key,
    wait_ms: Wait = WAIT_MS,
    traceparent: Trace = None,
) -> Response:
    """Publishes `redress.redemption.released.v1`: what was reserved is free again."""
    event = _event(events.RedemptionReleased, body, redemption=r)
    at = _redemption_path(r, body.beneficiary, body.programme)
    return await _ask(api, caller, event, body.beneficiary, idempotency_key, wait_ms, traceparent, at)


@router.post(
    "/redemptions/{r}/reverse",
    tags=["redemptions"],
    operation_id="reverseRedemption",
    summary="The order was cancelled",
    response_model=None,
    responses=_ANSWERS,
)
async def reverse_redemption(
    r: s.Redemption,
    body: Annotated[
        models.ReverseBody,
        _example("The whole order", {**_WHO, "scope": "whole_order", "lines": [], "reason": "customer_cancelled"}),
    ],
    api: The,
    caller: MayRedeem,
    idempotency_key: Key,
    wait_ms: Wait = WAIT_MS,
    traceparent: Trace = None,
) -> Response:
    """Publishes `redress.redemption.reversed.v1`. What comes back is in `restored` of the decision's lines."""
    event = _event(events.RedemptionReversed, body, redemption=r)
    at = _redemption_path(r, body.beneficiary, body.programme)
    return await _ask(api, caller, event, body.beneficiary, idempotency_key, wait_ms, traceparent, at)


@router.post(
    "/vouchers/{v}/claim",
    tags=["vouchers"],
    operation_id="claimVoucher",
    summary="The person claims a voucher",
    response_model=None,
    responses=_ANSWERS,
)
async def claim_voucher(
    v: VoucherInPath,
    body: Annotated[models.ClaimBody, _example("In the app", {**_WHO, "channel": "app"})],
    api: The,
    caller: MayRedeem,
    idempotency_key: Key,
    wait_ms: Wait = WAIT_MS,
    traceparent: Trace = None,
) -> Response:
    """Publishes `redress.voucher.claimed.v1`: where the terms ask for it, a voucher is claimed before it is used."""
    event = _event(events.VoucherClaimed, body, voucher=v)
    return await _ask(api, caller, event, body.beneficiary, idempotency_key, wait_ms, traceparent, f"/v1/vouchers/{v}")


async def _ask(
    api: Api,
    caller: Caller,
    event: s.InEvent,
    beneficiary: str,
    key: str,
    wait_ms: int,
    traceparent: str | None,
    at: str,
) -> Response:
    began = time.perf_counter()
    order = Order(event, beneficiary, source_of(api.identity.name, caller.subject), key, valid_traceparent(traceparent))
    decision = await api.redeemer.ask(order, wait_ms / 1000)
    name = type(event).__name__
    if decision is None:
        api.metrics.pending(name)
        return json_response({"status": "pending", "source": order.source, "id": key}, 202, {"Location": at})
    api.metrics.decided(name, decision["outcome"], time.perf_counter() - began)
    return json_response(decision)


def _event(model: type[s.InEvent], body: BaseModel, **from_path: str) -> s.InEvent:
    """The contract's event: the body with what the path says.

    Raises:
        ProblemError: a rule of the whole event is broken.
    """
    try:
        return model.model_validate({**body.model_dump(mode="json"), **from_path})
    except ValidationError as error:
        wrong = [field_and_rule(("body",), each) for each in error.errors(include_url=False, include_input=False)]
        raise ProblemError(Kind.INVALID, "the body is not as it must be", errors=wrong) from None


def _redemption_path(redemption: str, beneficiary: str, programme: str) -> str:
    return f"/v1/redemptions/{quote(redemption, safe='')}?beneficiary={beneficiary}&programme={programme}"
