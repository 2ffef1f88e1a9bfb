"""Discord's pace: rate-limit buckets with their headers, and the deadlines.

The overall limit, the headers, the limits of the gateway and the one on invalid requests stand in Discord's
documentation ("Rate Limits", "Gateway"); the limits of single routes do not, so that they are settings here, and on.
Their defaults are what bots have reported for years, those of webhooks what a reply to an issue of the documentation
says (discord-api-docs #367).
"""

import hashlib
import math
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.wire import Rejected

Json = dict[str, Any]

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
    reactions: Rate = Rate(1, 0.25)
    renames: Rate = Rate(2, 600.0)
    """Of one thread or channel."""
    webhook: Rate = Rate(5, 2.0)
    """Of one interaction's token and route, and of one incoming webhook."""
    webhook_channel: Rate = Rate(30, 60.0)
    """Posts of all webhooks of a channel together; and apart from them, as many follow-ups of all interactions: they
    "share the rate limit properties of webhooks"."""
    old_edits: Rate = Rate(30, 3600.0)
    """Edits of messages that are older than `old_after_s`, per channel."""
    invalid: Rate = Rate(10_000, 600.0)
    """Requests answered by 401, 403 or 429 until the network in front bans the address."""
    identifies: Rate = Rate(1000, 86_400.0)
    """Session starts; beyond them every session ends and the token is reset."""
    identify_pace: Rate = Rate(1, 5.0)
    """Session starts in five seconds (`max_concurrency`)."""
    sends: Rate = Rate(120, 60.0)
    """Payloads of one gateway connection."""
    old_after_s: float = 3600.0
    answer_s: float = 3.0
    """Until an interaction must have its first answer."""
    token_life_s: float = 900.0
    nonce_life_s: float = 180.0
    """How long a nonce with `enforce_nonce` is remembered: "the past few minutes"."""
    resume_s: float = 120.0
    """How long a session without a socket can be resumed."""


class _RateBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    requests: int = Field(ge=1, le=1_000_000)
    per_s: float = Field(gt=0, le=86_400)


SECONDS: TypeAdapter[float] = TypeAdapter(Annotated[float, Field(strict=True, ge=0, le=86_400)])


class Pace:
    """The limits in force: `PUT /discord/limits` of the control API changes them while the world runs."""

    def __init__(self, first: Limits) -> None:
        self._first = first
        self.now = first

    def rate(self, name: str) -> Rate:
        rate: Rate = getattr(self.now, name)
        return rate

    def change(self, body: Json) -> Json:
        """Set some limits (`{requests, per_s}`, or seconds) and give all; `reset` begins with the first ones.

        Raises:
            Rejected: a name or a value makes no sense; nothing is changed then.
        """
        reset = body.get("reset", False)
        if not isinstance(reset, bool):
            raise Rejected("reset must be true or false.")
        base = self._first if reset else self.now
        known = {field.name: getattr(base, field.name) for field in fields(base)}
        wanted: Json = {}
        for name, value in body.items():
            if name == "reset":
                continue
            if name not in known:
                raise Rejected(f"There is no limit {name[:100]!r}; there are: {', '.join(known)}.")
            wanted[name] = _limit(name, value, is_rate=isinstance(known[name], Rate))
        self.now = replace(base, **wanted)
        return asdict(self.now)


def _limit(name: str, value: object, *, is_rate: bool) -> Rate | float:
    try:
        if not is_rate:
            return SECONDS.validate_python(value)
        body = _RateBody.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join((name, *(str(part) for part in fault["loc"])))
        raise Rejected(f"{place[:200]}: {fault['msg']}.") from None
    return Rate(body.requests, body.per_s)


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

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._most = BUCKETS_KEPT

    def take(self, name: str, major: str, rate: Rate, *, bound_overall: bool) -> Verdict:
        """Count one request; it is not counted when it may not pass."""
        now = time.monotonic()
        if bound_overall:
            overall = self._window(("", ""), self._pace.now.overall, now)
            if overall.left == 0:
                return Verdict(False, True, self._pace.now.overall, 0, overall.ends - now)
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
        self._take_of("old edits", channel, self._pace.now.old_edits, Known.TOO_MANY_OLD_EDITS)

    def take_follow_up(self, channel: int) -> None:
        """Count a follow-up.

        Raises:
            DiscordError: 429, when there were too many in that channel: a limit of the channel, shared by all.
        """
        self._take_of("follow-ups", channel, self._pace.now.webhook_channel, Known.RESOURCE_LIMITED)

    def take_webhook_post(self, channel: int) -> None:
        """Count a post by any of a channel's webhooks.

        Raises:
            DiscordError: 429, when there were too many in that channel.
        """
        self._take_of("webhook posts", channel, self._pace.now.webhook_channel, Known.RESOURCE_LIMITED)

    def take_rename(self, channel: int) -> None:
        """Count a change of a thread's name.

        Raises:
            DiscordError: 20028.
        """
        self._take_of("renames", channel, self._pace.now.renames, Known.CHANNEL_WRITES)

    def refuse_slow(self, channel: int, slowmode_s: float) -> None:
        """Refuse a message where slowmode is on and the last one is not long enough ago; nothing is counted yet.

        Raises:
            DiscordError: 20016.
        """
        left, wait_s = self.left("slowmode", str(channel), Rate(1, slowmode_s))
        if not left:
            raise DiscordError(Known.SLOWMODE, wait_s=math.ceil(wait_s * 1000) / 1000)

    def note_slow(self, channel: int, slowmode_s: float) -> None:
        """Count a message where slowmode is on."""
        self.take("slowmode", str(channel), Rate(1, slowmode_s), bound_overall=False)

    def _take_of(self, name: str, channel: int, rate: Rate, refusal: Known) -> None:
        verdict = self.take(name, str(channel), rate, bound_overall=False)
        if not verdict.allowed:
            raise DiscordError(refusal, wait_s=math.ceil(verdict.wait_s * 1000) / 1000)

    def left(self, name: str, major: str, rate: Rate) -> tuple[int, float]:
        """How many requests are left in a window, and the time until it ends; nothing is counted."""
        bucket, now = self._buckets.get((name, major)), time.monotonic()
        if bucket is None or bucket.ends <= now:
            return rate.requests, rate.per_s
        return bucket.left, bucket.ends - now

    def forget(self) -> None:
        """Begin all windows anew, since the limits have changed."""
        self._buckets.clear()

    def take_invalid(self, status: int, *, shared: bool) -> None:
        """Count an answer that the network in front holds against the caller."""
        if status in (401, 403) or (status == 429 and not shared):
            self.take("invalid", "", self._pace.now.invalid, bound_overall=False)

    def banned_s(self) -> float:
        """How long the caller is banned for too many invalid requests; 0: it is not."""
        bucket = self._buckets.get(("invalid", ""))
        now = time.monotonic()
        return bucket.ends - now if bucket is not None and bucket.left == 0 and bucket.ends > now else 0.0

    def _window(self, key: tuple[str, str], rate: Rate, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None or bucket.ends <= now:
            if len(self._buckets) >= self._most:
                self._buckets = {k: b for k, b in self._buckets.items() if b.ends > now}
                self._most = max(BUCKETS_KEPT, 2 * len(self._buckets))
            bucket = self._buckets[key] = Bucket(rate.requests, now + rate.per_s)
        return bucket
