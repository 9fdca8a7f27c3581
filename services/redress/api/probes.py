"""Probes, and the metrics."""

from typing import Final

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse

from redress.api import models
from redress.api.context import MayOperate, The, good, json_response, problems
from redress.api.decisions import KAFKA_AWAY
from redress.api.problems import unavailable

KAFKA_SECONDS_MAX: Final = 2.0
"""How long Kafka may take to answer a probe, which is asked every few seconds."""

router = APIRouter(tags=["operation"])


@router.get(
    "/livez",
    operation_id="livez",
    summary="Whether the process runs",
    response_model=None,
    responses={200: good(models.Alive)},
)
async def livez() -> Response:
    """Says nothing about the servers behind it: a restart would not bring them back."""
    return json_response({"status": "ok"})


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Whether Postgres and Kafka answer",
    response_model=None,
    responses={200: good(models.Ready), **problems(503, everywhere=())},
)
async def readyz(api: The) -> Response:
    """503 while one of them is away; what needs only the other still works."""
    await api.reader.check()
    try:
        await api.listener.check(KAFKA_SECONDS_MAX)
    except KAFKA_AWAY as error:
        raise unavailable("Kafka") from error
    return json_response({"status": "ok", "postgres": "ok", "kafka": "ok"})


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics in Prometheus' text form",
    response_model=None,
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The metrics."},
        **problems(401, 403, 500, everywhere=()),
    },
)
async def metrics(api: The, _caller: MayOperate) -> Response:
    """Latencies of this process; lag, rates, parked, dead letters and relay lag of the ledger, at most 5 s old.

    A scraper takes its token from a file (`authorization: {credentials_file: …}`).
    """
    gates = api.reader.gates
    turned_away = {
        "look_up": gates.look_up.turned_away,
        "answer": gates.answer.turned_away,
        "figures": gates.figures.turned_away,
        "redeem": api.redeemer.gate.turned_away,
    }
    text = await api.metrics.exposition(api.load_status, turned_away)
    return Response(text, 200, media_type=CONTENT_TYPE_LATEST)
