"""Before the board takes its cards: which new alert groups are packed, which wait, and which packs are unfolded.

Decides nothing about texts and sends nothing; what it decides is written by `packing` before the board goes on.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bot.ui.board_store import CardRow
from bot.ui.packing import (
    MEMBER,
    PACKED_MOST,
    SAME_STORM,
    Packs,
    chosen,
    may_be_packed,
    members,
    opened_at,
    pinged_lately,
)

CALL = "alertping"
CALLS_GATHER_S = 0.3
UNFOLDING_S = 1.0
"""How often it is asked whether it has calmed down."""
Slots = Callable[[int], int]
"""How many messages a channel takes now."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How many of some groups one message holds, the first ones, and which roles each of them pings, by its key.

    Beside others that stand there already it may be none.
    """

    many: int
    roles: dict[str, tuple[str, ...]]


class Groups(Protocol):
    """What must be known of the groups themselves."""

    async def fit(self, rows: Sequence[CardRow], *, beside: Collection[int] = ()) -> Fit: ...
    async def firing(self, ids: Collection[int]) -> set[int]: ...


@dataclass
class Tidied:
    """What the board does after this: read its rows again, leave these alone for now."""

    changed: bool = False
    held: set[str] = field(default_factory=set)


class Storms:
    """Keeps storms readable, and the channel's few messages for what is new."""

    def __init__(self, packs: Packs, groups: Groups) -> None:
        self._packs = packs
        self._groups = groups
        self._looked_at = 0.0
        self._called_at: dict[str, float] = {}

    async def tidy(self, dirty: Sequence[CardRow], now: datetime, *, busy: Collection[str], slots: Slots) -> Tidied:
        """Fold, pack and unfold what is due. Cards that are being brought up now (`busy`) are left alone."""
        done = Tidied()
        changed = [row for row in dirty if row.topic == MEMBER and "pack" in row.state and row.key not in busy]
        changed = [row for row in changed if str(row.state["pack"]) not in busy]
        done.held |= {row.key for row in dirty if row.topic == MEMBER and "pack" in row.state}
        if changed:
            await self._packs.fold(changed)
            done.changed = True
        done.held |= self._later_calls(dirty, busy)
        if any(may_be_packed(row) for row in dirty):
            await self._gather(done, now, busy, slots)
        if time.monotonic() - self._looked_at >= UNFOLDING_S:
            self._looked_at = time.monotonic()
            await self._unfold(done, now, busy)
        return done

    async def _gather(self, done: Tidied, now: datetime, busy: Collection[str], slots: Slots) -> None:
        lately = [row for row in await self._packs.open() if now - opened_at(row) < SAME_STORM]
        for channel_id, found in (await self._packs.waiting()).items():
            waiting = [row for row in found if row.key not in busy]
            packs = [row for row in lately if row.channel_id == channel_id]
            unposted, stormy = [row for row in packs if row.message_id is None], bool(packs)
            left = slots(channel_id) - sum(row.key not in busy for row in unposted)
            while waiting:
                if stormy and (joined := await self._join(waiting, unposted if left > 0 else packs, now, busy)):
                    waiting = [row for row in waiting if row.key not in joined]
                    done.changed, packs, unposted = True, [], []
                    continue
                choice = chosen(waiting, now, left=left, stormy=stormy)
                if choice.alone:
                    break
                together = choice.together if left > 0 else ()
                fit = await self._groups.fit(together) if together else Fit(0, {})
                if fit.many < 2:  # nothing yet, or the first alone fills a message
                    alone = {row.key for row in together[:1]}
                    done.held |= {row.key for row in waiting} - alone
                    break
                packed = together[: fit.many]
                await self._packs.pack(packed, fit.roles, now)
                waiting = [row for row in waiting if row not in packed]
                left, stormy, done.changed = left - 1, True, True

    async def _join(
        self, waiting: Sequence[CardRow], packs: Sequence[CardRow], now: datetime, busy: Collection[str]
    ) -> set[str]:
        """Show what waits in packs that have room, by their post or, where no message can be posted now, by an edit.

        An edit reaches no phone: by one only groups are shown whose roles this storm has pinged. The keys of those
        that have joined.
        """
        joined: set[str] = set()
        for pack in packs:
            left = [row for row in waiting if row.key not in joined]
            room = PACKED_MOST - len(members(pack))
            if not left or room <= 0 or pack.key in busy:
                continue
            fit = await self._groups.fit(left[:room], beside=members(pack))
            joining = left[: fit.many]
            if pack.message_id is not None:
                pinged = pinged_lately(packs, pack.channel_id, now)
                joining = [row for row in joining if pinged.issuperset(fit.roles.get(row.key, ()))]
            if joining:
                await self._packs.join(pack, joining, fit.roles, now)
                joined |= {row.key for row in joining}
        return joined

    def _later_calls(self, dirty: Sequence[CardRow], busy: Collection[str]) -> set[str]:
        """Calls that wait: each for a moment, so that others come with it, and then all but one of each channel.

        That one says the others that call the same people, too.
        """
        calls = sorted((row for row in dirty if row.topic == CALL), key=lambda row: row.subject_id)
        now, taken = time.monotonic(), {row.channel_id for row in calls if row.key in busy}
        self._called_at = {row.key: self._called_at.get(row.key, now) for row in calls}
        later: set[str] = set()
        for row in calls:
            if row.message_id is None and row.key not in busy:
                if row.channel_id in taken or now - self._called_at[row.key] < CALLS_GATHER_S:
                    later.add(row.key)
                taken.add(row.channel_id)
        return later

    async def _unfold(self, done: Tidied, now: datetime, busy: Collection[str]) -> None:
        open_packs = await self._packs.open()
        for pack in self._packs.calm(open_packs, now):
            if pack.message_id is None or pack.wanted > pack.shown or pack.key in busy:
                continue
            await self._packs.unfold(pack, await self._groups.firing(members(pack)))
            done.changed = True
