"""Random histories, told as Alertmanager tells them: late, twice, in parts, or not at all. The rows end up true."""

import random
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.alerts.payload import moment
from bot.db.tables import alert_episodes, alert_pings
from tests.unit.inbox_room import InboxRoom, alert, body, inbox_room, seen

HOSTS = 6
GROUPS = 3


@dataclass
class Cluster:
    """What is really so: which hosts' alerts fire since when, and what each group has told of last."""

    chance: random.Random
    firing: dict[tuple[int, int], datetime] = field(default_factory=dict)
    ended: dict[tuple[int, int], tuple[datetime, datetime]] = field(default_factory=dict)
    """Ended since its group told of it, or under a silence and never told of."""
    told: list[bytes] = field(default_factory=list)
    silenced: set[tuple[int, int]] = field(default_factory=set)
    begun: set[tuple[int, str, str]] = field(default_factory=set)
    """Everything that a webhook told of: group, host, and start as it was written."""

    def step(self, now: datetime) -> None:
        """Something begins or ends, or is silenced or not."""
        place = (self.chance.randrange(GROUPS), self.chance.randrange(HOSTS))
        if self.chance.random() < 0.15:
            self.silenced ^= {place}
        elif place in self.firing:
            self.ended[place] = (self.firing.pop(place), now)
        else:
            self.firing[place] = now
            self.ended.pop(place, None)

    def payload(self, group: int) -> bytes | None:
        """What a group tells now: all of it that fires, and what has ended since."""
        alerts = [self._alert(place, at) for place, at in self.firing.items() if self._tells(place, group)]
        for place, (at, end) in list(self.ended.items()):
            if self._tells(place, group):
                alerts.append(self._alert(place, at, end))
                del self.ended[place]
        if not alerts:
            return None
        self.begun |= {(group, one["labels"]["instance"], one["startsAt"]) for one in alerts}
        self.told.append(body(*alerts, key=f"group-{group}"))
        return self.told[-1]

    def _tells(self, place: tuple[int, int], group: int) -> bool:
        return place[0] == group and place not in self.silenced

    def _alert(self, place: tuple[int, int], at: datetime, end: datetime | None = None) -> dict[str, Any]:
        return alert(f"i-{place[1]}", name=f"Alert{place[0]}", starts_at=at, ends_at=end)

    async def look(self, room: InboxRoom) -> None:
        """The API tells everything that fires."""
        now = [
            seen(self._alert(place, at), silenced_by=["s-1"] if place in self.silenced else ())
            for place, at in self.firing.items()
        ]
        await room.look(*now)


@pytest.mark.parametrize("seed", range(12))
async def test_after_any_history_the_rows_say_what_is_so(tmp_path: Path, seed: int) -> None:
    async with inbox_room(tmp_path) as room:
        cluster = Cluster(random.Random(seed))
        chance = cluster.chance
        for _ in range(70):
            room.clock.advance(seconds=chance.choice((7, 30, 90, 900)))
            cluster.step(room.clock())
            if chance.random() < 0.6 and (told := cluster.payload(chance.randrange(GROUPS))) is not None:
                await room.raw(told)
            if chance.random() < 0.25 and cluster.told:
                await room.raw(chance.choice(cluster.told))  # late, or a repeat, or somebody else's word
            if chance.random() < 0.2:
                await cluster.look(room)
        for group in range(GROUPS):
            if (told := cluster.payload(group)) is not None:
                await room.raw(told)
        room.clock.advance(minutes=5)
        for _ in range(3):
            await cluster.look(room)
        await holds(room, cluster)


async def holds(room: InboxRoom, cluster: Cluster) -> None:
    """What fires is what the rows say; each episode is there once; counts and calls fit."""
    loud = {place for place in cluster.firing if place not in cluster.silenced}
    firing = {
        (int(one.name.removeprefix("Alert")), int(one.labels["instance"].removeprefix("i-"))): one
        for one in await room.store.firing_episodes()
    }
    assert loud <= set(firing) <= set(cluster.firing)
    for place, one in firing.items():
        assert one.starts_at == cluster.firing[place].replace(microsecond=0)
        assert one.suppressed == (place in cluster.silenced)
    groups = await room.groups()
    for group in groups:
        assert group.firing == sum(one.firing for one in group.episodes)
        assert group.members == len(group.episodes) == len({one.fingerprint for one in group.episodes})
        assert group.open == (group.firing > 0) and group.unconfirmed == 0
    assert len([group for group in groups if group.open]) <= GROUPS
    e = alert_episodes.c
    latest = select(e.fingerprint, func.count()).where(e.latest).group_by(e.fingerprint)
    assert {row[1] for row in await room.database.read(lambda db: db.execute(latest).all())} <= {1}
    starts = await room.database.read(lambda db: db.execute(select(e.name, e.labels, e.starts_at)).all())
    known = {(int(name.removeprefix("Alert")), labels["instance"], at) for name, labels, at in starts}
    told = {(group, host, moment(at).replace(microsecond=0)) for group, host, at in cluster.begun}
    assert told <= known
    first = select(alert_pings.c.group_id, func.count()).where(
        alert_pings.c.reason.in_(("first firing", "fires again"))
    )
    called = await room.database.read(lambda db: db.execute(first.group_by(alert_pings.c.group_id)).all())
    assert {row[1] for row in called} <= {1}
