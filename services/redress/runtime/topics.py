"""Makes a Kafka server's topics agree with what is declared. Never changes a partition count."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from redress.contracts.topics import Topic, declared_topics

REPLICATION_FACTOR_MAX: Final = 3
"""What production wants: one broker may be down for maintenance while another fails."""
SETTLE_SECONDS_MAX: Final = 30.0
"""How long new topics may take to have a leader for each partition."""
_POLL_SECONDS: Final = 0.1
_TOPIC_ALREADY_EXISTS: Final = 36
_SET_ON_TOPIC: Final = 1
"""Kafka's code for a setting that was made on the topic itself, as opposed to the broker's or the default."""
_MIN_INSYNC: Final = "min.insync.replicas"


class TopicsError(Exception):
    """The server's topics cannot be made to agree. The message says which and why."""


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that was set: what it was (None: not known) and what it is now."""

    topic: str
    setting: str
    was: str | None
    now: str


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """What was done, by the topics' full names."""

    created: tuple[str, ...]
    updated: tuple[Change, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Found:
    """A topic's settings on the server: all in force, and those made on the topic itself."""

    in_force: Mapping[str, str | None]
    own: Mapping[str, str | None]


async def apply_topics(bootstrap: str, prefix: str, shards: int, replication_factor: int | None = None) -> TopicsReport:
    """Creates what is missing, sets what differs, and returns when every partition has a leader.

    `replication_factor`: by default three, or as many as there are brokers. Raises TopicsError before anything is
    changed if a topic exists with another partition count; aiokafka's KafkaConnectionError if no server answers.
    """
    async with _admin(bootstrap) as admin:
        replicas = replication_factor or await _replicas(admin)
        wanted = [_wanted(topic, prefix, shards, replicas) for topic in declared_topics()]
        existing = await _partition_counts(admin, wanted)
        _refuse_other_counts(wanted, existing)
        created = await _create(admin, [topic for topic in wanted if topic.name not in existing], replicas)
        await _wait_until_led(admin, wanted)
        kept = [topic for topic in wanted if topic.name not in created]
        updated = await _update(admin, kept)
    changed = {change.topic for change in updated}
    unchanged = tuple(topic.name for topic in kept if topic.name not in changed)
    return TopicsReport(tuple(created), tuple(updated), unchanged)


async def check_topics(bootstrap: str, prefix: str, shards: int) -> None:
    """See that all topics are there with their partition counts.

    Raises TopicsError where not; aiokafka's KafkaConnectionError if no server answers.
    """
    async with _admin(bootstrap) as admin:
        wanted = [_wanted(topic, prefix, shards, 1) for topic in declared_topics()]
        existing = await _partition_counts(admin, wanted)
    _refuse_other_counts(wanted, existing)
    missing = [topic.name for topic in wanted if topic.name not in existing]
    if missing:
        raise TopicsError(f"no topic {', '.join(missing)}: make them with `redress topics apply`")


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="redress-topics")
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _replicas(admin: AIOKafkaAdminClient) -> int:
    cluster = await admin.describe_cluster()
    return min(REPLICATION_FACTOR_MAX, len(cluster["brokers"]))


def _wanted(topic: Topic, prefix: str, shards: int, replicas: int) -> _Wanted:
    settings = topic.settings()
    in_sync = min(int(settings[_MIN_INSYNC]), max(1, replicas - 1))
    return _Wanted(prefix + topic.name, topic.partition_count(shards), settings | {_MIN_INSYNC: str(in_sync)})


async def _partition_counts(admin: AIOKafkaAdminClient, wanted: Iterable[_Wanted]) -> dict[str, int]:
    """Partition counts of those that exist."""
    names = set(await admin.list_topics()) & {topic.name for topic in wanted}
    if not names:
        return {}
    return {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics(sorted(names))}


def _refuse_other_counts(wanted: Iterable[_Wanted], existing: Mapping[str, int]) -> None:
    wrong = [
        f"{topic.name} has {existing[topic.name]} partitions, not {topic.partitions}"
        for topic in wanted
        if existing.get(topic.name, topic.partitions) != topic.partitions
    ]
    if wrong:
        raise TopicsError(
            f"{'; '.join(wrong)}. A partition count is fixed for a ledger's life and is not changed: "
            "set REDRESS_SHARDS to what the ledger was made with, or take another REDRESS_TOPIC_PREFIX."
        )


async def _create(admin: AIOKafkaAdminClient, missing: list[_Wanted], replicas: int) -> list[str]:
    """Names of those created here; one that somebody else created meanwhile is not among them."""
    if not missing:
        return []
    response = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replicas, topic_configs=dict(topic.settings)) for topic in missing]
    )
    created = []
    for name, code, message, *_ in response.topic_errors:
        if code == 0:
            created.append(name)
        elif code != _TOPIC_ALREADY_EXISTS:
            raise TopicsError(f"{name} could not be created: {message or f'error {code}'}")
    return created


async def _wait_until_led(admin: AIOKafkaAdminClient, wanted: list[_Wanted]) -> None:
    """Until every partition has a leader; a topic created meanwhile by somebody else is checked here, too."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS_MAX
    while unsettled := await _unsettled(admin, wanted):
        if asyncio.get_running_loop().time() > deadline:
            raise TopicsError(f"no leader for every partition after {SETTLE_SECONDS_MAX:.0f} s: {', '.join(unsettled)}")
        await asyncio.sleep(_POLL_SECONDS)
    _refuse_other_counts(wanted, await _partition_counts(admin, wanted))


async def _unsettled(admin: AIOKafkaAdminClient, wanted: list[_Wanted]) -> list[str]:
    described = {found["topic"]: found for found in await admin.describe_topics([topic.name for topic in wanted])}
    return [topic.name for topic in wanted if not _is_led(described.get(topic.name))]


def _is_led(found: Mapping[str, Any] | None) -> bool:
    if found is None or found["error_code"] != 0:
        return False
    return all(partition["leader"] >= 0 for partition in found["partitions"])


async def _update(admin: AIOKafkaAdminClient, kept: list[_Wanted]) -> list[Change]:
    found = await _describe(admin, [topic.name for topic in kept])
    changes = [
        Change(topic.name, setting, found[topic.name].in_force.get(setting), value)
        for topic in kept
        for setting, value in topic.settings.items()
        if found[topic.name].in_force.get(setting) != value or setting not in found[topic.name].own
    ]
    touched = {change.topic for change in changes}
    # Kafka replaces a topic's own settings as a whole, so what an operator added is sent along.
    settings = {topic.name: {**found[topic.name].own, **topic.settings} for topic in kept if topic.name in touched}
    await _alter(admin, settings)
    return changes


async def _describe(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, _Found]:
    if not names:
        return {}
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        name: _found(name, code, message, entries)
        for response in responses
        for code, message, _, name, entries, *_ in response.resources
    }


def _found(name: str, code: int, message: str | None, entries: Iterable[tuple[Any, ...]]) -> _Found:
    if code != 0:
        raise TopicsError(f"settings of {name} could not be read: {message or f'error {code}'}")
    in_force: dict[str, str | None] = {}
    own: dict[str, str | None] = {}
    for setting, value, _, source, *_ in entries:
        in_force[setting] = value
        if source == _SET_ON_TOPIC:
            own[setting] = value
    return _Found(in_force, own)


async def _alter(admin: AIOKafkaAdminClient, settings: Mapping[str, Mapping[str, str | None]]) -> None:
    if not settings:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(own)) for name, own in settings.items()]
    for response in await admin.alter_configs(resources):
        for code, message, _, name, *_ in response.resources:
            if code != 0:
                raise TopicsError(f"settings of {name} could not be changed: {message or f'error {code}'}")
