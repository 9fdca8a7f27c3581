"""More requests at once than there may be: the rest is turned away as every error is told, and soon let in again."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from redress.api import request_limit, serve
from redress.api.app import create_app
from redress.api.auth import Verifier
from redress.intake.worker import Servers
from tests.conftest import TEST_LEDGER
from tests.harness.running_api import AUDIENCE, ISSUER, bearer, key, public_pem, token


async def test_a_request_too_many_is_turned_away_with_a_problem_until_another_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_limit, "REQUESTS_MAX", 1)
    verifier = Verifier(public_pem(), "EdDSA", issuer=ISSUER, audience=AUDIENCE)
    app = create_app(Servers("kafka:9092", "postgresql://u:p@db/redress", ""), TEST_LEDGER, verifier, connections=16)
    is_read, may_end = asyncio.Event(), asyncio.Event()

    async def slow_body() -> AsyncIterator[bytes]:
        is_read.set()
        await may_end.wait()
        yield b"{"

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=bearer(token())) as client:
        # given a request whose body is still on its way
        headers = key() | {"Content-Type": "application/json"}
        first = asyncio.create_task(client.post("/v1/redemptions", content=slow_body(), headers=headers))
        await is_read.wait()

        # then there is no room for another one, but the process is alive
        refused = await client.get("/openapi.json")
        alive = await client.get("/livez")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert refused.json() == {
            "type": "urn:redress:problem:overloaded",
            "title": "Too many requests at once",
            "status": 503,
            "detail": "more requests at once than can be answered in time",
            "instance": "/openapi.json",
            "errors": [],
        }
        assert alive.status_code == 200

        # and once that one is answered, there is
        may_end.set()
        assert (await first).status_code == 400
        assert (await client.get("/openapi.json")).status_code == 200


def test_requests_are_turned_away_long_before_the_server_does_it_in_its_own_words() -> None:
    assert serve.CONNECTIONS_MAX >= 2 * request_limit.REQUESTS_MAX
