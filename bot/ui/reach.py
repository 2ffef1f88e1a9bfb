"""Whether Discord takes anything at all: while it does not, one request at a time asks, and then all go at once.

One card that Discord always chokes on is not an outage: that takes a connection that fails, or two different cards.
"""

import random
import time
from collections.abc import Callable

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 2.0
"""Between two looks whether it is back: what waits is shown within seconds of its return."""


class Reach:
    """What the board's own requests tell about Discord."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: set[str] = set()
        self._tries = 0
        self._next_at = 0.0
        self.away = False

    @property
    def wait_s(self) -> float:
        """Seconds until somebody may ask again; 0 when Discord is there."""
        return max(0.0, self._next_at - self._clock()) if self.away else 0.0

    def failed(self, key: str, *, connection: bool) -> None:
        """A request for that card got no answer, or a 5xx."""
        self._failed.add(key)
        self.away |= connection or len(self._failed) > 1
        if self.away:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._tries)
            self._tries = min(self._tries + 1, 10)
            self._next_at = self._clock() + pause_s * random.uniform(0.8, 1.0)

    def answered(self) -> bool:
        """Discord took a request, or refused it with reason; whether it had been away until then."""
        back, self.away = self.away, False
        self._failed.clear()
        self._tries = 0
        return back
