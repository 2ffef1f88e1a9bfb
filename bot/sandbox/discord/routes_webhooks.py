"""REST routes of webhooks: an application's, by which interactions are answered, and incoming ones of a channel.

The two share their paths and are told apart by the id: an application's webhook bears the application's own.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.sandbox.cast import GUILD_ID
from bot.sandbox.discord.errors import DiscordError, Known, no_content, reply
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.media import read_body
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.rest import Route, number
from bot.sandbox.discord.routes_interactions import YES, InteractionRoutes
from bot.sandbox.discord.rules import BIT
from bot.sandbox.discord.snowflakes import parsed
from bot.sandbox.discord.webhooks import Webhooks

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebhookRoutes:
    """Handlers of these routes."""

    def __init__(
        self, *, interactions: InteractionRoutes, webhooks: Webhooks, messages: Messages, guild: Guild
    ) -> None:
        self._interactions = interactions
        self._webhooks = webhooks
        self._messages = messages
        self._guild = guild

    def routes(self) -> list[Route]:
        asked, mine = self._interactions, self._either
        rate, major = "webhook", ("application", "token")
        opened = "/webhooks/{application}/{token}"
        one = opened + "/messages/{message}"
        of_channel, by_id = "/channels/{channel}/webhooks", "/webhooks/{webhook}"
        return [
            Route("POST", opened, mine(asked.follow_up, self.post), rate, major, open=True, unversioned=True),
            Route("GET", opened, self.get_by_token, "ordinary", major, open=True, unversioned=True),
            Route("PATCH", opened, self.change_by_token, "ordinary", major, open=True, unversioned=True),
            Route("DELETE", opened, self.delete_by_token, "ordinary", major, open=True, unversioned=True),
            Route("GET", one, mine(asked.get, self.get_message), rate, major, open=True, unversioned=True),
            Route("PATCH", one, mine(asked.edit, self.edit_message), rate, major, open=True, unversioned=True),
            Route("DELETE", one, mine(asked.delete, self.delete_message), rate, major, open=True, unversioned=True),
            Route("POST", of_channel, self.create, "ordinary", ("channel",)),
            Route("GET", of_channel, self.in_channel, "ordinary", ("channel",)),
            Route("GET", "/guilds/{guild}/webhooks", self.in_guild),
            Route("GET", by_id, self.get, "ordinary", ("webhook",)),
            Route("PATCH", by_id, self.change, "ordinary", ("webhook",)),
            Route("DELETE", by_id, self.delete, "ordinary", ("webhook",)),
        ]

    @staticmethod
    def _either(applications: Handler, incoming: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            owned = parsed(request.match_info["application"]) == BOT_ID
            return await (applications if owned else incoming)(request)

        return handle

    # -- with the token in the path -----------------------------------------------------------------------------------

    def _opened(self, request: web.Request) -> Json:
        return self._webhooks.opened(parsed(request.match_info["application"]), request.match_info["token"])

    async def post(self, request: web.Request) -> web.StreamResponse:
        self._opened(request)
        body, uploads = await read_body(request)
        allowed = _yes(request, "with_components")
        message = self._webhooks.post(self._opened(request), body, uploads, thread=_thread(request), allowed=allowed)
        return reply(self._messages.shown(message)) if _yes(request, "wait") else no_content()

    async def get_by_token(self, request: web.Request) -> web.StreamResponse:
        return reply(self._webhooks.shown(self._opened(request), with_user=False))

    async def change_by_token(self, request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request)
        hook = self._webhooks.change(self._opened(request), body, may_move=False)
        return reply(self._webhooks.shown(hook, with_user=False))

    async def delete_by_token(self, request: web.Request) -> web.StreamResponse:
        self._webhooks.remove(self._opened(request))
        return no_content()

    async def get_message(self, request: web.Request) -> web.StreamResponse:
        hook = self._opened(request)
        message = self._webhooks.message(hook, request.match_info["message"], thread=_thread(request))
        return reply(self._messages.shown(message))

    async def edit_message(self, request: web.Request) -> web.StreamResponse:
        body, uploads = await read_body(request)
        hook = self._opened(request)
        message = self._webhooks.message(hook, request.match_info["message"], thread=_thread(request))
        allowed = _yes(request, "with_components")
        return reply(self._messages.shown(self._webhooks.edit(hook, message, body, uploads, allowed=allowed)))

    async def delete_message(self, request: web.Request) -> web.StreamResponse:
        hook = self._opened(request)
        self._webhooks.delete(self._webhooks.message(hook, request.match_info["message"], thread=_thread(request)))
        return no_content()

    # -- with the bot's own token -------------------------------------------------------------------------------------

    def _managed_channel(self, request: web.Request) -> int:
        """The channel of the path, in which the bot must be allowed to manage webhooks."""
        place = number(request, "channel")
        if not self._guild.is_place(place):
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        self._guild.require(place, "MANAGE_WEBHOOKS")
        return place

    def _managed(self, request: web.Request) -> Json:
        hook = self._webhooks.find(number(request, "webhook"))
        self._guild.require(int(hook["channel_id"]), "MANAGE_WEBHOOKS")
        return hook

    async def create(self, request: web.Request) -> web.StreamResponse:
        place = self._managed_channel(request)
        body, _ = await read_body(request)
        return reply(self._webhooks.shown(self._webhooks.create(place, body, by=BOT_ID)))

    async def in_channel(self, request: web.Request) -> web.StreamResponse:
        place = self._managed_channel(request)
        return reply([self._webhooks.shown(one) for one in self._webhooks.all(channel=place)])

    async def in_guild(self, request: web.Request) -> web.StreamResponse:
        if number(request, "guild") != GUILD_ID:
            raise DiscordError(Known.UNKNOWN_GUILD)
        if not self._guild.permissions(BOT_ID) & BIT["MANAGE_WEBHOOKS"]:
            raise DiscordError(Known.MISSING_PERMISSIONS)
        return reply([self._webhooks.shown(one) for one in self._webhooks.all()])

    async def get(self, request: web.Request) -> web.StreamResponse:
        return reply(self._webhooks.shown(self._managed(request)))

    async def change(self, request: web.Request) -> web.StreamResponse:
        body, _ = await read_body(request)
        return reply(self._webhooks.shown(self._webhooks.change(self._managed(request), body, may_move=True)))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        self._webhooks.remove(self._managed(request))
        return no_content()


def _yes(request: web.Request, name: str) -> bool:
    return request.query.get(name) in YES


def _thread(request: web.Request) -> int | None:
    """The thread that the query names.

    Raises:
        DiscordError: 10003, it is no id at all.
    """
    text = request.query.get("thread_id")
    if text is None:
        return None
    found = parsed(text)
    if found is None:
        raise DiscordError(Known.UNKNOWN_CHANNEL)
    return found
