"""How the rows differ from what Alertmanager's API says at a moment. Reads only; what follows is written elsewhere.

It is worked out on a reader's thread, so that a look at which nothing has changed costs the writer nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, bindparam, or_, select, type_coerce, union

from bot.alert_settings import AlertSettings
from bot.alerts import episodes, tellers
from bot.alerts.episodes import Known, canonical
from bot.alerts.groups import Origin
from bot.alerts.model import OWN, PROMETHEUS, Labels, Matcher, SeenAlert, SeenGroup, SeenSilence, Snapshot, State
from bot.alerts.routes import fits
from bot.db.tables import alert_episodes, alert_groups, alert_payloads, alert_silences

ADOPTED_AFTER_LOOKS = 3
"""Something may fire for as long as so many looks take before it counts as missed: Alertmanager gathers a group before
it tells of it.
"""
HEARTBEAT = "heartbeat"
"""The outcome of a payload that held nothing else."""
LABEL_KEYS = "api/"
"""The group keys of groups that no webhook has told of yet begin so, with what is known of them behind."""

NONE = "[]"
"""Whom it is silenced by, where it is not."""

e, g, s = alert_episodes.c, alert_groups.c, alert_silences.c

_THEIRS = ~g.group_key.startswith(OWN, autoescape=True)
_FIRING = (
    select(
        e.id,
        e.fingerprint,
        e.starts_at,
        e.group_id,
        type_coerce(e.silenced_by, Text).label("silenced_by"),
        e.inhibited,
        e.told_at,
        e.missing_since,
        e.provisional,
        e.told_by,
        g.group_key,
    )
    .join(alert_groups, g.id == e.group_id)
    .where(e.state == State.FIRING.value, _THEIRS)
)
_UNCONFIRMED = (
    select(e.id, e.fingerprint, e.starts_at, e.group_id, e.told_at, e.told_by)
    .join(alert_groups, g.id == e.group_id)
    .where(e.state == State.RESOLVED.value, e.confirmed.is_(False), _THEIRS)
)
_p = alert_payloads.c
RECEIVERS = union(
    select(g.receiver).where(g.receiver != ""),
    # A heartbeat may have a receiver of its own, which says nothing of where alerts go.
    select(_p.receiver).where(_p.receiver != "", _p.applied_at.is_not(None), _p.outcome != HEARTBEAT),
)
"""Alertmanager's receivers whose webhooks with alerts come here, as far as they have come."""
_OPEN_SILENCES = select(s.am_id, s.ends_at, s.noted_at).where(s.ended_at.is_(None))
_IN_FORCE = select(s.matchers).where(s.ended_at.is_(None), s.starts_at <= bindparam("at"), s.ends_at > bindparam("at"))
_OVER = select(s.am_id).where(
    s.am_id.in_(bindparam("ids", expanding=True)), or_(s.ended_at.is_not(None), s.ends_at <= bindparam("at"))
)


@dataclass(slots=True)
class Difference:
    """What a snapshot changes, as far as the rows stood when it was held against them. Numbers are episodes' ids."""

    missing: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    gone: dict[int, datetime] = field(default_factory=dict)
    """Missing twice, and since when."""
    confirmed: list[int] = field(default_factory=list)
    reopened: list[int] = field(default_factory=list)
    quiet: list[tuple[int, int, SeenAlert]] = field(default_factory=list)
    """Episode, group, and how it is seen: silenced, inhibited, or neither any more."""
    reports: list[tuple[Origin, list[SeenAlert]]] = field(default_factory=list)
    """What no webhook has told of, by group."""
    silences: list[SeenSilence] = field(default_factory=list)
    unsilenced: set[int] = field(default_factory=set)
    """Groups of which something fires on whose silence is over."""
    learnt: set[str] = field(default_factory=set)
    """Tellers that prove to be the asked cluster's."""
    elsewhere: set[int] = field(default_factory=set)
    """Groups of which something is missing here that another Alertmanager has told of: it ends nothing."""
    over: list[str] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    """Groups one of whose silences ends at another time now."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


def difference(connection: Connection, snapshot: Snapshot, settings: AlertSettings) -> Difference:
    """Hold the snapshot against the rows."""
    return _Look(snapshot, settings).difference(connection)


def label_key(receiver: str, labels: Labels) -> str:
    """The key of a group that no webhook has told of yet."""
    return f"{LABEL_KEYS}{receiver}/{canonical(labels)}"


def is_later(one: SeenAlert, starts_at: datetime) -> bool:
    """Whether it began after the episode that began then, and is another one."""
    return episodes.whole_second(one.alert.starts_at) > starts_at + episodes.SAME_START


def _same_start(one: SeenAlert, starts_at: datetime) -> bool:
    return abs(episodes.whole_second(one.alert.starts_at) - starts_at) <= episodes.SAME_START


class _Look:
    """One snapshot on its way to a difference."""

    def __init__(self, snapshot: Snapshot, settings: AlertSettings) -> None:
        self._snapshot = snapshot
        self._settings = settings
        beats = {beat.name for beat in settings.heartbeats}
        self._seen = {one.alert.fingerprint: one for one in snapshot.alerts if one.alert.name not in beats}
        self._found = Difference()
        self._asked = frozenset((tellers.NOBODY,))
        """The tellers for whose alerts this API can speak."""
        self._provisional: dict[str, Origin] = {}
        """Where what only Prometheus has told of stands so far, by fingerprint."""

    def difference(self, connection: Connection) -> Difference:
        firing = connection.execute(_FIRING).all()
        told = {row.fingerprint for row in firing}
        others = episodes.known_of(connection, [one for one in self._seen if one not in told])
        if self._snapshot.source == PROMETHEUS:
            silences = _in_force(connection, self._snapshot.at)
            self._only_prometheus(told, others, silences)
            self._no_longer_silenced(connection, firing, silences)
            return self._found
        cluster = tellers.cluster_of(self._settings)
        self._asked = tellers.asked(connection, cluster)
        begun = {one.alert.fingerprint: episodes.whole_second(one.alert.starts_at) for one in self._snapshot.alerts}
        self._found.learnt = tellers.proven(connection, cluster, firing, begun)
        fresh = [*self._firing(firing), *self._unknown(told, others)]
        if fresh:
            self._place(fresh, set(connection.execute(RECEIVERS).scalars()))
        if self._snapshot.settled:
            self._confirm(connection.execute(_UNCONFIRMED).all())
        self._silences(connection.execute(_OPEN_SILENCES).all(), firing)
        return self._found

    def _firing(self, firing: Sequence[Any]) -> list[SeenAlert]:
        """What becomes of the episodes that fire; those that begin anew, or get their real start."""
        found, renewed = self._found, []
        for row in firing:
            one = self._seen.get(row.fingerprint)
            if row.told_by not in self._asked and (one is None or not _same_start(one, row.starts_at)):
                self._told_elsewhere(row)
                continue
            if one is None:
                self._absent(row)
                continue
            if row.missing_since is not None:
                found.found.append(row.id)
            if row.provisional:
                self._provisional[row.fingerprint] = Origin(group_key=row.group_key, receiver="", group_labels={})
            if row.provisional or is_later(one, row.starts_at):
                renewed.append(one)
            if (sorted(one.silenced_by), one.inhibited) != (sorted(json.loads(row.silenced_by)), row.inhibited):
                found.quiet.append((row.id, row.group_id, one))
                if not one.suppressed and json.loads(row.silenced_by):
                    found.unsilenced.add(row.group_id)
        return renewed

    def _absent(self, row: Any) -> None:
        at = self._snapshot.at
        if not self._snapshot.settled or row.told_at >= at:
            return
        if row.missing_since is None:
            self._found.missing.append(row.id)
        elif row.missing_since < at:
            self._found.gone[row.id] = row.missing_since

    def _told_elsewhere(self, row: Any) -> None:
        """What is missing here and was told by somebody whom this API need not know: noted, and left alone."""
        late = self._snapshot.settled and row.told_at < self._snapshot.at
        if late and row.told_by not in self._found.learnt and row.missing_since is None:
            self._found.missing.append(row.id)
            self._found.elsewhere.add(row.group_id)

    def _unknown(self, told: set[str], others: Mapping[str, Known]) -> list[SeenAlert]:
        """What is seen to fire and does not by the rows: opened again here, or missed so far."""
        missed, at = [], self._snapshot.at
        patience = timedelta(seconds=ADOPTED_AFTER_LOOKS * self._settings.reconcile_s)
        for fingerprint, one in self._seen.items():
            known = others.get(fingerprint)
            if fingerprint in told:
                continue
            if known is not None and not is_later(one, known.starts_at):
                ours = known.told_by in self._asked or _same_start(one, known.starts_at)
                if known.told_at < at and ours:
                    self._found.reopened.append(known.id)
                    self._found.quiet.append((known.id, known.group_id, one))
            elif not one.suppressed and one.alert.starts_at <= at - patience:
                missed.append(one)
        return missed

    def _place(self, fresh: Sequence[SeenAlert], receivers: set[str]) -> None:
        """Which group each belongs to. Only of receivers whose webhooks come here, as far as anybody can tell.

        While no webhook ever came, nobody can. What Prometheus told of and no such group holds stays where it is.
        """
        groups = {
            one.alert.fingerprint: group
            for group in self._snapshot.groups
            if not receivers or group.receiver in receivers
            for one in group.alerts
        }
        by_key: dict[str, tuple[Origin, list[SeenAlert]]] = {}
        for one in fresh:
            group = groups.get(one.alert.fingerprint)
            origin = self._provisional.get(one.alert.fingerprint) if group is None else _origin(group)
            if origin is not None:
                by_key.setdefault(origin.group_key, (origin, []))[1].append(one)
        self._found.reports = list(by_key.values())

    def _only_prometheus(
        self, told: set[str], others: Mapping[str, Known], silences: Sequence[Sequence[Matcher]]
    ) -> None:
        """What only Prometheus tells of: it adds what nobody knows, and ends nothing.

        It knows of no silence. Those that were known last hold until their end, whether somebody can be asked or not.
        """
        name = self._settings.labels.environment
        by_key: dict[str, tuple[Origin, list[SeenAlert]]] = {}
        for fingerprint, one in self._seen.items():
            known = others.get(fingerprint)
            over = known is not None and (known.ended_at is None or one.alert.starts_at <= known.ended_at)
            if fingerprint in told or over or _silenced(one.alert.labels, silences):
                continue
            labels = {"alertname": one.alert.name, name: one.alert.labels.get(name, "")}
            key = f"{PROMETHEUS}/{canonical(labels)}"
            origin = Origin(group_key=key, receiver="", group_labels={k: v for k, v in labels.items() if v})
            by_key.setdefault(key, (origin, []))[1].append(one)
        self._found.reports = list(by_key.values())

    def _no_longer_silenced(
        self, connection: Connection, firing: Sequence[Any], silences: Sequence[Sequence[Matcher]]
    ) -> None:
        """What goes on firing by Prometheus' word while all that silenced it is over, by what was known last.

        Whether somebody has made a silence longer meanwhile, or what inhibits an alert is over, nobody can say.
        """
        quiet = [(row, set(json.loads(row.silenced_by))) for row in firing if row.silenced_by != NONE]
        ids = sorted({one for _, silenced_by in quiet for one in silenced_by})
        over = set(connection.execute(_OVER, {"at": self._snapshot.at, "ids": ids}).scalars()) if ids else set()
        for row, silenced_by in quiet:
            one = self._seen.get(row.fingerprint)
            if one is None or not silenced_by <= over or _silenced(one.alert.labels, silences):
                continue
            self._found.quiet.append((row.id, row.group_id, replace(one, inhibited=row.inhibited)))
            if not row.inhibited:
                self._found.unsilenced.add(row.group_id)

    def _confirm(self, unconfirmed: Sequence[Any]) -> None:
        """What has ended by a webhook's word and is not seen to fire."""
        for row in unconfirmed:
            if row.told_by not in self._asked:
                continue
            still = self._seen.get(row.fingerprint)
            if row.told_at < self._snapshot.at and (still is None or is_later(still, row.starts_at)):
                self._found.confirmed.append(row.id)

    def _silences(self, open_ones: Sequence[Any], firing: Sequence[Any]) -> None:
        found, at = self._found, self._snapshot.at
        seen = {one.id: one for one in self._snapshot.silences if one.state != "expired"}
        known = {row.am_id: row for row in open_ones}
        found.over = [am_id for am_id, row in known.items() if am_id not in seen and row.noted_at < at]
        moved = set()
        for one in seen.values():
            row = known.get(one.id)
            if row is None:
                found.silences.append(one)
            elif abs(row.ends_at - one.ends_at) >= timedelta(seconds=1) and row.noted_at < at:
                found.silences.append(one)
                moved.add(one.id)
        if moved:
            found.moved = {row.group_id for row in firing if moved & set(json.loads(row.silenced_by))}


def _in_force(connection: Connection, at: datetime) -> list[tuple[Matcher, ...]]:
    """What each silence meets that was known last and holds at this moment."""
    found = connection.execute(_IN_FORCE, {"at": at}).scalars()
    return [tuple(Matcher(*each) for each in matchers) for matchers in found]


def _silenced(labels: Labels, silences: Sequence[Sequence[Matcher]]) -> bool:
    return any(matchers and fits(labels, matchers) for matchers in silences)


def _origin(group: SeenGroup) -> Origin:
    key = label_key(group.receiver, group.labels)
    return Origin(group_key=key, receiver=group.receiver, group_labels=group.labels)
