"""The service's environment: what is accepted, and the one sentence that a bad value gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings import BadSetting, from_environment


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = from_environment({})
    assert (settings.host, settings.port, settings.team) == ("0.0.0.0", 8080, "Quarterdeck")
    assert (settings.timezone.key, settings.commit, settings.built_from) == ("UTC", "unknown", "unknown")
    assert (settings.drain_s, settings.idle_grace_s, settings.log_level) == (30.0, 5.0, "info")


def test_an_empty_variable_counts_as_absent() -> None:
    assert from_environment({"PORT": "", "APP_TIMEZONE": "  ", "APP_COMMIT": ""}) == from_environment({})


def test_good_values_are_taken_as_they_are() -> None:
    settings = from_environment(
        {
            "HOST": "127.0.0.1",
            "PORT": "0",
            "APP_TEAM": "Harbour <Works> $",
            "APP_TIMEZONE": "Europe/Berlin",
            "APP_COMMIT": "a" * 40,
            "APP_BUILT_FROM": "b" * 7,
            "APP_DRAIN_S": "2.5",
            "APP_IDLE_GRACE_S": "0",
            "APP_LOG_LEVEL": "DEBUG",
        }
    )
    assert (settings.host, settings.port, settings.team) == ("127.0.0.1", 0, "Harbour <Works> $")
    assert (settings.timezone.key, settings.commit, settings.built_from) == ("Europe/Berlin", "a" * 40, "b" * 7)
    assert (settings.drain_s, settings.idle_grace_s, settings.log_level) == (2.5, 0.0, "debug")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "80.0"),
        ("PORT", "٨٠"),
        ("APP_TEAM", "x" * 81),
        ("APP_TEAM", "two\nlines"),
        ("APP_TIMEZONE", "Europe/Atlantis"),
        ("APP_TIMEZONE", "../../etc/passwd"),
        ("APP_TIMEZONE", "Europe"),
        ("APP_COMMIT", "main"),
        ("APP_BUILT_FROM", "g" * 40),
        ("APP_DRAIN_S", "soon"),
        ("APP_DRAIN_S", "-1"),
        ("APP_DRAIN_S", "nan"),
        ("APP_IDLE_GRACE_S", "inf"),
        ("APP_LOG_LEVEL", "loud"),
        ("APP_METRICS_TOKEN", "short"),
    ],
)
def test_a_bad_value_is_refused_in_a_sentence_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        from_environment({name: value})
    assert str(refused.value).startswith(f"{name} must be ")
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_a_secret_shows_neither_in_the_settings_nor_in_its_own_refusal() -> None:
    assert "correct-horse-battery" not in repr(from_environment({"APP_METRICS_TOKEN": "correct-horse-battery"}))
    with pytest.raises(BadSetting) as refused:
        from_environment({"APP_METRICS_TOKEN": "hunter2"})
    assert "hunter2" not in str(refused.value)


@given(st.sampled_from(["PORT", "APP_TIMEZONE", "APP_COMMIT", "APP_DRAIN_S", "APP_TEAM"]), st.text(max_size=100))
def test_no_text_at_all_leads_to_another_exception(name: str, value: str) -> None:
    try:
        from_environment({name: value})
    except BadSetting as refused:
        assert str(refused).startswith(name)
