"""The configuration: what is wrong with it is said in one sentence, and nothing else happens."""

import pathlib

import pytest

from bot.errors import Misconfigured
from bot.settings import SANDBOX_TOKEN_MARK, load

SECRETS = {"QUARTERDECK_DISCORD_TOKEN": "a.b.c", "QUARTERDECK_GITHUB_TOKEN": "g"}
GOOD = """
state_dir = "/tmp/state"
[discord]
guild_id = 1
channels = { ops = 2, audit = 3 }
roles = { dev = 4, sre = 5 }
[github]
repository = "harbour/app"
[aws]
region = "eu-central-1"
account = "123456789012"
[environments.dev]
instance_id = "i-0123456789abcdef0"
[services.app]
paths = ["app"]
image_repository = "app"
"""


def write(tmp_path: pathlib.Path, text: str) -> pathlib.Path:
    path = tmp_path / "quarterdeck.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file_is_taken(tmp_path):
    settings = load(write(tmp_path, GOOD), SECRETS)
    assert settings.environments["dev"].default_ref == "main"
    assert "a.b.c" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[discord]", "[discord"), "not valid TOML"),
        (('region = "eu-central-1"', 'region = "Frankfurt"'), "aws.region"),
        (("roles = { dev = 4, sre = 5 }", "roles = {}"), "discord.roles is empty"),
        (("ops = 2, ", ""), "discord.channels"),
        (("[services.app]", "[services_app]"), "services"),
        (('instance_id = "i-0123456789abcdef0"', 'instance_id = "web-1"'), "environments.dev.instance_id"),
        (("guild_id = 1", 'guild_id = "x"'), "discord.guild_id"),
        (("[aws]", "[aws]\nkey = 1"), "aws.key"),
        (('image_repository = "app"', 'image_repository = "app"\nurls = { de = "http://a" }'), "'de', which is no env"),
        (
            ('image_repository = "app"', 'image_repository = "app"\nurls = { dev = "http://a:b@c" }'),
            "services.app.urls.dev holds a user or password",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, change, sentence):
    with pytest.raises(Misconfigured, match=sentence):
        load(write(tmp_path, GOOD.replace(*change)), SECRETS)


@pytest.mark.parametrize("section", ["environments", "services"])
def test_an_empty_catalog_is_refused(tmp_path, section):
    start = GOOD.index(f"[{section}.")
    end = GOOD.find("\n[", start + 1)
    text = GOOD[: start - 1] + f"\n[{section}]\n" + (GOOD[end:] if end > 0 else "")
    with pytest.raises(Misconfigured, match=f"{section} is empty"):
        load(write(tmp_path, text), SECRETS)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(Misconfigured, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml", SECRETS)


@pytest.mark.parametrize("missing", list(SECRETS))
def test_a_missing_secret_is_named_and_not_guessed(tmp_path, missing):
    left = {name: value for name, value in SECRETS.items() if name != missing}
    with pytest.raises(Misconfigured, match=missing):
        load(write(tmp_path, GOOD), left)


def test_a_secret_in_the_file_is_refused_without_printing_it(tmp_path):
    with pytest.raises(Misconfigured, match="is a secret") as caught:
        load(write(tmp_path, 'discord_token = "hunter2"\n' + GOOD), SECRETS)
    assert "hunter2" not in str(caught.value)


def test_a_sandbox_token_does_not_open_the_real_world(tmp_path):
    with pytest.raises(Misconfigured, match="sandbox"):
        load(write(tmp_path, GOOD), SECRETS | {"QUARTERDECK_DISCORD_TOKEN": f"a{SANDBOX_TOKEN_MARK}c"})


def test_a_real_token_never_meets_the_sandbox(tmp_path):
    with pytest.raises(Misconfigured, match="real one"):
        load(write(tmp_path, 'profile = "sandbox"\n' + GOOD), SECRETS)


REAL, FAKE = SECRETS["QUARTERDECK_DISCORD_TOKEN"], f"a{SANDBOX_TOKEN_MARK}c"
ON_THIS_MACHINE = GOOD.replace("[aws]", '[aws]\nendpoint_url = "http://127.0.0.1:2"').replace(
    "[github]", '[github]\napi_url = "http://127.0.0.1:1"'
)
FAKE_CHAT = '[discord]\napi_url = "http://127.0.0.1:3/api/v10"\ngateway_url = "ws://127.0.0.1:3/gateway"'


def trial(tmp_path, text, token, **environ):
    return load(write(tmp_path, 'profile = "trial"\n' + text), SECRETS | {"QUARTERDECK_DISCORD_TOKEN": token} | environ)


def test_a_trial_takes_a_real_token_and_marks_what_it_shows(tmp_path):
    assert trial(tmp_path, ON_THIS_MACHINE, REAL).mark == "SANDBOX"
    assert load(write(tmp_path, GOOD), SECRETS).mark == ""


def test_a_trial_takes_a_sandboxs_token_to_a_sandbox_on_this_machine(tmp_path):
    text = ON_THIS_MACHINE.replace("[discord]", FAKE_CHAT)
    assert trial(tmp_path, text, FAKE).mark == "SANDBOX"


@pytest.mark.parametrize(
    ("text", "token", "sentence"),
    [
        (ON_THIS_MACHINE.replace("[discord]", FAKE_CHAT), REAL, "a real token must never meet a fake Discord"),
        (ON_THIS_MACHINE, FAKE, "is a sandbox's token"),
        (GOOD, REAL, "github.api_url must be an address on this machine"),
        (ON_THIS_MACHINE.replace('endpoint_url = "http://127.0.0.1:2"', ""), REAL, "aws.endpoint_url must be"),
        (ON_THIS_MACHINE.replace("127.0.0.1:1", "127.0.0.1.example.org"), REAL, "github.api_url must be"),
        (
            ON_THIS_MACHINE.replace("[discord]", FAKE_CHAT.replace("http://127.0.0.1", "https://discord.example")),
            FAKE,
            "discord.api_url must be",
        ),
        (ON_THIS_MACHINE.replace("[discord]", FAKE_CHAT.partition("gateway")[0]), FAKE, "discord.gateway_url must be"),
    ],
)
def test_a_trial_brings_everything_but_discord_from_this_machine(tmp_path, text, token, sentence):
    with pytest.raises(Misconfigured, match=sentence):
        trial(tmp_path, text, token)


def test_a_trial_is_not_sent_elsewhere_by_the_environment(tmp_path):
    with pytest.raises(Misconfigured, match="AWS_ENDPOINT_URL"):
        trial(tmp_path, ON_THIS_MACHINE, REAL, AWS_ENDPOINT_URL="http://elsewhere")


def test_an_endpoint_override_in_the_environment_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="AWS_ENDPOINT_URL"):
        load(write(tmp_path, GOOD), SECRETS | {"AWS_ENDPOINT_URL": "http://elsewhere"})


def test_a_policy_row_about_what_follows_from_others_is_refused(tmp_path):
    row = '[[policy]]\naction = "operation:approve"\nrequesters = ["sre"]\n'
    with pytest.raises(Misconfigured, match="follows from the other rows"):
        load(write(tmp_path, GOOD + row), SECRETS)


def test_a_policy_row_that_names_an_unknown_role_is_refused(tmp_path):
    row = '[[policy]]\naction = "deploy:run"\nrequesters = ["admin"]\n'
    with pytest.raises(Misconfigured, match="'admin'"):
        load(write(tmp_path, GOOD + row), SECRETS)
