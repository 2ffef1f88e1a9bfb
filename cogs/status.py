"""The door of the status: what runs where, what goes on, what waits for you."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import Action
from bot.ui import choices
from bot.ui.answers import send
from bot.ui.card import notice
from bot.ui.gate import gate
from bot.ui.house import actor_of, house_of
from bot.ui.overview import overview_text
from bot.ui.text import DISPLAY_LIMIT


class Status(commands.Cog):
    """/status."""

    @app_commands.command(description="What runs where, since when, what goes on, and what waits for you")
    @app_commands.describe(environment="Only this environment", service="Only this service")
    @app_commands.autocomplete(environment=choices.environments, service=choices.services)
    @gate(Action.STATUS_VIEW)
    async def status(self, interaction: discord.Interaction[Any], environment: str = "", service: str = "") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        overview = await house_of(interaction).status.overview(
            actor_of(interaction), environment=environment, service=service.strip()
        )
        await send(interaction, notice(overview_text(overview, DISPLAY_LIMIT - 100), share=True))


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Status())
