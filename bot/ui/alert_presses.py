"""What happens when somebody presses a button or picks from a menu on an alert's card, or on a private answer about it.

Rights are decided by the policy with the roles that the press brings, for the environment of the group. What the
buttons stand for is read from the table (`buttons`); everything works the same after a restart.
"""

from typing import Any

import discord
from discord.ui import Button

from bot.alerts.model import AlertGroup, Silence
from bot.errors import Refused
from bot.policy import Action
from bot.ui.alert_card import OPEN, AlertPress, Offers, named, offers, opened, rows_of, runbook_of
from bot.ui.alert_details import details_page
from bot.ui.alert_lines import LOOKED_BACK, GroupSight, short_id, word_of
from bot.ui.alert_pictures import graph_of
from bot.ui.alert_renderings import ours, undoable
from bot.ui.answers import respond, send
from bot.ui.asking import backwards, offer
from bot.ui.board_store import Handle
from bot.ui.card import PRESS_PREFIX, link_button, notice
from bot.ui.gate import demand_here
from bot.ui.house import Alerting, actor_of, alerting_of, house_of
from bot.ui.modals import Submission
from bot.ui.pictures import send_picture
from bot.ui.silence_form import (
    answered,
    ask_custom,
    ask_privately,
    made_for,
    of_group,
    offer_silence,
    submitted,
    wider_lines,
)
from bot.ui.text import counted, escape, joined, label, quoted, stamp

PREFIX = "alert."
"""How the actions of alerts' handles begin."""
MOMENTS_SHOWN = 12
THREAD_EXISTS = 160004
"""Discord's error code (topics/opcodes-and-status-codes)."""
THREAD_NAME_LIMIT = 100
AS_DRAWN = frozenset({AlertPress.ACK, AlertPress.UNACK, AlertPress.SILENCE, AlertPress.UNSILENCE, AlertPress.ROLL_BACK})
"""These count only on the card as it stands now; the others show something, or have the last word elsewhere."""
LENGTHS = frozenset({AlertPress.HOUR, AlertPress.HOURS, AlertPress.DAY, AlertPress.UNTIL_RESOLVED, AlertPress.CONFIRM})


async def alert_pressed(interaction: discord.Interaction[Any], handle: Handle) -> None:
    """Act on a pressed handle of an alert's card or question.

    Raises:
        Refused: the group is gone, the card has moved on, or the policy says no.
    """
    if handle.action == AlertPress.CUSTOM:  # a form must be the first answer
        await ask_custom(interaction, handle)
        return
    await interaction.response.defer(ephemeral=True, thinking=True)
    if handle.action in LENGTHS:
        await answered(interaction, handle, AlertPress(handle.action))
        return
    alerting = alerting_of(interaction)
    if handle.action.startswith(OPEN):
        await _open(interaction, alerting, int(handle.action.removeprefix(OPEN)))
        return
    press, group = AlertPress(handle.action), await _group(alerting, _group_id(handle))
    if press in AS_DRAWN and handle.generation < handle.current:
        raise Refused(
            f"{short_id(group.id)} has moved on since this button was drawn: it is {word_of(group)} now. "
            "Nothing was done.",
            hint="Use the buttons of its card as it stands now.",
            rule="handle",
        )
    match press:
        case AlertPress.ACK | AlertPress.UNACK:
            await _take(interaction, alerting, group, taken=press is AlertPress.ACK)
        case AlertPress.SILENCE:
            await offer_silence(interaction, of_group(group), group.id)
        case AlertPress.UNSILENCE:
            await _unsilence(interaction, alerting, group)
        case AlertPress.ROLL_BACK:
            await _roll_back(interaction, group)
        case _:
            demand_here(interaction, Action.ALERT_VIEW, group.environment)
            await _look(interaction, group, press, handle)


async def alert_submitted(interaction: discord.Interaction[Any], handle: Handle, said: Submission) -> None:
    """Act on a sent form; the interaction is deferred."""
    if handle.action != AlertPress.CUSTOM:
        raise Refused("This form belongs to no button that asks for one. Nothing was done.", rule="handle")
    await submitted(interaction, handle, said)


async def _look(interaction: discord.Interaction[Any], group: AlertGroup, press: AlertPress, handle: Handle) -> None:
    """The presses that only show something."""
    match press:
        case AlertPress.GRAPH:
            await _graph(interaction, group)
        case AlertPress.RUNBOOK:
            await _runbook(interaction, group)
        case AlertPress.THREAD:
            await _thread(interaction, group)
        case AlertPress.PAGE:
            await send_details(interaction, group.id, page=int(handle.asked.get("page", 1)))
        case _:
            await send_details(interaction, group.id)


def _group_id(handle: Handle) -> int:
    """The group that the button is about: a card's own, or the one that the question was about."""
    group_id = handle.asked.get("group")
    if group_id is None:
        topic, _, number = handle.card_key.partition(":")
        if topic != "alert" or not number.isdigit():
            raise Refused("This button belongs to no alert. Nothing was done.", rule="handle")
        group_id = number
    return int(group_id)


async def _group(alerting: Alerting, group_id: int) -> AlertGroup:
    group = await alerting.store.group(group_id)
    if group is None:
        raise Refused(f"{short_id(group_id)} is not on record any more. Nothing was done.", rule="handle")
    return group


# ---- having it -----------------------------------------------------------------------------------------------------


async def _take(interaction: discord.Interaction[Any], alerting: Alerting, group: AlertGroup, *, taken: bool) -> None:
    demand_here(interaction, Action.ALERT_ACK, group.environment)
    house, actor = house_of(interaction), actor_of(interaction)
    if taken:
        group = await alerting.store.ack(group.id, actor.name)
        said = f"You have {named(group)}. Nobody else is called for it while it stands so."
    else:
        group = await alerting.store.unack(group.id, actor.name)
        said = f"{named(group)}: nobody has it any more, and it calls again."
    house.board.changed()
    await respond(interaction, said)


async def _unsilence(interaction: discord.Interaction[Any], alerting: Alerting, group: AlertGroup) -> None:
    demand_here(interaction, Action.SILENCE_WRITE, group.environment)
    if not group.silences:
        raise Refused(f"No silence holds {short_id(group.id)} now.", hint="/silence list shows all of them.")
    held = [one for one in group.silences if made_for(one, group) and await _meets_alone(alerting, one, group)]
    wider = [one for one in group.silences if one not in held]
    for silence in held:
        await alerting.silences.expire(silence.am_id, actor_of(interaction))
    house_of(interaction).board.changed()
    told = [quoted(", ".join(str(one) for one in silence.matchers), 300) for silence in held]
    done = f"Ended {counted(len(held), 'silence')}" if held else "Nothing was ended"
    if wider:
        told += ["It stays silenced by what was not made for this card alone:", *wider_lines(wider)]
    await respond(interaction, joined([f"{done} of {named(group)}.", *told]))


async def _meets_alone(alerting: Alerting, silence: Silence, group: AlertGroup) -> bool:
    """Whether it was made here, or meets nothing now but alerts of this group: others may share the group's labels."""
    if silence.group_id == group.id or alerting.alertmanager is None:
        return True
    met = await alerting.alertmanager.alerts(silence.matchers)
    return {alert.fingerprint for alert in met} <= {episode.fingerprint for episode in group.episodes}


async def _roll_back(interaction: discord.Interaction[Any], group: AlertGroup) -> None:
    """Offer to take back the deploy that came just before; the engine says whether and who may."""
    house = house_of(interaction)
    since = group.fired_at - LOOKED_BACK
    change = undoable(await house.changes.of(group.environment, group.service, since, group.fired_at))
    if change is None or change.operation_id is None:
        raise Refused(f"No deploy stands before {short_id(group.id)} any more. Nothing was done.", rule="handle")
    operation = await house.engine.operation(change.operation_id)
    await offer(interaction, backwards(operation, interaction.id), "Roll back")


# ---- showing it ----------------------------------------------------------------------------------------------------


async def _open(interaction: discord.Interaction[Any], alerting: Alerting, group_id: int) -> None:
    """One group of a pack in private, with its buttons."""
    group = await _group(alerting, group_id)
    demand_here(interaction, Action.ALERT_VIEW, group.environment)
    house = house_of(interaction)
    since = group.fired_at - LOOKED_BACK
    changes = await house.changes.of(group.environment, group.service, since, group.fired_at)
    sight = GroupSight(group=group, silences={one.am_id: one for one in group.silences}, changes=changes)
    undo = undoable(changes)
    offered = offers(group, undo=undo, ours=bool(ours(sight)), graph=house.figures is not None)
    offered = Offers(offered.beside, tuple(press for press in offered.menu if press is not AlertPress.THREAD))
    handles = await ask_privately(interaction, "opened", {"group": group.id}, offered)
    await send(interaction, opened(sight, rows_of(offered, handles, undo=undo)))


async def send_details(interaction: discord.Interaction[Any], group_id: int, page: int = 1) -> None:
    """Answer the deferred interaction with everything that is known of the group, a page at a time.

    Raises:
        Refused: there is no such group.
    """
    alerting = alerting_of(interaction)
    group = await _group(alerting, group_id)
    moments = await alerting.store.history(group.id, limit=MOMENTS_SHOWN)
    told = [f"- {stamp(one.at)} {escape(one.text, 160)}" for one in moments]
    text, more = details_page(group, told, page)
    buttons: list[Button[Any]] = []
    if more:
        asked = {"group": group.id, "page": page + 1}
        handles = await ask_privately(interaction, "page", asked, Offers((AlertPress.PAGE,), ()))
        buttons.append(Button(label="Next page", custom_id=PRESS_PREFIX + handles[AlertPress.PAGE]))
    await send(interaction, notice(text, *buttons, share=True))


async def _graph(interaction: discord.Interaction[Any], group: AlertGroup) -> None:
    house = house_of(interaction)
    if house.figures is None:
        raise Refused("No Prometheus is configured, so there is nothing to draw.", hint="Add the section [metrics].")
    await send_picture(interaction, await graph_of(house.figures, group))


async def _runbook(interaction: discord.Interaction[Any], group: AlertGroup) -> None:
    """The runbook's address: a button where its host is one of ours, else text."""
    url = runbook_of(group)
    if not url:
        raise Refused(f"{named(group)} names no runbook.")
    link = link_button(url, house_of(interaction).settings.link_hosts)
    buttons = [link] if link is not None else []
    beside = "" if link is not None else "Its host is not among the configured ones, so it is no link:"
    await send(interaction, notice(joined([f"Runbook of {named(group)}", beside, quoted(url, 600)]), *buttons))


async def _thread(interaction: discord.Interaction[Any], group: AlertGroup) -> None:
    """A thread on the card's message; the one that is there already is linked."""
    house, message = house_of(interaction), interaction.message
    if message is None:
        raise Refused("A thread hangs on a card in a channel. Nothing was done.")
    guild_id = house.settings.discord.guild_id
    where = f"https://discord.com/channels/{guild_id}/{message.id}"
    try:
        name = label(f"{short_id(group.id)} {group.title}", THREAD_NAME_LIMIT)
        thread = await message.create_thread(name=name, auto_archive_duration=1440)
        where = f"https://discord.com/channels/{guild_id}/{thread.id}"
    except discord.HTTPException as error:
        if error.code != THREAD_EXISTS:
            raise Refused(f"Discord made no thread: {error.text}", hint="The bot needs the right to.") from error
    await respond(interaction, f"Talk about {short_id(group.id)} here: {where}")
