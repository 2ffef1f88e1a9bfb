"""Discord's pace: rate-limit buckets with their headers, and the deadlines.

The overall limit and the headers stand in Discord's documentation ("Rate Limits"); the limits of single routes do
not, so that they are settings here. Their defaults are what bots have reported for years.
"""

import hashlib
import math
import time
from dataclasses import dataclass

from bot.sandbox.discord.errors import DiscordError, Known

BUCKETS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What this Discord allows. Sources: Discord's documentation on rate limits and interactions; else experience."""

    overall: Rate = Rate(50, 1.0)
    """Of the whole bot; interaction endpoints are not bound by it."""
    ordinary: Rate = Rate(50, 1.0)
    posts: Rate = Rate(5, 5.0)
    edits: Rate = Rate(5, 5.0)
    deletes: Rate = Rate(5, 1.0)
    webhook: Rate = Rate(5, 2.0)
    """Of one interaction's token and route."""
    old_edits: Rate = Rate(30, 3600.0)
    """Edits of messages that are older than `old_after_s`, per channel."""
    old_after_s: float = 3600.0
    answer_s: float = 3.0
    """Until an interaction must have its first answer."""
    token_life_s: float = 900.0
    nonce_life_s: float = 180.0
    """How long a nonce with `enforce_nonce` is remembered: "the past few minutes"."""
    resume_s: float = 120.0
    """How long a session without a socket can be resumed."""


@dataclass(slots=True)
class Bucket:
    """One window of one bucket; `ends` is on the monotonic clock."""

    left: int
    ends: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, and what the headers say. `wait_s` is the time until the window ends."""

    allowed: bool
    everywhere: bool
    rate: Rate
    left: int
    wait_s: float

    def headers(self, bucket: str) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.rate.requests),
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset": f"{time.time() + self.wait_s:.3f}",
            "X-RateLimit-Reset-After": f"{self.wait_s:.3f}",
            "X-RateLimit-Bucket": bucket,
        }


def bucket_name(text: str) -> str:
    """The opaque name of a route's bucket, as it stands in the header."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Buckets:
    """Counts requests in fixed windows that begin with their first request, as Discord's do."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._most = BUCKETS_KEPT

    def take(self, name: str, major: str, rate: Rate, *, bound_overall: bool) -> Verdict:
        """Count one request; it is not counted when it may not pass."""
        now = time.monotonic()
        if bound_overall:
            overall = self._window(("", ""), self._limits.overall, now)
            if overall.left == 0:
                return Verdict(False, True, self._limits.overall, 0, overall.ends - now)
        bucket = self._window((name, major), rate, now)
        if bucket.left == 0:
            return Verdict(False, False, rate, 0, bucket.ends - now)
        bucket.left -= 1
        if bound_overall:
            overall.left -= 1
        return Verdict(True, False, rate, bucket.left, bucket.ends - now)

    def take_old_edit(self, channel: int) -> None:
        """Count an edit of an old message.

        Raises:
            DiscordError: 30046, when there were too many in that channel.
        """
        verdict = self.take("old edits", str(channel), self._limits.old_edits, bound_overall=False)
        if not verdict.allowed:
            raise DiscordError(Known.TOO_MANY_OLD_EDITS, wait_s=math.ceil(verdict.wait_s * 1000) / 1000)

    def _window(self, key: tuple[str, str], rate: Rate, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None or bucket.ends <= now:
            if len(self._buckets) >= self._most:
                self._buckets = {k: b for k, b in self._buckets.items() if b.ends > now}
                self._most = max(BUCKETS_KEPT, 2 * len(self._buckets))
            bucket = self._buckets[key] = Bucket(rate.requests, now + rate.per_s)
        return bucket
