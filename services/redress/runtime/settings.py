"""Settings from the environment: read once, validated, then handed to whoever needs them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from redress.intake.breaker import DEFAULT_LIMITS

PREFIX = "REDRESS_"
PORT_MAX = 65_535
"""The highest port there is."""

LedgerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
# Kafka allows 249 characters in a topic's name; the rest is for the name itself.
TopicPrefix = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]{0,100}$")]


class SettingsError(Exception):
    """A setting that cannot be used. The message names the variable and never shows a secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Settings(BaseSettings):
    """All settings of all commands. `kafka` and `postgres` are None where the local stack is meant."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX)

    kafka: str | None = None
    postgres: SecretStr | None = None
    topic_prefix: TopicPrefix = ""
    ledger: LedgerName = "main"
    shards: int = Field(default=16, ge=1, le=1024)
    clock: Literal["system", "manual"] = "system"
    state: Path
    parking_seconds: int = Field(default=86_400, ge=1)
    log: Literal["text", "json"] = "text"
    breaker_count: int = Field(default=DEFAULT_LIMITS.count, ge=1)
    breaker_ratio: float = Field(default=DEFAULT_LIMITS.ratio, gt=0, le=1)
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8080, ge=0, le=PORT_MAX)
    api_issuer: str = Field(default="redress-local", min_length=1)
    api_audience: str = Field(default="redress", min_length=1)
    api_algorithm: Literal["EdDSA", "RS256"] = "EdDSA"
    api_public_key: str | None = None
    """PEM text, or the path of a file that holds it. None: the key of the local stack."""
    api_connections: int = Field(default=32, ge=12, le=1_000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load_settings` alone decides what is read: a Settings(…) in a test never depends on the machine."""
        return (init_settings,)

    @field_validator("kafka")
    @classmethod
    def _bootstrap(cls, value: str | None) -> str | None:
        for server in value.split(",") if value is not None else ():
            host, _, port = server.rpartition(":")
            if not host or host != host.strip() or not (port.isdecimal() and 0 < int(port) <= PORT_MAX):
                raise ValueError("must be host:port[,host:port…]")
        return value

    @field_validator("postgres")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_postgres_url(value.get_secret_value()):
            raise ValueError("must be postgresql://user:password@host:port/database")
        return value

    @field_validator("state")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of `environ` (by default the process's). An empty variable counts as not set.

    Raises SettingsError with every wrong variable named.
    """
    source = os.environ if environ is None else environ
    values: dict[str, object] = {"state": _default_state(source)}
    for name in Settings.model_fields:
        if value := source.get(PREFIX + name.upper(), ""):
            values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _default_state(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / ".redress"


def _is_postgres_url(value: str) -> bool:
    try:
        url = urlsplit(value)
        return url.scheme in {"postgresql", "postgres"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        return False


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    )
