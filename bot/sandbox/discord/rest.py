"""The door of the REST API: who may come in, how fast, and in what form every answer and refusal goes out.

The routes stand in the `routes_*` modules; each says its pace and the parameters that its bucket is counted by.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from bot.sandbox.discord.errors import DiscordError, Known, banned, too_many
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.gateway import Gateway
from bot.sandbox.discord.limits import Buckets, Pace, bucket_name
from bot.sandbox.discord.snowflakes import parsed
from bot.sandbox.wire import BUCKET

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

API, UNVERSIONED = "/api/v10", "/api"


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `rate` names its limit, `major` the path's parameters that tell buckets apart; `open`: its token is in
    the path; `unversioned`: it is known by an address without the API's version as well.
    """

    method: str
    path: str
    handler: Handler
    rate: str = "ordinary"
    major: tuple[str, ...] = ()
    open: bool = False
    unversioned: bool = False


class Door:
    """Checks each request before its handler sees it."""

    def __init__(self, *, token: str, gateway: Gateway, buckets: Buckets, pace: Pace) -> None:
        self._authorization = f"Bot {token}".encode()
        self._gateway = gateway
        self._buckets = buckets
        self._pace = pace

    def add(self, app: web.Application, routes: list[Route]) -> None:
        for route in routes:
            guarded = self._guarded(route)
            for prefix in (API, UNVERSIONED) if route.unversioned else (API,):
                app.router.add_route(route.method, prefix + route.path, guarded)

    def _guarded(self, route: Route) -> Handler:
        bucket = bucket_name(f"{route.method} {route.path}")

        async def handle(request: web.Request) -> web.StreamResponse:
            request[BUCKET] = bucket
            if ban_s := self._buckets.banned_s():
                return banned(ban_s)
            response = await self._passed(route, bucket, request)
            shared = response.headers.get("X-RateLimit-Scope") == "shared"
            self._buckets.take_invalid(response.status, shared=shared)
            return response

        return handle

    async def _passed(self, route: Route, bucket: str, request: web.Request) -> web.StreamResponse:
        if not (route.open or self._may_enter(request)):
            return DiscordError(Known.UNAUTHORIZED).response()
        major = "/".join(request.match_info[name] for name in route.major)
        verdict = self._buckets.take(bucket, major, self._pace.rate(route.rate), bound_overall=not route.open)
        if verdict.everywhere:
            return too_many(verdict.wait_s, everywhere=True, scope="global")
        if verdict.allowed:
            response = await _answered(route.handler, request)
        else:
            response = too_many(verdict.wait_s, everywhere=False, scope="user")
        response.headers.update(verdict.headers(bucket))
        return response

    def _may_enter(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        return not self._gateway.token_reset and secrets.compare_digest(given, self._authorization)


async def _answered(handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except DiscordError as error:
        return error.response()
    except web.HTTPRequestEntityTooLarge:
        return DiscordError(Known.TOO_LARGE).response()


async def unknown(request: web.Request) -> web.StreamResponse:
    """Whatever no route takes: 405 where the path is known by another method, else 404."""
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        if methods - {"*"}:
            return DiscordError(Known.METHOD_NOT_ALLOWED).response()
    return DiscordError(Known.NOT_FOUND).response()


async def refused(handler: Handler, request: web.Request) -> web.StreamResponse:
    """A route that is no part of the API, such as the files': its refusals are worded alike."""
    return await _answered(handler, request)


def number(request: web.Request, name: str) -> int:
    """An id of the path.

    Raises:
        DiscordError: 50035, it is none.
    """
    text = request.match_info[name]
    found = parsed(text)
    if found is None:
        form = Form()
        form.fail(name, "NUMBER_TYPE_COERCE", f'Value "{text[:40]}" is not snowflake.')
        form.check()
        raise DiscordError(Known.INVALID_FORM)
    return found


def asked(request: web.Request, name: str, *, least: int, most: int, default: int) -> int:
    """A whole number of the query.

    Raises:
        DiscordError: 50035, it is none or out of bounds.
    """
    text = request.query.get(name)
    if text is None:
        return default
    form = Form()
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if value is None:
        form.fail(name, "NUMBER_TYPE_COERCE", f'Value "{text[:40]}" is not int.')
    else:
        value = form.whole({name: value}, name, least=least, most=most)
    form.check()
    return value if value is not None else default
