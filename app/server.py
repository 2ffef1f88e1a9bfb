"""The service itself: four routes behind one middleware that counts, logs and, on the way out, closes connections."""

import hmac
import json
import logging
import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app import __version__, metrics
from app.drain import Traffic
from app.logs import log
from app.metrics import Metrics
from app.page import Page
from app.settings import Settings

JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}
QUIET_ROUTES = frozenset({"/health", "/readyz", "/metrics"})
"""Asked every few seconds by machines: logged at debug level only."""
UNMATCHED = "unmatched"
PATH_LOGGED_MAX = 200


class Service:
    """The handlers, and what they answer from."""

    def __init__(self, settings: Settings, traffic: Traffic) -> None:
        self._started = time.monotonic()
        self._traffic = traffic
        self._page = Page(settings, version=__version__)
        self._token = settings.metrics_token
        self.metrics = Metrics(
            version=__version__,
            commit=settings.commit,
            built_from=settings.built_from,
            in_flight=traffic.in_flight,
        )
        build = {"version": __version__, "commit": settings.commit, "built_from": settings.built_from}
        # Only the uptime changes from one answer to the next, so the rest is serialised once.
        self._health = json.dumps({"status": "ok", **build})[:-1].encode() + b', "uptime_s": %.1f}'

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page.render(), headers=self._page.headers)

    async def health(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._health % (time.monotonic() - self._started), headers=JSON)

    async def ready(self, _request: web.Request) -> web.Response:
        if self._traffic.draining:
            return web.Response(body=b'{"ready": false, "reason": "draining"}', status=503, headers=JSON)
        return web.Response(body=b'{"ready": true}', headers=JSON)

    async def exposition(self, request: web.Request) -> web.Response:
        sent = request.headers.get("Authorization", "").encode()
        if self._token and not hmac.compare_digest(sent, f"Bearer {self._token}".encode()):
            return web.Response(text="A bearer token is needed.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
        return web.Response(body=self.metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})


def build(settings: Settings, traffic: Traffic) -> web.Application:
    """The application, ready to be served; `traffic` is shared with whoever drains it."""
    service = Service(settings, traffic)
    application = web.Application(middlewares=[_observe(traffic, service.metrics)], client_max_size=64 * 1024)
    application.router.add_get("/", service.page)
    application.router.add_get("/health", service.health)
    application.router.add_get("/readyz", service.ready)
    application.router.add_get("/metrics", service.exposition)
    return application


def _observe(traffic: Traffic, counts: Metrics) -> Middleware:
    """Every request passes here once: known as busy, counted, logged; its connection closes during a drain."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started, connection, status = time.perf_counter(), request.protocol, 500
        traffic.busy.add(connection)
        try:
            response = await handler(request)
            status = response.status
            if traffic.draining:
                response.force_close()
            return response
        except web.HTTPException as refusal:
            status = refusal.status
            if traffic.draining:
                refusal.force_close()
            raise
        finally:
            traffic.busy.discard(connection)
            seconds = time.perf_counter() - started
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else UNMATCHED
            counts.observe(method=request.method, route=route, status=status, seconds=seconds)
            level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
            if log.isEnabledFor(level):
                log.log(level, "request", extra={"data": _access(request, status, seconds)})

    return observe


def _access(request: web.Request, status: int, seconds: float) -> dict[str, object]:
    # The query is left out on purpose: people put tokens there.
    return {
        "method": request.method,
        "path": request.rel_url.raw_path[:PATH_LOGGED_MAX],
        "status": status,
        "ms": round(seconds * 1000, 2),
        "remote": request.remote,
    }
