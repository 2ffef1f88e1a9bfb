"""The groups' own rows: which one a report belongs to, when it opens, ends and opens again.

Counts are read from the episodes after each change and written with it, together with the pings and the mark that the
card is out of date. Everything works within the caller's transaction.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Text, and_, bindparam, case, func, or_, select, type_coerce, update
from sqlalchemy.dialects import sqlite

from bot.alerts import pings, weather
from bot.alerts.calls import Calls, Row
from bot.alerts.episodes import Known, Told, Written, canonical, chunked, whole_second
from bot.alerts.model import OWN, Alert, Labels, Reason, State
from bot.alerts.payload import common
from bot.alerts.routes import Route
from bot.db.tables import alert_episodes, alert_group_keys, alert_groups, alert_pings

NAMELESS = "alert"

e, g = alert_episodes.c, alert_groups.c


@dataclass(frozen=True, slots=True)
class Origin:
    """What a report says of its group as a whole. `common_annotations` is None where it does not know them."""

    group_key: str
    receiver: str
    group_labels: Labels
    common_annotations: Labels | None = None
    external_url: str = ""
    truncated: int = 0
    firing: int = 0
    """How many of the alerts it names fire."""
    body_digest: str = ""
    route: Route | None = None
    """The route where somebody knows it already; else the labels choose."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The row a report belongs to. `opened`: it is new."""

    id: int
    opened: bool = False


def digest_of(group_key: str) -> str:
    return hashlib.sha256(group_key.encode()).hexdigest()


_QUIET = and_(e.state == State.FIRING.value, or_(type_coerce(e.silenced_by, Text) != "[]", e.inhibited))
_OPEN_UNACKED = and_(e.state == State.FIRING.value, e.acked_by == "", ~_QUIET)
_FIGURES = (
    select(
        e.severity,
        e.state,
        func.count().label("many"),
        func.sum(case((_QUIET, 1), else_=0)).label("quiet"),
        func.sum(case((_OPEN_UNACKED, 1), else_=0)).label("unacked"),
        func.sum(case((and_(e.state == State.RESOLVED.value, ~e.confirmed), 1), else_=0)).label("unconfirmed"),
    )
    .where(e.group_id == bindparam("of"), e.member)
    .group_by(e.severity, e.state)
)
_BY_ID = select(alert_groups).where(g.id == bindparam("wanted_id"))
_BY_KEY = (
    select(alert_groups)
    .join(alert_group_keys, alert_group_keys.c.group_id == g.id)
    .where(alert_group_keys.c.digest == bindparam("wanted"))
)
_LEADS = sqlite.insert(alert_group_keys)
_LEADS = _LEADS.on_conflict_do_update(index_elements=["digest"], set_={"group_id": _LEADS.excluded.group_id})
_INSERT = alert_groups.insert().returning(g.id)
_CHANGE = update(alert_groups).where(g.id == bindparam("wanted_id"))
_FIRED = select(e.fingerprint, e.first_seen_at).where(
    e.fingerprint.in_(bindparam("fingerprints", expanding=True)), e.first_seen_at > bindparam("since")
)

_ENDED = select(e.severity).distinct().where(e.group_id == bindparam("of"), e.ended_at > bindparam("since"))
_CALLED = select(alert_pings.c.id).where(alert_pings.c.group_id == bindparam("of")).limit(1)

SHOWN = (
    "environment", "service", "severity", "title", "common_labels", "common_annotations", "external_url", "fired_at",
    "closed_at", "firing", "members", "suppressed", "truncated", "reopened", "acked_by", "unacked_since", "flaps",
    "flapping_until",
)  # fmt: skip
"""The columns that a card shows: when one of them changes, the card is out of date."""


class Groups(Calls):
    """The groups' part of the statements."""

    def is_heartbeat(self, alert: Alert) -> bool:
        """Whether it is an alert that always fires, and that nobody wants to see."""
        return alert.name in self._heartbeats

    def told(self, alert: Alert) -> Told:
        """The alert, ready to be written."""
        return Told(
            alert=alert,
            starts_at=whole_second(alert.starts_at),
            name=self.clean(alert.name),
            labels=self.clean(canonical(alert.labels)),
            annotations=self.clean(canonical(alert.annotations)),
            generator_url=self.clean(alert.generator_url),
            severity=alert.labels.get(self.settings.labels.severity, ""),
        )

    # ---- which group -------------------------------------------------------------------------------------------

    def row(self, connection: Connection, group_id: int) -> RowMapping | None:
        return connection.execute(_BY_ID, {"wanted_id": group_id}).mappings().one_or_none()

    def row_of_key(self, connection: Connection, group_key: str) -> RowMapping | None:
        return connection.execute(_BY_KEY, {"wanted": digest_of(group_key)}).mappings().one_or_none()

    def lead(self, connection: Connection, group_key: str, group_id: int) -> None:
        """From now on that key leads to this group."""
        values = {"digest": digest_of(group_key), "group_key": self.clean(group_key), "group_id": group_id}
        connection.execute(_LEADS, values)

    def choose(
        self,
        connection: Connection,
        origin: Origin,
        *,
        of_key: RowMapping | None,
        known: Iterable[Known],
        fresh: Sequence[Told],
        at: datetime,
    ) -> Chosen | None:
        """The group of a report; None where there is nothing to keep.

        The key leads to it, as long as that group is open or ended lately. A key that nobody knows may be a route under
        another name: then the firing episodes know better. `fresh` is what is not known yet; without it no group opens.
        """
        if of_key is not None and of_key["closed_at"] is None:
            return Chosen(int(of_key["id"]))
        elsewhere = Counter(one.group_id for one in known if one.firing)
        own = origin.group_key.startswith(OWN)
        for group_id, _ in elsewhere.most_common():
            row = self.row(connection, group_id)
            if row is not None and row["closed_at"] is None and row["group_key"].startswith(OWN) is own:
                self.lead(connection, origin.group_key, group_id)
                if of_key is None:
                    values = {"group_key": self.clean(origin.group_key), "receiver": origin.receiver}
                    connection.execute(_CHANGE.values(**values), {"wanted_id": group_id})
                return Chosen(group_id)
        if of_key is not None and (not fresh or self.ended_lately(of_key, at)):
            return Chosen(int(of_key["id"]))
        if not fresh:
            return None
        return Chosen(self._open(connection, origin, fresh, at, previous=of_key), opened=True)

    def ended_lately(self, row: RowMapping, at: datetime) -> bool:
        """Whether that group ended so lately that firing again goes on with it."""
        if row["flapping_until"] is not None and row["flapping_until"] > at:
            return True
        route = self.routes.named(row["route"])
        return bool(at - row["closed_at"] <= timedelta(seconds=route.anew_after_s))

    def _open(
        self,
        connection: Connection,
        origin: Origin,
        fresh: Sequence[Told],
        at: datetime,
        *,
        previous: RowMapping | None,
    ) -> int:
        labels = common(one.alert.labels for one in fresh)
        route = origin.route or self._route(labels, fresh)
        values = {
            "group_key": self.clean(origin.group_key),
            "receiver": origin.receiver,
            "channel": route.channel,
            "route": route.name,
            "group_labels": self._cleaned(origin.group_labels),
            "external_url": self.clean(origin.external_url),
            "severity": "",
            "worst": "",
            "common_annotations": {},
            "opened_at": at,
            "fired_at": at,
            "updated_at": at,
            # It opens with the first thing that fires.
            "closed_at": at,
            "previous_id": None if previous is None else previous["id"],
            "truncated": origin.truncated,
            **self._place(labels, origin),
        }
        group_id = int(connection.execute(_INSERT, values).scalar_one())
        self.lead(connection, origin.group_key, group_id)
        return group_id

    def _route(self, labels: Labels, fresh: Sequence[Told]) -> Route:
        """A group belongs where its worst alert does."""
        name = self.settings.labels.severity
        firing = [one.severity for one in fresh if one.alert.firing] or [one.severity for one in fresh]
        return self.routes.of({**labels, name: pings.worst(firing, self.settings.severities)})

    def _place(self, labels: Labels, origin: Origin) -> dict[str, Any]:
        """What follows from the labels that all its alerts share."""
        names = self.settings.labels
        title = labels.get("alertname") or " ".join(origin.group_labels.values()) or origin.receiver or NAMELESS
        return {
            "common_labels": self._cleaned(labels),
            "environment": self.clean(labels.get(names.environment, "")),
            "service": self.clean(labels.get(names.service, "")),
            "title": self.clean(title),
        }

    def _cleaned(self, labels: Labels) -> dict[str, str]:
        return {name: self.clean(value) for name, value in labels.items()}

    # ---- after its episodes changed ----------------------------------------------------------------------------

    def refresh(
        self,
        connection: Connection,
        chosen: Chosen,
        *,
        at: datetime,
        written: Written | None = None,
        origin: Origin | None = None,
        fresh: Sequence[Told] = (),
        calls: bool = True,
    ) -> bool:
        """Count the group anew after its episodes changed; write pings and mark the card. Whether it looks different.

        `calls=False`: nobody is called because of this, whatever it changed.
        """
        row = self.row(connection, chosen.id)
        if row is None:
            return False
        written = written or Written()
        values = self._counted(connection, row, at)
        values |= self._told_of(row, origin, fresh, opened=chosen.opened)
        values |= self._cut(row, origin, fresh, values["firing"])
        flapping = self._weather(connection, row, written, at)
        values |= flapping
        again = bool(values["firing"]) and row["closed_at"] is not None
        goes_on = again and self._goes_on(row, values, written)
        begins = again and not chosen.opened and not goes_on
        flapping_now = (values.get("flapping_until") or row["flapping_until"]) is not None
        goes_back = flapping_now or bool(written.reopened)
        worse = self._worsens(connection, row, values, at, goes_back=goes_back) and not chosen.opened
        joined = self._duty(row, values, at, again=again, goes_on=goes_on, worse=worse)
        shown = written.changed or any(name in values and values[name] != row[name] for name in SHOWN)
        if shown:
            values["updated_at"] = at
        if again and not chosen.opened:
            values["reopened"] = row["reopened"] + 1
        if row["closed_at"] is None and not values["firing"]:
            values |= self._unheard(connection, row)
        connection.execute(_CHANGE.values(**values), {"wanted_id": chosen.id})
        if not shown:
            return False
        # Whoever had it takes it for over, and its card is far up.
        had = bool(row["acked_by"]) and values["severity"] == self.settings.severities[-1]
        change = pings.Change(
            opened=chosen.opened and bool(values["firing"]),
            before=row["previous_id"] is not None,
            first=begins and not self._was_called(connection, chosen.id),
            again=begins and (not self.ended_lately(row, at) or (had and not flapping_now)),
            worse=worse,
            joined=joined,
            loud_again=written.unsilenced and bool(values["unacked_since"]) and row["unacked_since"] is None,
            flapping=flapping_now,
            quiet=values["suppressed"] >= values["firing"],
        )
        now = {**row, **values}
        reason = pings.reason_to_call(change) if calls else None
        self.mark(connection, now, at)
        if reason is not None:
            self._call(connection, now, reason, at, beside=not chosen.opened)
        return True

    def _counted(self, connection: Connection, row: Row, at: datetime) -> dict[str, Any]:
        counts = {"firing": 0, "members": 0, "suppressed": 0, "unconfirmed": 0}
        unacked, fires = 0, []
        for figure in connection.execute(_FIGURES, {"of": row["id"]}):
            counts["members"] += figure.many
            counts["suppressed"] += int(figure.quiet or 0)
            counts["unconfirmed"] += int(figure.unconfirmed or 0)
            unacked += int(figure.unacked or 0)
            if figure.state == State.FIRING.value:
                counts["firing"] += figure.many
                fires.append(figure.severity)
        severity = pings.worst(fires, self.settings.severities) if fires else row["severity"]
        closed_at = None if counts["firing"] else row["closed_at"] or at
        return {
            **counts,
            "severity": severity,
            "closed_at": closed_at,
            "unacked_since": (row["unacked_since"] or at) if unacked else None,
        }

    def _told_of(
        self, row: RowMapping, origin: Origin | None, fresh: Sequence[Told], *, opened: bool
    ) -> dict[str, Any]:
        """What the report says of the group as a whole."""
        if origin is None:
            return {}
        values: dict[str, Any] = {}
        if origin.body_digest:
            values["body_digest"] = origin.body_digest
        if origin.common_annotations is not None:
            values["common_annotations"] = self._cleaned(origin.common_annotations)
        if fresh and not opened:
            shared = common([row["common_labels"], *(self._cleaned(one.alert.labels) for one in fresh)])
            if shared != row["common_labels"]:
                values |= self._place(shared, replace(origin, group_labels=row["group_labels"]))
        return values

    def _cut(self, row: RowMapping, origin: Origin | None, fresh: Sequence[Told], firing: int) -> dict[str, Any]:
        """How many Alertmanager has cut and nobody has told of since."""
        if origin is not None:
            unknown = origin.truncated + origin.firing - firing
            return {"truncated": max(0, min(origin.truncated, unknown))}
        return {"truncated": max(0, row["truncated"] - len(fresh))} if row["truncated"] and fresh else {}

    def _weather(self, connection: Connection, row: RowMapping, written: Written, at: datetime) -> dict[str, Any]:
        """Whether one of those that fire again has done so too often."""
        if not written.refired:
            return {}
        since = at - timedelta(seconds=self.settings.flapping.within_s)
        moments: dict[str, list[datetime]] = {}
        for chunk in chunked(written.refired):
            for fingerprint, fired_at in connection.execute(_FIRED, {"fingerprints": chunk, "since": since}):
                moments.setdefault(fingerprint, []).append(fired_at)
        found = [weather.weather(each, at, self.settings.flapping) for each in moments.values()]
        wildest = max(found, key=lambda one: one.flaps, default=weather.CALM)
        return {} if wildest.calm else {"flaps": wildest.flaps, "flapping_until": wildest.flapping_until}

    def _goes_on(self, row: RowMapping, values: dict[str, Any], written: Written) -> bool:
        """Whether the end was none: what fires is what somebody had taken, and still has."""
        loud = values["firing"] > values["suppressed"]
        return bool(written.reopened and row["acked_by"] and loud and values["unacked_since"] is None)

    def _was_called(self, connection: Connection, group_id: int) -> bool:
        """Whether there was ever a call for this group."""
        return connection.execute(_CALLED, {"of": group_id}).first() is not None

    def _duty(
        self, row: RowMapping, values: dict[str, Any], at: datetime, *, again: bool, goes_on: bool, worse: bool
    ) -> bool:
        """Set since when it waits for somebody; whether something joined what somebody had taken whole."""
        if goes_on:
            return False
        if again:
            values |= {"fired_at": at, "acked_by": "", "acked_at": None, "reminded_at": None, "escalation_step": 0}
            return False
        waits_anew = bool(values["unacked_since"]) and row["unacked_since"] is None
        if waits_anew:
            values["escalation_step"] = 0
        elif worse and values["unacked_since"]:
            # Another route may say now whom to call: each of its steps, and each after its own time.
            values |= {"unacked_since": at, "escalation_step": 0}
        return waits_anew and bool(row["acked_by"]) and bool(values["firing"])

    def _worsens(
        self, connection: Connection, row: RowMapping, values: dict[str, Any], at: datetime, *, goes_back: bool
    ) -> bool:
        """Set the worst for which somebody was called; whether it is worse now. `goes_back`: it flaps, or never ended.

        Where it is as bad as once before, the rule is the one for firing again: what comes back within `anew_after_s`
        goes on with the call that was made, later it calls anew.
        """
        severity, called_for = values["severity"], row["worst"]
        rises = row["closed_at"] is None and self._is_worse(severity, row["severity"])
        if rises and not goes_back and not self._is_worse(severity, called_for):
            since = at - timedelta(seconds=self.routes.named(row["route"]).anew_after_s)
            lately = connection.execute(_ENDED, {"of": row["id"], "since": since}).scalars()
            called_for = pings.worst([row["severity"], *lately], self.settings.severities)
        values["worst"] = pings.worst([called_for, severity], self.settings.severities)
        return self._is_worse(severity, called_for)

    def _unheard(self, connection: Connection, row: RowMapping) -> dict[str, Any]:
        """The group ends: take back what nobody has heard. Where that was how bad it is, nobody was called for that."""
        if Reason.SEVERITY not in self.take_back(connection, row["id"]):
            return {}
        below = pings.rank(row["worst"], self.settings.severities) - 1
        return {"worst": self.settings.severities[max(0, below)]}

    def _is_worse(self, now: str, before: str) -> bool:
        order = self.settings.severities
        return pings.rank(now, order) > pings.rank(before, order)
