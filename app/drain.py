"""The way out: how the service stops without one failed request.

A relay in front sends new connections elsewhere before SIGTERM arrives. What is left are connections that are already
open, and perhaps one that is just being opened. So: go on listening, answer everything with `Connection: close`, and
leave when no connection is open any more. A server that closes an idle keep-alive connection may cross with a request
that is on its way; so idle ones are first given a grace in which their next request gets the polite answer.
"""

import asyncio
from typing import Any

from aiohttp import web

POLL_S = 0.05
QUIET_S = 0.15
"""How long nothing may be open before we believe that nobody is about to come."""


class Traffic:
    """Which connections are being served, and whether the service has begun to leave."""

    __slots__ = ("busy", "draining")

    def __init__(self) -> None:
        self.busy: set[Any] = set()
        self.draining = False

    def in_flight(self) -> int:
        return len(self.busy)


class Drain:
    """One drain of one server: ends when no connection is open, when the limit is reached, or when hurried."""

    def __init__(self, server: web.Server, traffic: Traffic, *, limit_s: float, idle_grace_s: float) -> None:
        self._server = server
        self._traffic = traffic
        self._limit_s = limit_s
        self._idle_grace_s = idle_grace_s
        self._idle_since: dict[Any, float] = {}

    async def run(self, hurry: asyncio.Event) -> int:
        """Wait until everybody has left; returns how many connections are still open (0 after a clean drain)."""
        clock = asyncio.get_running_loop().time
        self._traffic.draining = True
        end, quiet_since = clock() + self._limit_s, clock()
        while not hurry.is_set() and (now := clock()) < end:
            if self._server.connections:
                quiet_since = now
                self._close_idle(now)
            elif now - quiet_since >= QUIET_S:
                break
            await _pause(hurry)
        return len(self._server.connections)

    def _close_idle(self, now: float) -> None:
        # Each answer during the drain closes its connection, so one that is not busy was idle since we first saw it.
        idle = [c for c in self._server.connections if c not in self._traffic.busy]
        self._idle_since = {c: self._idle_since.get(c, now) for c in idle}
        for connection, since in self._idle_since.items():
            if now - since >= self._idle_grace_s:
                connection.force_close()


async def _pause(hurry: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_S):
            await hurry.wait()
    except TimeoutError:
        return
