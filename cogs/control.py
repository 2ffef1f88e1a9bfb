"""The door to the bot's own configuration: what is loaded, what the file says now, and asking for it to be loaded."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import Misconfigured
from bot.ops.model import Request
from bot.policy import CONTROL, Action
from bot.services.reload import KIND, Configuration
from bot.ui.answers import send
from bot.ui.asking import ask
from bot.ui.card import notice
from bot.ui.gate import gate
from bot.ui.house import house_of
from bot.ui.text import DISPLAY_LIMIT, cut, escape, joined, stamp


class Control(commands.GroupCog, group_name="config", group_description="The bot's own configuration"):
    """/config show and reload."""

    @app_commands.command(description="What is loaded, and what reading the file again would change")
    @gate(Action.RELOAD)
    async def show(self, interaction: discord.Interaction[Any]) -> None:
        text = _text(house_of(interaction).configuration)
        await send(interaction, notice(cut(text, DISPLAY_LIMIT - 200), share=True))

    @app_commands.command(description="Ask for the configuration file to be read again; the card lists what changes")
    @gate(Action.RELOAD)
    async def reload(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await ask(interaction, Request(key=f"interaction:{interaction.id}", kind=KIND, environment=CONTROL, params={}))


def _text(configuration: Configuration) -> str:
    loaded = configuration.loaded
    lines = [
        f"**Loaded**: `{loaded.short}`, read {stamp(loaded.at)}",
        "rules: written in the file" if loaded.settings.policy else "rules: the seeded ones, as the file has none",
    ]
    try:
        found = configuration.look()
    except Misconfigured as error:
        return joined([*lines, f"**The file now** cannot be used: {escape(str(error), 500)}"])
    if found.sha256 == loaded.sha256:
        return joined([*lines, "**The file now**: the same"])
    changes = configuration.changes(found) or ("nothing that the bot reads",)
    told = [f"- {escape(change, 300)}" for change in changes]
    return joined([*lines, f"**The file now**: `{found.short}`. Reading it would change:", *told])


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Control())
