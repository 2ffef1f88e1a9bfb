"""The guarded address of one monitoring server: what the bot, the page and a visitor's browser are told.

It refuses a foreign Host or Origin, does what the faults say, writes the ledger and passes everything else on with the
certificate that the server asks for. While the server is stopped nobody listens here either, so that a client meets
what it would meet: a refused connection.
"""

import ssl

import aiohttp
from aiohttp import web

from bot.sandbox.faults import Fault, Faults
from bot.sandbox.host.relay import HOP_BY_HOP
from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Guard, cut, fault_middleware, guard_middleware, ledger_middleware

REQUEST_MAX = 16 * 1024 * 1024
LONGEST_S = 300.0
BROWSER = "Mozilla/"


class Front:
    """Listens on one loopback port for the part `name`, from its first opening on always the same one."""

    def __init__(self, *, name: str, ledger: Ledger, faults: Faults, guard: Guard) -> None:
        self._name = name
        self._ledger = ledger
        self._faults = faults
        self._guard = guard
        self._target = ""
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, port: int) -> None:
        """Listen on the port, or on another one when somebody has it; every request waits for `lead_to`."""
        own = Guard()
        app = web.Application(
            middlewares=[
                ledger_middleware(self._name, self._ledger, _caller),
                guard_middleware(own),
                fault_middleware(self._name, self._faults, _fault_answer),
            ],
            client_max_size=REQUEST_MAX,
        )
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        self.port = port
        try:
            await self.open()
        except OSError:
            self.port = 0
            await self.open()
        # Alertmanager's own page may send to itself, as the world's page may.
        own.origins = self._guard.origins | {self.url, f"http://localhost:{self.port}"}

    async def open(self) -> None:
        """Take connections; does nothing where they are taken."""
        if self._site is not None or self._runner is None:
            return
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self._site, self.port = site, int(self._runner.addresses[-1][1])

    async def shut(self) -> None:
        """Refuse connections until it is opened again; the port stays its own."""
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
        if self._runner is not None and self._runner.server is not None:
            for connection in list(self._runner.server.connections):
                connection.force_close()

    async def lead_to(self, target: str, tls: ssl.SSLContext) -> None:
        """Pass on to the server there, which asks for our certificate."""
        self._target = target
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls, limit=0),
                timeout=aiohttp.ClientTimeout(total=LONGEST_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )

    async def close(self) -> None:
        await self.shut()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if self._session is None:
            return web.Response(status=503, text=f"{self._name} is still starting.\n")
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP | {"host", "origin"}}
        try:
            async with self._session.request(
                request.method,
                f"{self._target}{request.raw_path}",
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP | {"content-length"}}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError):
            cut(request)
            raise ConnectionResetError from None


def _caller(request: web.Request) -> str:
    return "demo" if BROWSER in request.headers.get("User-Agent", "") else "bot"


def _fault_answer(fault: Fault) -> web.Response:
    """What stands in front of such a server in the field says it in HTML."""
    status = 429 if fault.kind == "rate_limit" else fault.status or 500
    text = f"<html><head><title>{status}</title></head><body>the sandbox was told to say this</body></html>"
    return web.Response(status=status, text=text, content_type="text/html")
