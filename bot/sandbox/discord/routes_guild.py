"""REST routes about who and where: the bot itself, its application, the server, its roles, members and channels."""

from typing import Any

from aiohttp import web

from bot.sandbox import cast
from bot.sandbox.discord.errors import DiscordError, Known, reply
from bot.sandbox.discord.gateway import Gateway
from bot.sandbox.discord.guild import BOT_ID, Guild, bot_user
from bot.sandbox.discord.rest import Route, asked, number

Json = dict[str, Any]

MEMBERS_LIMIT = 1000


class GuildRoutes:
    """Handlers of these routes."""

    def __init__(self, *, guild: Guild, gateway: Gateway) -> None:
        self._guild = guild
        self._gateway = gateway

    def routes(self) -> list[Route]:
        rate, server = "ordinary", ("guild",)
        return [
            Route("GET", "/users/@me", self.me, rate),
            Route("GET", "/users/@me/guilds", self.my_guilds, rate),
            Route("GET", "/users/{user}", self.user, rate),
            Route("GET", "/oauth2/applications/@me", self.application, rate),
            Route("GET", "/applications/@me", self.application, rate),
            Route("GET", "/gateway", self.gateway, rate, open=True),
            Route("GET", "/gateway/bot", self.gateway_bot, rate),
            Route("GET", "/guilds/{guild}", self.guild, rate, server),
            Route("GET", "/guilds/{guild}/roles", self.roles, rate, server),
            Route("GET", "/guilds/{guild}/roles/{role}", self.role, rate, server),
            Route("GET", "/guilds/{guild}/channels", self.channels, rate, server),
            Route("GET", "/guilds/{guild}/threads/active", self.active_threads, rate, server),
            Route("GET", "/guilds/{guild}/members", self.members, rate, server),
            Route("GET", "/guilds/{guild}/members/search", self.search, rate, server),
            Route("GET", "/guilds/{guild}/members/{user}", self.member, rate, server),
        ]

    async def me(self, request: web.Request) -> web.StreamResponse:
        more = {"mfa_enabled": True, "locale": "en-US", "premium_type": 0, "email": None, "verified": True}
        return reply(bot_user() | more)

    async def my_guilds(self, request: web.Request) -> web.StreamResponse:
        if not self._guild.rules.invited:
            return reply([])
        guild = self._guild.described()
        shown = {key: guild[key] for key in ("id", "name", "icon", "banner", "features")}
        return reply([shown | {"owner": False, "permissions": str(self._guild.permissions(BOT_ID))}])

    async def user(self, request: web.Request) -> web.StreamResponse:
        user = number(request, "user")
        if user != BOT_ID and user not in self._guild.people:
            raise DiscordError(Known.UNKNOWN_USER)
        return reply(self._guild.user(user))

    async def application(self, request: web.Request) -> web.StreamResponse:
        owner, portal = self._guild.user(cast.PEOPLE[0].id), self._guild.rules.application
        return reply(
            {
                "id": str(BOT_ID),
                "name": cast.BOT_NAME,
                **dict.fromkeys(
                    ("icon", "type", "team", "interactions_endpoint_url", "role_connections_verification_url")
                ),
                "description": "",
                "summary": "",
                "bot": bot_user(),
                "bot_public": portal["public"],
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "owner": owner,
                "flags": portal["flags"],
                "flags_new": str(portal["flags"]),
                "redirect_uris": [],
                "approximate_guild_count": 1,
                "approximate_user_install_count": 0,
                "approximate_user_authorization_count": 0,
                "explicit_content_filter": 0,
                "eligible_oauth2_scopes": [],
                "integration_types_config": {"0": {}},
            }
        )

    async def gateway(self, request: web.Request) -> web.StreamResponse:
        return reply({"url": self._gateway.url})

    async def gateway_bot(self, request: web.Request) -> web.StreamResponse:
        return reply({"url": self._gateway.url, "shards": 1, "session_start_limit": self._gateway.starts()})

    # -- the server ---------------------------------------------------------------------------------------------------

    def _check(self, request: web.Request) -> None:
        """There is one server; the bot is in no other, and perhaps not even in this one."""
        if number(request, "guild") != cast.GUILD_ID or not self._guild.rules.invited:
            raise DiscordError(Known.UNKNOWN_GUILD)

    async def guild(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        return reply(self._guild.described())

    async def roles(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        return reply(self._guild.roles())

    async def role(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        for role in self._guild.roles():
            if role["id"] == str(number(request, "role")):
                return reply(role)
        raise DiscordError(Known.UNKNOWN_ROLE)

    async def channels(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        return reply(list(self._guild.channels()))

    async def active_threads(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        return reply({"threads": self._guild.threads(), "members": [], "has_more": False})

    async def members(self, request: web.Request) -> web.StreamResponse:
        """All members; Discord wants the members' intent to be allowed for this, and here it is not."""
        self._check(request)
        raise DiscordError(Known.MISSING_ACCESS)

    async def search(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        most = asked(request, "limit", least=1, most=MEMBERS_LIMIT, default=1)
        query = request.query.get("query", "").lower()
        found = [one for one in self._guild.members() if one["user"]["username"].lower().startswith(query)]
        return reply(found[:most])

    async def member(self, request: web.Request) -> web.StreamResponse:
        self._check(request)
        if request.match_info["user"] == "@me":
            return reply(self._guild.member(BOT_ID))
        return reply(self._guild.member(number(request, "user")))
