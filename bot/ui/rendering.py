"""What stands in a channel for one card: the type of all renderings, and whom they ping. Draws and sends nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import discord

from bot.ui.card import Sheet
from bot.ui.text import CONTENT_LIMIT, cut


@dataclass(frozen=True, slots=True)
class Rendering:
    """A message as it should stand in the channel.

    With a `sheet` it is a card; `content` is then the line that is posted first because it pings (a ping inside
    components reaches a phone as an empty push). `marker` finds the message again in its own text, `beside` are keys
    of messages that are due once this one is shown.
    """

    marker: re.Pattern[str]
    content: str = ""
    sheet: Sheet | None = None
    pings: discord.AllowedMentions = field(default_factory=discord.AllowedMentions.none)
    reply_to: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    once: bool = False
    """Shown once and then forgotten: nothing will ever change it."""
    lasting: bool = False
    """Without a sheet: the content is the message itself, and is kept equal to its rows."""
    pinned: bool = False
    born_at: datetime | None = None
    """Since when there has been something to show: a message of it may stand of which the row no longer knows."""
    pause: timedelta | None = None
    """The least between two edits, where it is not what the card's priority says."""
    picture: tuple[str, bytes] | None = None
    """A file that the sheet refers to by its name, sent along; None: the message keeps what it has."""
    holds: tuple[str, ...] = ()
    """Keys of cards that stand within this message."""
    settles: tuple[str, ...] = ()
    """Keys of cards that this message says, too, so that they need none of their own."""
    stirs: tuple[str, ...] = ()
    """Keys of cards that say something else once this one stands."""

    @property
    def final(self) -> bool:
        """Whether it is a plain line that never changes once it is posted."""
        return self.sheet is None and not self.lasting


def with_pings(text: str, mentions: Sequence[str]) -> str:
    """The line with who is pinged at its end; empty where nobody is."""
    return cut(" ".join([text, *mentions]), CONTENT_LIMIT) if mentions else ""


def only(*, roles: Sequence[int] = (), users: Sequence[int] = ()) -> discord.AllowedMentions:
    """Exactly these may be pinged by the message, whatever its text says."""
    return discord.AllowedMentions(
        everyone=False,
        replied_user=False,
        roles=[discord.Object(role) for role in roles],
        users=[discord.Object(user) for user in users],
    )
