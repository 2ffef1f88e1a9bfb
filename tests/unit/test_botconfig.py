"""What the sandbox writes for its bot: TOML that reads back, that the bot accepts, and that holds no secret."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import settings
from bot.sandbox import botconfig, cast
from bot.sandbox.botconfig import ConfigFile, Endpoints, Secrets
from bot.sandbox.wire import Rejected

ENDPOINTS = Endpoints(
    discord_api="http://127.0.0.1:1/api/v10",
    discord_gateway="ws://127.0.0.1:1/gateway",
    github_api="http://127.0.0.1:2",
    aws="http://127.0.0.1:3",
    instances={"dev": "i-0123456789abcdef0", "prod": "i-0123456789abcdef1"},
    service_urls={"dev": "http://127.0.0.1:4", "prod": "http://127.0.0.1:5"},
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_every_document_reads_back_as_it_was_written(document: botconfig.Document) -> None:
    assert tomllib.loads(botconfig.dumps(document)) == document


def test_the_bot_accepts_the_configuration_that_the_world_writes(tmp_path: Path) -> None:
    secrets = Secrets(cast.new_discord_token(), "ghs_token", ("SANDBXID", "aws-secret"))
    file = ConfigFile(tmp_path / "quarterdeck.toml")
    file.write(botconfig.compose(ENDPOINTS, home=tmp_path))
    loaded = settings.load(file.path, botconfig.environment(secrets, page_url="http://127.0.0.1:8700"))
    assert loaded.profile == "sandbox"
    assert loaded.environments["prod"].follows == "dev"
    assert {person.name for person in loaded.people} == {person.name for person in cast.PEOPLE}
    assert not loaded.services["bot"].deployable
    for secret in (secrets.discord_token, secrets.github_token, *secrets.aws_key):
        assert secret not in file.text()


def test_nothing_of_the_visitors_own_cloud_reaches_the_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "the visitor's own")
    environ = botconfig.environment(Secrets("a", "b", ("c", "d")), page_url="")
    assert "the visitor's own" not in environ.values()


def test_a_patch_merges_tables_replaces_values_and_takes_out_what_is_null() -> None:
    present = {"a": {"x": 1, "y": 2}, "b": [1], "c": 3}
    assert botconfig.merge(present, {"a": {"x": None, "z": 4}, "b": [2], "c": {"d": 5}}) == {
        "a": {"y": 2, "z": 4},
        "b": [2],
        "c": {"d": 5},
    }
    assert present == {"a": {"x": 1, "y": 2}, "b": [1], "c": 3}


def test_a_configuration_that_is_not_written_yet_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="still starting"):
        ConfigFile(tmp_path / "quarterdeck.toml").text()
