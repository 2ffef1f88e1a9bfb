"""What the board asks of Discord for one card: to find its message again, to post it, edit it, pin it, take it away.

One request a call, and no decision: when to ask, what to do about a refusal and what to note is the board's business.
"""

import asyncio
import io
import logging
import re
from datetime import datetime
from typing import Any, Protocol

import discord

from bot.ui.board_store import CardRow
from bot.ui.recovery import newest_in, pinned_in, posted_since
from bot.ui.rendering import Rendering

_log = logging.getLogger(__name__)


class Channels(Protocol):
    """The part of discord.py's client that the board uses."""

    def get_partial_messageable(self, channel_id: int, /) -> discord.PartialMessageable: ...

    @property
    def logged_in(self) -> asyncio.Event: ...

    def is_closed(self) -> bool: ...

    @property
    def user(self) -> discord.ClientUser | None: ...


class Postings:
    """The messages of the cards. Errors are discord.py's and aiohttp's own."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    async def posted_since(self, channel_id: int, marker: re.Pattern[str], since: datetime) -> int | None:
        """Our oldest message since then whose text the marker matches."""
        if (me := self._channels.user) is None:
            return None
        return await posted_since(self._channel(channel_id), marker, author_id=me.id, since=since)

    async def standing(self, channel_id: int, marker: re.Pattern[str]) -> int | None:
        """Our message that is kept there for good: among the pins, else among the last messages of the channel."""
        if (me := self._channels.user) is None:
            return None
        channel = self._channel(channel_id)
        pinned = await pinned_in(channel, marker, author_id=me.id)
        return pinned or await newest_in(channel, marker, author_id=me.id)

    async def post(self, row: CardRow, rendering: Rendering, nonce: str) -> tuple[int, bool]:
        """Post the card, or its plain line where it has one; the message, and whether it is the card itself."""
        form: dict[str, Any] = {"content": rendering.content} if rendering.content else {"view": rendering.sheet}
        if rendering.picture is not None and not rendering.content:
            form["files"] = [_file(*rendering.picture)]
        if rendering.reply_to is not None:
            form["reference"] = discord.MessageReference(
                message_id=rendering.reply_to, channel_id=row.channel_id, fail_if_not_exists=False
            )
        message = await self._channel(row.channel_id).send(**form, nonce=nonce, allowed_mentions=rendering.pings)
        return message.id, "view" in form

    async def edit(self, channel_id: int, message_id: int, rendering: Rendering) -> None:
        """Have the message show this; nobody is pinged."""
        message, none = self._message(channel_id, message_id), discord.AllowedMentions.none()
        if rendering.lasting:
            await message.edit(content=rendering.content, allowed_mentions=none)
        elif rendering.picture is not None:
            files = [_file(*rendering.picture)]
            await message.edit(content=None, view=rendering.sheet, attachments=files, allowed_mentions=none)
        else:
            await message.edit(content=None, view=rendering.sheet, allowed_mentions=none)

    async def pin(self, row: CardRow, message_id: int) -> bool:
        """Pin the message; whether Discord let us. The log tells of a refusal once."""
        try:
            await self._message(row.channel_id, message_id).pin()
        except discord.HTTPException as error:
            level = logging.WARNING if row.state.get("pinned", True) else logging.DEBUG
            _log.log(level, "card %s cannot be pinned: Discord answered %s (%s)", row.key, error.status, error.text)
            return False
        return True

    async def delete(self, channel_id: int, message_id: int) -> None:
        """Take a message of ours away; one that is gone already is no fault."""
        try:
            await self._message(channel_id, message_id).delete()
        except discord.NotFound:
            pass

    def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return self._channels.get_partial_messageable(channel_id)

    def _message(self, channel_id: int, message_id: int) -> discord.PartialMessage:
        return self._channel(channel_id).get_partial_message(message_id)


def _file(name: str, data: bytes) -> discord.File:
    return discord.File(io.BytesIO(data), filename=name)
