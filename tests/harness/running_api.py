"""The API of a test's ledger, served for real on a port of its own, with a worker that issues and relays."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from redress.api.app import create_app
from redress.api.auth import Verifier
from redress.api.serve import serve
from redress.intake.worker import Servers
from redress.runtime.local.ports import find_free
from redress.runtime.wiring import running_worker
from tests.harness.running_ledger import POLL_SECONDS, RunningLedger

ISSUER: Final = "https://issuer.test"
AUDIENCE: Final = "redress-test"
SUBJECT: Final = "checkout:travel"
SOURCE: Final = "/redress/main/api/checkout%3Atravel"
UNTIL_SECONDS_MAX: Final = 30.0
CONNECTIONS: Final = 16

KEY: Final = Ed25519PrivateKey.generate()


def public_pem(key: Ed25519PrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def token(scope: str = "read redeem operate", **changes: Any) -> str:
    """A token the API takes; `changes` are claims that differ, None: left out."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "scope": scope, "iat": now, "exp": now + 600} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, KEY, algorithm="EdDSA")


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def key(name: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": name or str(uuid4())}


@dataclass
class RunningApi:
    """`client` has a token with every scope."""

    url: str
    client: httpx.AsyncClient
    ledger: RunningLedger

    async def post(self, path: str, body: Any, name: str | None = None, **params: Any) -> httpx.Response:
        return await self.client.post(path, json=body, headers=key(name), params=params)

    async def ready(self, *, status: int = 200) -> httpx.Response:
        """The first answer of /readyz with that status."""
        return await self.until("/readyz", lambda response: response.status_code == status)

    async def until(self, path: str, holds: Callable[[httpx.Response], bool]) -> httpx.Response:
        """The first answer to a GET of which this holds."""
        deadline = time.monotonic() + UNTIL_SECONDS_MAX
        while not holds(response := await self.client.get(path)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} still says {response.status_code}: {response.text}")
            await asyncio.sleep(POLL_SECONDS)
        return response


@asynccontextmanager
async def running_api(
    kafka: str, postgres: str, prefix: str, *, worker: bool = True, connections: int = CONNECTIONS
) -> AsyncIterator[RunningApi]:
    """Topics, a worker, and the API; all of it stops with the block."""
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(RunningLedger(kafka, postgres, prefix, workers_at_start=0))
        servers = Servers(kafka, postgres, prefix)
        if worker:
            await stack.enter_async_context(running_worker(servers, ledger.identity))
        verifier = Verifier(public_pem(), "EdDSA", issuer=ISSUER, audience=AUDIENCE)
        app = create_app(servers, ledger.identity, verifier, connections=connections)
        port = find_free()
        stopping = asyncio.Event()
        serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping))
        try:
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, headers=bearer(token()), timeout=40) as client:
                api = RunningApi(url, client, ledger)
                await _listening(api, serving)
                await api.ready()
                yield api
        finally:
            stopping.set()
            await serving


async def _listening(api: RunningApi, serving: "asyncio.Task[None]") -> None:
    deadline = time.monotonic() + UNTIL_SECONDS_MAX
    while True:
        if serving.done():
            serving.result()
        try:
            await api.client.get("/livez")
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return
