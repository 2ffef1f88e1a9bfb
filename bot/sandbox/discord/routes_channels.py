"""REST routes of channels: messages, pins, typing."""

import time
from typing import Any

from aiohttp import web

from bot.sandbox.discord.announcements import Announcements
from bot.sandbox.discord.errors import DiscordError, Known, no_content, reply
from bot.sandbox.discord.guild import BOT_ID, Guild, stamp
from bot.sandbox.discord.limits import Buckets
from bot.sandbox.discord.media import read_body
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.rest import Route, asked, number
from bot.sandbox.discord.snowflakes import LARGEST
from bot.sandbox.discord.store import Message, Store
from bot.sandbox.discord.threads import Threads

Json = dict[str, Any]

PAGE_LIMIT = 100
PINS_LIMIT = 50
FREE_OF_SLOWMODE = ("BYPASS_SLOWMODE", "MANAGE_CHANNELS", "MANAGE_MESSAGES")


class ChannelRoutes:
    """Handlers of these routes."""

    def __init__(
        self, *, guild: Guild, store: Store, messages: Messages, threads: Threads, told: Announcements, buckets: Buckets
    ) -> None:
        self._guild = guild
        self._store = store
        self._messages = messages
        self._threads = threads
        self._told = told
        self._buckets = buckets

    def routes(self) -> list[Route]:
        channel = ("channel",)
        one = "/channels/{channel}/messages/{message}"
        return [
            Route("GET", "/channels/{channel}", self.channel, "ordinary", channel),
            Route("POST", "/channels/{channel}/typing", self.typing, "ordinary", channel),
            Route("GET", "/channels/{channel}/messages", self.page, "ordinary", channel),
            Route("POST", "/channels/{channel}/messages", self.post, "posts", channel),
            Route("GET", "/channels/{channel}/messages/pins", self.pins, "ordinary", channel),
            Route("PUT", "/channels/{channel}/messages/pins/{message}", self.pin, "ordinary", channel),
            Route("DELETE", "/channels/{channel}/messages/pins/{message}", self.unpin, "ordinary", channel),
            Route("GET", "/channels/{channel}/pins", self.old_pins, "ordinary", channel),
            Route("PUT", "/channels/{channel}/pins/{message}", self.pin, "ordinary", channel),
            Route("DELETE", "/channels/{channel}/pins/{message}", self.unpin, "ordinary", channel),
            Route("GET", one, self.get, "ordinary", channel),
            Route("PATCH", one, self.edit, "edits", channel),
            Route("DELETE", one, self.delete, "deletes", channel),
        ]

    def _place(self, request: web.Request) -> int:
        place = number(request, "channel")
        if not self._guild.is_place(place):
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        self._guild.require(place)
        return place

    def _own(self, request: web.Request) -> Message:
        """The message of the path, which must be the bot's own and not in an archived thread."""
        message = self._messages.find(self._place(request), number(request, "message"))
        self._threads.refuse_archived(message.channel)
        if message.author != BOT_ID:
            raise DiscordError(Known.NOT_YOUR_MESSAGE)
        return message

    async def channel(self, request: web.Request) -> web.StreamResponse:
        return reply(self._guild.channel(self._place(request)))

    async def typing(self, request: web.Request) -> web.StreamResponse:
        self._told.typing(self._place(request))
        return no_content()

    async def page(self, request: web.Request) -> web.StreamResponse:
        """Newest first. `after` gives the page that follows that id, `around` both sides of one."""
        place = self._place(request)
        limit = asked(request, "limit", least=1, most=PAGE_LIMIT, default=50)
        if not self._guild.may(place, "READ_MESSAGE_HISTORY"):
            return reply([])
        marks = {name: asked(request, name, least=0, most=LARGEST, default=0) for name in ("before", "after", "around")}
        if marks["around"]:
            half = limit // 2
            older = self._store.page(place, before=marks["around"] + 1, limit=half + 1)
            newer = self._store.page(place, after=marks["around"], limit=half, oldest=True)
            found = [*reversed(newer), *older]
        elif marks["after"]:
            found = self._store.page(place, after=marks["after"], limit=limit, oldest=True)[::-1]
        else:
            found = self._store.page(place, before=marks["before"] or None, limit=limit)
        return reply([self._messages.shown(message) for message in found])

    async def get(self, request: web.Request) -> web.StreamResponse:
        return reply(self._messages.shown(self._messages.find(self._place(request), number(request, "message"))))

    async def post(self, request: web.Request) -> web.StreamResponse:
        place = self._place(request)
        body, uploads = await read_body(request)
        self._guild.require(place, "SEND_MESSAGES" if self._guild.thread(place) is None else "SEND_MESSAGES_IN_THREADS")
        if body.get("embeds"):
            self._guild.require(place, "EMBED_LINKS")
        if uploads:
            self._guild.require(place, "ATTACH_FILES")
        slowmode_s = self._slowmode_s(place)
        if slowmode_s:
            self._buckets.refuse_slow(place, slowmode_s)
        self._threads.wake(place)
        message = self._messages.post(place, body, uploads)
        if slowmode_s:
            self._buckets.note_slow(place, slowmode_s)
        self._threads.count(place)
        return reply(self._messages.shown(message))

    def _slowmode_s(self, place: int) -> int:
        """How long the bot must wait between two messages there; some permissions free it of that."""
        if any(self._guild.may(place, name) for name in FREE_OF_SLOWMODE):
            return 0
        return int(self._guild.channel(place)["rate_limit_per_user"])

    async def edit(self, request: web.Request) -> web.StreamResponse:
        self._own(request)
        body, uploads = await read_body(request)
        return reply(self._messages.shown(self._messages.edit(self._own(request), body, uploads)))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        message = self._messages.find(self._place(request), number(request, "message"))
        if message.author != BOT_ID:
            raise DiscordError(Known.MISSING_PERMISSIONS)
        self._messages.delete(message)
        return no_content()

    # -- pins ---------------------------------------------------------------------------------------------------------

    async def pins(self, request: web.Request) -> web.StreamResponse:
        found = self._store.pinned(self._place(request))
        limit = asked(request, "limit", least=1, most=PINS_LIMIT, default=PINS_LIMIT)
        before = request.query.get("before")
        found = [one for one in found if before is None or (one.pinned_at or "") < before]
        items = [{"pinned_at": one.pinned_at, "message": self._messages.shown(one)} for one in found[:limit]]
        return reply({"items": items, "has_more": len(found) > limit})

    async def old_pins(self, request: web.Request) -> web.StreamResponse:
        return reply([self._messages.shown(one) for one in self._store.pinned(self._place(request))])

    async def pin(self, request: web.Request) -> web.StreamResponse:
        """The route of 2025 and, by the same handler, the older one (resources/message, "Pin Message")."""
        return self._set_pin(request, pinned=True)

    async def unpin(self, request: web.Request) -> web.StreamResponse:
        return self._set_pin(request, pinned=False)

    def _set_pin(self, request: web.Request, *, pinned: bool) -> web.StreamResponse:
        message = self._messages.find(self._place(request), number(request, "message"))
        self._guild.require(message.channel, "PIN_MESSAGES")
        self._threads.refuse_archived(message.channel)
        if pinned and len(self._store.pinned(message.channel)) >= PINS_LIMIT:
            raise DiscordError(Known.TOO_MANY_PINS)
        if pinned != (message.pinned_at is not None):
            self._messages.pin(message, pinned=pinned)
            self._told.pins(message.channel, stamp(time.time()))
            if pinned:
                self._messages.tell_of_pin(message)
        return no_content()
