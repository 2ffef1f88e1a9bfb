"""The door to maintenance windows: silences of a whole environment or service, announced, and ended by themselves."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import Action
from bot.ui import alert_choices, choices
from bot.ui.alert_answers import expire_silence, send_silences, start_maintenance
from bot.ui.gate import gate


class Maintenance(
    commands.GroupCog, group_name="maintenance", group_description="Maintenance windows: start, end, list"
):
    """/maintenance start, end and list."""

    @app_commands.command(description="No calls from an environment, or a service of it, for a while")
    @app_commands.describe(
        environment="Where", length="For how long: 90m, 2h, until 18:00", service="Only this service of it",
        note="What is done; everybody sees it", start="From when on (now when left out)",
    )  # fmt: skip
    @app_commands.autocomplete(
        environment=choices.environments, length=alert_choices.lengths, service=choices.services,
        note=alert_choices.notes, start=alert_choices.beginnings,
    )  # fmt: skip
    @gate(Action.SILENCE_WRITE)
    async def start(
        self, interaction: discord.Interaction[Any], environment: str, length: str, service: str = "",
        note: str = "", start: str = "",
    ) -> None:  # fmt: skip
        await interaction.response.defer(ephemeral=True, thinking=True)
        await start_maintenance(interaction, environment.strip(), service.strip(), span=length, note=note, start=start)

    @app_commands.command(description="End a maintenance window now, or call off one that is planned")
    @app_commands.describe(window="Its id")
    @app_commands.autocomplete(window=alert_choices.maintenances)
    @gate(Action.SILENCE_WRITE)
    async def end(self, interaction: discord.Interaction[Any], window: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await expire_silence(interaction, window)

    @app_commands.command(name="list", description="Maintenance windows that hold or are planned")
    @app_commands.describe(environment="Only in this environment")
    @app_commands.autocomplete(environment=choices.environments)
    @gate(Action.ALERT_VIEW)
    async def list_(self, interaction: discord.Interaction[Any], environment: str = "") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_silences(interaction, environment.strip(), maintenance=True)


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Maintenance())
