"""The door of the REST API: who may come in, how fast, and in what form every answer and refusal goes out.

The routes stand in the `routes_*` modules; each says its pace and the parameters that its bucket is counted by.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from bot.sandbox.discord.errors import DiscordError, Known, too_many
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.limits import Buckets, Rate, bucket_name
from bot.sandbox.discord.snowflakes import parsed
from bot.sandbox.wire import BUCKET

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

API = "/api/v10"


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `major` are the path's parameters that tell buckets apart; `open`: its token is in the path."""

    method: str
    path: str
    handler: Handler
    rate: Rate
    major: tuple[str, ...] = ()
    open: bool = False


class Door:
    """Checks each request before its handler sees it."""

    def __init__(self, *, token: str, buckets: Buckets) -> None:
        self._authorization = f"Bot {token}".encode()
        self._buckets = buckets

    def add(self, app: web.Application, routes: list[Route]) -> None:
        for route in routes:
            app.router.add_route(route.method, API + route.path, self._guarded(route))

    def _guarded(self, route: Route) -> Handler:
        bucket = bucket_name(f"{route.method} {route.path}")

        async def handle(request: web.Request) -> web.StreamResponse:
            request[BUCKET] = bucket
            if not (route.open or self._may_enter(request)):
                return DiscordError(Known.UNAUTHORIZED).response()
            major = "/".join(request.match_info[name] for name in route.major)
            verdict = self._buckets.take(bucket, major, route.rate, bound_overall=not route.open)
            if verdict.allowed:
                response = await _answered(route.handler, request)
            else:
                scope = "global" if verdict.everywhere else "user"
                response = too_many(verdict.wait_s, everywhere=verdict.everywhere, scope=scope)
            response.headers.update(verdict.headers(bucket))
            return response

        return handle

    def _may_enter(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        return secrets.compare_digest(given, self._authorization)


async def _answered(handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        return await handler(request)
    except DiscordError as error:
        return error.response()
    except web.HTTPRequestEntityTooLarge:
        return DiscordError(Known.TOO_LARGE).response()


async def unknown(request: web.Request) -> web.StreamResponse:
    """Whatever no route takes."""
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
    elif not least <= value <= most:
        form.fail(name, "NUMBER_TYPE_MAX", f"int value should be between {least} and {most}.")
    form.check()
    return value if value is not None else default
