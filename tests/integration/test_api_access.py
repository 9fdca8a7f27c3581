"""Who gets in: tokens, scopes, probes; and a server behind that goes away and comes back."""

import base64
import hmac
import re
import time
from hashlib import sha256
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from redress.api.auth import OPEN_PATHS, Verifier, source_of
from redress.api.errors import PublicKeyError
from redress.api.problems import ProblemError
from redress.contracts.scalars import SOURCE_LENGTH_MAX, SOURCE_PATTERN
from redress.ledger.migrate import migrate
from redress.runtime.local import Stack
from tests.conftest import TEST_LEDGER, OwnStack
from tests.harness.events import Events, people
from tests.harness.running_api import AUDIENCE, ISSUER, bearer, key, public_pem, running_api, token
from tests.integration.test_api_redemptions import problem, request

ANN = people(1, seed=7)[0]
VOUCHER = Events().voucher(ANN, "travel")
ROUTES = [
    ("GET", "/v1/programmes/p", "read"),
    ("GET", "/v1/programmes/p/liability", "read"),
    ("GET", "/v1/programmes/p/roll-forward", "read"),
    ("GET", "/v1/programmes/p/waves/w", "read"),
    ("GET", f"/v1/beneficiaries/{ANN}", "read"),
    ("GET", f"/v1/vouchers/{VOUCHER}", "read"),
    ("GET", f"/v1/vouchers/{VOUCHER}/history", "read"),
    ("GET", f"/v1/redemptions/r?beneficiary={ANN}", "read"),
    ("POST", f"/v1/vouchers/{VOUCHER}/claim", "redeem"),
    ("POST", "/v1/redemptions", "redeem"),
    ("POST", "/v1/redemptions/r/capture", "redeem"),
    ("POST", "/v1/redemptions/r/release", "redeem"),
    ("POST", "/v1/redemptions/r/reverse", "redeem"),
    ("GET", "/metrics", "operate"),
]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(algorithm: str, secret: bytes) -> str:
    """A token signed with what everybody knows."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "scope": "read", "exp": int(time.time()) + 600}
    text = f"{b64(orjson.dumps({'alg': algorithm, 'typ': 'JWT'}))}.{b64(orjson.dumps(claims))}"
    signature = hmac.new(secret, text.encode(), sha256).digest() if algorithm == "HS256" else b""
    return f"{text}.{b64(signature)}"


def refused_tokens() -> dict[str, str]:
    stranger = Ed25519PrivateKey.generate()
    now = int(time.time())
    claims = jwt.decode(token(), options={"verify_signature": False})
    return {
        "none": forged("none", b""),
        "hmac with the public key": forged("HS256", public_pem()),
        "another key": jwt.encode(claims, stranger, algorithm="EdDSA"),
        "another algorithm": jwt.encode(claims, rsa.generate_private_key(65_537, 2048), algorithm="RS256"),
        "expired": token(exp=now - 60),
        "not yet": token(nbf=now + 60),
        "another audience": token(aud="else"),
        "another issuer": token(iss="else"),
        "no audience": token(aud=None),
        "no expiry": token(exp=None),
        "no subject": token(sub=None),
        "empty subject": token(sub=""),
        "scope is no text": token(scope=["read"]),  # type: ignore[arg-type]
        "no token": "x.y.z",
    }


async def test_no_route_answers_without_a_token_or_with_a_wrong_one(
    stack: Stack, database: str, topic_prefix: str
) -> None:
    async with running_api(stack.kafka, database, topic_prefix, worker=False) as api:
        document = (await api.client.get("/openapi.json")).json()
        described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
        assert {(m, p) for m, p in described if p not in OPEN_PATHS} == {_template(m, p) for m, p, _ in ROUTES}

        async with httpx.AsyncClient(base_url=api.url) as nobody:
            for method, path, _ in [*ROUTES, ("GET", "/nowhere", ""), ("POST", "/readyz/", "")]:
                for content in (None, b"{"):
                    response = await nobody.request(method, path, content=content)
                    problem(response, 401, "unauthenticated")
                    assert response.headers["www-authenticate"].startswith("Bearer")
            for why, wrong in refused_tokens().items():
                response = await nobody.get(f"/v1/beneficiaries/{ANN}", headers=bearer(wrong))
                assert response.status_code == 401, why
            basic = await nobody.get(f"/v1/beneficiaries/{ANN}", headers={"Authorization": f"Basic {token()}"})
            problem(basic, 401, "unauthenticated")
            for path in ("/livez", "/readyz", "/openapi.json"):
                assert (await nobody.get(path)).status_code == 200


async def test_a_token_without_the_scope_is_forbidden(stack: Stack, database: str, topic_prefix: str) -> None:
    async with running_api(stack.kafka, database, topic_prefix, worker=False) as api:
        for method, path, scope in ROUTES:
            others = " ".join({"read", "redeem", "operate"} - {scope})
            response = await api.client.request(method, path, headers=bearer(token(others)) | key(), json={})
            problem(response, 403, "forbidden")
            assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
        problem(await api.client.get("/nowhere"), 404, "not-found")
        problem(await api.client.delete("/v1/redemptions"), 405, "method-not-allowed")


async def test_metrics_tell_of_requests_and_of_the_ledger(stack: Stack, database: str, topic_prefix: str) -> None:
    events = Events()
    async with running_api(stack.kafka, database, topic_prefix) as api:
        await api.ledger.send_all([*events.begin(), events.welcomed(ANN)[0]])
        await api.ledger.send_raw("redress.redemption", 0, None, b"no event")
        await api.ledger.settled()
        await api.post("/v1/redemptions?wait_ms=30000", request(events, ANN, "r-1", 10))
        text = (await api.client.get("/metrics")).text

    assert "redress_ledger_up 1.0" in text
    assert 'redress_decision_seconds_count{event="RedemptionRequested",outcome="refused"} 1.0' in text
    assert 'route="/v1/redemptions",status="200"' in text
    assert 'redress_dead_letters{reason="malformed"} 1.0' in text
    for name in ("shard_lag_records", "shard_parked", "shard_relay_lag_batches", "shard_stopped"):
        assert f'redress_{name}{{shard="0"' in text
    assert ANN not in text


def test_a_key_fits_its_algorithm() -> None:
    small = (
        rsa.generate_private_key(65_537, 1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    large_key = rsa.generate_private_key(65_537, 2048)
    large = large_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem, algorithm in ((public_pem(), "RS256"), (large, "EdDSA"), (small, "RS256"), (b"no key", "EdDSA")):
        with pytest.raises(PublicKeyError):
            Verifier(pem, algorithm, issuer=ISSUER, audience=AUDIENCE)  # type: ignore[arg-type]
    claims = jwt.decode(token("read"), options={"verify_signature": False})
    signed = jwt.encode(claims, large_key, algorithm="RS256")
    caller = Verifier(large, "RS256", issuer=ISSUER, audience=AUDIENCE).verify(f"Bearer {signed}")
    assert caller.scopes == {"read"}


def test_a_token_that_was_taken_still_expires() -> None:
    now = [time.time()]
    verifier = Verifier(public_pem(), "EdDSA", issuer=ISSUER, audience=AUDIENCE, clock=lambda: now[0])
    header = f"Bearer {token()}"
    verifier.verify(header)
    now[0] += 700

    with pytest.raises(ProblemError):
        verifier.verify(header)


@pytest.mark.parametrize("subject", ["checkout", "a b/ü", "x" * 500, "*", "%"])
def test_a_source_is_one_and_the_subjects_own(subject: str) -> None:
    source = source_of("main", subject)

    assert re.fullmatch(SOURCE_PATTERN, source)
    assert len(source) <= SOURCE_LENGTH_MAX
    assert source != source_of("main", f"{subject}x")


async def test_servers_that_go_away_give_503_and_come_back_without_hands(own_stack: OwnStack) -> None:
    migrate(own_stack.postgres, TEST_LEDGER)
    events = Events()
    async with running_api(own_stack.kafka, own_stack.postgres, "") as api:
        await api.ledger.send_all([*events.begin(), events.granted(ANN)])
        await api.until(f"/v1/beneficiaries/{ANN}", lambda response: bool(response.json()["vouchers"]))
        body = request(events, ANN, "r-1", 15_000)

        await own_stack.stop_kafka()
        refused = await api.post("/v1/redemptions", body, "k-1")
        problem(refused, 503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        problem(await api.client.get("/readyz"), 503, "unavailable")
        assert (await api.client.get(f"/v1/beneficiaries/{ANN}")).status_code == 200
        assert (await api.client.get("/livez")).status_code == 200
        await own_stack.start_kafka()
        await api.ready()
        answer = await _answered(api, body, "k-1")
        assert (answer["outcome"], answer["reason"]) == ("refused", "not_claimed")

        await own_stack.stop_postgres()
        for path in ("/readyz", f"/v1/beneficiaries/{ANN}", f"/v1/programmes/{events.programme}/liability"):
            gone = await api.client.get(path)
            problem(gone, 503, "unavailable")
            assert gone.headers["retry-after"] == "1"
        problem(await api.post("/v1/redemptions", body, "k-2"), 503, "unavailable")
        assert (await api.client.get("/metrics")).status_code == 200
        await own_stack.start_postgres()
        await api.ready()
        assert (await _answered(api, body, "k-1")) == answer
        assert (await _answered(api, body, "k-3"))["outcome"] == "refused"


async def _answered(api: Any, body: dict[str, Any], name: str) -> dict[str, Any]:
    """As a checkout does: the same key until there is an answer."""
    for _ in range(30):
        response: httpx.Response = await api.post("/v1/redemptions", body, name)
        if response.status_code == 200:
            said: dict[str, Any] = response.json()
            return said
        assert response.status_code in (202, 503), response.text
    raise AssertionError("no answer")


def _template(method: str, path: str) -> tuple[str, str]:
    parts = path.partition("?")[0].split("/")
    names = {"programmes": "{p}", "waves": "{w}", "beneficiaries": "{b}", "vouchers": "{v}", "redemptions": "{r}"}
    for at, part in enumerate(parts[:-1]):
        if part in names:
            parts[at + 1] = names[part]
    return method, "/".join(parts)
