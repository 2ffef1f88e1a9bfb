"""The private listener: whether the process lives (/healthz), may be used (/readyz), and its figures (/metrics).

Loopback only. It answers from memory, so that asking it costs nothing; webhooks have a listener of their own.
"""

import logging
from collections.abc import Callable, Mapping

from aiohttp import web

from bot.errors import Unavailable
from bot.metrics import CONTENT_TYPE, Metrics

HOST = "127.0.0.1"
Checks = Callable[[], Mapping[str, bool]]

_log = logging.getLogger(__name__)


class HealthListener:
    """Serves on loopback; `port` is the real one once it is started (0 lets the kernel choose)."""

    def __init__(self, *, port: int, metrics: Metrics) -> None:
        self.port = port
        self.checks: Checks = lambda: {"opened": False}
        """What readiness depends on; until the house is open, it is not ready."""
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            Unavailable: the port is taken.
        """
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise Unavailable(
                "health", f"The port {self.port} on {HOST} is taken: free it, or set another health_port."
            ) from error
        self.port = int(self._runner.addresses[0][1])
        _log.info("health, readiness and metrics at http://%s:%d", HOST, self.port)

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = dict(self.checks())
        return web.json_response({"ready": all(checks.values()), **checks}, status=200 if all(checks.values()) else 503)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})
