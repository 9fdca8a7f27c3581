"""Who asks: bearer tokens (JWT), checked before anything of a request is read.

One algorithm, fixed by the settings and fitting the key's own kind, so that a token cannot choose how it is checked:
neither `none` nor an HMAC keyed with the public key gets in.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal
from urllib.parse import quote

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from redress.api.errors import PublicKeyError
from redress.api.problems import Kind, ProblemError, problem_response
from redress.contracts.scalars import SOURCE_LENGTH_MAX

Algorithm = Literal["EdDSA", "RS256"]
OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/openapi.json"})
"""What answers without a token: probes, and the description of the rest."""
LEEWAY_SECONDS: Final = 5
"""How far clocks may be apart."""
RSA_BITS_MIN: Final = 2048
TOKEN_LENGTH_MAX: Final = 4096
"""Characters: a token of ours has 400, one with the claims of another issuer may have a few times that."""
TOKENS_KEPT_MAX: Final = 1024
"""Tokens whose signature need not be checked again: there are few callers, and each asks often."""
CLAIMS: Final = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token speaks for. `expires_at`: in seconds since 1970."""

    subject: str
    scopes: frozenset[str]
    expires_at: float


class Verifier:
    """Checks tokens against one public key."""

    def __init__(
        self,
        public_key: bytes,
        algorithm: Algorithm,
        *,
        issuer: str,
        audience: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises PublicKeyError where key and algorithm do not fit."""
        self._key = _load(public_key, algorithm)
        self._algorithm = algorithm
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._kept: OrderedDict[str, Caller] = OrderedDict()

    def verify(self, header: str | None) -> Caller:
        """The caller that an `Authorization` header names.

        Raises:
            ProblemError: 401; why is said only as far as it helps an honest caller.
        """
        if header is None:
            raise _unauthenticated("no bearer token", error=None)
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_LENGTH_MAX:
            raise _unauthenticated("no bearer token", error="invalid_request")
        kept = self._kept.get(token)
        if kept is None:
            kept = self._check(token)
            self._kept[token] = kept
            if len(self._kept) > TOKENS_KEPT_MAX:
                self._kept.popitem(last=False)
        if self._clock() >= kept.expires_at + LEEWAY_SECONDS:
            raise _unauthenticated("the token has expired")
        return kept

    def _check(self, token: str) -> Caller:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": list(CLAIMS)},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthenticated("the token has expired") from None
        except jwt.PyJWTError:
            raise _unauthenticated("the token is not valid") from None
        scope = claims.get("scope", "")
        if not isinstance(scope, str) or not _is_text(claims["sub"]):
            raise _unauthenticated("the token has no subject, or a scope that is no text")
        return Caller(claims["sub"], frozenset(scope.split()), float(claims["exp"]))


def source_of(ledger: str, subject: str) -> str:
    """The source of what a subject sends: its characters as a URI has them; a digest where that is too long.

    Two subjects never share a source.
    """
    prefix = f"/redress/{ledger}/api/"
    said = quote(subject, safe="")
    if len(prefix) + len(said) > SOURCE_LENGTH_MAX:
        said = f"*{sha256(subject.encode()).hexdigest()}"  # no quoted subject begins with a star
    return prefix + said


class Authentication:
    """Lets in who has a valid token, before the body is read; `/livez` and its like let in all."""

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Verify, then pass on."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                caller = self._verifier.verify(Headers(scope=scope).get("authorization"))
            except ProblemError as error:
                await problem_response(error, scope["path"])(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def _is_text(subject: Any) -> bool:
    return isinstance(subject, str) and subject != "" and not any("\ud800" <= c <= "\udfff" for c in subject)


def _unauthenticated(why: str, error: str | None = "invalid_token") -> ProblemError:
    challenge = 'Bearer realm="redress"' + (f', error="{error}"' if error else "")
    return ProblemError(Kind.UNAUTHENTICATED, why, headers={"WWW-Authenticate": challenge})


def _load(public_key: bytes, algorithm: Algorithm) -> Ed25519PublicKey | RSAPublicKey:
    try:
        key = load_pem_public_key(public_key)
    except ValueError:
        raise PublicKeyError("not a public key in PEM form") from None
    if algorithm == "EdDSA" and isinstance(key, Ed25519PublicKey):
        return key
    if algorithm == "RS256" and isinstance(key, RSAPublicKey):
        if key.key_size < RSA_BITS_MIN:
            raise PublicKeyError(f"an RSA key has at least {RSA_BITS_MIN} bits")
        return key
    raise PublicKeyError(f"not a key for {algorithm}")
