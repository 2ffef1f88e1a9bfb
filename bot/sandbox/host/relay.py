"""The front door of one service in the stand-in: what nginx is on a real host.

It forwards each request to the container that the upstream file names, one connection a request as nginx does by
default, so that a switch moves every client at its next request and leaves those under way where they are. It guards
every request, also the later ones on a kept connection. It is no load balancer and never repeats a request of which
the upstream may have seen a byte.
"""

import asyncio
import re
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from bot.sandbox.wire import Guard, guard_middleware

SERVER_LINE = re.compile(r"^\s*server 127\.0\.0\.1:(\d{1,5});", re.MULTILINE)
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
NOT_OURS_TO_ADD = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
WHOLE_BODY_MAX = 1024 * 1024
REQUEST_MAX = 16 * 1024 * 1024
KEEP_ALIVE_S = 3600.0
"""Longer than any client keeps an idle connection: a server that closes first would race with the next request."""


class Relay:
    """Listens on one loopback port and forwards to the port in `upstream_file`; 503 while the file names none."""

    def __init__(self, *, name: str, upstream_file: Path, guard: Guard, settle_s: float = 2.0) -> None:
        self.name = name
        self._upstream_file = upstream_file
        self._guard = guard
        self._settle_s = settle_s
        self._target: int | None = None
        self._under_way: Counter[int] = Counter()
        self._idle = asyncio.Condition()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, *, port: int = 0) -> int:
        """Listen, on `port` if it is free; returns the port."""
        self._target = self._read_upstream()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(total=120, sock_connect=5),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        app = web.Application(
            middlewares=[guard_middleware(self._guard)],
            client_max_size=REQUEST_MAX,
        )
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=KEEP_ALIVE_S)
        await self._runner.setup()
        await self._bind(port)
        return self.port

    async def _bind(self, port: int) -> None:
        assert self._runner is not None
        try:
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
        except OSError:
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[-1][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    @property
    def target(self) -> int | None:
        """The container's port that new requests go to."""
        return self._target

    async def reload(self) -> None:
        """Read the upstream file again; returns once the requests to the old one are answered, or after a moment."""
        before, self._target = self._target, self._read_upstream()
        if before is None or before == self._target:
            return
        async with self._idle:
            try:
                async with asyncio.timeout(self._settle_s):
                    await self._idle.wait_for(lambda: self._under_way[before] == 0)
            except TimeoutError:
                return

    def _read_upstream(self) -> int | None:
        try:
            found = SERVER_LINE.search(self._upstream_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return int(found.group(1)) if found else None

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        tried: set[int] = set()
        while (target := self._target) is not None and target not in tried:
            tried.add(target)
            self._under_way[target] += 1
            try:
                return await self._ask(request, target)
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                return web.Response(status=502, text=f"{self.name} broke off: {type(error).__name__}.\n")
            finally:
                await self._answered(target)
        if tried:
            return web.Response(status=502, text=f"{self.name} does not answer.\n")
        return web.Response(status=503, text=f"No version of {self.name} is running.\n")

    async def _answered(self, target: int) -> None:
        self._under_way[target] -= 1
        if self._under_way[target] == 0:
            del self._under_way[target]
            async with self._idle:
                self._idle.notify_all()

    async def _ask(self, request: web.Request, target: int) -> web.StreamResponse:
        assert self._session is not None
        async with self._session.request(
            request.method,
            f"http://127.0.0.1:{target}{request.raw_path}",
            headers=_forwarded(request.headers),
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
            skip_auto_headers=NOT_OURS_TO_ADD,
        ) as answer:
            headers = _forwarded(answer.headers)
            if request.method == hdrs.METH_HEAD or (answer.content_length or WHOLE_BODY_MAX) < WHOLE_BODY_MAX:
                body = await answer.read()
                return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=body)
            response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


def _forwarded(headers: "CIMultiDict[str] | CIMultiDictProxy[str]") -> CIMultiDict[str]:
    """The headers without those that concern one connection only, and those that `Connection` names."""
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP | named)
