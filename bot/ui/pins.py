"""The pinned boards, one message a channel: which there are, where, and when each is to be drawn again.

What stands on them is drawn elsewhere (`pinned` for the ops channel, `pinned_alerts` for those of alerts); posting,
pinning and finding them again are the board's business.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.ops.model import FINAL, Operation, Status
from bot.ui.text import stamp

TOPIC = "pinned"
OPS_KEY = "pinned:ops"
ROUTINE_S = 60.0
OLD_ROUTINE_S = 180.0
"""For a message that is an hour old: Discord allows only so many edits of those, and a board of up to five minutes
is still called alive."""
FIRST_AFTER_S = 4.0
"""After the start, so that the first look at the outside does not make the bot's first answers wait."""
LEAST_PAUSE = timedelta(seconds=10)
LATE_S = 200.0
"""A board that was not drawn for so long must not wait any longer behind the cards of its channel."""
DEAD_AFTER_MIN = 5


class Pinned(Protocol):
    """What stands on one of them. `marker` is how its text begins, so that it is found among the pins."""

    @property
    def marker(self) -> re.Pattern[str]: ...

    async def text(self) -> str: ...


def alerts_key(channel_id: int) -> str:
    """The key of the board of a channel of alerts."""
    return f"pinned:{channel_id}"


def foot(as_of: datetime, then: str) -> str:
    """The last line: by its time a reader sees whether the bot lives. `then` is what to do when it does not."""
    return f"-# as of {stamp(as_of)}. Older than {DEAD_AFTER_MIN} min: the bot is dead or cut off from Discord. {then}"


class Rhythm:
    """When a pinned board is to be drawn again: about once a minute, and soon after something important."""

    def __init__(self, *, first_after_s: float = FIRST_AFTER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._drawn_at = clock() + first_after_s - ROUTINE_S
        self._shown_at = clock()
        self._news = False
        self._statuses: dict[int, Status] = {}
        self.routine_s = ROUTINE_S

    def news(self) -> None:
        """Something changed that people should see there."""
        self._news = True

    def shown(self, *, old: bool) -> None:
        """What stands there is of now. `old`: the message is one that Discord lets be edited only now and then."""
        self._shown_at = self._clock()
        self.routine_s = OLD_ROUTINE_S if old else ROUTINE_S

    @property
    def late(self) -> bool:
        """Whether readers may soon take the bot for dead."""
        return self._clock() - self._shown_at > LATE_S

    def changed(self, operation: Operation) -> None:
        """An operation changed: its status is news, its progress is not."""
        known, now = self._statuses.get(operation.id), operation.status
        if known is not now:
            self._news = True
        if now in FINAL:
            self._statuses.pop(operation.id, None)
        else:
            self._statuses[operation.id] = now

    def due(self) -> bool:
        """Whether it is time; asked once, the answer counts as obeyed."""
        now = self._clock()
        waited_s = now - self._drawn_at
        if waited_s < (LEAST_PAUSE.total_seconds() if self._news else self.routine_s):
            return False
        self._drawn_at, self._news = now, False
        return True


@dataclass(frozen=True, slots=True)
class Due:
    """A board whose time it is."""

    key: str
    channel_id: int
    late: bool


@dataclass(frozen=True, slots=True)
class _Place:
    channel_id: int
    rhythm: Rhythm


class Pins:
    """All pinned boards of the house: that of the ops channel, and one for each channel of alerts beside it."""

    def __init__(
        self, ops_channel: int, alert_channels: Iterable[int] = (), *, rhythm: Callable[[], Rhythm] = Rhythm
    ) -> None:
        self._ops = rhythm()
        self._places = {OPS_KEY: _Place(ops_channel, self._ops)}
        for number in alert_channels:
            if number != ops_channel:
                self._places[alerts_key(number)] = _Place(number, rhythm())

    def operation_changed(self, operation: Operation) -> None:
        """Operations stand on the board of the ops channel alone."""
        self._ops.changed(operation)

    def alerts_changed(self) -> None:
        """What fires, or who has it, is news where alerts are shown; elsewhere the routine tells of it."""
        for place in self._places.values():
            if place.rhythm is not self._ops:
                place.rhythm.news()

    def outside_changed(self) -> None:
        """A part of the outside went down or came back: all of them say so."""
        for place in self._places.values():
            place.rhythm.news()

    def due(self) -> Iterator[Due]:
        """Those whose time it is; asked once, the answer counts as obeyed."""
        for key, place in self._places.items():
            if place.rhythm.due():
                yield Due(key, place.channel_id, place.rhythm.late)

    def shown(self, key: str, *, old: bool) -> None:
        """That board was just drawn; of other cards nothing is noted."""
        if (place := self._places.get(key)) is not None:
            place.rhythm.shown(old=old)

    def belongs(self, key: str, channel_id: int) -> bool:
        """Whether that board is kept, and in that channel."""
        place = self._places.get(key)
        return place is not None and place.channel_id == channel_id
