"""The door to operations: list them, look at one, and end, resume or unsay what stands on a card."""

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import Refused
from bot.ops.model import OPEN, Operation, Status
from bot.ops.sentences import closed, left_out
from bot.ops.store import Filter
from bot.policy import Action
from bot.ui import choices
from bot.ui.answers import respond, send
from bot.ui.buttons import cancel_answer, withdrawal_answer
from bot.ui.card import notice
from bot.ui.details import details_text, log_text
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


CLOSED_AS = [
    app_commands.Choice(name="failed: it did not do what it was to do", value="failed"),
    app_commands.Choice(name="cancelled: nothing of it was done", value="cancelled"),
]


class Operations(commands.GroupCog, group_name="ops", group_description="Operations: list, show, decide, end"):
    """/ops list, show, cancel, withdraw, resume and close."""

    @app_commands.command(name="list", description="Operations: what waits for you and what is yours, or more")
    @app_commands.describe(show="Which ones (what waits for you, and yours)")
    @app_commands.choices(show=SHOW)
    @gate(Action.OPERATION_VIEW)
    async def list_(self, interaction: discord.Interaction[Any], show: str = "mine") -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        house, actor = house_of(interaction), actor_of(interaction)
        if show == "mine":
            waiting = house.lookout.among(actor, await house.engine.waiting_for(actor))
            mine = await house.lookout.operations(actor, Filter(requester=actor.name, limit=SHOWN))
            sections = [("waits for you", waiting), ("yours, newest first", mine)]
        else:
            statuses = tuple(OPEN) if show == "open" else None
            sections = [(show, await house.lookout.operations(actor, Filter(statuses=statuses, limit=SHOWN)))]
        lines = [(heading, [await _line(house, shown) for shown in view.found[:SHOWN]]) for heading, view in sections]
        hidden = left_out(sum(view.hidden for _, view in sections))
        await send(interaction, notice(joined([operations_text(lines, DISPLAY_LIMIT - 300), hidden]), share=True))

    @app_commands.command(name="show", description="One operation: plan, steps, reason and the end of its log")
    @app_commands.describe(operation="Its number")
    @app_commands.autocomplete(operation=choices.operations)
    @gate(Action.OPERATION_VIEW)
    async def show(self, interaction: discord.Interaction[Any], operation: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        house = house_of(interaction)
        found = await house.lookout.operation(_number(operation), actor_of(interaction))
        half = DISPLAY_LIMIT // 2 - 150
        text = [await card_link(house, found), details_text(found, half)]
        if found.started_at is not None:
            text.append(log_text(found, half))
        await send(interaction, notice(joined(text), share=True))

    @app_commands.command(name="cancel", description="Withdraw an operation, or ask a running one to stop")
    @app_commands.describe(operation="Its number")
    @app_commands.autocomplete(operation=choices.open_operations)
    @gate(Action.OPERATION_VIEW, decided_by=Action.OPERATION_CANCEL)
    async def cancel(self, interaction: discord.Interaction[Any], operation: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        cancelled = await house_of(interaction).engine.cancel(_number(operation), actor_of(interaction))
        await respond(interaction, cancel_answer(cancelled))

    @app_commands.command(name="withdraw", description="Take back your approval of an operation that has not started")
    @app_commands.describe(operation="Its number")
    @app_commands.autocomplete(operation=choices.unstarted_operations)
    @gate(Action.OPERATION_VIEW, decided_by=Action.OPERATION_WITHDRAW)
    async def withdraw(self, interaction: discord.Interaction[Any], operation: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        withdrawn = await house_of(interaction).engine.withdraw(_number(operation), actor_of(interaction))
        await respond(interaction, withdrawal_answer(withdrawn))

    @app_commands.command(name="resume", description="Let an interrupted operation look at the outside again")
    @app_commands.describe(operation="Its number")
    @app_commands.autocomplete(operation=choices.interrupted_operations)
    @gate(Action.OPERATION_VIEW, decided_by=Action.OPERATION_RESUME)
    async def resume(self, interaction: discord.Interaction[Any], operation: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        resumed = await house_of(interaction).engine.resume(_number(operation), actor_of(interaction))
        await respond(interaction, f"{resumed.short_id} looks at the outside again; its card will say.")

    @app_commands.command(name="close", description="End an interrupted operation by your word, and free its locks")
    @app_commands.describe(
        operation="Its number", reason="What you found out about it", outcome="How it ended (failed when left out)"
    )
    @app_commands.autocomplete(operation=choices.interrupted_operations, reason=choices.findings)
    @app_commands.choices(outcome=CLOSED_AS)
    @gate(Action.OPERATION_VIEW, decided_by=Action.OPERATION_CLOSE)
    async def close(
        self, interaction: discord.Interaction[Any], operation: str, reason: str, outcome: str = "failed"
    ) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        ended = await house_of(interaction).engine.close(
            _number(operation), actor_of(interaction), Status(outcome), reason=reason
        )
        await respond(interaction, closed(ended))


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
