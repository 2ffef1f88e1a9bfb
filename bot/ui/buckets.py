"""Discord's rate limits as the board must know them: read from every answer, obeyed before a card is drawn.

discord.py keeps these headers to itself, sleeps inside a request (with an outdated card in its hands) and repeats 5xx
answers on its own. Its public `http_trace` shows every answer; there the board's requests are ended after one attempt.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
USUAL = 5
"""Posts that a channel takes at once, where no answer has said otherwise yet (experience; in no documentation)."""
SAME_WINDOW_S = 0.5
ANSWER_S = 0.05
"""Where only an answer on its way can tell whether there is room."""


@dataclass(frozen=True, slots=True)
class _Window:
    """What the newest answer said of its bucket."""

    left: int
    reset_at: float
    limit: int


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
        self._windows: dict[tuple[str, int], _Window] = {}
        self._old_edits_at: dict[int, float] = {}

    def trace(self) -> aiohttp.TraceConfig:
        """The hook for `discord.Client(http_trace=...)`."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._saw)
        return config

    def wait_s(
        self, method: str, channel_id: int, *, spare: int = 0, under_way: int = 0, message_id: int | None = None
    ) -> float:
        """Seconds until the next such request may go out; 0 when it may now.

        `spare` requests of the bucket are left to those that are more urgent; `under_way` have no answer yet, so that
        the headers may not count them. With an old message's id its channel's slow lane counts, too.
        """
        now = time.monotonic()
        held_until = (
            self._free_at.get((method, channel_id), 0.0),
            self._free_at.get(EVERYTHING, 0.0),
            self._full_until(method, channel_id, now, spare, under_way),
            self._old_edits_at.get(channel_id, 0.0) if message_id is not None and self.is_old(message_id) else 0.0,
        )
        return max(0.0, *(until - now for until in held_until))

    def _full_until(self, method: str, channel_id: int, now: float, spare: int, under_way: int) -> float:
        window = self._windows.get((method, channel_id))
        if window is None:
            return 0.0
        if now < window.reset_at:
            return window.reset_at if window.left - under_way <= spare else 0.0
        return now + ANSWER_S if under_way and window.limit - under_way <= spare else 0.0

    def left(self, method: str, channel_id: int, *, under_way: int = 0) -> int:
        """How many such requests may go out now beside those under way."""
        window = self._windows.get((method, channel_id))
        if window is None:
            return max(0, USUAL - under_way)
        return max(0, (window.left if time.monotonic() < window.reset_at else window.limit) - under_way)

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
            self._note(params.method, int(found.group(1)), headers)
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

    def _note(self, method: str, channel_id: int, headers: Mapping[str, str]) -> None:
        remaining, reset_s = headers.get("X-RateLimit-Remaining", ""), _seconds(headers.get("X-RateLimit-Reset-After"))
        limit = headers.get("X-RateLimit-Limit", "")
        if remaining.isdigit() and reset_s is not None:
            left, reset_at = int(remaining), time.monotonic() + reset_s
            before = self._windows.get((method, channel_id))
            if before is not None and abs(before.reset_at - reset_at) < SAME_WINDOW_S:
                left = min(left, before.left)  # answers may overtake one another
            most = int(limit) if limit.isdigit() else max(USUAL, left)
            self._windows[method, channel_id] = _Window(left, reset_at, most)


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None
