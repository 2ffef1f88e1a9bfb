"""The listener for Alertmanager's webhooks: private, of its own, and nothing but an inbox.

A payload is answered 200 when it is committed and not before; what it means is found out later, by others. Every other
answer is chosen by what Alertmanager does with it (measured with 0.25.0): a 5xx is tried again within a second, any 4xx
once a group_interval, and a redirect would be followed without its body and counted as delivered.
"""

import asyncio
import base64
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import SecretStr

from bot.alert_settings import AlertSettings
from bot.alerts.model import Payload
from bot.alerts.payload import Malformed, parse
from bot.errors import Unavailable
from bot.metrics import Metrics

PATH = "/webhooks/alertmanager"
BODY_MAX_BYTES = 16 * 2**20
"""A thousand alerts of one group are about 1 MB (measured with 0.25.0); ten thousand must get through as well."""
LARGE_BYTES = 256 * 2**10
"""Bodies from this size on are read by a thread, one at a time, so that they hold nobody up."""
BODIES_MAX = 256
HELD_MAX_BYTES = 4 * BODY_MAX_BYTES
"""So many bodies, and so much of them, may wait for their answers at once; further senders are asked to come again."""
HEADERS_WITHIN_S = 10.0
BODY_WITHIN_S = 30.0
UNHEARD_MAX = 256
"""So many connections may have said nothing yet; a further one takes the place of the oldest of them."""
IDLE_S = 90.0
LINGER_S = 2.0
"""So long a refused sender may go on sending, so that it can still read why."""
BACKLOG = 1024
TELL_AGAIN_S = 60.0

_log = logging.getLogger(__name__)
_silent = logging.Logger(f"{__name__}.wire", logging.CRITICAL + 1)
"""For what aiohttp would say of bytes that are no HTTP, a traceback each; nothing of ours is told there."""


class Outcome(StrEnum):
    """What became of a request: the label of `quarterdeck_alert_webhooks_total`."""

    TAKEN = "taken"
    FOREIGN = "foreign network"
    NOT_FOUND = "not found"
    WRONG_METHOD = "wrong method"
    UNAUTHORISED = "unauthorised"
    COMPRESSED = "compressed"
    TOO_LARGE = "too large"
    CROWDED = "crowded"
    SLOW_HEADERS = "slow headers"
    SLOW_BODY = "slow body"
    CUT = "cut"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"
    BROKEN = "broken"


class Inbox(Protocol):
    """Where payloads go."""

    async def take(self, body: bytes, payload: Payload, *, source: str, received_at: datetime) -> int:
        """Store it for good; it is committed when this returns.

        Raises:
            Unavailable: it could not be stored.
        """


class _Turned(Exception):
    """A request that is answered with something else than 200."""

    def __init__(self, outcome: Outcome, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.outcome = outcome
        self.status = status
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class AlertListener:
    """Serves `POST /webhooks/alertmanager`; `port` is the real one once it is started (0 lets the kernel choose)."""

    def __init__(
        self,
        settings: AlertSettings,
        token: SecretStr,
        inbox: Inbox,
        *,
        taken: Callable[[], None] = lambda: None,
        metrics: Metrics,
        headers_within_s: float = HEADERS_WITHIN_S,
        body_within_s: float = BODY_WITHIN_S,
    ) -> None:
        self.port = settings.listen_port
        self._host = settings.listen_host
        self._doorkeeper = _Doorkeeper(settings, token)
        self._inbox = inbox
        self._taken = taken
        self._metrics = metrics
        self._bodies = _Bodies(body_within_s)
        self._one_large = asyncio.Lock()
        self._unheard = _Unheard(headers_within_s, self._count)
        self._tell_at = 0.0
        self._web: web.Server | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            Unavailable: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        # The bare server, without application and router: one path, and every refusal is ours to word and to count.
        self._web = web.Server(
            self._answer, access_log=None, logger=_silent, auto_decompress=False, keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
        )  # fmt: skip
        made = self._web

        def connected() -> web.RequestHandler:
            return self._unheard.watch(made())

        try:
            self._server = await loop.create_server(connected, self._host, self.port, backlog=BACKLOG)
        except OSError as error:
            raise Unavailable(
                "alerts",
                f"{self._host}:{self.port} cannot be listened at for alerts ({error.strerror or error}): "
                "free it, or set another alerts.listen_port.",
            ) from error
        self.port = int(self._server.sockets[0].getsockname()[1])
        _log.info("alerts are taken at http://%s:%d%s", self._host, self.port, PATH)

    async def close(self) -> None:
        """Take no more, and let what is being stored get its answer."""
        if self._server is not None:
            self._server.close()
        self._unheard.close()
        if self._web is not None:
            await self._web.shutdown(timeout=LINGER_S)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The border of this room: whatever happens, the sender gets an answer that makes it do the right thing."""
        began = time.perf_counter()
        self._unheard.heard(request.protocol)
        try:
            await self._take(request)
            outcome, response = Outcome.TAKEN, web.Response(status=200)
        except _Turned as turned:
            outcome = turned.outcome
            response = web.Response(status=turned.status, text=turned.sentence + "\n", headers=turned.headers)
            response.force_close()
            self._tell(request, turned)
        except Unavailable as error:
            outcome, response = Outcome.UNAVAILABLE, web.Response(status=503, text=f"{error}\n")
            _log.error("an alert payload could not be stored, its sender was asked to try again: %s", error)
        except Exception:
            # What this is nobody knows, but the alert is still the sender's: it must come again.
            outcome, response = Outcome.BROKEN, web.Response(status=503, text="Something broke here. Try again.\n")
            self._metrics.broken.inc()
            _log.exception("an alert payload could not be handled")
        self._count(outcome)
        self._metrics.alert_webhook_seconds.observe(time.perf_counter() - began)
        return response

    async def _take(self, request: web.BaseRequest) -> None:
        self._doorkeeper.admit(request)
        received_at = datetime.now(UTC)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with self._bodies.held(request) as body:
            self._metrics.alert_webhook_bytes.observe(len(body))
            try:
                payload = await self._read(body)
            except Malformed as error:
                self._metrics.alert_webhooks_malformed.labels(error.reason).inc()
                raise _Turned(Outcome.MALFORMED, 400, str(error)) from None
            await self._inbox.take(body, payload, source=request.remote or "", received_at=received_at)
        self._taken()

    async def _read(self, body: bytes) -> Payload:
        if len(body) < LARGE_BYTES:
            return parse(body)
        async with self._one_large:
            return await asyncio.to_thread(parse, body)

    def _count(self, outcome: Outcome) -> None:
        self._metrics.alert_webhooks.labels(outcome).inc()

    def _tell(self, request: web.BaseRequest, turned: _Turned) -> None:
        """Say in the log that somebody was turned away, at most once a minute: a flood of them must not fill a disk."""
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + TELL_AGAIN_S
            _log.warning("a request for %s from %s was turned away: %s", PATH, request.remote, turned.sentence)


class _Doorkeeper:
    """Who may hand something in, and what a request must look like before a byte of its body is read."""

    def __init__(self, settings: AlertSettings, token: SecretStr) -> None:
        secret = token.get_secret_value().encode()
        if not secret:
            raise ValueError("a listener without a token would take payloads from everybody")
        self._sources = settings.sources
        self._secrets = {"bearer": secret, "basic": base64.b64encode(settings.basic_user.encode() + b":" + secret)}

    def admit(self, request: web.BaseRequest) -> None:
        """Return if the body may be read.

        Raises:
            _Turned: it may not.
        """
        if not self._from_ours(request.remote):
            raise _Turned(Outcome.FOREIGN, 403, "Alerts are not taken from this network.")
        if request.path != PATH:
            # A request that is no HTTP comes as one for an unknown path.
            raise _Turned(Outcome.NOT_FOUND, 404, f"There is only {PATH} here.")
        if request.method != "POST":
            raise _Turned(Outcome.WRONG_METHOD, 405, "Payloads are handed in by POST.", Allow="POST")
        if not self._knows(request.headers.get("Authorization", "")):
            raise _Turned(
                Outcome.UNAUTHORISED, 401, "A bearer token or basic authentication is needed, and this was neither.",
                WWW_Authenticate='Bearer realm="alerts"',
            )  # fmt: skip
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _Turned(Outcome.COMPRESSED, 415, "Compressed bodies are not taken: Alertmanager sends them plain.")
        if (request.content_length or 0) > BODY_MAX_BYTES:
            raise _too_large()

    def _from_ours(self, remote: str | None) -> bool:
        if not self._sources:
            return True
        try:
            address = ip_address(remote or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._sources)

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        # An unknown scheme is compared as well, so that no wrong answer is quicker than another one.
        wanted = self._secrets.get(scheme.lower(), b"")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), wanted)
        return same and bool(wanted)


class _Bodies:
    """The bodies that have no answer yet: each arrives within a time, all together keep within a number and a size."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._number = 0
        self._bytes = 0

    @asynccontextmanager
    async def held(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """All of it. Its room is given back when this is left: what waits for its commit takes memory as well.

        Raises:
            _Turned: too large, too slow, cut off, or too much at once.
        """
        if self._number >= BODIES_MAX:
            raise _crowded()
        self._number += 1
        chunks: list[bytes] = []
        try:
            await self._read(request, chunks)
            chunks[:] = [b"".join(chunks)]
            yield chunks[0]
        finally:
            self._number -= 1
            self._bytes -= sum(map(len, chunks))

    async def _read(self, request: web.BaseRequest, chunks: list[bytes]) -> None:
        """Read all of it into `chunks`, which are counted as they come."""
        size = 0
        try:
            async with asyncio.timeout(self._within_s):
                async for chunk in request.content.iter_any():
                    chunks.append(chunk)
                    size += len(chunk)
                    self._bytes += len(chunk)
                    if size > BODY_MAX_BYTES:
                        raise _too_large()
                    if self._bytes > HELD_MAX_BYTES:
                        raise _crowded()
        except TimeoutError:
            raise _Turned(
                Outcome.SLOW_BODY, 503, f"The body did not arrive within {self._within_s:g} s. Send it again."
            ) from None
        except (ConnectionError, web.RequestPayloadError, HttpProcessingError) as error:
            raise _Turned(Outcome.CUT, 400, f"The body did not arrive whole: {error}.") from None


class _Unheard:
    """The connections whose first request has not arrived. One that takes too long over it is closed."""

    def __init__(self, within_s: float, count: Callable[[Outcome], None]) -> None:
        self._within_s = within_s
        self._count = count
        self._timers: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def watch(self, connection: web.RequestHandler) -> web.RequestHandler:
        if len(self._timers) >= UNHEARD_MAX:
            self._give_up(next(iter(self._timers)))
        loop = asyncio.get_running_loop()
        self._timers[connection] = loop.call_later(self._within_s, self._give_up, connection)
        return connection

    def heard(self, connection: web.RequestHandler) -> None:
        if timer := self._timers.pop(connection, None):
            timer.cancel()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _give_up(self, connection: web.RequestHandler) -> None:
        self.heard(connection)
        if connection.transport is not None:  # the client has not left by itself
            self._count(Outcome.SLOW_HEADERS)
            connection.force_close()


def _too_large() -> _Turned:
    return _Turned(Outcome.TOO_LARGE, 413, f"A payload may hold {BODY_MAX_BYTES // 2**20} MiB; this one is larger.")


def _crowded() -> _Turned:
    return _Turned(Outcome.CROWDED, 503, "Too many payloads are on their way in at once. Send it again.")
