"""The door to the watch: who is on call, somebody else for a while, and handing a shift over."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import Action
from bot.ui import alert_choices, choices
from bot.ui.alert_answers import hand_over, override_on_call, send_on_call
from bot.ui.gate import gate


class OnCall(commands.Cog):
    """/oncall show and override, and /handover."""

    oncall = app_commands.Group(name="oncall", description="Who is on call: show, override")

    @oncall.command(description="Who is on call now, who comes next, and which overrides are set")
    @gate(Action.ALERT_VIEW)
    async def show(self, interaction: discord.Interaction[Any]) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await send_on_call(interaction)

    @oncall.command(description="Make somebody the one who is on call for a while")
    @app_commands.describe(
        person="Who", until="Until when: 8h, 1d, until mon 9:00", start="From when on (now when left out)",
        reason="Why; everybody sees it",
    )  # fmt: skip
    @app_commands.autocomplete(
        person=choices.people, until=alert_choices.ends, start=alert_choices.beginnings, reason=alert_choices.notes
    )
    @gate(Action.ONCALL_WRITE)
    async def override(
        self, interaction: discord.Interaction[Any], person: str, until: str, start: str = "", reason: str = ""
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await override_on_call(interaction, person.strip(), until=until, start=start, reason=reason)

    @app_commands.command(description="Hand your shift over: one card with all that the next person must know")
    @app_commands.describe(
        to="To whom; it is theirs once they press Take over", note="What they should know",
        until="Until when (the end of the present turn when left out)",
    )  # fmt: skip
    @app_commands.autocomplete(to=choices.people, note=alert_choices.notes, until=alert_choices.ends)
    @gate(Action.ONCALL_WRITE)
    async def handover(self, interaction: discord.Interaction[Any], to: str, note: str = "", until: str = "") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await hand_over(interaction, to.strip(), note=note, until=until)


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(OnCall())
