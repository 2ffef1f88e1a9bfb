"""Whom alerts call and what marks their cards, with what all statements about alerts need.

Everything works within the caller's transaction: a ping is a row with a key of its own, so that no crash repeats or
loses one, and a card is marked where its rows change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, String, and_, bindparam, cast, delete, or_, select
from sqlalchemy.dialects import sqlite

from bot.alert_settings import AlertSettings, EscalationStep
from bot.alerts import pings
from bot.alerts.episodes import chunked
from bot.alerts.model import OWN, NextCall, Reason, card_key
from bot.alerts.routes import Route, Routes
from bot.alerts.tellers import cluster_of
from bot.db.cards import Priority, mark_dirty
from bot.db.database import Database
from bot.db.tables import alert_moments, alert_pings, cards

GATHERING = timedelta(seconds=0.5)
"""A new card waits for so long, so that a storm is seen as one."""
ON_CALL = "whoever is on call"
CARD, CALL = "alert:", "alertping:"
"""The keys of a group's card, and of a call's own, begin so."""
UNSEEN = "unseen"
"""The name of the moment since when Alertmanager cannot be asked."""
UNSEEN_SINCE = select(alert_moments.c.at).where(alert_moments.c.name == UNSEEN)

Json = Mapping[str, Any]
Row = Mapping[Any, Any]

_c, _group_card, _own_card = alert_pings.c, cards.alias(), cards.alias()
_UNHEARD = (
    select(_c.id, _c.reason)
    .outerjoin(_group_card, _group_card.c.key == CARD + cast(_c.group_id, String))
    .outerjoin(_own_card, _own_card.c.key == CALL + cast(_c.id, String))
    .where(_c.group_id == bindparam("of"), _c.held_until.is_(None), _own_card.c.posted_at.is_(None))
    .where(
        or_(
            _c.reason.not_in((Reason.FIRST.value, Reason.REFIRED.value)),
            _group_card.c.posted_at.is_(None),
            # It has a card of its own because the group's stood already.
            and_(_own_card.c.key.is_not(None), _group_card.c.posted_at < _c.at),
        )
    )
)
"""The calls of a group that have reached nobody: neither in a message of their own nor with the group's card."""
_PING = sqlite.insert(alert_pings).on_conflict_do_nothing(index_elements=["key"]).returning(alert_pings.c.id)


class Recorder(Protocol):
    """Appends an event to the record, within the transaction."""

    def __call__(
        self, connection: Connection, name: str, actor: str, text: str, *, data: Json | None = None
    ) -> None: ...


def utc_now() -> datetime:
    """The clock of everything that is not under test."""
    return datetime.now(UTC)


def unrecorded(connection: Connection, name: str, actor: str, text: str, *, data: Json | None = None) -> None:
    """The record of whoever keeps none."""


class Calls:
    """What all statements about alerts need; marks cards and writes pings.

    `channels` are Discord's channel ids by name; `clean` takes secrets out of what comes from outside; `record` writes
    what people decide into the record.
    """

    def __init__(
        self,
        database: Database,
        *,
        settings: AlertSettings,
        channels: Mapping[str, int],
        record: Recorder = unrecorded,
        now: Callable[[], datetime] = utc_now,
        clean: Callable[[str], str] = str,
    ) -> None:
        self.database = database
        self.settings = settings
        self.routes = Routes(
            settings.all_routes, anew_after_s=settings.anew_after_s, ack_reminder_s=settings.ack_reminder_s
        )
        self.now = now
        self.record = record
        self.clean = clean
        self.api_speaks = bool(settings.alertmanagers)
        self.cluster = cluster_of(settings)
        self._channels = dict(channels)
        self._listeners: list[Callable[[], None]] = []
        self._heartbeats = frozenset(beat.name for beat in settings.heartbeats)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` soon after each commit that changed something to see. Only to wake up: rows are the truth."""
        self._listeners.append(listener)

    def tell(self) -> None:
        """Wake those who listen."""
        for listener in self._listeners:
            listener()

    def mark(self, connection: Connection, row: Row, at: datetime) -> None:
        """Have the group's card drawn anew; a new one waits for what comes with it."""
        channel_id = self.channel_id(row["channel"])
        if channel_id is not None:
            mark_dirty(
                connection, card_key(row["id"]), channel_id, self._priority(row["severity"]), not_before=at + GATHERING
            )

    def mark_all(self, connection: Connection, rows: Iterable[Row], at: datetime) -> int:
        count = 0
        for row in rows:
            self.mark(connection, row, at)
            count += 1
        return count

    def channel_id(self, name: str) -> int | None:
        """The channel of that name; where the file no longer has it, the default one."""
        return self._channels.get(name, self._channels.get(self.settings.channel))

    def _priority(self, severity: str) -> Priority:
        return Priority.CRITICAL if severity == self.settings.severities[-1] else Priority.OUTCOME

    def _call(self, connection: Connection, row: Row, reason: Reason, at: datetime, *, beside: bool) -> None:
        """Write the ping for that reason; quiet hours may hold it back. Whom it calls is the route's word.

        Each time that somebody must be called anew has a stamp of its own. `beside`: as for `write_ping`.
        """
        route = self.route_of(row)
        roles = (route.role,) if route.role is not None else ()
        stamps = {Reason.SEVERITY: f"{row['worst']}:{at.isoformat()}", Reason.JOINED: str(row["unacked_since"])}
        if beside:
            stamps[Reason.REFIRED] = at.isoformat()
        stamp = stamps.get(reason, "")
        self.write_ping(connection, row, reason, roles=roles, at=at, stamp=stamp, beside=beside)

    def route_of(self, row: Row) -> Route:
        """The route that says whom to call: the one for how bad it is now; the card's own where that names nobody.

        One that only escalates calls the role of the card's own at once: who heard of it first hears that it is worse.
        """
        if row["group_key"].startswith(OWN):
            return self.routes.own(row["channel"], row["common_labels"])
        own = self.routes.named(row["route"])
        found = self.routes.of({**row["common_labels"], self.settings.labels.severity: row["severity"]})
        if found.role is None and found.escalation:
            return replace(found, role=own.role)
        return own if found.role is None else found

    def write_ping(
        self,
        connection: Connection,
        row: Row,
        reason: Reason,
        *,
        roles: Sequence[str] = (),
        people: Sequence[str] = (),
        at: datetime,
        stamp: str = "",
        detail: str = "",
        beside: bool = False,
    ) -> int | None:
        """Write a ping once, with its card where it needs one of its own; its id, or None when it was written before.

        Without anybody to call nothing is written. `beside`: the group's card may stand already, so that this
        ping needs one of its own whatever the reason.
        """
        if not roles and not people:
            return None
        held = self.held(row, at)
        values = {
            "group_id": row["id"],
            "key": f"{row['id']}:{reason.value}:{stamp}",
            "reason": reason.value,
            "roles": list(roles),
            "people": list(people),
            "detail": self.clean(detail),
            "at": at,
            "held_until": held,
        }
        ping_id = connection.execute(_PING, values).scalar_one_or_none()
        if ping_id is None:
            return None
        if held is None and (beside or reason not in (Reason.FIRST, Reason.REFIRED)):
            self.mark_ping(connection, int(ping_id), row)
        return int(ping_id)

    def held(self, row: Row, at: datetime) -> datetime | None:
        """Until when quiet hours hold back what would call somebody about that group now."""
        hours = self.route_of(row).quiet_hours
        return pings.held_until(hours, at, severity=row["severity"], severities=self.settings.severities)

    def due_at(self, row: Row, step: EscalationStep, now: datetime) -> datetime:
        """When that step of a group that waits is due: quiet hours that held it back give it its whole time anew.

        Else all steps of a night would be due in the minute in which it ends.
        """
        waits_since: datetime = row["unacked_since"]
        if row["severity"] != self.settings.severities[-1]:
            ended = pings.last_end(self.route_of(row).quiet_hours, now)
            waits_since = max(waits_since, ended or waits_since)
        return waits_since + timedelta(seconds=step.after_s)

    def next_call(self, row: Row, now: datetime) -> NextCall | None:
        """The next step of a group that waits, by the route for how bad it is now, after what holds it back."""
        steps = self.route_of(row).escalation
        if row["unacked_since"] is None or row["escalation_step"] >= len(steps):
            return None
        step = steps[row["escalation_step"]]
        held = self.held(row, now)
        at = held + timedelta(seconds=step.after_s) if held is not None else self.due_at(row, step, now)
        return NextCall(step.role or step.person or ON_CALL, at)

    def mark_ping(self, connection: Connection, ping_id: int, row: Row) -> None:
        """Have the ping's own card posted."""
        channel_id = self.channel_id(row["channel"])
        if channel_id is not None:
            mark_dirty(connection, f"{CALL}{ping_id}", channel_id, self._priority(row["severity"]))

    def take_back(self, connection: Connection, group_id: int) -> frozenset[Reason]:
        """The group has ended: calls for it that have reached nobody will not go out any more; the reasons of these.

        Its rows go: whoever asks later whether somebody was called must not hear yes. One that is on its way just now
        goes, too; if it fires again, it rather calls twice than never.
        """
        unheard = connection.execute(_UNHEARD, {"of": group_id}).all()
        for chunk in chunked(row.id for row in unheard):
            connection.execute(delete(cards).where(cards.c.key.in_([f"{CALL}{one}" for one in chunk])))
            connection.execute(delete(alert_pings).where(alert_pings.c.id.in_(chunk)))
        return frozenset(Reason(row.reason) for row in unheard)
