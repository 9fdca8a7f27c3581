"""The key pair of a local ledger's API, and tokens signed with it: for one's own machine, never for production."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from redress.runtime.local.errors import StackError

ALGORITHM: Final = "EdDSA"
_OWNER_ONLY: Final = 0o600


def private_key_file(state: Path) -> Path:
    """Where the private key of a state folder stands."""
    return state / "api-private-key.pem"


def public_key_file(state: Path) -> Path:
    """Where the public key of a state folder stands."""
    return state / "api-public-key.pem"


def ensure_key_pair(state: Path) -> Path:
    """The file of the public key; both are made if there is none yet.

    Raises:
        StackError: the folder cannot be written.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        private = _private_key(private_key_file(state))
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        file = public_key_file(state)
        if not file.exists() or file.read_bytes() != public:
            file.write_bytes(public)
    except OSError as error:
        raise StackError(f"REDRESS_STATE: {error.filename} cannot be used: {error.strerror}") from None
    return file


def sign_token(state: Path, *, subject: str, scopes: Iterable[str], seconds: int, issuer: str, audience: str) -> str:
    """A token that an API with this state folder's key takes for so many seconds."""
    ensure_key_pair(state)
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + seconds,
    }
    return jwt.encode(claims, private_key_file(state).read_bytes(), algorithm=ALGORITHM)


def _private_key(file: Path) -> Ed25519PrivateKey:
    """Of the file; of two processes that make it at once, the first wins."""
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    if not file.exists():
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "wb") as out:
            out.write(made)
        try:
            os.link(fresh, file)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    from_file = jwt.algorithms.OKPAlgorithm().prepare_key(file.read_bytes())
    if not isinstance(from_file, Ed25519PrivateKey):
        raise StackError(f"{file} is no Ed25519 key: remove it, and the next command makes another")
    return from_file
