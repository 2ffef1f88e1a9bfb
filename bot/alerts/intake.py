"""The task that applies payloads as they come, and after a start those that were taken before it.

One task, so that payloads are applied in the order in which they came. What it cannot apply, because of a fault of this
program, is tried a few times and then left out with its body, so that everything behind it is not lost with it.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from bot.alerts.inbox import BATCH
from bot.alerts.store import AlertStore
from bot.errors import Unavailable
from bot.metrics import Metrics

TICK_S = 1.0
"""So often it looks by itself, and does what only time does."""
PAUSE_S = 0.5
LULL_S = 0.03
LULL_PATIENCE_S = 0.3
"""While payloads keep coming, taking them goes first: applying waits for a lull, but never for longer than this."""
BUSY_LIMIT = 16
TRIES = 3

_log = logging.getLogger(__name__)


class Intake:
    """Applies payloads until it is closed."""

    def __init__(
        self,
        store: AlertStore,
        *,
        metrics: Metrics | None = None,
        on_change: Callable[[], None] | None = None,
        tick_s: float = TICK_S,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._tick_s = tick_s
        self._wake = asyncio.Event()
        self._woken_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._failed: tuple[int, int] = (0, 0)
        """The oldest payload when one could not be applied, and how often that was so."""
        if on_change is not None:
            store.on_change(on_change)

    async def start(self) -> None:
        """Begin with what waits already."""
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="alert-intake")

    def wake(self) -> None:
        """Say that a payload was taken."""
        self._woken_at = asyncio.get_running_loop().time()
        self._wake.set()

    async def close(self) -> None:
        """Stop; what is not applied yet will be after the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while await self._store.apply_next(limit=await self._limit()):
                    pass
                self._failed = (0, 0)
                await self._store.settle(self._store.now())
            except Unavailable as error:
                _log.warning("alerts cannot be applied now, and wait: %s", error)
                await asyncio.sleep(PAUSE_S)
            except Exception:  # the task's border: whatever is wrong with one payload, the others are not lost
                _log.exception("a payload could not be applied")
                await self._again()

    async def _limit(self) -> int:
        """How many are applied next: one by one while something is wrong with one, so that it is known which."""
        lull = await self._lull()
        return 1 if self._failed[0] else BATCH if lull else BUSY_LIMIT

    async def _lull(self) -> bool:
        """Wait until nothing was taken for a moment; whether it came to that."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (left := self._woken_at + LULL_S - loop.time()) > 0:
            if loop.time() - began > LULL_PATIENCE_S:
                return False
            await asyncio.sleep(left)
        return True

    async def _again(self) -> None:
        """Try the same payload a few times more, then leave it out."""
        if self._metrics is not None:
            self._metrics.broken.inc()
        with suppress(Unavailable):
            waiting = await self._store.oldest_waiting()
            if waiting is None:
                return
            tries = self._failed[1] + 1 if self._failed[0] == waiting else 1
            self._failed = (waiting, tries)
            if tries >= TRIES:
                await self._store.set_aside(waiting, "it could not be applied; the log says why")
                _log.error("payload %s is left out; its body is kept", waiting)
        self._wake.set()
        await asyncio.sleep(PAUSE_S)
