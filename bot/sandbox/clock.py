"""The world's clock: real time times a speed, so that a build of eight seconds can be watched or skipped."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch that run `speed` times as fast as the machine's."""

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._real = time.monotonic()
        self._virtual = time.time()

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        """Virtual seconds since the epoch (UTC)."""
        return self._virtual + (time.monotonic() - self._real) * self._speed

    def utcnow(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def set_speed(self, speed: float) -> None:
        """Go on from the present moment at another pace.

        Raises:
            ValueError: the speed is not between 0.1 and 1000.
        """
        if not 0.1 <= speed <= 1000:
            raise ValueError("speed must lie between 0.1 and 1000")
        self._virtual, self._real, self._speed = self.now(), time.monotonic(), speed

    async def sleep(self, virtual_s: float) -> None:
        """Wait until that many virtual seconds have passed, whatever happens to the speed meanwhile."""
        end = self.now() + virtual_s
        while (left := end - self.now()) > 0:  # noqa: ASYNC110 - the speed may change at any time
            await asyncio.sleep(min(left / self._speed, 0.25))
