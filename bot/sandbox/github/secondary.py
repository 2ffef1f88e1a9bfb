"""The secondary rate limits: how much at once, how much a minute, and how much that writes.

SOURCE: GitHub REST documentation, "Rate limits for the REST API", section "About secondary rate limits" (2026): 100
requests at once, 900 points a minute (a read costs 1, a write 5), 80 writes a minute and 500 an hour.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot.sandbox.clock import Clock
from bot.sandbox.wire import Rejected

READING = ("GET", "HEAD", "OPTIONS")
WRITE_POINTS = 5
MINUTE_S, HOUR_S = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of each are allowed."""

    at_once: int = 100
    points_a_minute: int = 900
    writes_a_minute: int = 80
    writes_an_hour: int = 500


class SecondaryLimits:
    """Counts what was admitted, in windows that slide along the world's clock; a refused request costs nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limits = Limits()
        self._admitted: deque[tuple[float, int]] = deque()
        self._writes: deque[float] = deque()
        self._open = 0

    def change(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set other limits; those that are not named go back to GitHub's.

        Raises:
            Rejected: a name is unknown, or a number makes no sense.
        """
        known = asdict(Limits())
        for name, value in body.items():
            if name not in known:
                raise Rejected(f"Unknown key {name[:100]!r}; known are {', '.join(known)}.")
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
                raise Rejected(f"{name} must be a whole number from 0 to 1000000.")
        self._limits = replace(Limits(), **body)
        return asdict(self._limits)

    def wait_s(self, method: str) -> float | None:
        """How long this request would have to wait; None when it is admitted, which counts it."""
        now, writing = self._clock.now(), method not in READING
        self._forget(now)
        points, limits = WRITE_POINTS if writing else 1, self._limits
        if self._open >= limits.at_once:
            return 1.0
        if sum(cost for _, cost in self._admitted) + points > limits.points_a_minute:
            return MINUTE_S - (now - self._admitted[0][0]) if self._admitted else MINUTE_S
        recent = [at for at in self._writes if at > now - MINUTE_S]
        if writing and len(recent) >= limits.writes_a_minute:
            return MINUTE_S - (now - recent[0]) if recent else MINUTE_S
        if writing and len(self._writes) >= limits.writes_an_hour:
            return HOUR_S - (now - self._writes[0]) if self._writes else HOUR_S
        self._admitted.append((now, points))
        if writing:
            self._writes.append(now)
        return None

    def _forget(self, now: float) -> None:
        while self._admitted and self._admitted[0][0] <= now - MINUTE_S:
            self._admitted.popleft()
        while self._writes and self._writes[0] <= now - HOUR_S:
            self._writes.popleft()

    @contextmanager
    def being_served(self) -> Iterator[None]:
        """Around the work for an admitted request."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
