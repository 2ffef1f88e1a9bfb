"""What every listening port of the world does before its own work: guard, faults, and the entry in the ledger.

A web page in another tab can send requests to loopback. So each port refuses a foreign `Host` (DNS rebinding) and
any `Origin` but the page's own, before a byte of the body is read.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.sandbox.faults import Fault, Faults
from bot.sandbox.ledger import Exchange, Ledger

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Caller = Literal["bot", "host", "demo"]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
WIRE_FAULTS = ("status", "latency", "refuse", "rate_limit", "lost_reply", "kill")

ACTION = web.RequestKey("action", str)
"""Set by a handler to name what the request asked for, such as `ssm:SendCommand`."""
BUCKET = web.RequestKey("bucket", str)
"""Set by a handler to name the rate-limit bucket that counted the request."""
CARRIED_OUT = web.RequestKey("carried_out", int)
"""Set where a fault hides the part's own answer: its status. What a fault kept from the part has none."""
FAULT = web.RequestKey("fault", str)
"""Set where a fault met the request: its kind."""


class Guard:
    """Decides by Host and Origin whether a request may be looked at; `origins` are the page's own."""

    def __init__(self, *, origins: frozenset[str] = frozenset()) -> None:
        self.origins = origins

    def refusal(self, *, host: str, origin: str | None, port: int) -> str | None:
        """Why this request is refused, in a sentence; None when it may pass."""
        if host not in {f"{name}:{port}" for name in LOOPBACK}:
            return f"The Host header {host[:100]!r} is not this world's own address."
        if origin is not None and origin not in self.origins:
            return f"Requests from the origin {origin[:100]!r} are refused: only the world's own page may send them."
        return None


def port_of(request: web.Request) -> int:
    """The local port on which the request came in."""
    transport = request.transport
    return int(transport.get_extra_info("sockname")[1]) if transport is not None else 0


def guard_middleware(guard: Guard) -> Middleware:
    """Refuse foreign requests with 403, before the body is read."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = guard.refusal(
            host=request.headers.get("Host", ""), origin=request.headers.get("Origin"), port=port_of(request)
        )
        if reason is not None:
            return web.json_response({"error": reason, "message": reason}, status=403)
        return await handler(request)

    return check


def cut(request: web.Request) -> None:
    """Reset the connection: the client sees it broken, not closed."""
    if request.transport is not None:
        request.transport.abort()


def fault_middleware(part: str, faults: Faults, answer: Callable[[Fault], web.StreamResponse]) -> Middleware:
    """Do what the part's faults say; `answer` gives the part's own error body for `status` and `rate_limit`."""

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = f"{request.method} {request.path}"
        fault = faults.hit(part, name, f"{request.method} {request.path_qs}", kinds=WIRE_FAULTS)
        if fault is None:
            return await handler(request)
        request[CARRIED_OUT], request[FAULT] = 0, fault.kind
        if fault.kind == "refuse":
            cut(request)
            raise ConnectionResetError
        if fault.kind == "latency":
            await asyncio.sleep(fault.seconds or 1.0)
        elif fault.kind in ("lost_reply", "kill"):
            await request.read()
        if carries_out(fault):
            response = await handler(request)
            request[CARRIED_OUT] = response.status
            if fault.kind == "latency":
                return response
        if fault.kind == "kill":
            await faults.kill_bot()
        if fault.status is None and fault.kind in ("lost_reply", "kill"):
            cut(request)
            raise ConnectionResetError
        return answer(fault)

    return misbehave


def carries_out(fault: Fault) -> bool:
    """Whether the part does what it is asked, whatever the caller is told."""
    return fault.kind in ("latency", "lost_reply") or (fault.kind == "kill" and fault.when == "after")


def ledger_middleware(part: str, ledger: Ledger, caller: Callable[[web.Request], str]) -> Middleware:
    """Write every exchange down, also the refused and the cut ones (status 0); `carried_out` is the part's own word."""

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        started, status = time.perf_counter(), 0
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # the part's own breakdown: its server answers it with a 500
            status = 500
            raise
        finally:
            ledger.record(
                Exchange(
                    n=0,
                    part=part,
                    at=time.time(),
                    method=request.method,
                    path=request.path_qs,
                    action=request.get(ACTION, ""),
                    status=status,
                    ms=round((time.perf_counter() - started) * 1000, 2),
                    bucket=request.get(BUCKET, ""),
                    carried_out=request.get(CARRIED_OUT, status),
                    fault=request.get(FAULT, ""),
                    caller=caller(request),
                )
            )

    return record


async def listen(app: web.Application, *, port: int = 0) -> tuple[web.AppRunner, int]:
    """Serve on loopback; port 0 lets the kernel choose. Returns the runner and the port.

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    return runner, int(bound)


class Rejected(Exception):
    """A lever or an act that the world refuses: 400 on the control API, with this sentence."""

    status = 400


class Missing(Rejected):
    """What was named does not exist, or is not visible to that member: 404 on the control API."""

    status = 404
