"""What a new configuration would change, told before anybody agrees to it."""

from pathlib import Path

import pytest

from bot.errors import Misconfigured
from bot.services.differences import differences
from bot.services.reload import Configuration
from bot.settings import Settings, parse

SECRETS = {"QUARTERDECK_DISCORD_TOKEN": "MTA.SANDBX.canary-of-discord", "QUARTERDECK_GITHUB_TOKEN": "canary-of-github"}
TOML = """
profile = "sandbox"
state_dir = "/var/lib/quarterdeck"
[discord]
guild_id = 1
channels = { ops = 2, audit = 3 }
roles = { dev = 4, sre = 5, owner = 6 }
[github]
repository = "harbour/app"
[aws]
region = "eu-central-1"
account = "123456789012"
[environments.dev]
instance_id = "i-0123456789abcdef0"
[environments.prod]
instance_id = "i-0fedcba9876543210"
[services.app]
paths = ["app"]
image_repository = "app"
[[people]]
name = "ada"
discord_id = 10
duties = ["dev"]
[[people]]
name = "grace"
discord_id = 11
duties = ["sre"]
"""
ROW = """
[[policy]]
action = "deploy:run"
environment = "{0}"
requesters = ["{1}"]
approvers = ["sre"]
quorum = {2}
"""


def read(text: str) -> Settings:
    return parse(text, Path("quarterdeck.toml"), SECRETS)


def told(old: str, new: str, text: str = TOML) -> list[str]:
    """The sentences about a file in which `old` became `new`."""
    assert old in text
    return list(differences(read(text), read(text.replace(old, new, 1))))


def test_the_same_file_changes_nothing() -> None:
    assert differences(read(TOML), read(TOML + "# a comment\n")) == ()


def test_a_new_duty_is_told_as_the_rights_that_it_brings() -> None:
    (gain,) = told('duties = ["dev"]', 'duties = ["dev", "sre"]')
    assert gain.startswith("ada gains: ")
    assert "operation:approve of deploy:run in prod" in gain
    assert "reload:run in control" in gain
    assert "deploy:run in dev" not in gain.replace("of deploy:run in", "")  # ada had that already


def test_a_lost_duty_and_a_person_who_leaves_are_told() -> None:
    (loss,) = told('duties = ["sre"]', "duties = []")
    assert loss.startswith("grace loses: ")
    assert "operation:approve of rollback:run in prod" in loss
    gone = told('[[people]]\nname = "grace"\ndiscord_id = 11\nduties = ["sre"]\n', "")
    assert gone[0].startswith("grace loses: ")
    assert gone[1] == "grace leaves the people table."


def test_rights_that_move_to_another_account_are_told_though_no_name_gains_any() -> None:
    assert told("discord_id = 11", "discord_id = 12") == ["grace is another Discord account from then on."]
    assert told("sre = 5", "sre = 7") == ["The role sre is another one from then on."]


def test_a_rule_is_told_with_its_words_before_and_after() -> None:
    before = TOML + ROW.format("prod", "dev", 2) + ROW.format("dev", "dev", 0)
    (rule,) = told("quorum = 2", "quorum = 1", before)
    assert rule.startswith("Rule deploy:run in prod: dev may ask, 2 of sre must approve")
    assert "→ dev may ask, 1 of sre must approve" in rule


def test_of_other_settings_only_the_names_are_told_and_no_secret_ever() -> None:
    (line,) = told('repository = "harbour/app"', 'repository = "harbour/other"')
    assert line == "Settings that change: github.repository."
    other = {name: f"{value}-new" for name, value in SECRETS.items()}
    assert differences(read(TOML), parse(TOML, Path("q.toml"), other)) == ()


def test_a_running_bot_does_not_move_its_database(tmp_path: Path) -> None:
    file = tmp_path / "quarterdeck.toml"
    file.write_text(TOML, encoding="utf-8")
    configuration = Configuration.open(file, environ=SECRETS)
    file.write_text(TOML.replace("/var/lib/quarterdeck", "/elsewhere"), encoding="utf-8")
    with pytest.raises(Misconfigured, match="a running bot cannot move its database"):
        configuration.look()


async def test_one_that_cannot_be_used_gives_way_to_the_last_that_could(tmp_path: Path) -> None:
    file = tmp_path / "quarterdeck.toml"
    file.write_text(TOML, encoding="utf-8")
    configuration = Configuration.open(file, environ=SECRETS)
    first = configuration.loaded
    assert not configuration.fall_back("nothing to go back to")
    configuration.settle()
    for number in (2, 3):  # a second one is wanted before the first has shown that it can be used
        file.write_text(TOML + f"# {number}\n", encoding="utf-8")
        wanted = configuration.look()
        configuration.ask(wanted, by="a test")
        configuration.take()
        assert configuration.loaded is wanted
    assert configuration.fall_back("Discord refuses it.")
    assert configuration.loaded is first
    assert "Discord refuses it." in await configuration.outcome(wanted.sha256)
    assert await configuration.outcome(first.sha256) == ""
    assert "another file" in await configuration.outcome("0" * 64)
