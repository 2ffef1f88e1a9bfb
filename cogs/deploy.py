"""The door of deploys and rollbacks: options in, one request to the engine, a link to the card out."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.ops.model import Request
from bot.policy import Action
from bot.ui import choices
from bot.ui.asking import ask
from bot.ui.gate import gate


class Deploy(commands.Cog):
    """/deploy and /rollback."""

    @app_commands.command(description="Bring a version of a service to an environment")
    @app_commands.describe(
        service="What to deploy",
        environment="Where to (dev when left out)",
        ref="Branch or commit (left out: main, or what runs in the environment before)",
    )
    @app_commands.autocomplete(service=choices.services, environment=choices.environments, ref=choices.refs)
    @gate(Action.DEPLOY)
    async def deploy(
        self, interaction: discord.Interaction[Any], service: str, environment: str = "dev", ref: str = ""
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        params = {"service": service.strip(), "ref": ref.strip()}
        await ask(interaction, Request(f"interaction:{interaction.id}", "deploy", environment, params))

    @app_commands.command(description="Bring back a version that has served there before")
    @app_commands.describe(
        service="What to roll back",
        environment="Where (prod when left out)",
        to="The version to go back to (left out: the last one before the present)",
    )
    @app_commands.autocomplete(service=choices.services, environment=choices.environments, to=choices.earlier_versions)
    @gate(Action.ROLLBACK)
    async def rollback(
        self, interaction: discord.Interaction[Any], service: str, environment: str = "prod", to: str = ""
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        params = {"service": service.strip(), "to": to.strip()}
        await ask(interaction, Request(f"interaction:{interaction.id}", "rollback", environment, params))


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Deploy())
