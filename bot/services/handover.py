"""Handing a shift over: everything that the next person must know, collected once, and the taking over of it.

The facts of the moment at which it was asked for stand in its event, whose number names the card (`handover:<id>`) that
the board shows. Taking it makes the receiver the one who is on call, by an override, until the time that is named.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from bot.alerts.model import AlertGroup, Silence
from bot.alerts.routes import only
from bot.alerts.store import AlertStore, GroupFilter
from bot.db.cards import Priority, mark_dirty
from bot.db.tables import events
from bot.errors import Refused
from bot.ops.lookout import Lookout, View
from bot.ops.model import OPEN, Operation
from bot.ops.store import Filter, Lock, Store
from bot.policy import ANYBODY, Action, Actor

TOPIC = "handover"
ENDING_WITHIN = timedelta(hours=24)
"""Silences that end in this time are the next person's business."""
TAKEN_FOR = timedelta(hours=24)
"""How long a shift is taken over where nothing says when it ends."""
GROUPS_MAX = 500
OFFERED, TAKEN = "handover.offered", "handover.taken"


@dataclass(frozen=True, slots=True)
class Shift:
    """What a person on call leaves to the next, as of `at`, as far as that person may see it."""

    at: datetime
    firing: View[AlertGroup]
    acked: tuple[AlertGroup, ...]
    silences: tuple[Silence, ...]
    operations: View[Operation]
    locks: tuple[Lock, ...]


@dataclass(frozen=True, slots=True)
class Handed:
    """A handover as its card tells it. `sections` are the lines of the shift under their headings, ready to be shown,
    as they stood at `at`.
    """

    giver: str
    receiver: str
    note: str
    at: datetime
    until: datetime
    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()
    taken_at: datetime | None = None
    id: int = 0
    """The number of its event; 0 before it is written."""

    @property
    def card_key(self) -> str:
        return f"{TOPIC}:{self.id}"

    def as_data(self) -> dict[str, Any]:
        """What its event holds."""
        return {
            "giver": self.giver,
            "receiver": self.receiver,
            "note": self.note,
            "until": self.until.isoformat(),
            "sections": [[heading, list(lines)] for heading, lines in self.sections],
        }


class Handover:
    """Collects shifts and hands them over. `channel_id` is where the cards stand."""

    def __init__(self, *, alerts: AlertStore, store: Store, lookout: Lookout, channel_id: int) -> None:
        self._alerts = alerts
        self._store = store
        self._lookout = lookout
        self._channel_id = channel_id

    async def shift(self, giver: Actor) -> Shift:
        """What the giver leaves."""
        now = self._store.now()
        groups = await self._alerts.groups(GroupFilter(state="open", limit=GROUPS_MAX))
        silences = await self._alerts.open_silences()
        seen = self._lookout.sight(giver, Action.ALERT_VIEW)
        visible = tuple(group for group in groups if seen.covers(group.environment))
        operations = await self._lookout.operations(giver, Filter(statuses=OPEN, limit=25))
        looks_in = self._lookout.sight(giver)
        locks = await self._store.database.read(self._store.locks)
        return Shift(
            at=now,
            firing=View(tuple(group for group in visible if group.firing), len(groups) - len(visible)),
            acked=tuple(group for group in visible if group.acked_by == giver.name and not group.waits),
            silences=tuple(
                silence
                for silence in silences
                if silence.ends_at <= now + ENDING_WITHIN
                and seen.covers(only(silence.matchers, self._alerts.settings.labels.environment) or ANYBODY)
            ),
            operations=operations,
            locks=tuple(lock for lock in locks if looks_in.covers(lock.resource.partition("/")[0])),
        )

    async def offer(self, handed: Handed) -> Handed:
        """Write it down, and want its card posted."""

        def write(connection: Connection) -> Handed:
            text = f"{handed.giver} hands the shift over to {handed.receiver}, until {_utc(handed.until)}."
            self._store.record(connection, OFFERED, handed.giver, text, data=handed.as_data(), at=handed.at)
            written = connection.execute(select(func.max(events.c.id)).where(events.c.name == OFFERED)).scalar_one()
            known = replace(handed, id=int(written))
            mark_dirty(connection, known.card_key, self._channel_id, Priority.OUTCOME)
            return known

        return await self._store.database.write(write)

    async def known(self, handover_id: int) -> Handed:
        """The handover of that number.

        Raises:
            Refused: there is none.
        """
        return await self._store.database.read(lambda connection: _known(connection, handover_id))

    async def take(self, handover_id: int, actor: Actor) -> Handed:
        """Make the receiver the one who is on call. Taking it twice is taking it once.

        Raises:
            Refused: it was meant for somebody else, its time is over, or there is none.
        """
        handed, now = await self.known(handover_id), self._store.now()
        if actor.name != handed.receiver:
            raise Refused(
                f"This shift was handed to {handed.receiver}, so only {handed.receiver} can take it over.",
                hint="/oncall override makes anybody the one who is on call.",
                rule="handover",
            )
        if handed.taken_at is None:
            await self._take(handed, now)
        await self._store.database.write(
            lambda connection: mark_dirty(connection, handed.card_key, self._channel_id, Priority.OUTCOME)
        )
        return await self.known(handover_id)

    async def _take(self, handed: Handed, now: datetime) -> None:
        if now >= handed.until:
            raise Refused("The time of this handover is over. Nothing was changed.", rule="handover")
        text = f"{handed.receiver} took the shift over from {handed.giver}, until {_utc(handed.until)}."
        await self._alerts.set_override(
            handed.receiver, now, handed.until, by=handed.receiver, reason=f"handover from {handed.giver}",
            event=(TAKEN, handed.receiver, text, {"handover": handed.id}),
        )  # fmt: skip


def _known(connection: Connection, handover_id: int) -> Handed:
    table = events.c
    offered = connection.execute(select(events).where(table.id == handover_id, table.name == OFFERED)).mappings()
    row = offered.one_or_none()
    if row is None:
        raise Refused("That handover is not known here.", rule="handle")
    taken = select(table.at, table.data).where(table.id > handover_id, table.name == TAKEN, table.at >= row["at"])
    taken_at = next((t.at for t in connection.execute(taken) if t.data.get("handover") == handover_id), None)
    data = row["data"]
    return Handed(
        id=handover_id,
        giver=data["giver"],
        receiver=data["receiver"],
        note=data["note"],
        at=row["at"],
        until=datetime.fromisoformat(data["until"]),
        sections=tuple((heading, tuple(lines)) for heading, lines in data["sections"]),
        taken_at=taken_at,
    )


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
