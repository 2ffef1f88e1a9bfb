"""The plain thing that Quarterdeck is measured beside: a minimal discord.py bot with `/ping` and `/deploy`.

It plans nothing, stores nothing and asks nobody: it defers and answers. It does not register commands; those that
Quarterdeck registered before are of the same names and options. Usage: `python -m tests.bench.bare_bot CONFIG`, where
CONFIG is the configuration that the sandbox wrote for the bot; the token comes from the same variable.
"""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import discord
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket


class BareBot(discord.Client):
    """Two commands and nothing else."""

    def __init__(self, *, guild_ready_timeout: float) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True),
            guild_ready_timeout=guild_ready_timeout,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        self.tree.command(name="ping", description="Say that the bot is there")(ping)
        self.tree.command(name="deploy", description="Deploy a service")(deploy)


async def ping(interaction: discord.Interaction[Any]) -> None:
    await interaction.response.send_message(f"Pong: {interaction.client.latency * 1000:.0f} ms", ephemeral=True)


async def deploy(
    interaction: discord.Interaction[Any], service: str, environment: str | None = None, ref: str | None = None
) -> None:
    await interaction.response.defer(ephemeral=True, thinking=True)
    await interaction.followup.send(f"{service} {ref} would go to {environment}.", ephemeral=True)


def main() -> None:
    settings = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["discord"]
    discord.http.Route.BASE = settings["api_url"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings["gateway_url"])
    bot = BareBot(guild_ready_timeout=settings["guild_ready_timeout_s"])
    bot.run(os.environ["QUARTERDECK_DISCORD_TOKEN"], log_handler=None)


if __name__ == "__main__":
    main()
