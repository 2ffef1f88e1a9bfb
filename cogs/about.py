"""The door to the bot itself: is it well, what may I do here, who does it think I am."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.policy import ANYBODY, CONFIGURABLE, RUNS, Action, Actor, authorise
from bot.ui.answers import respond, send
from bot.ui.card import notice
from bot.ui.gate import action_of, gate
from bot.ui.house import House, actor_of, house_of
from bot.ui.text import age, escape, joined, stamp

TOPICS = {"deploy": "Deploying", "rollback": "Deploying", "status": "Looking", "ops": "Operations"}
"""The topic of a command by its first word; all others are about the bot itself."""

DATABASE_SILENT_S = 10.0


class About(commands.Cog):
    """/ping, /help and /whoami."""

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
        blocks = [f"**{topic}**\n" + "\n".join(lines) for topic, lines in topics.items()]
        await send(interaction, notice("\n".join(blocks), share=True))

    @app_commands.command(description="Who the bot thinks you are, and what you may do")
    @gate(Action.SELF_VIEW)
    async def whoami(self, interaction: discord.Interaction[Any]) -> None:
        house, actor = house_of(interaction), actor_of(interaction)
        known = f"**{escape(actor.name)}**" if actor.known else f"account `{actor.name}`, not in the people table"
        lines = [
            f"You are {known}.",
            f"roles: {', '.join(sorted(actor.roles)) or 'none that count here'}",
            *_rights(house, actor),
        ]
        await send(interaction, notice(joined(lines), share=True))


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
    action = action_of(command)
    where = [ANYBODY]
    if action in RUNS:
        where = list(house.catalog.environments)
    granted = [place for place in where if action and _may(house, actor, action, place)]
    verdict = "you: no" if not granted else "you: yes" if granted == [ANYBODY] else f"you: {', '.join(granted)}"
    return f"/{command.qualified_name}: {command.description} · {verdict}"


def _may(house: House, actor: Actor, action: Action, environment: str) -> bool:
    return authorise(house.settings.policy_rows, actor, action, environment).allowed


def _rights(house: House, actor: Actor) -> Iterator[str]:
    """One line an action and environment: yes or no, and why."""
    for action in sorted(CONFIGURABLE):
        places = list(house.catalog.environments) if action in RUNS else [ANYBODY]
        for place in places:
            decision = authorise(house.settings.policy_rows, actor, action, place)
            named = action.value if place == ANYBODY else f"{action.value} in {place}"
            yield f"{'yes' if decision.allowed else 'no'} · {named}\n-# {escape(decision.reason, 250)}"


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(About())
