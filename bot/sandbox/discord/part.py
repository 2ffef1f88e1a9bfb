"""The Discord part of the world: puts its rooms together on one port, and is the face that the control API sees."""

import re
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.sandbox import cast
from bot.sandbox.clock import Clock
from bot.sandbox.discord.acts import Acts
from bot.sandbox.discord.announcements import Announcements
from bot.sandbox.discord.commands import Commands
from bot.sandbox.discord.errors import DiscordError, fault_answer
from bot.sandbox.discord.gateway import Gateway
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.interactions import Interactions
from bot.sandbox.discord.limits import Buckets, Limits, Pace
from bot.sandbox.discord.media import CDN, REQUEST_LIMIT, Media, whole_body
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.picker import Picker
from bot.sandbox.discord.reactions import Reactions
from bot.sandbox.discord.rest import API, Door, Route, refused, unknown
from bot.sandbox.discord.routes_channels import ChannelRoutes
from bot.sandbox.discord.routes_commands import CommandRoutes
from bot.sandbox.discord.routes_guild import GuildRoutes
from bot.sandbox.discord.routes_interactions import InteractionRoutes
from bot.sandbox.discord.routes_reactions import ReactionRoutes
from bot.sandbox.discord.routes_threads import ThreadRoutes
from bot.sandbox.discord.routes_webhooks import WebhookRoutes
from bot.sandbox.discord.snowflakes import Snowflakes, parsed
from bot.sandbox.discord.store import Store
from bot.sandbox.discord.threads import Threads
from bot.sandbox.discord.views import Views
from bot.sandbox.discord.webhooks import Webhooks
from bot.sandbox.faults import Faults
from bot.sandbox.ledger import Ledger
from bot.sandbox.validation.inspector import Inspector, Watched, watched
from bot.sandbox.wire import Guard, Missing, Rejected, fault_middleware, guard_middleware, ledger_middleware, listen

Json = dict[str, Any]

PART = "discord"
WATCHED = Watched(
    prefix=API,
    read=whole_body,
    refusal=DiscordError,
    applies=lambda request: request.path.startswith(f"{API}/"),
)
NEWEST_SHOWN = 100
INCOMING = re.compile(r"/api(?:/v10)?/webhooks/(\d+)/.")


class DiscordPart:
    """Discord on one loopback port: REST, gateway and files; and the acts and views of the control API.

    Deadlines run in real time, whatever the world's clock does: three seconds are three seconds to a client.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        faults: Faults,
        guard: Guard,
        home: Path,
        token: str,
        limits: Limits = Limits(),
        inspector: Inspector | None = None,
    ) -> None:
        self._inspector = inspector
        self._pace = Pace(limits)
        self.ledger = ledger
        self.faults = faults
        self._guard = guard
        self.token = token
        home.mkdir(parents=True, exist_ok=True)
        self._store = Store(home / "discord.sqlite")
        self._runner: web.AppRunner | None = None
        self.api_url = ""
        self.gateway_url = ""
        self._compose(home)

    def _compose(self, home: Path) -> None:
        store, pace = self._store, self._pace
        ids = Snowflakes(floor=store.newest_id())
        self._server = Guild(store)
        self._media = Media(home / "attachments", ids=ids)
        self._buckets = Buckets(pace)
        self._gateway = Gateway(
            token=self.token,
            guild=self._server,
            pace=pace,
            buckets=self._buckets,
            ledger=self.ledger,
            check=self._inspector.gateway if self._inspector else None,
        )
        self._told = Announcements(gateway=self._gateway, guild=self._server, ledger=self.ledger)
        self._messages = Messages(
            store=store,
            guild=self._server,
            media=self._media,
            ids=ids,
            buckets=self._buckets,
            pace=pace,
            listener=self._told,
        )
        self._commands = Commands(store=store, ids=ids)
        self._picker = Picker(guild=self._server, registered=self._commands, messages=self._messages, media=self._media)
        self._views = self._told.views = Views(
            guild=self._server, messages=self._messages, registered=self._commands, picker=self._picker
        )
        self._interactions = Interactions(
            guild=self._server, messages=self._messages, ids=ids, pace=pace, buckets=self._buckets, out=self._told
        )
        self._threads = Threads(
            store=store,
            guild=self._server,
            messages=self._messages,
            ids=ids,
            buckets=self._buckets,
            told=self._told,
        )
        self._webhooks = Webhooks(
            store=store,
            guild=self._server,
            messages=self._messages,
            threads=self._threads,
            ids=ids,
            buckets=self._buckets,
        )
        self._reactions = Reactions(store=store, guild=self._server, messages=self._messages, told=self._told)
        self._acts = Acts(
            guild=self._server, picker=self._picker, interactions=self._interactions, reactions=self._reactions
        )

    async def start(self) -> None:
        """Open the port."""
        app = web.Application(
            middlewares=[
                ledger_middleware(PART, self.ledger, _caller),
                guard_middleware(self._guard),
                *([watched(self._inspector.discord, WATCHED)] if self._inspector else []),
                fault_middleware(PART, self.faults, fault_answer),
            ],
            client_max_size=REQUEST_LIMIT,
        )
        Door(token=self.token, gateway=self._gateway, buckets=self._buckets, pace=self._pace).add(app, self._routes())
        app.router.add_get(f"{CDN}/{{place}}/{{id}}/{{name}}", self._file)
        app.router.add_get("/gateway", self._gateway.serve)
        app.router.add_get("/gateway/", self._gateway.serve)
        app.router.add_route("*", "/{rest:.*}", unknown)
        self._runner, port = await listen(app)
        origin = f"http://127.0.0.1:{port}"
        self.api_url, self.gateway_url = origin + API, f"ws://127.0.0.1:{port}/gateway"
        self._media.origin, self._gateway.url = origin, self.gateway_url
        self._webhooks.origin = origin
        self._store.move(origin)

    async def close(self) -> None:
        """Tell the clients, and close the port and the store."""
        self._gateway.close()
        self._interactions.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._store.close()

    def _routes(self) -> list[Route]:
        told = self._told
        interactions = InteractionRoutes(interactions=self._interactions, messages=self._messages)
        return [
            *GuildRoutes(guild=self._server, gateway=self._gateway).routes(),
            *ChannelRoutes(
                guild=self._server,
                store=self._store,
                messages=self._messages,
                threads=self._threads,
                told=told,
                buckets=self._buckets,
            ).routes(),
            *ThreadRoutes(guild=self._server, messages=self._messages, threads=self._threads).routes(),
            *ReactionRoutes(
                guild=self._server, messages=self._messages, threads=self._threads, reactions=self._reactions
            ).routes(),
            *CommandRoutes(registered=self._commands, told=told).routes(),
            *interactions.routes(),
            *WebhookRoutes(
                interactions=interactions, webhooks=self._webhooks, messages=self._messages, guild=self._server
            ).routes(),
        ]

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return await refused(self._media.serve, request)

    # -- acts ---------------------------------------------------------------------------------------------------------

    async def command(self, body: Json) -> Json:
        """`POST /commands`."""
        return {"interaction": str(self._acts.command(body).id)}

    async def autocomplete(self, body: Json) -> Json:
        """`POST /autocomplete`."""
        return {"interaction": str(self._acts.autocomplete(body).id)}

    async def component(self, body: Json) -> Json:
        """`POST /components`."""
        return {"interaction": str(self._acts.component(body).id)}

    async def modal(self, body: Json) -> Json:
        """`POST /modals`."""
        return {"interaction": str(self._acts.modal(body).id)}

    async def react(self, body: Json) -> Json:
        """`POST /reactions`."""
        return self._acts.react(body)

    def set_roles(self, name: str, roles: list[str]) -> Json:
        """Give a member exactly these roles.

        Raises:
            Missing: there is no such member.
            Rejected: a role is unknown.
        """
        user = self._server.person(name)
        if user is None:
            raise Missing(f"There is no member {name[:100]!r}.")
        for role in roles:
            if role not in cast.ROLES:
                raise Rejected(f"There is no role {role[:100]!r}; there are: {', '.join(cast.ROLES)}.")
        self._server.set_roles(user, tuple(dict.fromkeys(roles)))
        self._told.member(user)
        return {"id": str(user), "name": self._server.name_of(user), "roles": list(self._server.role_names(user))}

    def change_guild(self, body: Json) -> Json:
        """`PUT /discord/guild`: roles, channels' overwrites, switches and who has left; the rules that follow.

        Raises:
            Rejected: the body names what does not exist.
        """
        rules = self._server.rules.change(body)
        self._told.guild(rules)
        return rules

    def change_limits(self, body: Json) -> Json:
        """`PUT /discord/limits`: the pace from now on, until the world is started again; every window begins anew.

        Raises:
            Rejected: a limit is unknown or makes no sense.
        """
        limits = self._pace.change(body)
        self._buckets.forget()
        return limits

    async def webhook(self, body: Json) -> Json:
        """`POST /discord/webhook` `{channel, name}`: one that the server's owner made; with its address.

        Raises:
            Missing: there is no such channel.
            Rejected: the name, or one too many.
        """
        place = cast.CHANNELS.get(str(body.get("channel", "")).removeprefix("#"))
        if place is None:
            raise Missing(f"There is no channel {str(body.get('channel'))[:100]!r}.")
        try:
            made = self._webhooks.create(place, {"name": body.get("name")}, by=cast.PEOPLE[0].id)
        except DiscordError as error:
            raise Rejected(f"Discord refuses: {error}.") from None
        return {key: self._webhooks.shown(made)[key] for key in ("id", "token", "url")}

    async def drop_gateway(self) -> None:
        """Cut every gateway socket without a word; the sessions can be resumed."""
        self._gateway.drop()

    async def reconnect_gateway(self) -> None:
        """Ask every client to connect anew and resume (opcode 7)."""
        self._gateway.ask_to_reconnect()

    async def invalidate_gateway(self, *, resumable: bool) -> None:
        """Tell every client that its session is invalid (opcode 9)."""
        self._gateway.invalidate(resumable=resumable)

    # -- views --------------------------------------------------------------------------------------------------------

    def bot_connected(self) -> bool:
        return self._gateway.connected()

    def interaction(self, number: str) -> Json:
        """`GET /interactions/{id}`.

        Raises:
            Missing: there is none, or it is long ago.
        """
        interaction = self._interactions.get(parsed(number))
        if interaction is None:
            raise Missing(f"There is no interaction {number[:40]!r}.")
        return self._views.interaction(interaction)

    def messages(
        self, *, channel: str, after: str | None = None, user: str | None = None, limit: int = NEWEST_SHOWN
    ) -> Json:
        """`GET /messages`: the first ones after an id, or else the newest; oldest first.

        Raises:
            Missing: the channel or the member does not exist.
            Rejected: `after` is no id.
        """
        place = self._server.place(channel.removeprefix("#"))
        if place is None:
            raise Missing(f"There is no channel or thread {channel[:100]!r}.")
        viewer = None if user is None else self._server.person(user)
        if user is not None and viewer is None:
            raise Missing(f"There is no member {user[:100]!r}.")
        mark = None if after in (None, "") else parsed(after)
        if after and mark is None:
            raise Rejected(f"after must be a message's id, not {after[:40]!r}.")
        found = self._store.page(place, after=mark, viewer=viewer, limit=limit, oldest=mark is not None)
        if mark is None:
            found.reverse()
        return {"messages": [self._views.message(message) for message in found]}

    def guild_state(self) -> Json:
        """The server, its channels, members and commands, for `GET /state`."""
        state = self._views.guild()
        state["guild"]["bot"]["presence"] = self._gateway.presence
        return state


def _caller(request: web.Request) -> str:
    """The bot, but for what a channel's webhooks and the page ask for."""
    posted = INCOMING.match(request.path)
    if posted and posted.group(1) != str(BOT_ID):
        return "webhook"
    return "demo" if request.path.startswith(CDN) else "bot"
