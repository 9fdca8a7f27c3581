"""The topics of a ledger, read from `schemas/topics.toml` (in an installed wheel it lies beside this module)."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_PACKAGED = Path(__file__).with_name("topics.toml")
_IN_REPOSITORY = Path(__file__).parents[3] / "schemas" / "topics.toml"

ConfigValue = str | int | bool


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Topic(_Closed):
    """One topic, `name` without the prefix of an installation; `config` has all its settings, by Kafka's names."""

    name: Annotated[str, Field(pattern=r"^redress\.[a-z-]+$")]
    direction: Literal["in", "out"]
    key: str
    partitions: Literal["ledger"] | Annotated[int, Field(ge=1)]
    holds: str
    config: dict[str, ConfigValue]

    def partition_count(self, shards: int) -> int:
        """How many partitions it has in a ledger of so many shards."""
        return shards if self.partitions == "ledger" else self.partitions

    def settings(self) -> dict[str, str]:
        """`config` as Kafka writes it."""
        return {name: _as_kafka_writes(value) for name, value in self.config.items()}


class _Declared(_Closed):
    config: dict[str, ConfigValue]
    topic: list[Topic]


def parse_topics(toml: str) -> tuple[Topic, ...]:
    """The topics a TOML text declares, each with the settings common to all. Raises ValueError if it is wrong."""
    declared = _Declared.model_validate(tomllib.loads(toml))
    return tuple(topic.model_copy(update={"config": declared.config | topic.config}) for topic in declared.topic)


@cache
def declared_topics() -> tuple[Topic, ...]:
    """The topics of CONTRACT section 2."""
    path = _PACKAGED if _PACKAGED.exists() else _IN_REPOSITORY
    return parse_topics(path.read_text(encoding="utf-8"))


def _as_kafka_writes(value: ConfigValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
