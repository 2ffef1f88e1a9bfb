"""The door to the bot itself and its rules: is it well, who am I to it, what may I do here, and who else may."""

import time
from datetime import timedelta
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import CONFIGURABLE, Action, Actor
from bot.ui import choices
from bot.ui.answers import respond, send
from bot.ui.card import notice
from bot.ui.gate import action_of, decided_by, gate
from bot.ui.house import House, actor_of, house_of
from bot.ui.rights import held_lines, rights_lines, standings, verdict, verdict_over, whocan_text
from bot.ui.text import DISPLAY_LIMIT, age, escape, fitted, joined, stamp

TOPICS = {
    "deploy": "Deploying", "rollback": "Deploying", "status": "Looking", "history": "Looking", "diff": "Looking",
    "audit": "Looking", "metrics": "Looking", "ops": "Operations", "alerts": "Alerts", "silence": "Alerts",
    "maintenance": "Alerts", "oncall": "Alerts", "handover": "Alerts",
}  # fmt: skip
"""The topic of a command by its first word; all others are about the bot itself."""
ACTIONS = [app_commands.Choice(name=action.value, value=action.value) for action in sorted(CONFIGURABLE)]

DATABASE_SILENT_S = 10.0
ON_MESSAGE = discord.AppCommandType.message


class About(commands.Cog):
    """/ping, /help, /whoami and /whocan."""

    @app_commands.command(description="Whether the bot is well: gateway, REST, database, version, uptime")
    @gate(Action.SELF_VIEW)
    async def ping(self, interaction: discord.Interaction[Any]) -> None:
        house = house_of(interaction)
        text = joined(
            [
                "**Quarterdeck** is here.",
                f"gateway {_measured(interaction.client.heartbeat())}",
                f"REST {_measured(house.first_answers.rest)}",
                f"database {_database(house.board.last_read)}",
                f"version {house.version} · up since {stamp(house.started_at)}",
            ]
        )
        await respond(interaction, text)

    @app_commands.command(name="help", description="What you may do here, by topic")
    @gate(Action.SELF_VIEW)
    async def help_(self, interaction: discord.Interaction[Any]) -> None:
        house, actor = house_of(interaction), actor_of(interaction)
        topics: dict[str, list[str]] = {}
        for command in interaction.client.tree.walk_commands(guild=interaction.guild):
            if isinstance(command, app_commands.Command):
                topic = TOPICS.get(command.qualified_name.split(" ")[0], "The bot")
                topics.setdefault(topic, []).append(_help_line(house, actor, command))
        for menu in interaction.client.tree.walk_commands(guild=interaction.guild, type=ON_MESSAGE):
            topics.setdefault("Alerts", []).append(_menu_line(house, actor, menu))
        lines = [line for topic, under in topics.items() for line in (f"**{topic}**", *under)]
        await send(interaction, notice(fitted(lines, DISPLAY_LIMIT - 100), share=True))

    @app_commands.command(description="Who the bot thinks you are, and what you may do")
    @gate(Action.SELF_VIEW)
    async def whoami(self, interaction: discord.Interaction[Any]) -> None:
        house, actor = house_of(interaction), actor_of(interaction)
        known = f"**{escape(actor.name)}**" if actor.known else f"account `{actor.name}`, not in the people table"
        in_discord = house.people.role_names(role.id for role in getattr(interaction.user, "roles", ()))
        held = held_lines(actor, in_discord, house.people.duties(actor.name))
        lines = [f"You are {known}.", *held, *rights_lines(house, actor)]
        await send(interaction, notice(fitted(lines, DISPLAY_LIMIT - 100), share=True))

    @app_commands.command(description="Who may do something, and who must approve it, by name")
    @app_commands.describe(action="What is to be done", environment="Where")
    @app_commands.choices(action=ACTIONS)
    @app_commands.autocomplete(environment=choices.places)
    @gate(Action.OPERATION_VIEW)
    async def whocan(self, interaction: discord.Interaction[Any], action: str, environment: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        house = house_of(interaction)
        text = whocan_text(house, Action(action), environment.strip(), await standings(house), DISPLAY_LIMIT - 100)
        await send(interaction, notice(text, share=True))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def _measured(seen: tuple[float, float] | None) -> str:
    """A latency that was measured a moment ago, with its age."""
    if seen is None:
        return "not measured yet"
    ago = timedelta(seconds=time.monotonic() - seen[0])
    return _ms(seen[1]) + (f" ({age(ago)} ago)" if ago.total_seconds() > 2 else "")


def _database(seen: tuple[float, float] | None) -> str:
    """The board reads the database every second, so that an old figure means that it does not answer."""
    silent = seen is not None and time.monotonic() - seen[0] > DATABASE_SILENT_S
    return f"NOT well, last answer: {_measured(seen)}" if silent else _measured(seen)


def _help_line(house: House, actor: Actor, command: app_commands.Command[Any, ..., Any]) -> str:
    action, over = action_of(command), decided_by(command)
    may = verdict(house, actor, action) if action else "you: no"
    if over is not None and may != "you: no":
        may = verdict_over(house, actor, over)
    return f"/{command.qualified_name}: {command.description} · {may}"


def _menu_line(house: House, actor: Actor, menu: app_commands.ContextMenu) -> str:
    action = action_of(menu)
    return f"“{menu.name}” in a message's menu · {verdict(house, actor, action) if action else 'you: no'}"


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(About())
