"""The door to operations: list them, look at one, cancel one."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import Refused
from bot.ops.model import OPEN, Operation
from bot.policy import Action
from bot.ui import choices
from bot.ui.answers import respond, send
from bot.ui.buttons import cancel_answer
from bot.ui.card import notice
from bot.ui.card_lines import details_text, log_text
from bot.ui.gate import gate
from bot.ui.house import House, actor_of, card_link, house_of
from bot.ui.overview import operation_line, operations_text
from bot.ui.text import DISPLAY_LIMIT, joined

SHOWN = 10
SHOW = [
    app_commands.Choice(name="waits for me, and mine", value="mine"),
    app_commands.Choice(name="everything that is open", value="open"),
    app_commands.Choice(name="the newest, open or not", value="newest"),
]


class Operations(commands.GroupCog, group_name="ops", group_description="Operations: list, show, cancel"):
    """/ops list, /ops show, /ops cancel."""

    @app_commands.command(name="list", description="Operations: what waits for you and what is yours, or more")
    @app_commands.describe(show="Which ones (what waits for you, and yours)")
    @app_commands.choices(show=SHOW)
    @gate(Action.OPERATION_VIEW)
    async def list_(self, interaction: discord.Interaction[Any], show: str = "mine") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        house, actor = house_of(interaction), actor_of(interaction)
        if show == "mine":
            waiting = await house.engine.waiting_for(actor)
            mine = await house.engine.operations(requester=actor.name, limit=SHOWN)
            sections = [("waits for you", waiting[:SHOWN]), ("yours, newest first", mine)]
        else:
            statuses = tuple(OPEN) if show == "open" else None
            sections = [(show, await house.engine.operations(statuses=statuses, limit=SHOWN))]
        lines = [(heading, [await _line(house, operation) for operation in found]) for heading, found in sections]
        await send(interaction, notice(operations_text(lines, DISPLAY_LIMIT - 200), share=True))

    @app_commands.command(name="show", description="One operation: plan, steps, reason and the end of its log")
    @app_commands.describe(operation="Its number")
    @app_commands.autocomplete(operation=choices.operations)
    @gate(Action.OPERATION_VIEW)
    async def show(self, interaction: discord.Interaction[Any], operation: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        house = house_of(interaction)
        found = await house.engine.operation(_number(operation))
        half = DISPLAY_LIMIT // 2 - 150
        text = [await card_link(house, found), details_text(found, half)]
        if found.started_at is not None:
            text.append(log_text(found, half))
        await send(interaction, notice(joined(text), share=True))

    @app_commands.command(name="cancel", description="Withdraw an operation, or ask a running one to stop")
    @app_commands.describe(operation="Its number")
    @app_commands.autocomplete(operation=choices.open_operations)
    @gate(Action.OPERATION_VIEW)
    async def cancel(self, interaction: discord.Interaction[Any], operation: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        cancelled = await house_of(interaction).engine.cancel(_number(operation), actor_of(interaction))
        await respond(interaction, cancel_answer(cancelled))


async def _line(house: House, operation: Operation) -> str:
    return operation_line(operation, await card_link(house, operation))


def _number(typed: str) -> int:
    digits = typed.strip().lstrip("#")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
        raise Refused(f"“{typed[:40]}” is no operation's number.", hint="Pick one of the suggestions, or write #184.")
    return int(digits)


async def setup(bot: commands.Bot) -> None:
    """Called by discord.py when the cog is loaded."""
    await bot.add_cog(Operations())
