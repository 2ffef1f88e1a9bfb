"""The door to alerts: what fires, everything about one group, taking it, and figures of the past."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import Action
from bot.ui import alert_choices, choices
from bot.ui.alert_answers import ack, send_group, send_groups, send_statistics
from bot.ui.gate import gate

STATES = [
    app_commands.Choice(name="everything that fires", value="firing"),
    app_commands.Choice(name="fires, and nobody has it", value="unacked"),
    app_commands.Choice(name="fires, and somebody has it", value="acked"),
    app_commands.Choice(name="fires, and is silenced", value="silenced"),
    app_commands.Choice(name="flaps", value="flapping"),
    app_commands.Choice(name="over in the last 24 h", value="over"),
]


class Alerts(commands.GroupCog, group_name="alerts", group_description="Alerts: list, show, take, figures"):
    """/alerts list, show, ack and stats."""

    @app_commands.command(name="list", description="What fires, worst first: since when, and who has it")
    @app_commands.describe(environment="Only in this environment", state="Which ones (everything that fires)")
    @app_commands.autocomplete(environment=choices.environments)
    @app_commands.choices(state=STATES)
    @gate(Action.ALERT_VIEW)
    async def list_(self, interaction: discord.Interaction[Any], environment: str = "", state: str = "firing") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_groups(interaction, environment.strip(), state)

    @app_commands.command(name="show", description="One alert group in full: its alerts, labels, texts and history")
    @app_commands.describe(alert="Its number, such as A17")
    @app_commands.autocomplete(alert=alert_choices.groups)
    @gate(Action.ALERT_VIEW)
    async def show(self, interaction: discord.Interaction[Any], alert: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_group(interaction, alert)

    @app_commands.command(name="ack", description="Take an alert group: it is yours, and nobody else is called for it")
    @app_commands.describe(alert="Its number, such as A17")
    @app_commands.autocomplete(alert=alert_choices.firing_groups)
    @gate(Action.ALERT_ACK)
    async def ack(self, interaction: discord.Interaction[Any], alert: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await ack(interaction, alert)

    @app_commands.command(name="stats", description="The noisiest alerts, how soon they were taken, how soon over")
    @app_commands.describe(range="How far back: 24h, 7d, 30d … (7d when left out)")
    @app_commands.autocomplete(range=alert_choices.spans)
    @gate(Action.ALERT_VIEW)
    async def stats(self, interaction: discord.Interaction[Any], range: str = "") -> None:  # noqa: A002
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_statistics(interaction, range)


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Alerts())
