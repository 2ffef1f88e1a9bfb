"""The graphs that alerts' cards carry without being asked for: drawn beside the board, which never waits for one.

A card is posted as soon as it can be; its picture follows with an edit. What could not be drawn is one sentence on the
card, and is tried again with a later change. Pictures are kept only until they hang on the message.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from bot.alerts.model import AlertGroup
from bot.errors import Broken, Refused, Unavailable
from bot.services.figures import Figures, Picture, Place
from bot.services.plots import BarSpec, ChartSpec
from bot.ui.chart_process import Charts
from bot.ui.text import cut

KEPT = 20
AGAIN_AFTER = timedelta(minutes=2)
"""Before something is drawn anew that could not be drawn."""
REMARK_LIMIT = 160
ASKED_ABOUT = 50
"""Alerts of a group whose own curves are looked for."""
Draw = Callable[[AlertGroup], Awaitable[bytes]]
Stir = Callable[[str], Awaitable[None]]


def drawer(figures: Figures, charts: Charts, *, cleaned: Callable[[ChartSpec], ChartSpec | BarSpec]) -> Draw:
    """Draws the expression of an alert around its time, as PNG; `cleaned` takes secrets out of its texts.

    The function raises Refused and Unavailable, with a sentence.
    """

    async def draw(group: AlertGroup) -> bytes:
        return await charts.render(cleaned((await graph_of(figures, group)).spec))

    return draw


async def graph_of(figures: Figures, group: AlertGroup) -> Picture:
    """What fires around its time, or, once nothing does, all that fired.

    Raises:
        Refused, Unavailable: there is nothing to draw, or nobody to ask.
    """
    episodes = [one for one in group.episodes if one.firing] or list(group.episodes)
    first = min(episodes, key=lambda one: one.starts_at, default=None)
    return await figures.of_alert(
        labels=tuple(one.labels for one in episodes[:ASKED_ABOUT]),
        starts_at=first.starts_at if first else group.fired_at,
        ends_at=group.closed_at,
        generator_url=first.generator_url if first else "",
        annotations=first.annotations if first else {},
        place=Place(group.environment, group.service),
    )


class AlertPictures:
    """Draws in the background, one task a card, and says when there is something to see."""

    def __init__(self, draw: Draw, stir: Stir, *, now: Callable[[], datetime]) -> None:
        self._draw = draw
        self._stir = stir
        self._now = now
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._drawn: dict[str, bytes] = {}
        self._failed: dict[str, tuple[datetime, str]] = {}
        self._left_out: dict[str, None] = {}
        """Cards whose picture found no room: stirred as soon as there is some."""

    async def close(self) -> None:
        """Let no picture be drawn any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look(self, group: AlertGroup, version: str) -> bytes | str:
        """The picture, or why there is none; empty while it is being drawn."""
        name = f"{group.id}-{version}"
        if name in self._drawn:
            return self._drawn[name]
        failed_at, why = self._failed.get(name, (None, ""))
        if failed_at is not None and self._now() - failed_at < AGAIN_AFTER:
            return why
        if len(self._tasks) >= KEPT:
            self._left_out[group.card_key] = None
        elif name not in self._tasks:
            task = asyncio.create_task(self._work(name, group), name=f"picture {name}")
            self._tasks[name] = task
            task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return why

    def hangs(self, group_id: int, version: str) -> None:
        """It is on the message: it need not be kept."""
        self._drawn.pop(f"{group_id}-{version}", None)

    async def _work(self, name: str, group: AlertGroup) -> None:
        try:
            self._drawn[name] = await self._draw(group)
            self._failed.pop(name, None)
            while len(self._drawn) > KEPT:
                self._drawn.pop(next(iter(self._drawn)))
        except (Refused, Unavailable, Broken) as error:
            self._failed[name] = (self._now(), cut(f"no graph: {error}", REMARK_LIMIT))
            while len(self._failed) > 10 * KEPT:
                self._failed.pop(next(iter(self._failed)))
        await self._stir(group.card_key)
        if self._left_out:
            await self._stir(self._left_out.popitem()[0])
