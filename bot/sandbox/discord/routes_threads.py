"""REST routes of threads."""

from typing import Any

from aiohttp import web

from bot.sandbox.discord.errors import DiscordError, Known, no_content, reply
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.media import read_body
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.rest import Route, asked, number
from bot.sandbox.discord.threads import Threads

Json = dict[str, Any]


class ThreadRoutes:
    """Handlers of these routes."""

    def __init__(self, *, guild: Guild, messages: Messages, threads: Threads) -> None:
        self._guild = guild
        self._messages = messages
        self._threads = threads

    def routes(self) -> list[Route]:
        rate, channel = "ordinary", ("channel",)
        return [
            Route("POST", "/channels/{channel}/messages/{message}/threads", self.from_message, rate, channel),
            Route("POST", "/channels/{channel}/threads", self.alone, rate, channel),
            Route("PATCH", "/channels/{channel}", self.change, rate, channel),
            Route("DELETE", "/channels/{channel}", self.delete, rate, channel),
            Route("GET", "/channels/{channel}/threads/archived/public", self.archived, rate, channel),
            Route("GET", "/channels/{channel}/thread-members", self.members, rate, channel),
            Route("PUT", "/channels/{channel}/thread-members/{user}", self.join, rate, channel),
            Route("DELETE", "/channels/{channel}/thread-members/{user}", self.leave, rate, channel),
        ]

    def _channel(self, request: web.Request) -> int:
        place = number(request, "channel")
        if not self._guild.is_place(place):
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        return place

    def _thread(self, request: web.Request) -> Json:
        thread = self._guild.thread(self._channel(request))
        if thread is None:
            raise DiscordError(Known.WRONG_CHANNEL_TYPE)
        return thread

    async def from_message(self, request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request)
        place = self._channel(request)
        self._guild.require(place, "CREATE_PUBLIC_THREADS")
        message = self._messages.find(place, number(request, "message"))
        return reply(self._threads.from_message(message, body), status=201)

    async def alone(self, request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request)
        place = self._channel(request)
        self._guild.require(place, "CREATE_PUBLIC_THREADS")
        return reply(self._threads.alone(place, body), status=201)

    async def change(self, request: web.Request) -> web.StreamResponse:
        """The bot may change threads that it started, and no channel."""
        body, _ = await read_body(request)
        thread = self._guild.thread(self._channel(request))
        if thread is None:
            raise DiscordError(Known.MISSING_PERMISSIONS)
        return reply(self._threads.change(thread, body))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Deleting needs a permission that the bot does not have."""
        self._channel(request)
        raise DiscordError(Known.MISSING_PERMISSIONS)

    async def archived(self, request: web.Request) -> web.StreamResponse:
        limit = asked(request, "limit", least=1, most=100, default=50)
        found = self._guild.threads(parent=self._channel(request), archived=True)
        found.sort(key=lambda thread: str(thread["thread_metadata"]["archive_timestamp"]), reverse=True)
        return reply({"threads": found[:limit], "members": [], "has_more": len(found) > limit})

    async def members(self, request: web.Request) -> web.StreamResponse:
        return reply([self._thread(request)["member"]])

    async def join(self, request: web.Request) -> web.StreamResponse:
        thread = self._thread(request)
        self._threads.refuse_archived(int(thread["id"]))
        self._check_member(request)
        return no_content()

    async def leave(self, request: web.Request) -> web.StreamResponse:
        self._thread(request)
        if self._check_member(request) != BOT_ID:
            raise DiscordError(Known.MISSING_PERMISSIONS)
        return no_content()

    def _check_member(self, request: web.Request) -> int:
        if request.match_info["user"] == "@me":
            return BOT_ID
        user = number(request, "user")
        self._guild.member(user)
        return user
