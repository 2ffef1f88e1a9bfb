"""Reactions: who has reacted to a message with what, and the two ways in which that is shown.

Only emoji of Unicode can be used: this server has none of its own. Source: Discord's documentation, "Message",
reaction object and the reaction routes.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from bot.sandbox.discord.announcements import Announcements
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.store import Message, Store

Json = dict[str, Any]

EMOJI_LIMIT = 20
LONGEST = 16
"""Code points of the longest emoji, with room: families and flags are joined from many."""
FIRST_PICTOGRAPH = 0x1F000


def known_emoji(text: str) -> str:
    """The emoji of a path.

    Raises:
        DiscordError: 10014, it is none that this server knows.
    """
    pictures = any(ord(one) >= FIRST_PICTOGRAPH or unicodedata.category(one) in ("So", "Sm", "Me") for one in text)
    if not pictures or len(text) > LONGEST or any(one.isascii() and one.isalpha() for one in text):
        raise DiscordError(Known.UNKNOWN_EMOJI)
    return text


class Reactions:
    """The reactions of all messages."""

    def __init__(self, *, store: Store, guild: Guild, messages: Messages, told: Announcements) -> None:
        self._store = store
        self._guild = guild
        self._messages = messages
        self._told = told

    def add(self, message: Message, emoji: str, user: int) -> None:
        """React; the same reaction again changes nothing.

        Raises:
            DiscordError: 50013 for a new one without the permission, 30010 when there are twenty kinds.
        """
        kinds = self._store.reactions(message.id)
        if user in kinds.get(emoji, ()):
            return
        if emoji not in kinds:
            if user == BOT_ID:
                self._guild.require(message.channel, "ADD_REACTIONS")
            if len(kinds) >= EMOJI_LIMIT:
                raise DiscordError(Known.TOO_MANY_REACTIONS)
        self._store.put_reaction(message.id, emoji, user)
        self._show(message)
        self._told.reaction(message, "ADD", emoji=emoji, user=user)

    def remove(self, message: Message, emoji: str, user: int) -> None:
        """Take a reaction back; one that is not there is no fault."""
        if user not in self._store.reactions(message.id).get(emoji, ()):
            return
        self._store.remove_reactions(message.id, emoji=emoji, user=user)
        self._show(message)
        self._told.reaction(message, "REMOVE", emoji=emoji, user=user)

    def clear(self, message: Message, emoji: str | None = None) -> None:
        """Take away everybody's reactions, or those of one kind."""
        self._store.remove_reactions(message.id, emoji=emoji)
        self._show(message)
        self._told.reaction(message, "REMOVE_ALL" if emoji is None else "REMOVE_EMOJI", emoji=emoji)

    def users(self, message: Message, emoji: str, *, after: int, limit: int) -> list[Json]:
        """Who reacted with that, by id."""
        found = [user for user in sorted(self._store.reactions(message.id).get(emoji, ())) if user > after]
        return [self._guild.user(user) for user in found[:limit]]

    def _show(self, message: Message) -> None:
        kinds = self._store.reactions(message.id)
        shown = [_kind(emoji, users) for emoji, users in kinds.items()]
        rest = {key: value for key, value in message.payload.items() if key != "reactions"}
        message.payload = rest | ({"reactions": shown} if shown else {})
        self._store.put(message)


def _kind(emoji: str, users: Sequence[int]) -> Json:
    return {
        "emoji": {"id": None, "name": emoji},
        "count": len(users),
        "count_details": {"burst": 0, "normal": len(users)},
        "burst_colors": [],
        "me_burst": False,
        "me": BOT_ID in users,
        "burst_me": False,
        "burst_count": 0,
    }
