"""What happens when somebody presses a button, picks from a menu or submits a modal.

A custom_id carries only an opaque handle; what it stands for, and for which card in which state it was made, is read
from the table. Rights are decided by the engine with the roles that the press brings. Everything works the same after
a restart: no view is kept in memory.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import discord

from bot.errors import Refused, Unavailable
from bot.ops.model import Operation, Status, Verdict
from bot.ops.sentences import closed
from bot.policy import Action
from bot.ui.alert_answers import take_over
from bot.ui.alert_presses import PREFIX as ALERTS
from bot.ui.alert_presses import alert_pressed, alert_submitted
from bot.ui.answers import respond, send
from bot.ui.asking import again, announce, ask, backwards, confirmed, newest, offer, theirs
from bot.ui.board_store import Handle, utc_now
from bot.ui.card import MENU_PREFIX, PRESS_PREFIX, SHARE_ID, Press, drawn_as, notice, offers
from bot.ui.card_lines import face_of
from bot.ui.details import details_text, log_text
from bot.ui.failures import border
from bot.ui.gate import demand
from bot.ui.handover_card import TAKE_OVER
from bot.ui.house import House, actor_of, house_of
from bot.ui.modals import Submission, ask_reason, submission
from bot.ui.pages import turn
from bot.ui.pictures import has_pictures, illustrated, pictures_of
from bot.ui.text import DISPLAY_LIMIT, escape

LOOK_UP_S = 1.5
"""Half of the time that Discord gives us for the first response (3 s, receiving-and-responding)."""
READING = frozenset({Press.LOG, Press.DETAILS, Press.OLDER})
"""These only show something, so they may be pressed whatever has happened since they were drawn."""
AS_DRAWN = frozenset({Press.CANCEL, Press.RETRY, Press.ROLL_BACK, Press.NEWEST, Press.LOOK_AGAIN})
"""These count only while the operation stands as it stood when they were drawn, also where its card is not yet
redrawn. On votes and closings the engine has the last word, and says who was faster."""
QUESTION_LIFE = timedelta(minutes=15)
"""So long a yes counts: what was shown with the question may be no longer true."""
NOT_STARTED = frozenset({Status.PENDING, Status.APPROVED})


async def acted(interaction: discord.Interaction[Any]) -> None:
    """Act on a press, a pick from a menu or a submitted modal; every other interaction is left alone.

    Nothing of it is left to discord.py's views: those answer nobody whose button is no longer on the message.
    """
    if interaction.response.is_done():
        return
    if interaction.type is discord.InteractionType.modal_submit:
        async with border(interaction):
            await _submitted(interaction, submission(interaction))
    elif interaction.type is discord.InteractionType.component:
        data: Mapping[str, Any] = interaction.data or {}
        async with border(interaction):
            await _used(interaction, str(data.get("custom_id", "")), data.get("values") or ())


async def _used(interaction: discord.Interaction[Any], custom_id: str, values: Sequence[str]) -> None:
    if custom_id == SHARE_ID:
        await _share(interaction)
    elif custom_id.startswith(PRESS_PREFIX):
        await pressed(interaction, custom_id.removeprefix(PRESS_PREFIX))
    elif custom_id.startswith(MENU_PREFIX) and values:  # a menu's entries are handles
        await pressed(interaction, values[0])
    elif custom_id.startswith(MENU_PREFIX):
        await interaction.response.defer()
    else:
        raise Refused("This button is not known here. Nothing was done.", rule="handle")


async def _share(interaction: discord.Interaction[Any]) -> None:
    """Show a private answer to everybody in the channel, as it stands, with its pictures."""
    demand(interaction, Action.STATUS_VIEW)
    message = interaction.message
    texts = _texts(message.components) if message else ()
    text = "\n".join([*texts, f"-# shared by {escape(actor_of(interaction).name)}"])
    if message is None or not has_pictures(message):
        await send(interaction, notice(text), private=False)
        return
    await interaction.response.defer(thinking=True)  # they are fetched first
    files = await pictures_of(interaction, message)
    sheet = illustrated(text, *(file.filename for file in files), share=False)
    await send(interaction, sheet, private=False, files=files)


def _texts(components: Iterable[Any]) -> Iterator[str]:
    """All text displays, in order."""
    for component in components:
        if isinstance(component, discord.TextDisplay):
            yield component.content
        yield from _texts(getattr(component, "children", ()))


async def pressed(interaction: discord.Interaction[Any], token: str) -> None:
    """Act on a pressed handle.

    Raises:
        Refused: the handle is unknown, foreign, superseded or used, or the engine says no.
    """
    handle = await _valid(interaction, token)
    if handle.action.startswith(ALERTS):
        await alert_pressed(interaction, handle)
        return
    if handle.action == TAKE_OVER:
        await interaction.response.defer(ephemeral=True, thinking=True)
        await take_over(interaction, handle)
        return
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
    if press is Press.OLDER:
        await turn(interaction, handle)
        return
    await _act(interaction, handle, press)


async def _submitted(interaction: discord.Interaction[Any], said: Submission | None) -> None:
    if said is None:
        raise Refused("This form is not known here. Nothing was done.", hint="Open it again.", rule="handle")
    await interaction.response.defer(ephemeral=True, thinking=True)
    handle = await _valid(interaction, said.handle)
    if handle.action.startswith(ALERTS):
        await alert_submitted(interaction, handle, said)
        return
    engine, actor, operation_id = house_of(interaction).engine, actor_of(interaction), _number(handle)
    match handle.action:
        case Press.DENY:
            operation = await engine.vote(operation_id, actor, Verdict.DENY, digest=handle.digest, reason=said.reason)
            await respond(interaction, f"You denied {operation.short_id}.")
        case Press.CLOSE:
            operation = await engine.close(operation_id, actor, Status.FAILED, reason=said.reason)
            await respond(interaction, closed(operation))
        case _:
            raise Refused("This form belongs to no button that asks for a reason. Nothing was done.", rule="handle")


# ---- handles -------------------------------------------------------------------------------------------------------


async def _valid(interaction: discord.Interaction[Any], token: str) -> Handle:
    """The handle, if it may be pressed here and now."""
    house = house_of(interaction)
    try:
        async with asyncio.timeout(LOOK_UP_S):
            handle = await house.handles.handle(token)
            refusal = await _objection(interaction, handle)
    except TimeoutError:
        raise Unavailable("database", "The database is slow: what this button means could not be read.") from None
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
    if handle.operation_id is None or handle.action.startswith(ALERTS) or Press(handle.action) in READING:
        return None
    operation = await house.engine.operation(handle.operation_id)
    if handle.generation < handle.current or await _outrun(house, handle, operation):
        return Refused(
            f"{operation.short_id} has moved on since this button was drawn: it is {face_of(operation).word} now. "
            "Nothing was done.",
            hint="Use the buttons of its card as it stands now.",
            rule="handle",
        )
    return None


async def _outrun(house: House, handle: Handle, operation: Operation) -> bool:
    """Whether the operation has moved on and only its card has not, for buttons that mean what was drawn."""
    press = Press(handle.action)
    if press not in AS_DRAWN:
        return False
    if handle.card_key != operation.card_key:  # a question beside the card: the offer to withdraw an older request
        return operation.status not in NOT_STARTED
    row = await house.handles.get(handle.card_key)
    drawn = str(row.state.get("face", "")) if row and handle.generation == handle.current else ""
    return press not in offers(operation) or drawn not in ("", drawn_as(operation))


def _number(handle: Handle) -> int:
    if handle.operation_id is None:
        raise Refused("This button belongs to no operation. Nothing was done.", rule="handle")
    return handle.operation_id


# ---- what the presses do -------------------------------------------------------------------------------------------


async def _confirm(interaction: discord.Interaction[Any], handle: Handle) -> None:
    actor = actor_of(interaction)
    if not theirs(handle, actor):
        raise Refused(f"Only {handle.asked['person']} was asked this. Nothing was done.", rule="handle")
    if utc_now() - handle.created_at > QUESTION_LIFE:
        hint = "Ask again: you will be shown what it would do now."
        raise Refused("This question is too old to be answered. Nothing was done.", hint=hint, rule="handle")
    store = house_of(interaction).handles
    if not await store.use(handle.handle, actor.name, utc_now()):
        used = await store.handle(handle.handle)
        if used is None or used.used_by != actor.name:
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
            operation = await house.lookout.operation(operation.id, actor)
            await _show(interaction, log_text(operation, DISPLAY_LIMIT - 100))
        case _:
            operation = await house.lookout.operation(operation.id, actor)
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


def withdrawal_answer(operation: Operation) -> str:
    """What taking back one's vote has brought about."""
    if operation.status is Status.STALE:
        return f"You withdrew your approval of {operation.short_id}; it is stale, and nothing was started."
    return f"You withdrew your approval of {operation.short_id}; it waits for approval as if you had not voted."
