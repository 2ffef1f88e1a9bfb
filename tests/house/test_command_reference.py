"""The command reference and the command tree say the same: every command, option, default order and right."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands

from bot.ops.model import Status
from bot.settings import Settings
from bot.ui.card_lines import FACES
from bot.ui.gate import action_of
from cogs import EXTENSIONS

REFERENCE = Path(__file__).parents[2] / "cogs" / "README.md"
Command = app_commands.Command[Any, ..., Any]


@pytest.fixture
async def tree() -> list[Command]:
    """Every command that the cogs bring, groups resolved."""
    bot = commands.Bot(command_prefix=commands.when_mentioned, intents=discord.Intents.none())
    for extension in EXTENSIONS:
        await bot.load_extension(extension)
    return [command for command in bot.tree.walk_commands() if isinstance(command, app_commands.Command)]


def chapters() -> Iterator[tuple[str, str]]:
    """(usage line, text below it) of every command in the reference."""
    for part in REFERENCE.read_text(encoding="utf-8").split("\n### ")[1:]:
        head, _, text = part.partition("\n")
        yield head.strip("`"), text.split("\n## ")[0]


def usage(command: Command) -> str:
    options = [p.display_name if p.required else f"[{p.display_name}]" for p in command.parameters]
    return " ".join([f"/{command.qualified_name}", *options])


async def test_every_command_and_no_other_is_in_the_reference(tree: list[Command]) -> None:
    assert sorted(head for head, _ in chapters()) == sorted(usage(command) for command in tree)


async def test_every_option_is_explained_in_the_reference_and_in_the_picker(tree: list[Command]) -> None:
    texts = dict(chapters())
    for command in tree:
        explained = re.findall(r"^- `([a-z]+)`:", texts[usage(command)], flags=re.MULTILINE)
        assert explained == [parameter.display_name for parameter in command.parameters], usage(command)
        assert all(str(parameter.description) not in ("", "…") for parameter in command.parameters), usage(command)


async def test_every_command_has_a_gate_and_the_reference_names_its_right(tree: list[Command]) -> None:
    texts = dict(chapters())
    for command in tree:
        action = action_of(command)
        assert action is not None, f"{usage(command)} has no gate"
        assert f"Right: `{action.value}`" in texts[usage(command)], usage(command)


async def test_every_entry_of_a_message_s_menu_has_a_gate_and_stands_in_the_reference() -> None:
    bot = commands.Bot(command_prefix=commands.when_mentioned, intents=discord.Intents.none())
    for extension in EXTENSIONS:
        await bot.load_extension(extension)
    menus = list(bot.tree.walk_commands(type=discord.AppCommandType.message))
    assert [menu.name for menu in menus] == ["Silence this"]
    for menu in menus:
        action = action_of(menu)
        assert action is not None, f"{menu.name} has no gate"
        assert f"**{menu.name}**. Right: `{action.value}`" in REFERENCE.read_text(encoding="utf-8")


async def test_every_free_text_option_that_names_something_known_is_completed(tree: list[Command]) -> None:
    for command in tree:
        for parameter in command.parameters:
            assert parameter.autocomplete or parameter.choices, f"{usage(command)}: {parameter.display_name}"


def test_the_cogs_of_the_default_configuration_are_the_cogs_that_there_are() -> None:
    assert [name.rpartition(".")[2] for name in EXTENSIONS] == list(Settings.model_fields["cogs"].default)


def test_every_status_has_a_colour_a_word_and_a_sentence() -> None:
    assert set(FACES) == set(Status)
    for face in FACES.values():
        assert 0 < face.colour <= 0xFFFFFF
        assert face.word.islower() and " " not in face.word
        assert face.sentence.endswith(".")
    assert len({face.word for face in FACES.values()}) == len(Status)
