"""Settings: what the environment says, or a clear word about what is wrong with it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from redress.intake.breaker import DEFAULT_LIMITS, BreakerLimits
from redress.runtime.settings import SettingsError, load_settings
from redress.runtime.wiring import breaker_of

PASSWORD = "open-sesame"
POSTGRES = f"postgresql://redress:{PASSWORD}@db.example:5432/redress"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load_settings({})

    assert settings.kafka is None
    assert settings.postgres is None
    assert (settings.topic_prefix, settings.ledger, settings.shards) == ("", "main", 16)
    assert (settings.clock, settings.parking_seconds) == ("system", 86_400)
    assert settings.state == Path.home() / ".local" / "state" / ".redress"


def test_every_variable_reaches_its_setting() -> None:
    settings = load_settings(
        {
            "REDRESS_KAFKA": "one:9092,two:9093",
            "REDRESS_POSTGRES": POSTGRES,
            "REDRESS_TOPIC_PREFIX": "trial.",
            "REDRESS_LEDGER": "trial-2",
            "REDRESS_SHARDS": "64",
            "REDRESS_CLOCK": "manual",
            "REDRESS_STATE": "/somewhere/else",
            "REDRESS_PARKING_SECONDS": "60",
        }
    )

    assert settings.kafka == "one:9092,two:9093"
    assert settings.postgres is not None
    assert settings.postgres.get_secret_value() == POSTGRES
    assert (settings.topic_prefix, settings.ledger, settings.shards) == ("trial.", "trial-2", 64)
    assert (settings.clock, settings.state, settings.parking_seconds) == ("manual", Path("/somewhere/else"), 60)


def test_the_state_folder_follows_the_users_state_dir() -> None:
    assert load_settings({"XDG_STATE_HOME": "/var/me"}).state == Path("/var/me/.redress")


def test_a_relative_state_folder_is_made_absolute_at_once() -> None:
    assert load_settings({"REDRESS_STATE": "here"}).state == Path.cwd() / "here"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings({"REDRESS_SHARDS": "", "REDRESS_KAFKA": ""}).shards == 16


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDRESS_KAFKA", "no-port"),
        ("REDRESS_KAFKA", "host:0"),
        ("REDRESS_KAFKA", "host:70000"),
        ("REDRESS_KAFKA", "one:1,,two:2"),
        ("REDRESS_POSTGRES", "mysql://u:p@h/d"),
        ("REDRESS_POSTGRES", "postgresql:///only-a-path"),
        ("REDRESS_POSTGRES", "postgresql://h:port/d"),
        ("REDRESS_TOPIC_PREFIX", "with space"),
        ("REDRESS_LEDGER", "Upper"),
        ("REDRESS_LEDGER", "a" * 41),
        ("REDRESS_LEDGER", "main\n"),
        ("REDRESS_SHARDS", "0"),
        ("REDRESS_SHARDS", "1025"),
        ("REDRESS_SHARDS", "sixteen"),
        ("REDRESS_CLOCK", "sundial"),
        ("REDRESS_PARKING_SECONDS", "0"),
    ],
)
def test_a_bad_value_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings({variable: value})


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"REDRESS_SHARDS.*REDRESS_CLOCK"):
        load_settings({"REDRESS_CLOCK": "x", "REDRESS_SHARDS": "x"})


def test_a_password_is_shown_neither_by_repr_nor_by_an_error() -> None:
    assert PASSWORD not in repr(load_settings({"REDRESS_POSTGRES": POSTGRES}))

    with pytest.raises(SettingsError) as refused:
        load_settings({"REDRESS_POSTGRES": f"mysql://me:{PASSWORD}@h/d"})
    assert PASSWORD not in str(refused.value)


def test_settings_cannot_be_changed() -> None:
    settings = load_settings({})
    with pytest.raises(ValidationError):
        settings.shards = 32  # type: ignore[misc]


def test_the_breaker_has_its_settings() -> None:
    assert breaker_of(load_settings({})) == DEFAULT_LIMITS

    set_by_hand = load_settings({"REDRESS_BREAKER_COUNT": "7", "REDRESS_BREAKER_RATIO": "0.25"})

    assert breaker_of(set_by_hand) == BreakerLimits(7, 0.25)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REDRESS_BREAKER_COUNT", "0"),
        ("REDRESS_BREAKER_COUNT", "many"),
        ("REDRESS_BREAKER_RATIO", "0"),
        ("REDRESS_BREAKER_RATIO", "1.5"),
        ("REDRESS_BREAKER_RATIO", "nan"),
    ],
)
def test_a_breaker_that_could_not_work_is_refused(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings({variable: value})
