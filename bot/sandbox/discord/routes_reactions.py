"""REST routes of reactions."""

from aiohttp import web

from bot.sandbox.discord.errors import DiscordError, Known, no_content, reply
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.reactions import Reactions, known_emoji
from bot.sandbox.discord.rest import Route, asked, number
from bot.sandbox.discord.snowflakes import LARGEST
from bot.sandbox.discord.store import Message
from bot.sandbox.discord.threads import Threads

PAGE_LIMIT = 100


class ReactionRoutes:
    """Handlers of these routes; a pace of their own holds for adding and taking back."""

    def __init__(self, *, guild: Guild, messages: Messages, threads: Threads, reactions: Reactions) -> None:
        self._guild = guild
        self._messages = messages
        self._threads = threads
        self._reactions = reactions

    def routes(self) -> list[Route]:
        every, channel = "/channels/{channel}/messages/{message}/reactions", ("channel",)
        kind = every + "/{emoji}"
        return [
            Route("PUT", kind + "/@me", self.add, "reactions", channel),
            Route("DELETE", kind + "/@me", self.remove, "reactions", channel),
            Route("DELETE", kind + "/{user}", self.remove, "reactions", channel),
            Route("GET", kind, self.users, major=channel),
            Route("DELETE", kind, self.clear, "reactions", channel),
            Route("DELETE", every, self.clear, "reactions", channel),
        ]

    def _message(self, request: web.Request, *needed: str) -> Message:
        place = number(request, "channel")
        if not self._guild.is_place(place):
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        self._guild.require(place, *needed)
        return self._messages.find(place, number(request, "message"))

    async def add(self, request: web.Request) -> web.StreamResponse:
        message = self._message(request, "READ_MESSAGE_HISTORY")
        emoji = known_emoji(request.match_info["emoji"])
        self._threads.refuse_archived(message.channel)
        self._reactions.add(message, emoji, BOT_ID)
        return no_content()

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """One's own reaction, or with Manage Messages another's."""
        user = number(request, "user") if "user" in request.match_info else BOT_ID
        message = self._message(request, *(() if user == BOT_ID else ("MANAGE_MESSAGES",)))
        emoji = known_emoji(request.match_info["emoji"])
        self._threads.refuse_archived(message.channel)
        self._reactions.remove(message, emoji, user)
        return no_content()

    async def clear(self, request: web.Request) -> web.StreamResponse:
        """Everybody's; of one kind, or all."""
        message = self._message(request, "MANAGE_MESSAGES")
        self._threads.refuse_archived(message.channel)
        given = request.match_info.get("emoji")
        self._reactions.clear(message, None if given is None else known_emoji(given))
        return no_content()

    async def users(self, request: web.Request) -> web.StreamResponse:
        message = self._message(request, "READ_MESSAGE_HISTORY")
        emoji = known_emoji(request.match_info["emoji"])
        limit = asked(request, "limit", least=1, most=PAGE_LIMIT, default=25)
        after = asked(request, "after", least=0, most=LARGEST, default=0)
        return reply(self._reactions.users(message, emoji, after=after, limit=limit))
