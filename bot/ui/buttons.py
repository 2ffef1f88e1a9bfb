"""What happens when somebody presses a button, picks from a menu or submits a modal.

A custom_id carries only an opaque handle; what it stands for, and for which card in which state it was made, is read
from the table. Rights are decided by the engine with the roles that the press brings. Everything works the same after
a restart: no view is kept in memory.
"""

import asyncio
from typing import Any, Self

import discord
from discord.ui import Button, DynamicItem, Select

from bot.errors import Refused, Unavailable
from bot.ops.model import Operation, Status, Verdict
from bot.ui.answers import respond, send
from bot.ui.asking import again, announce, ask, backwards, confirmed, newest, offer, theirs
from bot.ui.board_store import Handle, utc_now
from bot.ui.card import Press, notice
from bot.ui.card_lines import details_text, face_of, log_text
from bot.ui.failures import border
from bot.ui.house import actor_of, card_link, house_of
from bot.ui.modals import ask_reason, submission
from bot.ui.text import DISPLAY_LIMIT, escape

LOOK_UP_S = 1.5
"""Half of the time that Discord gives us for the first response (3 s, receiving-and-responding)."""
ALWAYS_VALID = frozenset({Press.LOG, Press.DETAILS, Press.CANCEL})
"""These mean the same whatever has happened to the operation since its card was drawn."""


class PressedButton(DynamicItem[Button[Any]], template=r"qd:(?P<handle>[\w-]{8,64})"):
    """Any button of ours."""

    def __init__(self, item: Button[Any], handle: str) -> None:
        super().__init__(item)
        self.handle = handle

    @classmethod
    async def from_custom_id(  # type: ignore[override]
        cls, interaction: discord.Interaction[Any], item: Button[Any], match: Any
    ) -> Self:
        return cls(item, match["handle"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        async with border(interaction):
            await pressed(interaction, self.handle)


class PickedFromMenu(DynamicItem[Select[Any]], template=r"qm:(?P<handle>[\w-]{8,64})"):
    """The menu "More": its entries are handles."""

    def __init__(self, item: Select[Any]) -> None:
        super().__init__(item)

    @classmethod
    async def from_custom_id(  # type: ignore[override]
        cls, interaction: discord.Interaction[Any], item: Select[Any], match: Any
    ) -> Self:
        return cls(item)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        async with border(interaction):
            if self.item.values:
                await pressed(interaction, self.item.values[0])
            else:
                await interaction.response.defer()


class SharedAnswer(DynamicItem[Button[Any]], template=r"qs:share"):
    """Shows a private answer to everybody in the channel, as it stands."""

    @classmethod
    async def from_custom_id(  # type: ignore[override]
        cls, interaction: discord.Interaction[Any], item: Button[Any], match: Any
    ) -> Self:
        return cls(item)

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        async with border(interaction):
            items = self.view.walk_children() if self.view else ()
            texts = [item.content for item in items if isinstance(item, discord.ui.TextDisplay)]
            text = "\n".join(texts) + f"\n-# shared by {escape(actor_of(interaction).name)}"
            await send(interaction, notice(text), private=False)


DYNAMIC_ITEMS: tuple[type[DynamicItem[Any]], ...] = (PressedButton, PickedFromMenu, SharedAnswer)


async def pressed(interaction: discord.Interaction[Any], token: str) -> None:
    """Act on a pressed handle.

    Raises:
        Refused: the handle is unknown, foreign, superseded or used, or the engine says no.
    """
    handle = await _valid(interaction, token)
    press = Press(handle.action)
    if press is Press.DENY:
        await ask_reason(interaction, token, title=f"Deny #{handle.operation_id}", question="Reason")
        return
    if press is Press.CLOSE:
        await ask_reason(interaction, token, title=f"Close #{handle.operation_id} as failed", question="What you found")
        return
    await interaction.response.defer(ephemeral=True, thinking=True)
    if press is Press.CONFIRM:
        await _confirm(interaction, handle)
        return
    await _act(interaction, handle, press)


async def submitted(interaction: discord.Interaction[Any]) -> None:
    """Act on a submitted modal of ours; every other interaction is left alone."""
    said = submission(interaction)
    if said is None or interaction.response.is_done():
        return
    async with border(interaction):
        await interaction.response.defer(ephemeral=True, thinking=True)
        handle = await _valid(interaction, said.handle)
        engine, actor, operation_id = house_of(interaction).engine, actor_of(interaction), _number(handle)
        if Press(handle.action) is Press.DENY:
            operation = await engine.vote(operation_id, actor, Verdict.DENY, digest=handle.digest, reason=said.reason)
            await respond(interaction, f"You denied {operation.short_id}.")
        else:
            operation = await engine.close(operation_id, actor, Status.FAILED, reason=said.reason)
            await respond(interaction, f"You closed {operation.short_id}; its locks are free.")


# ---- handles -------------------------------------------------------------------------------------------------------


async def _valid(interaction: discord.Interaction[Any], token: str) -> Handle:
    """The handle, if it may be pressed here and now."""
    house = house_of(interaction)
    try:
        async with asyncio.timeout(LOOK_UP_S):
            handle = await house.handles.handle(token)
    except TimeoutError:
        raise Unavailable("database", "The database is slow: what this button means could not be read.") from None
    refusal = await _objection(interaction, handle)
    if refusal is not None or handle is None:
        raise refusal or Refused("This button is not known here.")
    message = interaction.message
    if handle.message_id is None and message is not None:
        await house.handles.bind(token, message.id)
    return handle


async def _objection(interaction: discord.Interaction[Any], handle: Handle | None) -> Refused | None:
    if handle is None:
        return Refused(
            "This button is not known here: it may come from another installation. Nothing was done.",
            hint="/ops list shows what there is.",
            rule="handle",
        )
    message, house = interaction.message, house_of(interaction)
    foreign = (handle.guild_id, handle.channel_id) != (interaction.guild_id, interaction.channel_id)
    if message is not None:
        ours = interaction.client.user
        foreign |= ours is None or message.author.id != ours.id or handle.message_id not in (None, message.id)
    if foreign:
        return Refused("This button belongs to another message. Nothing was done.", rule="handle")
    if handle.generation < handle.current and Press(handle.action) not in ALWAYS_VALID:
        operation = await house.engine.operation(_number(handle))
        return Refused(
            f"{operation.short_id} has moved on since this button was drawn: it is {face_of(operation).word} now. "
            "Nothing was done.",
            hint="Use the buttons of its card as it stands now.",
            rule="handle",
        )
    return None


def _number(handle: Handle) -> int:
    if handle.operation_id is None:
        raise Refused("This button belongs to no operation. Nothing was done.", rule="handle")
    return handle.operation_id


# ---- what the presses do -------------------------------------------------------------------------------------------


async def _confirm(interaction: discord.Interaction[Any], handle: Handle) -> None:
    actor = actor_of(interaction)
    if not theirs(handle, actor):
        raise Refused(f"Only {handle.asked['person']} was asked this. Nothing was done.", rule="handle")
    fresh = await house_of(interaction).handles.use(handle.handle, actor.name, utc_now())
    if not fresh and handle.used_by != actor.name:
        raise Refused("This has been answered already. Nothing more was done.", rule="handle")
    await ask(interaction, confirmed(handle))


async def _act(interaction: discord.Interaction[Any], handle: Handle, press: Press) -> None:
    house, actor = house_of(interaction), actor_of(interaction)
    operation = await house.engine.operation(_number(handle))
    match press:
        case Press.APPROVE:
            operation = await house.engine.vote(operation.id, actor, Verdict.APPROVE, digest=handle.digest)
            await respond(interaction, f"You approved {operation.short_id} (digest {operation.digest[:6]}).")
        case Press.CANCEL:
            await respond(interaction, cancel_answer(await house.engine.cancel(operation.id, actor)))
        case Press.RETRY:
            await offer(interaction, again(operation, interaction.id), "Ask again")
        case Press.ROLL_BACK:
            await offer(interaction, backwards(operation, interaction.id), "Roll back")
        case Press.NEWEST:
            await _use_newest(interaction, operation, handle)
        case Press.LOOK_AGAIN:
            operation = await house.engine.resume(operation.id, actor)
            await respond(interaction, f"{operation.short_id} looks at the outside again; its card will say.")
        case Press.LOG:
            await _show(interaction, log_text(operation, DISPLAY_LIMIT - 100))
        case _:
            await _show(interaction, details_text(operation, DISPLAY_LIMIT - 100))


async def _use_newest(interaction: discord.Interaction[Any], operation: Operation, handle: Handle) -> None:
    """Ask for the newest commit; the older request goes once the new one stands."""
    engine, actor = house_of(interaction).engine, actor_of(interaction)
    newer = await engine.request(newest(operation, handle), actor)
    try:
        await engine.cancel(operation.id, actor)
        before = f"{operation.short_id} was cancelled in favour of this:"
    except Refused as refusal:
        before = f"{operation.short_id} stays: {escape(str(refusal), 300)}"
    await announce(interaction, newer, before=before)


async def _show(interaction: discord.Interaction[Any], text: str) -> None:
    await send(interaction, notice(text, share=True))


def cancel_answer(operation: Operation) -> str:
    """What a cancel has brought about, honestly: asked for is not yet done."""
    if operation.status is Status.CANCELLED:
        return f"{operation.short_id} is cancelled; nothing had started."
    return f"{operation.short_id} is asked to stop. Its card says when that is verified, and what was done until then."


async def link_line(interaction: discord.Interaction[Any], operation: Operation) -> str:
    """One line about an operation with the link to its card."""
    link = await card_link(house_of(interaction), operation)
    return " · ".join(part for part in (operation.short_id, face_of(operation).word, link) if part)
