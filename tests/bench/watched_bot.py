"""The bot with a watch on its event loop: how long each turn of it lasted, on the wall's clock and the processor's.

`python -m tests.bench.watched_bot NOTES [--inside] -- run --config FILE` writes every turn over 2 ms to NOTES, a line
each: when it ended (time.time()), its length and the processor time of the loop's thread in it, in ms. With `--inside`
pictures are drawn in the bot's own process, for comparison.
"""

import asyncio
import selectors
import sys
import time
from pathlib import Path
from typing import Any, TextIO

NOTED_MS = 2.0


class Watch(selectors.DefaultSelector):
    """Notes what lies between the end of one waiting and the beginning of the next: one turn of the event loop."""

    notes: TextIO

    def __init__(self) -> None:
        super().__init__()
        self._woke: tuple[float, float] | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self._woke is not None:
            wall, busy = ((now - then) * 1000 for now, then in zip(_clocks(), self._woke, strict=True))
            if wall > NOTED_MS:
                self.notes.write(f"{time.time():.4f} {wall:.2f} {busy:.2f}\n")
        ready = super().select(timeout)
        self._woke = _clocks()
        return ready


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes event loops that are watched."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(Watch())


def _draw_inside() -> None:
    from bot.ui.chart import draw
    from bot.ui.chart_process import Charts

    async def render(_self: Charts, spec: Any) -> bytes:
        return draw(spec)

    Charts.render = render  # type: ignore[method-assign]


def main() -> int:
    own, rest = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    from bot.__main__ import main as run

    if "--inside" in own:
        _draw_inside()
    with Path(own[0]).open("w", encoding="utf-8", buffering=1) as notes:
        Watch.notes = notes
        asyncio.set_event_loop_policy(Policy())
        return run(rest)


if __name__ == "__main__":
    sys.exit(main())
