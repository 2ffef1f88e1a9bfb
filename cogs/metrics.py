"""The door to figures over time: the configured panels, and any query by those who may ask one."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import Refused
from bot.policy import Action
from bot.services.figures import USUAL, Figures
from bot.ui import choices
from bot.ui.gate import demand, gate
from bot.ui.house import house_of
from bot.ui.pictures import send_picture

FORMATS = [app_commands.Choice(name="CSV, for a spreadsheet", value="csv")]


class Metrics(commands.GroupCog, group_name="metrics", group_description="Figures over time, as a chart and a table"):
    """/metrics show and query."""

    @app_commands.command(description="A panel: processor, requests, latency … as a chart, with limits and deploys")
    @app_commands.describe(
        panel="Which panel",
        range=f"How far back: 1h, 24h, 7d … ({USUAL} when left out)",
        environment="Of which environment",
        service="Of which service",
        export="All series as a file, too",
    )
    @app_commands.autocomplete(
        panel=choices.panels, range=choices.ranges, environment=choices.environments, service=choices.services
    )
    @app_commands.choices(export=FORMATS)
    @gate(Action.METRICS_VIEW)
    async def show(
        self, interaction: discord.Interaction[Any], panel: str, range: str = "", environment: str = "",  # noqa: A002
        service: str = "", export: str = "",
    ) -> None:  # fmt: skip
        await interaction.response.defer(ephemeral=True, thinking=True)
        figures = _figures(interaction)
        if service:
            house_of(interaction).catalog.service(service.strip())
        place = figures.place(panel.strip(), environment.strip(), service.strip())
        _demand(interaction, Action.METRICS_VIEW, place.environment)
        picture = await figures.panel(panel.strip(), place, length=figures.length(range))
        await send_picture(interaction, picture, export=bool(export))

    @app_commands.command(description="Any PromQL expression, as a chart and a table")
    @app_commands.describe(
        promql="The expression, such as sum by (job) (up)",
        range=f"How far back: 1h, 24h, 7d … ({USUAL} when left out)",
        export="All series as a file, too",
    )
    @app_commands.autocomplete(promql=choices.expressions, range=choices.ranges)
    @app_commands.choices(export=FORMATS)
    @gate(Action.METRICS_QUERY)
    async def query(
        self, interaction: discord.Interaction[Any], promql: str, range: str = "", export: str = ""  # noqa: A002
    ) -> None:  # fmt: skip
        await interaction.response.defer(ephemeral=True, thinking=True)
        figures = _figures(interaction)
        _demand(interaction, Action.METRICS_QUERY, "")
        picture = await figures.query(promql, length=figures.length(range))
        await send_picture(interaction, picture, export=bool(export))


def _demand(interaction: discord.Interaction[Any], action: Action, environment: str) -> None:
    """The right to that there; to what tells no environments apart, the right in every one."""
    for name in [environment] if environment else house_of(interaction).catalog.environments:
        demand(interaction, action, name)


def _figures(interaction: discord.Interaction[Any]) -> Figures:
    found = house_of(interaction).figures
    if found is None:
        raise Refused("This bot asks no Prometheus.", hint="Name one in the configuration's section [metrics].")
    return found


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Metrics())
