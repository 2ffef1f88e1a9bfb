"""What Alertmanager's API says now, held against the rows: it sees what no webhook ever tells.

A silence, its end, and an alert that ends while it is silenced come with no webhook at all; neither does what happened
while nobody listened. The difference is worked out on a reader's thread, and only a difference is written. What is
missing from one answer may be missing from one member of the cluster only: an episode ends when two say so.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Text, bindparam, delete, or_, select, type_coerce, update
from sqlalchemy.dialects import sqlite

from bot.alerts import episodes, weather
from bot.alerts.episodes import Known, Report, Verdict, Written, canonical
from bot.alerts.groups import Chosen, Groups, Origin
from bot.alerts.model import (
    OWN,
    PROMETHEUS,
    Matcher,
    Observed,
    SeenAlert,
    SeenGroup,
    SeenSilence,
    SilenceKind,
    Snapshot,
    State,
)
from bot.alerts.payload import common
from bot.db.tables import alert_episodes, alert_groups, alert_moments, alert_pings, alert_silences

UNSEEN = "unseen"
"""The moment since when Alertmanager cannot be asked."""
ADOPT_AFTER_S = 60.0
"""Something may fire for so long before it counts as missed: Alertmanager waits for its group before it tells."""
LABEL_KEYS = "api/"
"""The group keys of groups that no webhook has told of yet begin so, with what is known of them behind."""

e, g, s, m = alert_episodes.c, alert_groups.c, alert_silences.c, alert_moments.c

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
    )
    .join(alert_groups, g.id == e.group_id)
    .where(e.state == State.FIRING.value, ~g.group_key.startswith(OWN, autoescape=True))
)
_UNCONFIRMED = (
    select(e.id, e.fingerprint, e.starts_at, e.group_id, e.told_at)
    .join(alert_groups, g.id == e.group_id)
    .where(e.state == State.RESOLVED.value, e.confirmed.is_(False), ~g.group_key.startswith(OWN, autoescape=True))
)
_RECEIVERS = select(g.receiver).where(g.receiver != "").distinct()
_OPEN_SILENCES = select(alert_silences).where(s.ended_at.is_(None))
_BY_ID = update(alert_episodes).where(e.id == bindparam("wanted_id"))
_MISS = _BY_ID.where(e.told_at < bindparam("seen")).values(missing_since=bindparam("since"))
_FIND = _BY_ID.values(missing_since=None)
_QUIET = _BY_ID.where(e.state == State.FIRING.value).values(
    silenced_by=bindparam("by", type_=Text), inhibited=bindparam("muted")
)
_CONFIRM = _BY_ID.where(e.state == State.RESOLVED.value).values(confirmed=True)
_STILL = select(e.id, e.group_id).where(e.id.in_(bindparam("ids", expanding=True)), e.told_at < bindparam("seen"))
_UNSEEN = select(m.at).where(m.name == UNSEEN)
_NOTED = sqlite.insert(alert_silences).on_conflict_do_nothing(index_elements=["am_id"])
_OVER = update(alert_silences).where(s.am_id == bindparam("wanted"), s.ended_at.is_(None))


@dataclass(slots=True)
class _Plan:
    """What a snapshot changes, as far as the rows stood when it was held against them."""

    missing: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    gone: dict[int, datetime] = field(default_factory=dict)
    confirmed: list[int] = field(default_factory=list)
    reopened: list[int] = field(default_factory=list)
    quiet: list[tuple[int, int, SeenAlert]] = field(default_factory=list)
    """Episode, group, and how it is seen."""
    reports: list[tuple[Origin, list[tuple[SeenAlert, Known | None, Verdict]]]] = field(default_factory=list)
    silences: list[SeenSilence] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    """Groups one of whose silences ends at another time now."""

    def __bool__(self) -> bool:
        return any(
            (
                self.missing, self.found, self.gone, self.confirmed, self.reopened, self.quiet, self.reports,
                self.silences, self.over, self.moved,
            )
        )  # fmt: skip


class Sightings(Groups):
    """Holds snapshots against the rows."""

    adopt_after_s: float = ADOPT_AFTER_S

    async def observe(self, snapshot: Snapshot) -> Observed:
        """Make the rows say what the snapshot says; what was told after it began stays.

        Raises:
            Unavailable: the database could not do it; nothing was changed.
        """
        plan = await self.database.read(lambda db: self._plan(db, snapshot))
        if not plan:
            return Observed()
        observed = await self.database.write(lambda db: self._write(db, snapshot, plan))
        if observed:
            self.tell()
        return observed

    async def lost_sight(self, since: datetime) -> bool:
        """Note since when Alertmanager cannot be asked; cards say so from now on. A second call changes nothing."""
        if await self.unconfirmed_since() is not None:
            return False
        statement = sqlite.insert(alert_moments).values(name=UNSEEN, at=since)
        statement = statement.on_conflict_do_nothing(index_elements=["name"])
        return await self._sight(statement)

    async def confirmed(self, at: datetime) -> bool:
        """Note that it answers again; whether it did not before."""
        if await self.unconfirmed_since() is None:
            return False
        return await self._sight(delete(alert_moments).where(m.name == UNSEEN))

    async def unconfirmed_since(self) -> datetime | None:
        """Since when Alertmanager cannot be asked; None: it can, or there is none."""
        return await self.database.read(lambda db: db.execute(_UNSEEN).scalar())

    async def _sight(self, statement: Any) -> bool:
        """Note it, and have all cards drawn anew that speak of it."""
        concerned = select(alert_groups).where(
            or_(g.closed_at.is_(None), g.unconfirmed > 0), ~g.group_key.startswith(OWN, autoescape=True)
        )

        def work(db: Connection) -> bool:
            if not db.execute(statement).rowcount:
                return False
            self.mark_all(db, db.execute(concerned).mappings().all(), self.now())
            return True

        changed = await self.database.write(work)
        if changed:
            self.tell()
        return changed

    async def settle(self, now: datetime) -> int:
        """Do what only time does: flapping that is over, and calls that quiet hours no longer hold back."""
        over = select(g.id).where(g.flapping_until <= now)
        held = select(alert_pings.c.id).where(alert_pings.c.held_until <= now)
        if not await self.database.read(lambda db: bool(db.execute(over).first() or db.execute(held).first())):
            return 0
        changed = await self.database.write(lambda db: self._calm(db, now) + self._release(db, now))
        if changed:
            self.tell()
        return changed

    def _calm(self, connection: Connection, now: datetime) -> int:
        rows = connection.execute(select(alert_groups).where(g.flapping_until <= now)).mappings().all()
        over = [row for row in rows if weather.is_over(row["flapping_until"], now)]
        ids = [row["id"] for row in over]
        connection.execute(update(alert_groups).where(g.id.in_(ids)).values(flaps=0, flapping_until=None))
        return self.mark_all(connection, over, now)

    def _release(self, connection: Connection, now: datetime) -> int:
        """Let go what was held back, where it still fires and nobody has it; else it is not needed any more."""
        c = alert_pings.c
        rows = connection.execute(
            select(c.id.label("ping_id"), alert_groups)
            .join(alert_groups, g.id == c.group_id)
            .where(c.held_until <= now)
        )
        count = 0
        for row in rows.mappings().all():
            connection.execute(update(alert_pings).where(c.id == row["ping_id"]).values(held_until=None))
            if row["closed_at"] is None and row["unacked_since"] is not None:
                self.mark_ping(connection, row["ping_id"], row)
                count += 1
        return count

    # ---- what differs ------------------------------------------------------------------------------------------

    def _plan(self, connection: Connection, snapshot: Snapshot) -> _Plan:
        plan = _Plan()
        seen = {one.alert.fingerprint: one for one in snapshot.alerts if not self.is_heartbeat(one.alert)}
        firing = connection.execute(_FIRING).all()
        told = {row.fingerprint for row in firing}
        others = episodes.known_of(connection, [one for one in seen if one not in told])
        if snapshot.source == PROMETHEUS:
            self._plan_provisional(plan, snapshot, seen, told, others)
            return plan
        fresh: list[tuple[SeenAlert, Known | None, Verdict]] = []
        renewed = self._plan_firing(plan, snapshot, seen, firing)
        if renewed:
            known = episodes.known_of(connection, renewed)
            fresh += [_held(seen[one], known[one]) for one in renewed if one in known]
        fresh += self._plan_unknown(plan, snapshot, seen, told, others)
        self._plan_groups(plan, snapshot, fresh, set(connection.execute(_RECEIVERS).scalars()))
        if snapshot.settled:
            for row in connection.execute(_UNCONFIRMED):
                still = seen.get(row.fingerprint)
                same = still is not None and not _later(still, row.starts_at)
                if row.told_at < snapshot.at and not same:
                    plan.confirmed.append(row.id)
        self._plan_silences(plan, snapshot, connection.execute(_OPEN_SILENCES).mappings().all(), firing)
        return plan

    def _plan_firing(
        self, plan: _Plan, snapshot: Snapshot, seen: dict[str, SeenAlert], firing: Sequence[Any]
    ) -> list[str]:
        """What becomes of the episodes that fire; the fingerprints of those that begin anew or get their real start."""
        renewed = []
        for row in firing:
            one = seen.get(row.fingerprint)
            if one is None:
                if not snapshot.settled or row.told_at >= snapshot.at:
                    continue
                if row.missing_since is None:
                    plan.missing.append(row.id)
                elif row.missing_since < snapshot.at:
                    plan.gone[row.id] = row.missing_since
                continue
            if row.missing_since is not None:
                plan.found.append(row.id)
            if row.provisional or _later(one, row.starts_at):
                renewed.append(row.fingerprint)
            elif (sorted(one.silenced_by), one.inhibited) != (sorted(json.loads(row.silenced_by)), row.inhibited):
                plan.quiet.append((row.id, row.group_id, one))
        return renewed

    def _plan_unknown(
        self,
        plan: _Plan,
        snapshot: Snapshot,
        seen: dict[str, SeenAlert],
        told: set[str],
        others: dict[str, Known],
    ) -> list[tuple[SeenAlert, Known | None, Verdict]]:
        """What is seen to fire and does not by the rows: opened again, or missed so far."""
        missed: list[tuple[SeenAlert, Known | None, Verdict]] = []
        for fingerprint, one in seen.items():
            if fingerprint in told:
                continue
            known = others.get(fingerprint)
            if known is not None and not _later(one, known.starts_at):
                if known.told_at < snapshot.at:
                    plan.reopened.append(known.id)
                    plan.quiet.append((known.id, known.group_id, one))
            elif not one.suppressed and one.alert.starts_at <= snapshot.at - timedelta(seconds=self.adopt_after_s):
                missed.append((one, known, Verdict.NEW))
        return missed

    def _plan_groups(
        self,
        plan: _Plan,
        snapshot: Snapshot,
        fresh: Sequence[tuple[SeenAlert, Known | None, Verdict]],
        receivers: set[str],
    ) -> None:
        """Which group each belongs to. Only of receivers whose webhooks come here, as far as anybody can tell."""
        if not fresh:
            return
        groups = {
            one.alert.fingerprint: group
            for group in snapshot.groups
            if group.receiver in receivers
            for one in group.alerts
        }
        by_origin: dict[str, tuple[Origin, list[tuple[SeenAlert, Known | None, Verdict]]]] = {}
        for held in fresh:
            group = groups.get(held[0].alert.fingerprint)
            if group is not None:
                origin = _origin(group)
                by_origin.setdefault(origin.group_key, (origin, []))[1].append(held)
        plan.reports = list(by_origin.values())

    def _plan_provisional(
        self,
        plan: _Plan,
        snapshot: Snapshot,
        seen: dict[str, SeenAlert],
        told: set[str],
        others: dict[str, Known],
    ) -> None:
        """What only Prometheus tells of: it adds what nobody knows, and ends nothing."""
        by_origin: dict[str, tuple[Origin, list[tuple[SeenAlert, Known | None, Verdict]]]] = {}
        for fingerprint, one in seen.items():
            known = others.get(fingerprint)
            over = known is not None and (known.ended_at is None or one.alert.starts_at <= known.ended_at)
            if fingerprint in told or over:
                continue
            environment = one.alert.labels.get(self.settings.labels.environment, "")
            labels = {"alertname": one.alert.name, self.settings.labels.environment: environment}
            key = f"{PROMETHEUS}/{canonical(labels)}"
            origin = Origin(group_key=key, receiver="", group_labels={k: v for k, v in labels.items() if v})
            by_origin.setdefault(key, (origin, []))[1].append((one, known, Verdict.NEW))
        plan.reports = list(by_origin.values())

    def _plan_silences(
        self, plan: _Plan, snapshot: Snapshot, ours: Sequence[RowMapping], firing: Sequence[Any]
    ) -> None:
        seen = {one.id: one for one in snapshot.silences if one.state != "expired"}
        known = {row["am_id"]: row for row in ours}
        plan.over = [am_id for am_id, row in known.items() if am_id not in seen and row["noted_at"] < snapshot.at]
        moved = set()
        for one in seen.values():
            row = known.get(one.id)
            if row is None:
                plan.silences.append(one)
            elif abs(row["ends_at"] - one.ends_at) >= timedelta(seconds=1) and row["noted_at"] < snapshot.at:
                plan.silences.append(one)
                moved.add(one.id)
        if moved:
            plan.moved = {row.group_id for row in firing if moved & set(json.loads(row.silenced_by))}

    # ---- written -----------------------------------------------------------------------------------------------

    def _write(self, connection: Connection, snapshot: Snapshot, plan: _Plan) -> Observed:
        at = snapshot.at
        self._write_silences(connection, snapshot, plan)
        _many(connection, _MISS, [{"wanted_id": one, "seen": at, "since": at} for one in plan.missing])
        _many(connection, _FIND, [{"wanted_id": one} for one in plan.found])
        gone = self._untold(connection, plan.gone, at)
        for since in set(plan.gone.values()):
            ids = [one for one in gone if plan.gone[one] == since]
            episodes.end_all(connection, ids, ended=since, at=at)
        reopened = self._untold(connection, plan.reopened, at)
        episodes.reopen_all(connection, reopened, at=at)
        confirmed = self._untold(connection, plan.confirmed, at)
        _many(connection, _CONFIRM, [{"wanted_id": one} for one in confirmed])
        _many(connection, _QUIET, [_quiet(one, seen) for one, _, seen in plan.quiet])
        touched = {*gone.values(), *reopened.values(), *(group_id for _, group_id, _ in plan.quiet)}
        for group_id in touched:
            self.refresh(connection, Chosen(group_id), at=at, written=Written(retold=1))
        # Nobody sees that an end is confirmed, unless it had stood in doubt.
        doubted = Written(retold=1) if connection.execute(_UNSEEN).first() is not None else Written()
        for group_id in {*confirmed.values()} - touched:
            self.refresh(connection, Chosen(group_id), at=at, written=doubted)
        for group_id in plan.moved - touched:
            row = self.row(connection, group_id)
            if row is not None:
                self.mark(connection, row, at)
        adopted = sum(self._adopt(connection, snapshot, origin, rows) for origin, rows in plan.reports)
        quieted = sum(1 for _, _, seen in plan.quiet if seen.suppressed)
        return Observed(
            resolved=len(gone),
            reopened=len(reopened),
            adopted=adopted,
            quieted=quieted,
            unquieted=len(plan.quiet) - quieted,
            confirmed=len(confirmed),
            silences=len(plan.silences) + len(plan.over),
        )

    def _untold(self, connection: Connection, ids: Iterable[int], at: datetime) -> dict[int, int]:
        """Those of these episodes that nobody has told of since the snapshot began, with their groups."""
        found: dict[int, int] = {}
        for chunk in episodes.chunked(ids):
            found |= {row.id: row.group_id for row in connection.execute(_STILL, {"ids": chunk, "seen": at})}
        return found

    def _adopt(
        self,
        connection: Connection,
        snapshot: Snapshot,
        origin: Origin,
        rows: Sequence[tuple[SeenAlert, Known | None, Verdict]],
    ) -> int:
        """Write what no webhook has told of; how many episodes are new."""
        provisional = snapshot.source == PROMETHEUS
        known = episodes.known_of(connection, [one.alert.fingerprint for one, _, _ in rows])
        judged = []
        for one, _, _ in rows:
            told, now_known = self.told(one.alert), known.get(one.alert.fingerprint)
            verdict = episodes.judge(told.alert, told.starts_at, now_known, told_at=snapshot.at, final=True)
            if verdict in (Verdict.NEW, Verdict.SAME):
                judged.append((told, now_known, verdict))
        fresh = [told for told, _, verdict in judged if verdict is Verdict.NEW]
        of_key = self.row_of_key(connection, origin.group_key) or self._row_of_labels(connection, origin)
        chosen = self.choose(
            connection,
            origin,
            of_key=of_key,
            known=[one for _, one, _ in judged if one is not None],
            fresh=fresh,
            at=snapshot.at,
        )
        if chosen is None:
            return 0
        report = Report(
            group_id=chosen.id,
            at=snapshot.at,
            rows=judged,
            sure=True,
            provisional=provisional,
            silences={one.alert.fingerprint: (one.silenced_by, one.inhibited) for one, _, _ in rows},
        )
        written = episodes.write(connection, report)
        if chosen.opened:
            origin = replace(origin, common_annotations=common(told.alert.annotations for told in fresh))
            self.refresh(connection, chosen, at=snapshot.at, written=written, origin=origin, fresh=fresh)
        else:
            self.refresh(connection, chosen, at=snapshot.at, written=written, fresh=fresh)
        return len(fresh)

    def _row_of_labels(self, connection: Connection, origin: Origin) -> RowMapping | None:
        """The newest group that this receiver told of with the same labels: webhooks name it by a key of their own."""
        if not origin.receiver:
            return None
        statement = (
            select(alert_groups)
            .where(
                g.receiver == origin.receiver,
                type_coerce(g.group_labels, Text) == self.clean(canonical(origin.group_labels)),
            )
            .order_by(g.id.desc())
            .limit(1)
        )
        return connection.execute(statement).mappings().one_or_none()

    def _write_silences(self, connection: Connection, snapshot: Snapshot, plan: _Plan) -> None:
        for am_id in plan.over:
            connection.execute(_OVER.values(ended_at=snapshot.at), {"wanted": am_id})
        for one in plan.silences:
            values = self._silence_values(one, snapshot.at)
            if not connection.execute(_NOTED, values).rowcount:
                changed = {"ends_at": one.ends_at, "starts_at": one.starts_at, "noted_at": snapshot.at}
                connection.execute(update(alert_silences).where(s.am_id == one.id).values(**changed, ended_at=None))

    def _silence_values(self, one: SeenSilence, at: datetime) -> dict[str, Any]:
        return {
            "am_id": one.id,
            "person": self.clean(one.created_by),
            "kind": SilenceKind.FOREIGN.value,
            "matchers": [stored(matcher, self.clean) for matcher in one.matchers],
            "starts_at": one.starts_at,
            "ends_at": one.ends_at,
            "comment": self.clean(one.comment),
            "group_id": None,
            "noted_at": at,
            "ended_at": None,
        }


def stored(matcher: Matcher, clean: Callable[[str], str]) -> list[Any]:
    """The matcher as a row keeps it."""
    return [matcher.name, clean(matcher.value), matcher.is_regex, matcher.is_equal]


def _later(one: SeenAlert, starts_at: datetime) -> bool:
    """Whether it began after the episode that began then, and is another one."""
    return episodes.whole_second(one.alert.starts_at) > starts_at + episodes.SAME_START


def _held(one: SeenAlert, known: Known) -> tuple[SeenAlert, Known | None, Verdict]:
    return one, known, Verdict.SAME if known.provisional else Verdict.NEW


def _origin(group: SeenGroup) -> Origin:
    key = f"{LABEL_KEYS}{group.receiver}/{canonical(group.labels)}"
    return Origin(group_key=key, receiver=group.receiver, group_labels=group.labels)


def _quiet(episode_id: int, one: SeenAlert) -> dict[str, Any]:
    by = json.dumps(sorted(one.silenced_by), separators=(",", ":"))
    return {"wanted_id": episode_id, "by": by, "muted": one.inhibited}


def _many(connection: Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)
