"""The API as a process, and tokens for a local one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redress.api.errors import PublicKeyError
from redress.api.scopes import SCOPES
from redress.cli.output import AsJson, WrongUseError, write, write_json
from redress.cli.session import Session
from redress.runtime.local import External
from redress.runtime.local.keys import ensure_key_pair, sign_token
from redress.runtime.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from redress.api.auth import Verifier

SUBJECT = "local"
SECONDS = 3_600
SECONDS_MAX = 30 * 86_400
"""How long a local token may be good for: a month, as none can be taken back."""

Scope = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="S", help="read, redeem or operate; may be repeated.", show_default="all"),
]
Subject = Annotated[str, typer.Option("--sub", metavar="NAME", help="Who asks: a system, never a person.")]
Seconds = Annotated[int, typer.Option("--ttl", metavar="N", min=1, max=SECONDS_MAX, help="How many seconds it lasts.")]


def token_command(*, scope: Scope = None, sub: Subject = SUBJECT, ttl: Seconds = SECONDS, json: AsJson = False) -> None:
    """Print a bearer token for the API of the local ledger, signed with the key that `redress local up` made.

    Elsewhere the API takes tokens of your own issuer: REDRESS_API_ISSUER, REDRESS_API_AUDIENCE,
    REDRESS_API_PUBLIC_KEY (PEM text or a file) and REDRESS_API_ALGORITHM.
    """
    settings = load_settings()
    scopes = scope or list(SCOPES)
    if unknown := sorted(set(scopes) - SCOPES.keys()):
        raise WrongUseError(f"--scope: {', '.join(unknown)}: only {', '.join(SCOPES)} are known")
    if not sub:
        raise WrongUseError("--sub: empty")
    token = sign_token(
        settings.state,
        subject=sub,
        scopes=scopes,
        seconds=ttl,
        issuer=settings.api_issuer,
        audience=settings.api_audience,
    )
    if json:
        write_json({"token": token, "scopes": scopes, "sub": sub, "seconds": ttl})
    else:
        write(token)


def api_process(session: Session) -> Callable[[asyncio.Event], Awaitable[None]]:
    """What serves the API until stopped.

    Raises:
        SettingsError: tokens could not be checked.
    """
    # The web framework takes as long to import as all the rest: other commands do without.
    from redress.api.app import create_app  # noqa: PLC0415
    from redress.api.serve import serve  # noqa: PLC0415

    settings = session.settings
    verifier = verifier_of(settings)

    async def run(stopping: asyncio.Event) -> None:
        app = create_app(session.servers, session.identity, verifier, connections=settings.api_connections)
        await serve(app, settings.api_host, settings.api_port, stopping)

    return run


def verifier_of(settings: Settings) -> "Verifier":
    """Checks tokens by the settings' key; without one by the local stack's, which signs for anyone on this machine."""
    from redress.api.auth import Verifier  # noqa: PLC0415

    given = settings.api_public_key
    if given is None and External.of(settings) is not None:
        raise SettingsError(
            "REDRESS_API_PUBLIC_KEY: the API needs the key of who signs the tokens, as PEM text or a file"
            " (without the API: `redress run worker` and `redress run clock`)"
        )
    if given is not None and given.lstrip().startswith("-----BEGIN"):
        pem = given.encode()
    else:
        pem = _read(ensure_key_pair(settings.state) if given is None else Path(given))
    try:
        return Verifier(pem, settings.api_algorithm, issuer=settings.api_issuer, audience=settings.api_audience)
    except PublicKeyError as error:
        raise SettingsError(f"REDRESS_API_PUBLIC_KEY: {error}") from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"REDRESS_API_PUBLIC_KEY: {file}: {error.strerror}") from None
