"""`apply_topics` on a real Kafka: it creates, repairs, and refuses another partition count."""

import asyncio

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from redress.cli import topics
from redress.contracts.topics import declared_topics
from redress.domain.event import Topic
from redress.runtime.local import Stack
from redress.runtime.topics import Change, TopicsError, TopicsReport, apply_topics
from tests.conftest import kafka_admin
from tests.harness.waiting import until

SHARDS = 4
ALL = tuple(topic.name for topic in declared_topics())


def named(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


async def create(stack: Stack, topic: NewTopic) -> None:
    async with kafka_admin(stack.kafka) as admin:
        await admin.create_topics([topic])
        await until(lambda: listed(admin, topic.name))


async def listed(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic in await admin.list_topics()


async def set_on(stack: Stack, topic: str, settings: dict[str, str]) -> None:
    async with kafka_admin(stack.kafka) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        await until(lambda: in_force(admin, topic, settings))


async def in_force(admin: AIOKafkaAdminClient, topic: str, settings: dict[str, str]) -> bool:
    return settings.items() <= (await settings_of(admin, topic)).items()


async def settings_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    ((_, _, _, _, entries),) = response.resources
    return {name: value for name, value, *_ in entries}


async def partitions_of(stack: Stack, prefix: str) -> dict[str, int]:
    async with kafka_admin(stack.kafka) as admin:
        names = [name for name in await admin.list_topics() if name.startswith(prefix)]
        return {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics(names)}


async def test_what_is_missing_is_created_as_declared(stack: Stack, topic_prefix: str) -> None:
    report = await apply_topics(stack.kafka, topic_prefix, SHARDS)

    assert report == TopicsReport(created=named(topic_prefix, *ALL), updated=(), unchanged=())
    assert await partitions_of(stack, topic_prefix) == {
        topic_prefix + topic.name: topic.partition_count(SHARDS) for topic in declared_topics()
    }
    async with kafka_admin(stack.kafka) as admin:
        for topic in declared_topics():
            expected = topic.settings() | {"min.insync.replicas": "1"}  # one broker, one replica
            assert expected.items() <= (await settings_of(admin, topic_prefix + topic.name)).items()


async def test_a_second_time_changes_nothing(stack: Stack, topic_prefix: str) -> None:
    await apply_topics(stack.kafka, topic_prefix, SHARDS)

    report = await apply_topics(stack.kafka, topic_prefix, SHARDS)

    assert report == TopicsReport(created=(), updated=(), unchanged=named(topic_prefix, *ALL))


async def test_two_at_once_agree(stack: Stack, topic_prefix: str) -> None:
    both = await asyncio.gather(*(apply_topics(stack.kafka, topic_prefix, SHARDS) for _ in range(2)))

    assert sorted(name for report in both for name in report.created) == sorted(named(topic_prefix, *ALL))


async def test_a_setting_that_differs_is_set_and_what_an_operator_added_stays(stack: Stack, topic_prefix: str) -> None:
    await apply_topics(stack.kafka, topic_prefix, SHARDS)
    topic = topic_prefix + Topic.ISSUANCE
    declared = next(t for t in declared_topics() if t.name == Topic.ISSUANCE).settings()
    spoiled = {**declared, "min.insync.replicas": "1", "retention.ms": "1000", "segment.ms": "3600000"}
    await set_on(stack, topic, spoiled)

    report = await apply_topics(stack.kafka, topic_prefix, SHARDS)

    assert report.updated == (Change(topic, "retention.ms", "1000", "-1"),)
    async with kafka_admin(stack.kafka) as admin:
        await until(lambda: in_force(admin, topic, {"retention.ms": "-1", "segment.ms": "3600000"}))


async def test_another_partition_count_is_refused_before_anything_is_changed(stack: Stack, topic_prefix: str) -> None:
    topic = topic_prefix + Topic.REDEMPTION
    await create(stack, NewTopic(topic, SHARDS + 1, 1))

    with pytest.raises(TopicsError, match=rf"^{topic} has 5 partitions, not 4\. .* REDRESS_SHARDS"):
        await apply_topics(stack.kafka, topic_prefix, SHARDS)

    assert await partitions_of(stack, topic_prefix) == {topic: SHARDS + 1}


async def test_too_many_replicas_are_a_clear_error(stack: Stack, topic_prefix: str) -> None:
    with pytest.raises(TopicsError, match=r"redress\.programme could not be created: .*replica"):
        await apply_topics(stack.kafka, topic_prefix, SHARDS, replication_factor=100)


async def test_a_record_of_300_kb_arrives(stack: Stack, topic_prefix: str) -> None:
    await apply_topics(stack.kafka, topic_prefix, SHARDS)
    topic = topic_prefix + Topic.REDEMPTION
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka)
    await producer.start()
    try:
        sent = await producer.send_and_wait(topic, b"x" * 300_000, key=b"k")
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        place = TopicPartition(topic, sent.partition)
        consumer.assign([place])
        consumer.seek(place, sent.offset)
        record = await asyncio.wait_for(consumer.getone(), timeout=20)
    finally:
        await consumer.stop()
    assert len(record.value) == 300_000


async def test_the_command_says_what_it_did(
    stack: Stack, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDRESS_KAFKA", stack.kafka)
    monkeypatch.setenv("REDRESS_POSTGRES", stack.postgres)
    monkeypatch.setenv("REDRESS_TOPIC_PREFIX", topic_prefix)

    command = typer.Typer()
    command.add_typer(topics.app, name="topics")
    outcomes = []
    for shards in ("4", "4", "5"):
        monkeypatch.setenv("REDRESS_SHARDS", shards)
        status = await asyncio.to_thread(command, ["topics", "apply", "--json"], standalone_mode=False)
        outcomes.append((status or 0, orjson.loads(capsys.readouterr().out)))

    assert [status for status, _ in outcomes] == [0, 0, 1]
    first, second, third = (said for _, said in outcomes)
    assert tuple(first["created"]) == tuple(second["unchanged"]) == named(topic_prefix, *ALL)
    assert "has 4 partitions, not 5" in third["error"]
