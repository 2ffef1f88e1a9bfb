"""What surrounds every GitHub answer: pages with their Link header, ETags, the rate limit and the reading of bodies."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from aiohttp import web

from bot.sandbox.clock import Clock
from bot.sandbox.github.errors import GithubError, invalid, unprocessable

PER_PAGE = 30
PER_PAGE_MAX = 100
HOURLY_LIMIT = 5000
"""Requests an hour of a user's token: GitHub REST documentation, "Rate limits for the REST API", 2026."""
HOUR_S = 3600


class RateMeter:
    """The primary limit: counts requests in fixed hours of the world's clock. A 304 is free."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reset = 0
        self._used = 0

    def _roll(self) -> None:
        now = int(self._clock.now())
        if now >= self._reset:
            self._reset, self._used = now + HOUR_S, 0

    def count(self) -> None:
        """One request more."""
        self._roll()
        self._used += 1

    def exhausted(self) -> bool:
        """Whether the present hour has none left."""
        self._roll()
        return self._used >= HOURLY_LIMIT

    def figures(self) -> dict[str, Any]:
        """As `/rate_limit` shows them; `reset` is in Unix seconds."""
        self._roll()
        left = max(0, HOURLY_LIMIT - self._used)
        return {"limit": HOURLY_LIMIT, "used": self._used, "remaining": left, "reset": self._reset, "resource": "core"}

    def headers(self) -> dict[str, str]:
        """As every answer carries them."""
        return {f"X-RateLimit-{key.capitalize()}": str(value) for key, value in self.figures().items()}


def dump(data: Any) -> web.Response:
    """An ordinary answer."""
    return as_json(data, 200)


def as_json(data: Any, status: int) -> web.Response:
    """A JSON answer with another status."""
    return web.Response(status=status, text=json.dumps(data), content_type="application/json", charset="utf-8")


def with_etag(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Tag a GET's answer by its content; 304 without a body when the client already has it."""
    if request.method != "GET" or response.status != 200 or not isinstance(response, web.Response):
        return response
    body = response.body if isinstance(response.body, bytes) else b""
    link = response.headers.get("Link", "").encode()
    tag = f'W/"{hashlib.sha256(body + link).hexdigest()}"'
    known = [t.strip() for t in request.headers.get("If-None-Match", "").split(",")]
    if tag in known or tag.removeprefix("W/") in known:
        return web.Response(status=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, max-age=60, s-maxage=60"
    return response


def window(request: web.Request) -> tuple[int, int]:
    """(page, per_page) as asked, within GitHub's limits; nonsense falls back to the defaults, as there."""
    per_page = _number(request.query.get("per_page"), PER_PAGE)
    return _number(request.query.get("page"), 1), min(per_page, PER_PAGE_MAX)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and 0 < int(text) < 10**9 else default


def links(request: web.Request, base: str, *, page: int, per_page: int, total: int) -> str:
    """The Link header; empty when everything fits on one page."""
    last = max(1, -(-total // per_page))
    wanted = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    if page >= last:
        del wanted["next"], wanted["last"]
    if page <= 1:
        del wanted["prev"], wanted["first"]
    out = []
    for relation, number in wanted.items():
        query = {**request.query, "page": str(number)}
        url = str(request.rel_url.with_query(query))
        out.append(f'<{base}{url}>; rel="{relation}"')
    return ", ".join(out)


def paged(
    request: web.Request, base: str, items: Sequence[Any], *, key: str | None = None, total: int | None = None
) -> web.Response:
    """One page of `items`; under `key` with `total_count` where GitHub wraps its lists.

    With `total` the items are already the page that was asked for.
    """
    page, per_page = window(request)
    if total is None:
        total, items = len(items), items[(page - 1) * per_page : page * per_page]
    data: Any = list(items) if key is None else {"total_count": total, key: list(items)}
    response = dump(data)
    if link := links(request, base, page=page, per_page=per_page, total=total):
        response.headers["Link"] = link
    return response


async def read_object(
    request: web.Request, allowed: Mapping[str, tuple[type, ...]], required: Sequence[str] = ()
) -> dict[str, Any]:
    """The JSON object of the body; an empty body is an empty object.

    Raises:
        GithubError: no JSON (400), an unknown, missing or mistyped key (422), in GitHub's words.
    """
    body = await sent_json(request)
    if body is None:
        body = {}
    if not isinstance(body, dict):
        raise GithubError(400, "Body should be a JSON object")
    for key in body:
        if key not in allowed:
            unprocessable(f'Invalid request.\n\n"{key}" is not a permitted key.')
    for key in required:
        if key not in body:
            unprocessable(f'Invalid request.\n\n"{key}" wasn\'t supplied.')
    for key, value in body.items():
        _check_type(key, value, allowed[key])
    return body


async def sent_json(request: web.Request) -> object:
    """The body's JSON, in UTF-8 whatever charset it claims; an empty body is an empty object.

    Raises:
        GithubError: 400, it is no JSON.
    """
    data = await request.read()
    try:
        return json.loads(data.decode(), parse_constant=_no_constant) if data.strip() else {}
    except (ValueError, RecursionError) as error:
        raise GithubError(400, "Problems parsing JSON") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_type(key: str, value: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = {str: "a string", bool: "a boolean", dict: "an object", list: "an array"}
        kind = names.get(kinds[0], "valid")
        unprocessable(f"Invalid request.\n\nFor 'properties/{key}', {json.dumps(value)[:100]} is not {kind}.")


def positive(request: web.Request, name: str) -> int:
    """A numeric part of the path; anything else names nothing.

    Raises:
        GithubError: 404.
    """
    text = request.match_info[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise GithubError(404, "Not Found")
    return int(text)


def flag(request: web.Request, name: str) -> bool:
    """A query parameter that counts when it is there; GitHub takes `recursive=0` for yes, too."""
    return name in request.query


def choice(request: web.Request, name: str, allowed: Sequence[str], resource: str) -> str | None:
    """A query parameter out of a closed list; None when it is not given.

    Raises:
        GithubError: 422 for another value.
    """
    value = request.query.get(name)
    if value is not None and value not in allowed:
        invalid(resource, name)
    return value
