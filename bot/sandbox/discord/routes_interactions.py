"""REST routes by which a bot answers interactions; the token in the path is all that they ask for."""

from typing import Any

from aiohttp import web

from bot.sandbox.discord.errors import DiscordError, Known, no_content, reply
from bot.sandbox.discord.guild import BOT_ID
from bot.sandbox.discord.interactions import Interaction, Interactions
from bot.sandbox.discord.media import read_body
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.rest import Route
from bot.sandbox.discord.snowflakes import parsed

Json = dict[str, Any]

YES = ("1", "true", "True")


class InteractionRoutes:
    """Handlers of these routes."""

    def __init__(self, *, interactions: Interactions, messages: Messages) -> None:
        self._interactions = interactions
        self._messages = messages

    def routes(self) -> list[Route]:
        """The first answer's; the others share their paths with channels' webhooks (`routes_webhooks`)."""
        callback = "/interactions/{interaction}/{token}/callback"
        return [Route("POST", callback, self.callback, "webhook", ("interaction", "token"), open=True)]

    async def callback(self, request: web.Request) -> web.StreamResponse:
        number, token = parsed(request.match_info["interaction"]), request.match_info["token"]
        self._interactions.open(number, token)
        body, uploads = await read_body(request)
        interaction = self._interactions.open(number, token)
        response = self._interactions.answer(interaction, body, uploads)
        return reply(response) if request.query.get("with_response") in YES else no_content()

    def _find(self, request: web.Request) -> Interaction:
        if parsed(request.match_info["application"]) != BOT_ID:
            raise DiscordError(Known.UNKNOWN_WEBHOOK)
        return self._interactions.by_token(request.match_info["token"])

    async def follow_up(self, request: web.Request) -> web.StreamResponse:
        self._find(request)
        body, uploads = await read_body(request)
        message = self._interactions.follow_up(self._find(request), body, uploads)
        return reply(self._messages.shown(message))

    async def get(self, request: web.Request) -> web.StreamResponse:
        message = self._interactions.message(self._find(request), request.match_info["message"])
        return reply(self._messages.shown(message))

    async def edit(self, request: web.Request) -> web.StreamResponse:
        body, uploads = await read_body(request)
        interaction = self._find(request)
        message = self._interactions.message(interaction, request.match_info["message"])
        return reply(self._messages.shown(self._interactions.edit(interaction, message, body, uploads)))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        interaction = self._find(request)
        self._interactions.delete(interaction, self._interactions.message(interaction, request.match_info["message"]))
        return no_content()
