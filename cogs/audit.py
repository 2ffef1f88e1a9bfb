"""The door to the record: who did what, filtered, and as a file. Reading it is recorded, too."""

from datetime import UTC, datetime
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.ops.record import AuditFilter
from bot.policy import Action
from bot.services.spans import moment_of, notes_of
from bot.ui import choices
from bot.ui.gate import gate
from bot.ui.house import zone_here
from bot.ui.pages import send_audit, send_export

FORMATS = [
    app_commands.Choice(name="CSV, for a spreadsheet", value="csv"),
    app_commands.Choice(name="JSON lines, for a program", value="jsonl"),
]


class Audit(commands.Cog):
    """/audit."""

    @app_commands.command(description="Who did what: requests, votes, refusals and outcomes, newest first")
    @app_commands.describe(
        actor="Only what this person did",
        environment="Only in this environment",
        service="Only about this service",
        since="Not before: an age (24h, 7d) or a date",
        until="Only before: an age (24h, 7d) or a date",
        export="As a file instead",
    )
    @app_commands.autocomplete(
        actor=choices.people, environment=choices.places, service=choices.services,
        since=choices.moments, until=choices.moments,
    )  # fmt: skip
    @app_commands.choices(export=FORMATS)
    @gate(Action.AUDIT_VIEW)
    async def audit(
        self, interaction: discord.Interaction[Any], actor: str = "", environment: str = "", service: str = "",
        since: str = "", until: str = "", export: str = "",
    ) -> None:  # fmt: skip
        await interaction.response.defer(ephemeral=True, thinking=True)
        now, zone = datetime.now(UTC), zone_here(interaction)
        first, last = moment_of(since, now, zone=zone), moment_of(until, now, zone=zone)
        wanted = AuditFilter(
            actor=actor.strip(),
            environment=environment.strip(),
            service=service.strip(),
            since=first.at if first else None,
            until=last.at if last else None,
        )
        if export:
            await send_export(interaction, wanted, export, note=notes_of(first, last))
        else:
            await send_audit(interaction, wanted, note=notes_of(first, last))


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Audit())
