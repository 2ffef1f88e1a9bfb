"""The bot's own configuration: loaded only when others agreed to exactly that file, and never half."""

import socket
from pathlib import Path

import pytest

from bot.sandbox.cast import GUILD_ID
from tests.story.steps import card_of, ended, operation_in
from tests.story.world_driver import Message, World

DEV2 = 'name = "dev2"'
DUTIES = 'duties = ["dev"]'


def config_of(world: World) -> Path:
    return world.home / "quarterdeck.toml"


def edit(world: World, old: str, new: str) -> str:
    """Change the file as somebody on the host would, without telling the bot; returns the text before."""
    before = config_of(world).read_text(encoding="utf-8")
    assert old in before
    config_of(world).write_text(before.replace(old, new, 1), encoding="utf-8")
    return before


@pytest.fixture
def dev2_becomes_sre(world: World):
    """A file that would make dev2 an sre, too; the world's own fixture brings the old one back."""
    text = config_of(world).read_text(encoding="utf-8")
    before, person, after = text.partition(DEV2)
    config_of(world).write_text(before + person + after.replace(DUTIES, 'duties = ["dev", "sre"]', 1), encoding="utf-8")


async def told(world: World, *words: str) -> Message:
    """A line of the audit channel with all the words."""
    return await world.card(*words, channel="audit", timeout_s=30)


async def test_a_reload_needs_two_others_who_see_who_gains_which_right(world: World, dev2_becomes_sre: None):
    refused = await world.ask("dev", "config reload")
    assert "reload:run in control" in refused.text
    assert "sre" in refused.text

    shown = await world.ask("sre", "config show")
    assert "dev2 gains:" in shown.text
    operation = operation_in(await world.ask("sre", "config reload"))
    card = await card_of(world, operation, "waiting")
    assert "dev2 gains:" in card.text
    assert "operation:approve of deploy:run in prod" in card.text

    own = await world.settle(await world.press("sre", card, "Approve"))
    assert "another person" in own.text
    await world.settle(await world.press("sre2", card, "Approve"))
    assert "waiting" in (await card_of(world, operation, "sre2")).text
    assert "dev2 gains:" in (await world.ask("sre", "config show")).text
    await world.settle(await world.press("owner", card, "Approve"))
    assert "succeeded" in (await ended(world, operation)).text
    await told(world, "config.reloaded", f"by {operation}", "dev2 gains:")
    assert "the same" in (await world.ask("sre", "config show")).text
    assert "very file" in (await world.ask("sre", "config reload")).text


async def test_a_file_that_changed_since_it_was_shown_is_not_loaded(world: World, dev2_becomes_sre: None):
    operation = operation_in(await world.ask("sre", "config reload"))
    card = await card_of(world, operation, "waiting")
    await world.settle(await world.press("sre2", card, "Approve"))
    edit(world, "poll_s = 0.5", "poll_s = 0.6")
    await world.settle(await world.press("owner", card, "Approve"))
    stale = await ended(world, operation)
    assert "stale" in stale.text
    assert "The file was changed since it was shown" in stale.text
    assert "dev2 gains:" in (await world.ask("sre", "config show")).text


async def test_a_file_that_cannot_be_used_is_refused_whole_by_command_and_by_signal(world: World):
    before = edit(world, "[environments.dev]", "[environments.dev")
    try:
        asked = await world.ask("sre", "config reload")
        assert "not valid TOML" in asked.text
        assert "Nothing was changed" in asked.text
        await world.bot("reload")
        assert "not valid TOML" in (await told(world, "config.refused", "not valid TOML")).text
        assert (await world.ask("dev", "ping")).state == "answered"
    finally:
        config_of(world).write_text(before, encoding="utf-8")


async def test_a_signal_reloads_at_once_and_the_record_says_who_gains_what(world: World, dev2_becomes_sre: None):
    await world.bot("reload")
    line = await told(world, "config.reloaded", "by a signal", "dev2 gains:")
    assert "host" in line.text
    await world.wait_ready()
    assert "the same" in (await world.ask("sre", "config show")).text


async def test_a_start_with_another_file_than_the_last_time_is_told_like_a_reload(world: World, dev2_becomes_sre: None):
    await world.bot("stop")
    await world.bot("start")
    await world.wait_ready()
    assert "another configuration than before" in (await told(world, "config.loaded", "dev2 gains:")).text


async def test_an_approved_file_that_discord_refuses_fails_and_the_old_one_stays(world: World):
    edit(world, f"guild_id = {GUILD_ID}", "guild_id = 5")
    operation = operation_in(await world.ask("sre", "config reload"))
    card = await card_of(world, operation, "waiting", "discord.guild_id")
    for member in ("sre2", "owner"):
        await world.settle(await world.press(member, card, "Approve"))
    failed = await ended(world, operation)
    assert "failed" in failed.text
    assert "Discord refuses this bot" in failed.text
    assert "stays" in failed.text
    assert (await world.ask("dev", "ping")).state == "answered"


async def test_a_port_that_is_taken_brings_the_old_configuration_back(world: World):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        await world.put_config(patch={"health_port": taken.getsockname()[1]})
        assert "old one stays" in (await told(world, "config.refused", "port")).text
    await world.wait_ready()
    assert (await world.ask("dev", "ping")).state == "answered"


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"cogs": ["deploy", "dancing"]}, "does not exist"),
        ({"state_dir": "/tmp/elsewhere"}, "cannot move its database"),
    ],
)
async def test_one_that_cannot_be_lived_with_gives_way_to_the_old_one(world: World, patch: dict, words: str):
    await world.put_config(patch=patch)
    assert "old one stays" in (await told(world, "config.refused", words)).text
    await world.wait_ready()
    assert (await world.ask("dev", "ping")).state == "answered"
