"""Finding a message of ours again: after a post whose answer was lost, or whose row was lost with a database.

Reads the channel; what the board does with what it finds is the board's business.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

SEARCHED_MESSAGES = 500
"""The most that are read of what was posted since; a hundred a request."""
CLOCKS_APART = timedelta(minutes=1)
"""By so much Discord's clock, by which messages are found, may be behind ours."""
PINS_READ = 250
"""As many as a channel holds."""
LAST_MESSAGES = 200
DISCORD_EPOCH_MS = 1420070400000
"""The moment from which the ids of Discord count (reference, "Snowflakes")."""


def posted_at(message_id: int) -> datetime:
    """When the message was posted: its id tells."""
    return datetime.fromtimestamp(((message_id >> 22) + DISCORD_EPOCH_MS) / 1000, UTC)


async def posted_since(
    channel: discord.abc.Messageable, marker: re.Pattern[str], *, author_id: int, since: datetime
) -> int | None:
    """The author's oldest message since then whose text the marker matches."""
    after = since - CLOCKS_APART
    async for message in channel.history(limit=SEARCHED_MESSAGES, after=after, oldest_first=True):
        if message.author.id == author_id and marker.search(text_of(message)):
            return message.id
    return None


async def pinned_in(channel: discord.abc.Messageable, marker: re.Pattern[str], *, author_id: int) -> int | None:
    """The author's newest pin whose text the marker matches."""
    async for message in channel.pins(limit=PINS_READ):
        if message.author.id == author_id and marker.search(text_of(message)):
            return message.id
    return None


async def newest_in(channel: discord.abc.Messageable, marker: re.Pattern[str], *, author_id: int) -> int | None:
    """The author's newest message among the last ones of the channel whose text the marker matches."""
    async for message in channel.history(limit=LAST_MESSAGES):
        if message.author.id == author_id and marker.search(text_of(message)):
            return message.id
    return None


def text_of(message: discord.Message) -> str:
    """The message's own words, of plain messages and of cards."""
    return message.content or next(_displays(message.components), "")


def _displays(components: Any) -> Iterator[str]:
    for component in components:
        if isinstance(component, discord.TextDisplay):
            yield component.content
        yield from _displays(getattr(component, "children", ()))
