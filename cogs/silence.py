"""The door to silences: make one, list them, change their end, end them; also from a message's own menu."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import Action
from bot.ui import alert_choices, choices
from bot.ui.alert_answers import create_silence, expire_silence, extend_silence, send_silences
from bot.ui.gate import gate
from bot.ui.message_silence import silence_message

SILENCE_THIS = "Silence this"


class Silence(commands.GroupCog, group_name="silence", group_description="Silences: create, list, extend, expire"):
    """/silence create, list, extend and expire."""

    @app_commands.command(description="Silence what these matchers meet; without a length you are shown what that is")
    @app_commands.describe(
        matchers='Such as alertname="HighCPUUsage", environment="prod"',
        length="For how long: 90m, 2h, 1d, until 18:00, until resolved",
        comment="Why; everybody sees it",
    )
    @app_commands.autocomplete(
        matchers=alert_choices.matchers, length=alert_choices.lengths, comment=alert_choices.comments
    )
    @gate(Action.SILENCE_WRITE)
    async def create(
        self, interaction: discord.Interaction[Any], matchers: str, length: str = "", comment: str = ""
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await create_silence(interaction, matchers, length, comment)

    @app_commands.command(name="list", description="What is silenced, by whom, until when, and why")
    @app_commands.describe(environment="Only in this environment")
    @app_commands.autocomplete(environment=choices.environments)
    @gate(Action.ALERT_VIEW)
    async def list_(self, interaction: discord.Interaction[Any], environment: str = "") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_silences(interaction, environment.strip(), maintenance=False)

    @app_commands.command(description="Let a silence end later, or sooner")
    @app_commands.describe(silence="Its id", length="From now on: 90m, 2h, 1d, until 18:00")
    @app_commands.autocomplete(silence=alert_choices.silences, length=alert_choices.lengths)
    @gate(Action.SILENCE_WRITE)
    async def extend(self, interaction: discord.Interaction[Any], silence: str, length: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await extend_silence(interaction, silence, length)

    @app_commands.command(description="End a silence now")
    @app_commands.describe(silence="Its id")
    @app_commands.autocomplete(silence=alert_choices.silences)
    @gate(Action.SILENCE_WRITE)
    async def expire(self, interaction: discord.Interaction[Any], silence: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await expire_silence(interaction, silence)


@gate(Action.SILENCE_WRITE)
async def silence_this(interaction: discord.Interaction[Any], message: discord.Message) -> None:
    """Propose a silence of what the message is about."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    await silence_message(interaction, message)


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Silence())
    bot.tree.add_command(app_commands.ContextMenu(name=SILENCE_THIS, callback=silence_this))
