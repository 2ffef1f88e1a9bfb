"""REST routes of application commands, global and of the server."""

from typing import Any

from aiohttp import web

from bot.sandbox import cast
from bot.sandbox.discord.announcements import Announcements
from bot.sandbox.discord.commands import GLOBAL, Commands
from bot.sandbox.discord.errors import DiscordError, Known, no_content, reply
from bot.sandbox.discord.guild import BOT_ID
from bot.sandbox.discord.media import read_body, read_json
from bot.sandbox.discord.rest import Route, number

Json = dict[str, Any]


class CommandRoutes:
    """Handlers of these routes; the same ones serve both scopes."""

    def __init__(self, *, registered: Commands, told: Announcements) -> None:
        self._commands = registered
        self._told = told

    def routes(self) -> list[Route]:
        rate, found = "ordinary", []
        for scope, major in (("", ("application",)), ("/guilds/{guild}", ("application", "guild"))):
            path = f"/applications/{{application}}{scope}/commands"
            found += [
                Route("GET", path, self.all, rate, major),
                Route("PUT", path, self.overwrite, rate, major),
                Route("POST", path, self.add, rate, major),
                Route("GET", path + "/{command}", self.get, rate, major),
                Route("PATCH", path + "/{command}", self.change, rate, major),
                Route("DELETE", path + "/{command}", self.remove, rate, major),
            ]
        emojis = Route("GET", "/applications/{application}/emojis", self.emojis, rate, ("application",))
        return [*found, emojis]

    def _scope(self, request: web.Request) -> str:
        if number(request, "application") != BOT_ID:
            raise DiscordError(Known.NOT_YOUR_APPLICATION)
        if "guild" not in request.match_info:
            return GLOBAL
        if number(request, "guild") != cast.GUILD_ID:
            raise DiscordError(Known.MISSING_ACCESS)
        return str(cast.GUILD_ID)

    def _tell(self, scope: str) -> None:
        self._told.commands_synced(scope, len(self._commands.scope(scope)))

    async def all(self, request: web.Request) -> web.StreamResponse:
        return reply(self._commands.scope(self._scope(request)))

    async def overwrite(self, request: web.Request) -> web.StreamResponse:
        scope = self._scope(request)
        found = self._commands.overwrite(scope, await read_json(request))
        self._tell(scope)
        return reply(found)

    async def add(self, request: web.Request) -> web.StreamResponse:
        scope = self._scope(request)
        body, _ = await read_body(request)
        command, is_new = self._commands.add(scope, body)
        self._tell(scope)
        return reply(command, status=201 if is_new else 200)

    async def get(self, request: web.Request) -> web.StreamResponse:
        return reply(self._commands.find(self._scope(request), request.match_info["command"]))

    async def change(self, request: web.Request) -> web.StreamResponse:
        scope = self._scope(request)
        body, _ = await read_body(request)
        command = self._commands.change(scope, request.match_info["command"], body)
        self._tell(scope)
        return reply(command)

    async def remove(self, request: web.Request) -> web.StreamResponse:
        scope = self._scope(request)
        self._commands.remove(scope, request.match_info["command"])
        self._tell(scope)
        return no_content()

    async def emojis(self, request: web.Request) -> web.StreamResponse:
        self._scope(request)
        return reply({"items": []})
