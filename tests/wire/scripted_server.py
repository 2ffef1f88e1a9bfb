"""A real HTTP server that answers as a test tells it to, for what a well-behaved fake never does."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedServer:
    """Answers every request with `answer`; counts them as (method, path)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.answer: Answer = self._not_told
        self.url = ""

    async def _not_told(self, request: web.Request) -> web.StreamResponse:
        raise AssertionError(f"nobody told what to answer to {request.method} {request.path}")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        return await self.answer(request)


@asynccontextmanager
async def scripted_server():
    server = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
