"""What people and clocks do about alerts: acks, silences, who is on call, heartbeats, escalations, our own alerts.

Each method is one transaction, with its event in the record where a person decided something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import sqlite

from bot.alert_settings import EscalationStep
from bot.alerts import episodes, rota
from bot.alerts.calls import Row
from bot.alerts.episodes import Report, Written
from bot.alerts.groups import Chosen, Groups, Origin
from bot.alerts.inbox import BEAT
from bot.alerts.model import OWN, Alert, AlertGroup, Override, Ping, Reason, Silence, State
from bot.alerts.payload import fingerprint_of
from bot.alerts.reading import Reading
from bot.alerts.rows import override_of, ping_of
from bot.alerts.sightings import stored
from bot.db.tables import (
    alert_episodes,
    alert_groups,
    alert_moments,
    alert_pings,
    alert_silences,
    oncall_overrides,
)
from bot.errors import Refused

Event = tuple[str, str, str, Mapping[str, Any]]
"""Name, actor, text and data of an event that is written together with what it tells of."""

e, g, s = alert_episodes.c, alert_groups.c, alert_silences.c
_CHANGE = update(alert_groups).where(g.id == bindparam("wanted_id"))
_MOMENT = sqlite.insert(alert_moments)
_MOMENT = _MOMENT.on_conflict_do_update(index_elements=["name"], set_={"at": _MOMENT.excluded.at})


@dataclass(frozen=True, slots=True)
class DueEscalation:
    """A step whose time has come: number `step` of the group's route, counted from 0.

    `fallback` are the roles to call where the step finds nobody: the route's, else the default one's.
    """

    group: AlertGroup
    step: int
    wanted: EscalationStep
    due_at: datetime
    fallback: tuple[str, ...] = ()


class Desk(Groups, Reading):
    """Acks and what else people and clocks write."""

    # ---- acks --------------------------------------------------------------------------------------------------

    async def ack(self, group_id: int, person: str, at: datetime | None = None) -> AlertGroup:
        """Take all that fires now; what joins later is nobody's again. Taking it twice changes nothing.

        Raises:
            Refused: there is no such group, or nothing of it fires.
        """
        at = at or self.now()

        def work(db: Connection) -> AlertGroup:
            row = self._known(db, group_id)
            if row["closed_at"] is not None:
                raise Refused(
                    "Nothing of it fires any more, so there is nothing to take.",
                    rule="resolved",
                    hint="Nothing changed.",
                )
            theirs = update(alert_episodes).where(e.group_id == group_id, e.member, e.state == State.FIRING.value)
            taken = db.execute(theirs.where(e.acked_by == "").values(acked_by=person, acked_at=at)).rowcount
            if taken or row["acked_by"] != person:
                db.execute(theirs.values(acked_by=person))
                values = {"acked_by": person, "acked_at": at, "unacked_since": None, "reminded_at": None}
                db.execute(_CHANGE.values(**values, escalation_step=0), {"wanted_id": group_id})
                self._note(db, row, "alert.acked", person, f"{person} has {row['title']}.", at)
            return self._group(db, group_id)

        group = await self.database.write(work)
        self.tell()
        return group

    async def unack(self, group_id: int, person: str, at: datetime | None = None) -> AlertGroup:
        """Give it back: it waits for somebody again, from now on; while all that fires is quiet, for nobody.

        Raises:
            Refused: there is no such group, or nobody has it.
        """
        at = at or self.now()

        def work(db: Connection) -> AlertGroup:
            row = self._known(db, group_id)
            if row["closed_at"] is not None or not row["acked_by"]:
                raise Refused("Nobody has it, so there is nothing to give back.", rule="ack", hint="Nothing changed.")
            theirs = update(alert_episodes).where(e.group_id == group_id, e.member, e.state == State.FIRING.value)
            db.execute(theirs.values(acked_by="", acked_at=None))
            loud = self._counted(db, row, at)["unacked_since"] is not None
            waits = {"unacked_since": at if loud else None, "escalation_step": 0}
            db.execute(_CHANGE.values(acked_by="", acked_at=None, **waits), {"wanted_id": group_id})
            text = f"{person} gave {row['title']} back; {row['acked_by']} had it."
            self._note(db, row, "alert.unacked", person, text, at)
            return self._group(db, group_id)

        group = await self.database.write(work)
        self.tell()
        return group

    def _known(self, connection: Connection, group_id: int) -> Row:
        row = self.row(connection, group_id)
        if row is None:
            raise Refused(
                f"There is no alert group A{group_id}.", rule="unknown", hint="/alerts list shows what there is."
            )
        return row

    def _note(self, connection: Connection, row: Row, name: str, person: str, text: str, at: datetime) -> None:
        """Write the event, and have the card drawn anew."""
        connection.execute(_CHANGE.values(updated_at=at), {"wanted_id": row["id"]})
        place = {"environment": row["environment"], "service": row["service"]}
        self.record(connection, name, person, text, data={"group": row["id"], **place})
        self.mark(connection, self._known(connection, row["id"]), at)

    def _group(self, connection: Connection, group_id: int) -> AlertGroup:
        return self.load(connection, [group_id])[group_id]

    # ---- silences ----------------------------------------------------------------------------------------------

    async def noted(self, silence: Silence, *, event: Event | None = None) -> None:
        """Keep what we know of a silence that Alertmanager has; again with the same id it replaces what was known."""
        values = {
            "am_id": silence.am_id,
            "person": silence.person,
            "kind": silence.kind.value,
            "matchers": [stored(matcher, self.clean) for matcher in silence.matchers],
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "comment": self.clean(silence.comment),
            "group_id": silence.group_id,
            "noted_at": self.now(),
            "ended_at": silence.ended_at,
        }
        statement = sqlite.insert(alert_silences).values(**values)
        statement = statement.on_conflict_do_update(index_elements=["am_id"], set_=values)
        await self._silenced(statement, silence.am_id, silence.group_id, event)

    async def ended(self, am_id: str, at: datetime | None = None, *, event: Event | None = None) -> None:
        """Note that a silence is over."""
        statement = update(alert_silences).where(s.am_id == am_id, s.ended_at.is_(None))
        await self._silenced(statement.values(ended_at=at or self.now(), noted_at=self.now()), am_id, None, event)

    async def _silenced(self, statement: Any, am_id: str, group_id: int | None, event: Event | None) -> None:
        def work(db: Connection) -> None:
            db.execute(statement)
            if event is not None:
                name, actor, text, data = event
                self.record(db, name, actor, text, data=data)
            groups = {group_id, *self._silenced_groups(db, am_id)} - {None}
            for one in groups:
                row = self.row(db, int(one)) if one is not None else None
                if row is not None:
                    self.mark(db, row, self.now())

        await self.database.write(work)
        self.tell()

    def _silenced_groups(self, connection: Connection, am_id: str) -> set[int]:
        """The groups one of whose firing alerts that silence holds back."""
        found = connection.execute(select(e.group_id, e.silenced_by).where(e.state == State.FIRING.value, e.member))
        return {row.group_id for row in found if am_id in row.silenced_by}

    # ---- on call -----------------------------------------------------------------------------------------------

    async def set_override(
        self,
        person: str,
        starts_at: datetime,
        ends_at: datetime,
        *,
        by: str,
        reason: str = "",
        event: Event | None = None,
    ) -> Override:
        """Put somebody on call from then to then, whatever the rota says; the newest override wins.

        Raises:
            Refused: it would end before it begins.
        """
        if ends_at <= starts_at:
            raise Refused("That would end before it begins.", rule="override", hint="Nothing changed.")
        values = {
            "person": person,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "by": by,
            "reason": self.clean(reason),
            "created_at": self.now(),
        }

        def work(db: Connection) -> Override:
            statement = oncall_overrides.insert().values(**values).returning(oncall_overrides)
            made = override_of(db.execute(statement).mappings().one())
            if event is not None:
                name, actor, text, data = event
                self.record(db, name, actor, text, data=data)
            return made

        made = await self.database.write(work)
        self.tell()
        return made

    async def overrides(self, at: datetime | None = None) -> tuple[Override, ...]:
        """Those that are not over yet, the soonest first."""
        c = oncall_overrides.c
        statement = select(oncall_overrides).where(c.ends_at > (at or self.now())).order_by(c.starts_at, c.id)
        return await self.database.read(lambda db: tuple(override_of(row) for row in db.execute(statement).mappings()))

    async def on_call(self, at: datetime | None = None) -> rota.Turn | None:
        """Whose turn it is; None: nobody's."""
        at = at or self.now()
        return rota.on_call(self.settings.oncall, await self.overrides(at), at)

    # ---- heartbeats --------------------------------------------------------------------------------------------

    async def beat(self, name: str, at: datetime) -> None:
        """Note that this heartbeat was heard of then."""
        await self.database.write(lambda db: db.execute(_MOMENT, {"name": BEAT + name, "at": at}).close())

    async def heartbeats(self) -> dict[str, datetime]:
        """When each heartbeat was last heard of; one that never was is not among them."""
        c = alert_moments.c
        statement = select(c.name, c.at).where(c.name.startswith(BEAT, autoescape=True))
        return await self.database.read(
            lambda db: {row.name.removeprefix(BEAT): row.at for row in db.execute(statement)}
        )

    # ---- the bot's own alerts ----------------------------------------------------------------------------------

    async def raise_own(
        self,
        name: str,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        at: datetime,
        *,
        channel: str,
        role: str | None = None,
    ) -> int:
        """Let an alert of the bot's own fire under that name; its group. One that fires already goes on."""
        alert = self._own(name, labels, annotations, at)
        group_id = await self.database.write(lambda db: self._tell_own(db, name, alert, at, channel, role))
        self.tell()
        return group_id or 0

    async def clear_own(self, name: str, at: datetime) -> bool:
        """Let the bot's own alert of that name end; whether it fired."""

        def work(db: Connection) -> bool:
            row = self.row_of_key(db, OWN + name)
            if row is None or row["closed_at"] is not None:
                return False
            fires = select(e.id).where(e.group_id == row["id"], e.state == State.FIRING.value)
            episodes.end_all(db, list(db.execute(fires).scalars()), ended=at, at=at)
            return self.refresh(db, Chosen(row["id"]), at=at, written=Written(ended=1))

        cleared = await self.database.write(work)
        if cleared:
            self.tell()
        return cleared

    def _own(self, name: str, labels: Mapping[str, str], annotations: Mapping[str, str], at: datetime) -> Alert:
        fingerprint = fingerprint_of({**labels, "quarterdeck": name})
        return Alert(fingerprint=fingerprint, labels=labels, annotations=annotations, starts_at=at)

    def _tell_own(
        self, connection: Connection, name: str, alert: Alert, at: datetime, channel: str, role: str | None
    ) -> int | None:
        told = self.told(alert)
        known = episodes.known_of(connection, [alert.fingerprint]).get(alert.fingerprint)
        if known is not None and known.firing:
            return known.group_id
        of_key = self.row_of_key(connection, OWN + name)
        route = self.routes.own(channel, alert.labels)
        origin = Origin(
            group_key=OWN + name,
            receiver="",
            group_labels={"alertname": alert.name},
            common_annotations=alert.annotations,
            route=route,
        )
        chosen = self.choose(connection, origin, of_key=of_key, known=(), fresh=[told], at=at)
        if chosen is None:
            return None
        verdict = episodes.Verdict.NEW
        written = episodes.write(
            connection, Report(group_id=chosen.id, at=at, rows=[(told, known, verdict)], sure=True)
        )
        self.refresh(connection, chosen, at=at, written=written, origin=origin, fresh=[told], calls=False)
        row = self._known(connection, chosen.id)
        if row["flapping_until"] is not None and self._was_called(connection, chosen.id):
            return chosen.id
        first = chosen.opened and row["previous_id"] is None
        self.write_ping(
            connection,
            row,
            Reason.FIRST if first else Reason.REFIRED,
            roles=(role,) if role is not None else (),
            at=at,
            stamp="" if first else at.isoformat(),
            beside=not chosen.opened,
        )
        return chosen.id

    # ---- escalation --------------------------------------------------------------------------------------------

    async def due_escalations(self, now: datetime) -> tuple[DueEscalation, ...]:
        """The next step of each group that nobody has taken in time, unless all that fires of it is quiet.

        Quiet hours put off all but the worst severity, and what waited through them waits anew when they end.
        """
        statement = select(alert_groups).where(
            g.closed_at.is_(None), g.unacked_since.is_not(None), g.suppressed < g.firing
        )

        def work(db: Connection) -> tuple[DueEscalation, ...]:
            due = []
            for row in db.execute(statement).mappings().all():
                route = self.route_of(row)
                steps, step = route.escalation, row["escalation_step"]
                if step >= len(steps):
                    continue
                due_at = self.due_at(row, steps[step], now)
                if due_at <= now and self.held(row, now) is None:
                    role = route.role or self.settings.role
                    due.append((row["id"], step, steps[step], due_at, () if role is None else (role,)))
            groups = self.load(db, [group_id for group_id, *_ in due])
            return tuple(DueEscalation(groups[one], step, wanted, at, roles) for one, step, wanted, at, roles in due)

        return await self.database.read(work)

    async def escalated(
        self,
        group_id: int,
        step: int,
        *,
        roles: Sequence[str] = (),
        people: Sequence[str] = (),
        at: datetime,
        detail: str = "",
    ) -> Ping | None:
        """Take that step and write its ping; None where somebody took the group, or the step, meanwhile."""

        def work(db: Connection) -> Ping | None:
            row = self.row(db, group_id)
            if row is None or row["unacked_since"] is None or row["escalation_step"] != step or row["closed_at"]:
                return None
            if row["suppressed"] >= row["firing"]:
                return None
            db.execute(_CHANGE.values(escalation_step=step + 1), {"wanted_id": group_id})
            stamp = f"{row['unacked_since'].isoformat()}:{step}"
            ping_id = self.write_ping(
                db, row, Reason.ESCALATION, roles=roles, people=people, at=at, stamp=stamp, detail=detail
            )
            self.mark(db, row, at)
            return self._ping(db, ping_id)

        ping = await self.database.write(work)
        self.tell()
        return ping

    async def due_reminders(self, now: datetime) -> tuple[AlertGroup, ...]:
        """Groups that somebody took long ago and that still fire."""
        statement = select(alert_groups).where(
            g.closed_at.is_(None), g.acked_by != "", g.acked_at.is_not(None), g.unacked_since.is_(None)
        )

        def work(db: Connection) -> tuple[AlertGroup, ...]:
            due = [
                row["id"]
                for row in db.execute(statement).mappings().all()
                if (row["reminded_at"] or row["acked_at"]) + timedelta(seconds=self.route_of(row).ack_reminder_s) <= now
                and row["suppressed"] < row["firing"]
                and self.held(row, now) is None
            ]
            return tuple(self.load(db, due).values())

        return await self.database.read(work)

    async def reminded(
        self, group_id: int, at: datetime, *, people: Sequence[str], roles: Sequence[str] = ()
    ) -> Ping | None:
        """Remind whoever took it, once a span; None where it has ended or was given back meanwhile."""

        def work(db: Connection) -> Ping | None:
            row = self.row(db, group_id)
            if row is None or row["closed_at"] is not None or not row["acked_by"]:
                return None
            db.execute(_CHANGE.values(reminded_at=at), {"wanted_id": group_id})
            stamp = f"{row['acked_at'].isoformat()}:{at.isoformat()}"
            return self._ping(
                db, self.write_ping(db, row, Reason.REMINDER, roles=roles, people=people, at=at, stamp=stamp)
            )

        ping = await self.database.write(work)
        self.tell()
        return ping

    def _ping(self, connection: Connection, ping_id: int | None) -> Ping | None:
        if ping_id is None:
            return None
        statement = select(alert_pings).where(alert_pings.c.id == ping_id)
        return ping_of(connection.execute(statement).mappings().one())
