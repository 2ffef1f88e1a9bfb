"""The door of looking: what runs where and what waits for you, what ran when, and what differs between two places."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import Action
from bot.ui import choices
from bot.ui.answers import send
from bot.ui.card import notice
from bot.ui.gate import demand, gate
from bot.ui.house import actor_of, house_of
from bot.ui.overview import difference_text, overview_text
from bot.ui.pages import send_history
from bot.ui.text import DISPLAY_LIMIT


class Status(commands.Cog):
    """/status, /history and /diff."""

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

    @app_commands.command(description="What was brought where and when, by whom, and how it ended")
    @app_commands.describe(service="Of which service", environment="Only in this environment")
    @app_commands.autocomplete(service=choices.services, environment=choices.environments)
    @gate(Action.OPERATION_VIEW)
    async def history(self, interaction: discord.Interaction[Any], service: str, environment: str = "") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_history(interaction, service.strip(), environment.strip())

    @app_commands.command(description="The commits that lie between what two environments run")
    @app_commands.describe(
        service="Of which service",
        environment="This environment (prod when left out)",
        against="Compared with this one (left out: the one that it follows)",
    )
    @app_commands.autocomplete(service=choices.services, environment=choices.environments, against=choices.environments)
    @gate(Action.STATUS_VIEW)
    async def diff(
        self, interaction: discord.Interaction[Any], service: str, environment: str = "prod", against: str = ""
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await house_of(interaction).history.difference(service.strip(), environment, against.strip())
        demand(interaction, Action.STATUS_VIEW, found.other.environment)
        await send(interaction, notice(difference_text(found, DISPLAY_LIMIT - 100), share=True))


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Status())
