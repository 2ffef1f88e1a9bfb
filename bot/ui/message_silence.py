"""“Silence this” in the menu of a message: which alerts it is about, and the question how long to silence them.

A message of ours is known by its row. Any other, above all those that Alertmanager posts itself, is read as far as
labels can be read out of it; what they would meet is shown before anything is silenced.
"""

from collections.abc import Iterator
from typing import Any

import discord
from sqlalchemy import select

from bot.alerts.model import Matcher
from bot.db.tables import cards
from bot.errors import Refused
from bot.policy import Action
from bot.services.message_labels import labels_in
from bot.ui.gate import demand_here
from bot.ui.house import alerting_of, house_of
from bot.ui.silence_form import of_group, offer_silence

HINT = "/silence create takes any matchers."


async def silence_message(interaction: discord.Interaction[Any], message: discord.Message) -> None:
    """Ask how long what the message is about shall be silent.

    Raises:
        Refused, Barred: it is about no alert, or about several groups, or the person may not.
    """
    alerting = alerting_of(interaction)
    group_ids = await _groups_of(interaction, message.id)
    if len(group_ids) > 1:
        raise Refused(
            f"This message stands for {len(group_ids)} groups: silence one of them by its own menu.", hint=HINT
        )
    if group_ids:
        group = await alerting.store.group(group_ids[0])
        if group is None or not group.firing:
            raise Refused("Nothing of this message fires any more, so there is nothing to silence.", hint=HINT)
        if group.own:
            raise Refused("This is an alert of the bot's own, of which Alertmanager knows nothing.", hint=HINT)
        found = of_group(group)
    else:
        labels = labels_in(_texts(message))
        found = tuple(Matcher(name, value) for name, value in sorted(labels.items()) if value)
    if not found:
        raise Refused("No labels of an alert can be read out of this message. Nothing was silenced.", hint=HINT)
    demand_here(interaction, Action.SILENCE_WRITE, alerting.silences.environment_of(found))
    await offer_silence(interaction, found, group_id=group_ids[0] if group_ids else None)


async def _groups_of(interaction: discord.Interaction[Any], message_id: int) -> list[int]:
    """The groups that a message of ours shows: one on its card, several in a pack."""
    topic = cards.c.key.startswith("alert:", autoescape=True)
    statement = select(cards.c.key).where(cards.c.message_id == message_id, topic).order_by(cards.c.key)
    keys = await house_of(interaction).handles.read(lambda db: list(db.execute(statement).scalars()))
    return [int(key.partition(":")[2]) for key in keys]


def _texts(message: discord.Message) -> Iterator[str]:
    """All that can be read in it, piece by piece."""
    yield message.content
    for embed in message.embeds:
        yield from filter(None, (embed.title, embed.description))
        for field in embed.fields:
            yield f"{field.name}\n{field.value}"
