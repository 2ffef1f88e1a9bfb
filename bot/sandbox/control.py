"""The control API and the page's files: one port through which a person, a script or a test works the whole world.

Everything lies under `/control/v1`. Requests and answers are JSON objects; a body of another type is 415, one that is
too large 413, anything that makes no sense 400 with `{"error": sentence}`, what does not exist 404, and what belongs
to a part that is still starting 503. This room only checks and passes on: what an act or a lever does is written at
the part that does it. Beyond the fixed names there are `GET /faults`, `GET /config` and `?after=` for the events.

`PUT /config` takes `{"toml": TEXT}`, which replaces the bot's file as it stands (also by one that the bot will
refuse: that is how its answers to bad configuration are tried), or `{"patch": {...}}`, which is merged into the
present one key by key, null taking a key out. The bot is then told to read it again (SIGHUP) if it runs. The change
lasts until the world is started again.

`POST /faults` also takes `skip`, so many matching requests that pass first, and the kind `kill`, which ends the bot
with SIGKILL at a request: `when` is `before` (nothing was done yet) or `after` (done, not answered). `GET /requests`
tells by `carried_out` what a part really did, whatever the caller was told, and by `fault` what kind of fault met a
request. `POST /bot` takes `keep`: with false a bot that dies stays dead.

`POST /chaos` `{on, for_s, seed}` has the bot killed and wires cut at random for so many seconds (600), or ends that;
it ends by itself when nobody has read the events for a minute. `GET /chaos` tells what was done and, counted from the
world since its start, how often the bot was `killed`, how many requests were `taken`, `lost` and `doubled`, and how
many are `on_the_way` to their card; `said` names each fault in a sentence.

`POST /discord/webhook` `{channel, name}` makes an incoming webhook and gives its address.

`POST /monitoring` `{lever, environment, on}` moves a host's figures (`burn_cpu`, `fill_memory`, `fill_disk` with
`mountpoint`; `severity` says how far), stops the service (`stop_app`) or silences the heartbeat (`watchdog_off`);
`POST /monitoring/server` `{server, action}` takes a node exporter, Prometheus or Alertmanager away (`stop`, `kill`,
`hang`) and brings it back (`start`); `GET /monitoring` tells how all that stands. `POST /alerts` `{fixture}` or
`{payload}` posts a stored payload of Alertmanager, or the caller's own, to the bot's alert listener; where a real
Alertmanager runs, it knows nothing of that, and to the bot such alerts end when it has looked twice.

`GET /validation` tells, in a world started with `--validate` (`VALIDATE=1`), how many exchanges were compared with the
descriptions of others, at which median cost, and every mismatch: operation, direction, JSON pointer and message.

`PUT /discord/guild` changes the server's rules: `{roles: {name: {permissions, mentionable}}, channels: {name:
{overwrites: {role or member: {allow, deny}}, missing}}, application: {flags, public}, mfa_level, invited,
left: [member]}`, permissions by Discord's names; `reset` begins with the first rules. `PUT /discord/limits` sets the
pace (`{posts: {requests, per_s}, answer_s: seconds, ..., reset}`) and gives all of it. `POST /reactions` `{user,
message, emoji, remove?}` is a member's reaction. `PUT /github/token` gives the
bot's token other rights (`{permissions}` or classic `{scopes}`; an empty body the first ones). `PUT /github/webhook`
`{url, secret, events}` sets up a webhook to a receiver on this machine (no events: all), `PUT /github/deliveries` has
deliveries lost, doubled and shuffled (`{lose, double}` as shares, `{shuffle}` as a number of deliveries, `{seed}`), and
`PUT /github/limits` changes the secondary rate limits (`{at_once, points_a_minute, writes_a_minute, writes_an_hour}`).
`POST /host/agent` `{environment, online, version}` makes a host's SSM agent silent or another version.

A world in front of a person's own Discord (`--own-discord`) has no Discord to show or to work: `GET /state` gives its
guild's name and, as `elsewhere`, the sentence with which all that needs it (members' acts and views, faults of the part
`discord`, chaos) is refused with 409.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from bot.sandbox.bodies import BotBody, ChaosBody, ClockBody, ConfigBody, FaultBody, RolesBody, json_body, number, query
from bot.sandbox.faults import Fault
from bot.sandbox.pagefiles import PageFiles, security_headers
from bot.sandbox.wire import Handler, Missing, Rejected, guard_middleware
from bot.sandbox.world import World

BODY_LIMIT_MIB = 16
HEARTBEAT_S = 15.0
PREFIX = "/control/v1"
Answer = dict[str, Any]
Act = Callable[[Answer], Awaitable[Answer]]

log = logging.getLogger(__name__)


class Control:
    """The routes; `application()` is served by whoever composes the world."""

    def __init__(self, *, world: World, page: PageFiles) -> None:
        self._world = world
        self._page = page
        self._streams: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """The aiohttp application, guarded: a foreign Host or Origin is refused before anything is read."""
        app = web.Application(
            middlewares=[_speak_json, guard_middleware(self._world.guard), _refuse_odd_paths],
            client_max_size=BODY_LIMIT_MIB * 2**20,
        )
        app.add_routes([web.route(method, PREFIX + path, handler) for method, path, handler in self._routes()])
        app.router.add_get("/", self._page.index)
        app.router.add_get("/{path:(?!control/).+}", self._page.file)
        app.on_response_prepare.append(security_headers(self._world))
        app.on_shutdown.append(self._end_streams)
        return app

    def _routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/state", self._state),
            ("POST", "/commands", self._act(lambda body: self._world.discord.command(body))),
            ("POST", "/autocomplete", self._act(lambda body: self._world.discord.autocomplete(body))),
            ("POST", "/components", self._act(lambda body: self._world.discord.component(body))),
            ("POST", "/modals", self._act(lambda body: self._world.discord.modal(body))),
            ("POST", "/reactions", self._act(lambda body: self._world.discord.react(body))),
            ("GET", "/interactions/{id}", self._interaction),
            ("GET", "/messages", self._messages),
            ("GET", "/requests", self._requests),
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._act(self._add_fault)),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{id}", self._remove_fault),
            ("POST", "/github/push", self._act(lambda body: self._world.github.push(body))),
            ("POST", "/github/branch", self._act(lambda body: self._world.github.branch(body))),
            ("POST", "/github/tag", self._act(lambda body: self._world.github.tag(body))),
            ("POST", "/github/fork-pull", self._act(lambda body: self._world.github.fork_pull(body))),
            ("PUT", "/github/token", self._act(lambda body: self._world.github.token(body))),
            ("POST", "/github/checks", self._act(lambda body: self._world.github.checks(body))),
            ("POST", "/github/outcome", self._act(lambda body: self._world.github.outcome(body))),
            ("PUT", "/github/webhook", self._act(lambda body: self._world.github.webhook(body))),
            ("PUT", "/github/deliveries", self._act(lambda body: self._world.github.deliveries(body))),
            ("PUT", "/github/limits", self._act(lambda body: self._world.github.secondary(body))),
            ("POST", "/host/outcome", self._act(lambda body: self._world.aws.outcome(body))),
            ("POST", "/host/agent", self._act(lambda body: self._world.aws.agent(body))),
            ("POST", "/members/{name}/roles", self._roles),
            ("PUT", "/discord/guild", self._act(self._guild)),
            ("PUT", "/discord/limits", self._act(self._limits)),
            ("POST", "/discord/webhook", self._act(lambda body: self._world.discord.webhook(body))),
            ("GET", "/config", self._config),
            ("PUT", "/config", self._act(self._put_config)),
            ("POST", "/bot", self._act(self._bot)),
            ("POST", "/clock", self._act(self._clock)),
            ("GET", "/chaos", self._chaos),
            ("GET", "/validation", self._validation),
            ("POST", "/chaos", self._act(lambda body: self._world.chaos.switch(ChaosBody.read(body)))),
            ("GET", "/monitoring", self._monitoring),
            ("POST", "/monitoring", self._act(lambda body: self._world.monitoring.move(body))),
            ("POST", "/monitoring/server", self._act(lambda body: self._world.monitoring.server(body))),
            ("POST", "/alerts", self._act(lambda body: self._world.monitoring.alerts(body))),
            ("GET", "/events", self._events),
        ]

    def _act(self, act: Act) -> Handler:
        """A handler that reads the body and answers with what the act returns."""

        async def handler(request: web.Request) -> web.StreamResponse:
            query(request)
            return web.json_response(await act(await json_body(request)))

        return handler

    async def _state(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response(self._world.state())

    async def _interaction(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response(self._world.discord.interaction(request.match_info["id"]))

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        asked = query(request, "channel", "after", "user", "limit")
        if "channel" not in asked:
            raise Rejected("Say which channel: ?channel=ops, or a thread's id.")
        found = self._world.discord.messages(
            channel=asked["channel"],
            after=str(number(asked, "after")) if "after" in asked else None,
            user=asked.get("user"),
            limit=number(asked, "limit", default=100, least=1, most=1000),
        )
        return web.json_response(found)

    async def _requests(self, request: web.Request) -> web.StreamResponse:
        asked = query(request, "part", "after", "limit")
        part = asked.get("part")
        if part is not None and part not in self._world.WIRED:
            raise Rejected(f"part must be one of {', '.join(self._world.WIRED)}.")
        found = self._world.ledger.requests(part, number(asked, "after"))
        newest = found[-number(asked, "limit", least=1) :] if "limit" in asked else found
        return web.json_response({"requests": newest})

    async def _faults(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response({"faults": [fault.describe() for fault in self._world.faults.active()]})

    async def _add_fault(self, body: Answer) -> Answer:
        wanted = FaultBody.read(body)
        if wanted.part not in self._world.WIRED:
            raise Rejected(f"part must be one of {', '.join(self._world.WIRED)}.")
        try:
            fault = self._world.add_fault(wanted)
        except ValueError as error:
            raise Rejected(f"{error}.") from None
        return self._told(fault)

    def _told(self, fault: Fault) -> Answer:
        described = fault.describe()
        self._world.ledger.publish("fault", {"event": "added", **described})
        return described

    async def _clear_faults(self, request: web.Request) -> web.StreamResponse:
        query(request)
        removed = [fault.id for fault in self._world.faults.active()]
        self._world.faults.clear()
        self._world.ledger.publish("fault", {"event": "cleared", "faults": removed})
        return web.json_response({"removed": removed})

    async def _remove_fault(self, request: web.Request) -> web.StreamResponse:
        query(request)
        fault_id = number(request.match_info, "id")
        if not self._world.faults.remove(fault_id):
            raise Missing(f"There is no fault {fault_id}: it ended, or never was.")
        self._world.ledger.publish("fault", {"event": "removed", "fault": fault_id})
        return web.json_response({"removed": [fault_id]})

    async def _roles(self, request: web.Request) -> web.StreamResponse:
        query(request)
        wanted = RolesBody.read(await json_body(request))
        return web.json_response(self._world.discord.set_roles(request.match_info["name"], wanted.roles))

    async def _guild(self, body: Answer) -> Answer:
        return self._world.discord.change_guild(body)

    async def _limits(self, body: Answer) -> Answer:
        return self._world.discord.change_limits(body)

    async def _config(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response({"toml": self._world.config.text()})

    async def _put_config(self, body: Answer) -> Answer:
        wanted = ConfigBody.read(body)
        return self._world.change_config(toml=wanted.toml, patch=wanted.patch)

    async def _bot(self, body: Answer) -> Answer:
        bot = self._world.bot
        wanted = BotBody.read(body)
        match wanted.action:
            case "start":
                await bot.start(keep=wanted.keep)
            case "stop":
                await bot.stop()
            case "kill":
                bot.kill()
            case "reload":
                bot.reload()
        return {"bot": bot.describe()}

    async def _clock(self, body: Answer) -> Answer:
        speed = ClockBody.read(body).speed
        self._world.clock.set_speed(speed)
        self._world.ledger.publish("clock", {"speed": speed})
        return {"speed": speed, "now": self._world.clock.utcnow().isoformat()}

    async def _chaos(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response(await self._world.chaos.describe())

    async def _validation(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response(self._world.validation())

    async def _monitoring(self, request: web.Request) -> web.StreamResponse:
        query(request)
        return web.json_response(self._world.monitoring.describe())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        asked = query(request, "after")
        last = request.headers.get("Last-Event-ID") or asked.get("after")
        newest = self._world.ledger.last_event
        # A greater id is from an earlier life of the world: its reader has to load everything anyway.
        after = newest if last is None else min(newest, number({"Last-Event-ID": last}, "Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        stream = asyncio.create_task(self._stream(response, after))
        self._streams.add(stream)
        self._world.watchers += 1
        stream.add_done_callback(self._streams.discard)
        try:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await stream
        finally:
            self._world.watchers -= 1
        return response

    async def _stream(self, response: web.StreamResponse, after: int) -> None:
        """Send events as they come, and a comment when there are none for a while, so that a dead reader is noticed."""
        events = self._world.ledger.follow(after)
        coming = asyncio.ensure_future(anext(events))
        try:
            await response.write(b": the world's events\n\n")
            while True:
                done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_S)
                if not done:
                    await response.write(b": still here\n\n")
                    continue
                await response.write(coming.result().sse())
                coming = asyncio.ensure_future(anext(events))
        finally:
            coming.cancel()

    async def _end_streams(self, _app: web.Application) -> None:
        for stream in list(self._streams):
            stream.cancel()


@web.middleware
async def _speak_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal into JSON. This is the border at which an unforeseen exception is caught and logged."""
    try:
        return await handler(request)
    except Rejected as error:
        return _error(error.status, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _error(413, f"The body is larger than {BODY_LIMIT_MIB} MiB.")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _error(error.status, f"{error.reason}: {request.method} {request.path[:200]}", headers=error.headers)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("%s %s broke", request.method, request.path)
        return _error(500, "Something broke in the sandbox itself; its traceback stands where the sandbox was started.")


@web.middleware
async def _refuse_odd_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    if {"..", ".git"} & set(request.path.replace("\\", "/").split("/")) or "\0" in request.path:
        raise Rejected("The path must not hold “..”, “.git” or a zero byte.")
    return await handler(request)


def _error(status: int, sentence: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    allow = {"Allow": headers["Allow"]} if headers and "Allow" in headers else {}
    return web.json_response({"error": sentence, "message": sentence}, status=status, headers=allow)
