"""Payloads: taken in as they come, and applied to the rows one after another, each exactly once.

Taking writes nothing but the bytes, so that the answer may go out as soon as it is on disk. Applying reads the oldest
that are not applied yet, works out on a thread what they say, and writes each in one transaction with the mark that it
is applied: a process that is killed at any instant has either done all of it or nothing.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, case, delete, func, select, update
from sqlalchemy.dialects import sqlite

from bot.alerts import episodes, tellers
from bot.alerts.calls import UNSEEN_SINCE
from bot.alerts.difference import HEARTBEAT, LABEL_KEYS, label_key
from bot.alerts.episodes import Known, Report, Told, Verdict, Written
from bot.alerts.groups import Chosen, Groups, Origin
from bot.alerts.model import PROMETHEUS, Alert, Payload
from bot.alerts.payload import Malformed, parse
from bot.db.tables import alert_bodies, alert_groups, alert_moments, alert_payloads

BATCH = 64
"""So many payloads at most are read at once."""
BATCH_ALERTS = 2000
BEAT = "beat:"

p = alert_payloads.c
_log = logging.getLogger(__name__)

_TAKE = alert_payloads.insert().returning(p.id)
_KEEP = alert_bodies.insert()
_DROP = delete(alert_bodies).where(alert_bodies.c.payload_id == bindparam("wanted_id"))
_WAITING = (
    select(p.id, p.received_at, p.alerts, p.group_key)
    .where(p.applied_at.is_(None))
    .order_by(p.id)
    .limit(bindparam("many"))
)
_BODY = (
    select(p.id, p.received_at, p.source, alert_bodies.c.body)
    .join(alert_bodies, alert_bodies.c.payload_id == p.id)
    .where(p.id.in_(bindparam("ids", expanding=True)))
    .order_by(p.id)
)
_CLAIM = update(alert_payloads).where(p.id == bindparam("wanted_id"), p.applied_at.is_(None))
_APPLIED = _CLAIM.values(applied_at=bindparam("now"), outcome=bindparam("what"), group_id=bindparam("of"))
_RENAME = update(alert_groups).where(alert_groups.c.id == bindparam("wanted_id"))
_COUNT = _RENAME.values(repeats=alert_groups.c.repeats + 1)
_BEAT = sqlite.insert(alert_moments)
_LATER = case((_BEAT.excluded.at > alert_moments.c.at, _BEAT.excluded.at), else_=alert_moments.c.at)
_BEAT = _BEAT.on_conflict_do_update(index_elements=["name"], set_={"at": _LATER})


def beat_name(name: str, environment: str = "") -> str:
    """What a heartbeat is kept by: its name alone, or with the environment that it is of."""
    return f"{name}/{environment}" if environment else name


class Outcome(StrEnum):
    """What became of a payload."""

    APPLIED = "applied"
    REPEAT = "repeat"
    """The same bytes as the last one of its group."""
    SAME = "same"
    """Other bytes, and nothing new in them: another member of the cluster, or an older one."""
    HEARTBEAT = HEARTBEAT
    UNREADABLE = "unreadable"
    SET_ASIDE = "set aside"


class AppliedBefore(Exception):
    """The payload was applied already: what was written with it is taken back."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A payload that was taken and cannot be read: by an older version of this program, perhaps."""

    id: int
    why: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A payload, worked out as far as it can be without looking at the rows."""

    id: int
    received_at: datetime
    digest: str
    origin: Origin
    told: tuple[Told, ...]
    beats: tuple[Told, ...]
    fires: bool
    told_by: str = ""


class Inbox(Groups):
    """Takes payloads in and applies them."""

    async def take(self, body: bytes, payload: Payload, *, source: str, received_at: datetime) -> int:
        """Keep the body as it came; its number. It is on disk when this returns.

        Raises:
            Unavailable: it could not be stored; nothing of it was kept.
        """
        values = {
            "received_at": received_at,
            "source": source,
            "receiver": payload.receiver,
            "group_key": self.clean(payload.group_key),
            "alerts": len(payload.alerts),
        }

        def work(db: Connection) -> int:
            payload_id = int(db.execute(_TAKE, values).scalar_one())
            db.execute(_KEEP, {"payload_id": payload_id, "body": body})
            return payload_id

        return await self.database.write(work)

    async def apply_next(self, *, limit: int = BATCH) -> bool:
        """Apply the oldest payloads that wait, in their order; whether there were any.

        Each is a transaction of its own; one that was applied stays applied whatever becomes of the next.

        Raises:
            Unavailable: the database could not do it; what was not applied still waits.
        """
        waiting = await self.database.read(lambda db: db.execute(_WAITING, {"many": limit}).mappings().all())
        batch = _batch(waiting)
        if not batch:
            return False
        ids = [int(row["id"]) for row in batch]
        bodies = await self.database.read(lambda db: db.execute(_BODY, {"ids": ids}).all())
        made = await asyncio.to_thread(self._ready_all, bodies)
        done = await asyncio.gather(*(self.database.write(self._work(one)) for one in made), return_exceptions=True)
        if any(one is True for one in done):
            self.tell()
        for one in done:
            if isinstance(one, BaseException) and not isinstance(one, AppliedBefore):
                raise one
        return True

    async def backlog(self) -> tuple[int, datetime | None]:
        """How many payloads are not applied yet, and when the oldest of them was received."""
        statement = select(func.count(), func.min(p.received_at)).where(p.applied_at.is_(None))

        def work(db: Connection) -> tuple[int, datetime | None]:
            count, oldest = db.execute(statement).one()
            return int(count), oldest

        return await self.database.read(work)

    async def set_aside(self, payload_id: int, why: str) -> None:
        """Leave out a payload that cannot be applied, so that those behind it can. Its body is kept."""
        values = {"wanted_id": payload_id, "now": self.now(), "what": f"{Outcome.SET_ASIDE}: {why}"[:300], "of": None}
        await self.database.write(lambda db: db.execute(_APPLIED, values).close())

    async def oldest_waiting(self) -> int | None:
        """The number of the payload that is to be applied next."""
        row = await self.database.read(lambda db: db.execute(_WAITING, {"many": 1}).first())
        return None if row is None else int(row.id)

    # ---- what one payload means --------------------------------------------------------------------------------

    def _ready_all(self, rows: Sequence[Any]) -> list[Ready | Unreadable]:
        return [self._ready(int(row.id), row.received_at, bytes(row.body), row.source) for row in rows]

    def _ready(self, payload_id: int, received_at: datetime, body: bytes, source: str) -> Ready | Unreadable:
        digest = hashlib.sha256(body).hexdigest()
        try:
            payload = parse(body)
        except Malformed as error:
            return Unreadable(payload_id, str(error))
        beats = [alert for alert in payload.alerts if alert.firing and self.is_heartbeat(alert)]
        alerts = [alert for alert in payload.alerts if not self.is_heartbeat(alert)]
        fires = any(alert.firing for alert in alerts)
        return Ready(
            id=payload_id,
            received_at=received_at,
            digest=digest,
            origin=Origin(
                group_key=payload.group_key,
                receiver=payload.receiver,
                group_labels=payload.group_labels,
                common_annotations=payload.common_annotations if fires else None,
                external_url=payload.external_url,
                truncated=payload.truncated,
                firing=sum(1 for alert in alerts if alert.firing),
                body_digest=digest,
            ),
            told=tuple(self.told(alert) for alert in _newest(alerts)),
            beats=tuple(map(self.told, beats)),
            fires=fires,
            told_by=self.clean(tellers.teller(payload.external_url, source)),
        )

    def _work(self, one: Ready | Unreadable) -> Any:
        if isinstance(one, Unreadable):
            _log.error("payload %s cannot be read and is left out: %s", one.id, one.why)
            values = {"wanted_id": one.id, "now": self.now(), "what": Outcome.UNREADABLE.value, "of": None}
            return lambda db: db.execute(_APPLIED, values).close()
        return lambda db: self._apply(db, one)

    def _apply(self, connection: Connection, ready: Ready) -> bool:
        """Write all that the payload means, and that it is applied; whether anything looks different now."""
        for beat in ready.beats:
            for name in self._beat_names(connection, beat, ready.told_by):
                connection.execute(_BEAT, {"name": BEAT + name, "at": ready.received_at})
            tellers.beat_heard(connection, ready.told_by, beat)
        if not ready.told:
            self._mark_applied(connection, ready, Outcome.HEARTBEAT if ready.beats else Outcome.SAME, None)
            return False
        row = self.row_of_key(connection, ready.origin.group_key)
        if row is not None and row["body_digest"] == ready.digest and self._still_says_so(row, ready):
            self._mark_applied(connection, ready, Outcome.REPEAT, row["id"])
            connection.execute(_COUNT, {"wanted_id": row["id"]})
            return False
        group_id, shown = self._reconcile(connection, ready, row)
        self._mark_applied(connection, ready, Outcome.APPLIED if shown else Outcome.SAME, group_id)
        if not shown and group_id is not None:
            connection.execute(_COUNT, {"wanted_id": group_id})
        return shown

    def _beat_names(self, connection: Connection, beat: Told, told_by: str) -> set[str]:
        """Under which names it is kept: for its environment, and for the cluster that is asked if it may be of that.

        Another cluster's must not hide that this one's has stopped. While no teller is known, any may be of it.
        """
        place = beat.alert.labels.get(self.settings.labels.environment, "")
        names = {beat_name(beat.alert.name, place)} if place else set()
        asked = tellers.asked(connection, self.cluster) if self.api_speaks else frozenset()
        return names if asked - {tellers.NOBODY} and told_by not in asked else {*names, beat.alert.name}

    def _still_says_so(self, row: RowMapping, ready: Ready) -> bool:
        """Whether the group stands as these bytes say; the API may have changed it since they came first."""
        return bool(ready.fires == (row["closed_at"] is None))

    def _mark_applied(self, connection: Connection, ready: Ready, outcome: Outcome, group_id: int | None) -> None:
        """Raises `AppliedBefore`, which takes everything back, where somebody else has applied it."""
        values = {"wanted_id": ready.id, "now": self.now(), "what": outcome.value, "of": group_id}
        if not connection.execute(_APPLIED, values).rowcount:
            raise AppliedBefore
        if outcome is Outcome.REPEAT:
            connection.execute(_DROP, {"wanted_id": ready.id})

    def _reconcile(self, connection: Connection, ready: Ready, of_key: RowMapping | None) -> tuple[int | None, bool]:
        """Hold what the payload says against what is known, and write the difference."""
        at = ready.received_at
        known = episodes.known_of(connection, [told.fingerprint for told in ready.told])
        # Of another Alertmanager's alerts the API knows nothing: no better word than the webhook's will come.
        asked = self.api_speaks and ready.told_by in tellers.asked(connection, self.cluster)
        judged = _judged(ready, known, final=asked)
        late = any(verdict is Verdict.LATE for _, _, verdict in judged)
        if late and asked and connection.execute(UNSEEN_SINCE).first() is not None:
            judged = _judged(ready, known, final=False)  # there is no better word than the webhook's
        if all(verdict is Verdict.LATE for _, _, verdict in judged):
            return (None if of_key is None else int(of_key["id"])), False
        fresh = [told for told, _, verdict in judged if verdict is Verdict.NEW]
        if of_key is None:
            of_key = self._row_without_webhook(connection, ready.origin, known.values())
        if of_key is None:
            reopened = [one.group_id for _, one, verdict in judged if one and verdict is Verdict.REOPENS]
            of_key = self._lead_to(connection, ready.origin, reopened[0]) if reopened else None
        chosen = self.choose(connection, ready.origin, of_key=of_key, known=known.values(), fresh=fresh, at=at)
        if chosen is None:
            return None, False
        report = Report(group_id=chosen.id, at=at, rows=judged, sure=not asked, told_by=ready.told_by)
        written = episodes.write(connection, report)
        shown = self.refresh(connection, chosen, at=at, written=written, origin=ready.origin, fresh=fresh)
        for group_id in _others(judged) - {chosen.id}:
            shown |= self.refresh(connection, Chosen(group_id), at=at, written=Written(retold=1))
        return chosen.id, shown

    def _row_without_webhook(self, connection: Connection, origin: Origin, known: Iterable[Known]) -> RowMapping | None:
        """The group that stands for this one since before any webhook told of it; the origin's key leads there now."""
        row = self.row_of_key(connection, label_key(origin.receiver, origin.group_labels))
        rows = [self.row(connection, one) for one in sorted({one.group_id for one in known})] if row is None else [row]
        for one in rows:
            if one is not None and one["group_key"].startswith((LABEL_KEYS, f"{PROMETHEUS}/")):
                return self._lead_to(connection, origin, int(one["id"]))
        return None

    def _lead_to(self, connection: Connection, origin: Origin, group_id: int) -> RowMapping | None:
        """Let the origin's key lead to that group from now on."""
        self.lead(connection, origin.group_key, group_id)
        values = {"group_key": self.clean(origin.group_key), "receiver": origin.receiver}
        connection.execute(_RENAME.values(**values), {"wanted_id": group_id})
        return self.row(connection, group_id)


def _judged(ready: Ready, known: Mapping[str, Known], *, final: bool) -> list[tuple[Told, Known | None, Verdict]]:
    """What each report of the payload means."""
    found = []
    for told in ready.told:
        one = known.get(told.fingerprint)
        verdict = episodes.judge(told.alert, told.starts_at, one, told_at=ready.received_at, final=final)
        found.append((told, one, verdict))
    return found


def _others(judged: Sequence[tuple[Told, Known | None, Verdict]]) -> set[int]:
    """The groups whose episodes ended or began again by these reports."""
    return {
        one.group_id
        for _, one, verdict in judged
        if one is not None and (verdict in (Verdict.ENDS, Verdict.REOPENS) or (verdict is Verdict.NEW and one.firing))
    }


def _batch(rows: Sequence[RowMapping]) -> list[RowMapping]:
    """The first rows, as many as hold alerts enough; at least one."""
    batch: list[RowMapping] = []
    alerts = 0
    for row in rows:
        alerts += row["alerts"]
        if batch and alerts > BATCH_ALERTS:
            break
        batch.append(row)
    return batch


def _newest(alerts: Sequence[Alert]) -> list[Alert]:
    """One report a fingerprint: the newest start, and of one start the end."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        before = found.get(alert.fingerprint)
        if before is None or (before.starts_at, before.firing is False) <= (alert.starts_at, alert.firing is False):
            found[alert.fingerprint] = alert
    return list(found.values())
