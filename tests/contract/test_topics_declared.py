"""The declared topics are those of the contract."""

import pytest

from redress.contracts.decode import VALUE_BYTES_MAX
from redress.contracts.registry import TYPES, OutTopic
from redress.contracts.topics import declared_topics, parse_topics
from redress.domain.event import Topic

BY_NAME = {topic.name: topic for topic in declared_topics()}
DAY_MS = 86_400_000


def test_every_topic_is_declared_with_its_direction() -> None:
    directions = {name: topic.direction for name, topic in BY_NAME.items()}

    assert directions == {topic.value: "in" for topic in Topic} | {topic.value: "out" for topic in OutTopic}


def test_every_topic_carries_some_type() -> None:
    assert {known.topic.value for known in TYPES.values()} == BY_NAME.keys()


def test_shard_is_partition_where_the_contract_says_so() -> None:
    counts = {name: topic.partition_count(64) for name, topic in BY_NAME.items()}

    assert {name for name, count in counts.items() if count == 64} == {
        *(Topic.ELIGIBILITY, Topic.ISSUANCE, Topic.REDEMPTION),
        *(OutTopic.LEDGER, OutTopic.BALANCE, OutTopic.DECISION),
    }
    assert counts[Topic.PROGRAMME] == 1


def test_inputs_and_the_ledger_are_kept_for_good() -> None:
    for name in (*Topic, OutTopic.LEDGER):
        settings = BY_NAME[name].settings()
        assert (settings["cleanup.policy"], settings["retention.ms"]) == ("delete", "-1")
        assert settings["retention.bytes"] == "-1"


def test_balances_are_compacted_and_answers_go_in_time() -> None:
    assert BY_NAME[OutTopic.BALANCE].settings()["cleanup.policy"] == "compact"
    kept = {name: int(BY_NAME[name].settings()["retention.ms"]) // DAY_MS for name in BY_NAME}
    assert (kept[OutTopic.DECISION], kept[OutTopic.DEAD_LETTER], kept[OutTopic.SIGNAL]) == (90, 90, 7)


def test_a_record_too_large_for_an_event_still_arrives() -> None:
    for name in Topic:
        assert int(BY_NAME[name].settings()["max.message.bytes"]) > 2 * VALUE_BYTES_MAX


def test_settings_are_written_as_kafka_writes_them() -> None:
    assert BY_NAME[Topic.PROGRAMME].settings()["unclean.leader.election.enable"] == "false"


@pytest.mark.parametrize(
    "toml",
    [
        "config = {}\n[[topic]]\nname = 'redress.x'",
        "config = {}\n[[topic]]\nname='x'\ndirection='in'\nkey='k'\npartitions=1\nholds=''\nconfig={}",
        "config = {}\n[[topic]]\nname='redress.x'\ndirection='in'\nkey='k'\npartitions=0\nholds=''\nconfig={}",
        "config = {}\n[[topic]]\nname='redress.x'\ndirection='in'\nkey='k'\npartitions=1\nholds=''\nconfig={}\nmore=1",
    ],
)
def test_a_wrong_declaration_is_refused(toml: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        parse_topics(toml)
