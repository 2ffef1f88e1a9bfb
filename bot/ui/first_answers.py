"""The first answer to every interaction: how long it took, and that it goes before work.

Discord waits 3 s for the first answer and 15 min for the rest. Whoever has work to do that may keep the process busy
waits here until no interaction is left without its first answer, and no more of them come in: they come in bursts.
"""

import asyncio
import re
import time
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord

from bot.metrics import Metrics

KEPT = 1000
"""Interactions whose first answer is awaited; the oldest are forgotten (somebody else may have answered them)."""
QUIET_S = 0.05
LONGEST_WAIT_S = 2.0
_FIRST = re.compile(r"/interactions/(\d+)/[^/]+/callback$")


class FirstAnswers:
    """Sees interactions arrive and, through the client's HTTP trace, their first answers go out."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: dict[int, tuple[float, str]] = {}
        self._last_arrival = 0.0
        self.rest: tuple[float, float] | None = None
        """The newest answer of Discord's REST API: when (by `time.monotonic`), and the seconds it took."""

    def arrived(self, interaction: discord.Interaction[Any]) -> None:
        """Note an interaction that has just come in."""
        command = interaction.command
        name = command.qualified_name if command is not None else interaction.type.name
        self._last_arrival = time.perf_counter()
        self._waiting[interaction.id] = (self._last_arrival, name)
        if len(self._waiting) > KEPT:
            self._waiting.pop(next(iter(self._waiting)))

    async def all_given(self) -> None:
        """Wait until no interaction waits for its first answer and none came in lately, two seconds at most."""
        deadline = time.perf_counter() + LONGEST_WAIT_S
        while (now := time.perf_counter()) < deadline:
            quiet_s = now - self._last_arrival
            if quiet_s >= QUIET_S and not self._waiting:
                return
            await asyncio.sleep(max(0.01, QUIET_S - quiet_s))

    def watch(self, trace: aiohttp.TraceConfig) -> None:
        """Have the client's trace tell of answers."""
        trace.on_request_start.append(self._sent)
        trace.on_request_end.append(self._answered)
        trace.on_request_exception.append(self._failed)

    async def _sent(
        self, _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestStartParams
    ) -> None:
        context.sent_at = time.perf_counter()

    async def _answered(
        self, _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        self.rest = (time.monotonic(), time.perf_counter() - context.sent_at)
        self._given(params.url.path)

    async def _failed(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
    ) -> None:
        self._given(params.url.path)

    def _given(self, path: str) -> None:
        found = _FIRST.search(path)
        if found is None:
            return
        arrived = self._waiting.pop(int(found.group(1)), None)
        if arrived is not None:
            self._metrics.interaction_seconds.labels(arrived[1]).observe(time.perf_counter() - arrived[0])
