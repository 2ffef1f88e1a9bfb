"""Discord's rate limits as the board must know them: read from every answer, obeyed before a card is drawn.

discord.py keeps these headers to itself, sleeps inside a request (with an outdated card in its hands) and repeats 5xx
answers on its own. Its public `http_trace` shows every answer; there the board's requests are ended after one attempt.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import aiohttp

from bot.ui.recovery import posted_at

_SINGLE: ContextVar[bool] = ContextVar("single_attempt", default=False)
_MESSAGES = re.compile(r"/channels/(\d+)/messages(?:/(\d+))?$")
OLD_AFTER = timedelta(hours=1)
"""Edits of older messages have a limit of their own in each channel (error 30046, topics/opcodes-and-status-codes)."""
DEFAULT_WAIT_S = 1.0
EVERYTHING = ("*", 0)
"""The key of a global limit."""


class NotTaken(Exception):
    """Discord did not take the request: 429 or 5xx. `retry_after_s` is what it asked for, if it did."""

    def __init__(self, status: int, retry_after_s: float | None) -> None:
        super().__init__(f"Discord answered {status}")
        self.status = status
        self.retry_after_s = retry_after_s


class Buckets:
    """When the next message may be posted or edited, a channel and method at a time."""

    def __init__(self, *, old_after: timedelta = OLD_AFTER) -> None:
        self._old_after = old_after
        self._free_at: dict[tuple[str, int], float] = {}
        self._left: dict[tuple[str, int], tuple[int, float]] = {}
        self._old_edits_at: dict[int, float] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """The hook for `discord.Client(http_trace=...)`."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._saw)
        return config

    def wait_s(self, method: str, channel_id: int, *, spare: int = 0, message_id: int | None = None) -> float:
        """Seconds until the next such request may go out; 0 when it may now.

        `spare` requests of the bucket are left to those that are more urgent. With an old message's id its channel's
        slow lane counts, too.
        """
        now = time.monotonic()
        left, reset_at = self._left.get((method, channel_id), (spare + 1, 0.0))
        held_until = (
            self._free_at.get((method, channel_id), 0.0),
            self._free_at.get(EVERYTHING, 0.0),
            reset_at if left <= spare else 0.0,
            self._old_edits_at.get(channel_id, 0.0) if message_id is not None and self.is_old(message_id) else 0.0,
        )
        return max(0.0, *(until - now for until in held_until))

    def is_old(self, message_id: int) -> bool:
        """Whether edits of the message go by the channel's slow lane."""
        return datetime.now(UTC) - posted_at(message_id) > self._old_after

    @contextmanager
    def single_attempt(self) -> Iterator[None]:
        """Within this, a 429 or 5xx ends the request with `NotTaken` instead of being slept on or repeated."""
        token = _SINGLE.set(True)
        try:
            yield
        finally:
            _SINGLE.reset(token)

    async def _saw(self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams) -> None:
        headers, status = params.response.headers, params.response.status
        found = _MESSAGES.search(params.url.path)
        if found is None and "/interactions/" in params.url.path:
            return  # they have limits of their own, and the global one does not bind them
        wait_s = _seconds(headers.get("Retry-After"))
        if found is not None:
            self._note(params.method, int(found.group(1)), headers.get("X-RateLimit-Remaining"),
                       _seconds(headers.get("X-RateLimit-Reset-After")))  # fmt: skip
        if status == 429:
            free_at = time.monotonic() + (wait_s or DEFAULT_WAIT_S)
            if "X-RateLimit-Global" in headers or (found is None and "Via" not in headers):  # or shut out altogether
                self._free_at[EVERYTHING] = free_at
            elif found is None:
                pass  # the limit of a route that no card needs
            elif found.group(2) and self.is_old(int(found.group(2))):  # must not hold back the edits of young messages
                self._old_edits_at[int(found.group(1))] = free_at
            else:
                self._free_at[params.method, int(found.group(1))] = free_at
        if _SINGLE.get() and (status == 429 or status >= 500):
            params.response.close()
            raise NotTaken(status, wait_s)

    def _note(self, method: str, channel_id: int, remaining: str | None, reset_s: float | None) -> None:
        if remaining is not None and remaining.isdigit() and reset_s is not None:
            self._left[method, channel_id] = (int(remaining), time.monotonic() + reset_s)


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
