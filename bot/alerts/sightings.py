"""What Alertmanager's API says now, held against the rows: it sees what no webhook ever tells.

A silence, its end, and an alert that ends while it is silenced come with no webhook at all; neither does what happened
while nobody listened. Only what differs is written (`difference`). What is missing from one answer may be missing from
one member of the cluster only: an episode ends when two say so.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Text, bindparam, delete, or_, select, type_coerce, update
from sqlalchemy.dialects import sqlite

from bot.alerts import episodes, tellers, weather
from bot.alerts.calls import UNSEEN, UNSEEN_SINCE
from bot.alerts.difference import Difference, difference
from bot.alerts.episodes import Report, Verdict, Written, canonical
from bot.alerts.groups import Chosen, Groups, Origin
from bot.alerts.model import (
    OWN,
    PROMETHEUS,
    Matcher,
    Observed,
    SeenAlert,
    SeenSilence,
    SilenceKind,
    Snapshot,
    State,
)
from bot.alerts.payload import common
from bot.db.tables import alert_episodes, alert_groups, alert_moments, alert_pings, alert_silences

e, g, s, m = alert_episodes.c, alert_groups.c, alert_silences.c, alert_moments.c

_BY_ID = update(alert_episodes).where(e.id == bindparam("wanted_id"))
_MISS = _BY_ID.where(e.told_at < bindparam("seen")).values(missing_since=bindparam("since"))
_FIND = _BY_ID.values(missing_since=None)
_QUIET = _BY_ID.where(e.state == State.FIRING.value).values(
    silenced_by=bindparam("by", type_=Text), inhibited=bindparam("muted")
)
_CONFIRM = _BY_ID.where(e.state == State.RESOLVED.value).values(confirmed=True)
_STILL = select(e.id, e.group_id).where(e.id.in_(bindparam("ids", expanding=True)), e.told_at < bindparam("seen"))
_NOTED = sqlite.insert(alert_silences).on_conflict_do_nothing(index_elements=["am_id"])
_OVER = update(alert_silences).where(s.am_id == bindparam("wanted"), s.ended_at.is_(None))


class Sightings(Groups):
    """Holds snapshots against the rows."""

    async def observe(self, snapshot: Snapshot) -> Observed:
        """Make the rows say what the snapshot says; what was told after it began stays.

        Raises:
            Unavailable: the database could not do it; nothing was changed.
        """
        plan = await self.database.read(lambda db: difference(db, snapshot, self.settings))
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
        return await self.database.read(lambda db: db.execute(UNSEEN_SINCE).scalar())

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
        """Let go what was held back, where it still fires and nobody has it; else it never was a call.

        Its row goes then: whoever asks later whether somebody was called for that group must not hear yes.
        """
        c = alert_pings.c
        rows = connection.execute(
            select(c.id.label("ping_id"), alert_groups)
            .join(alert_groups, g.id == c.group_id)
            .where(c.held_until <= now)
        )
        count = 0
        for row in rows.mappings().all():
            if row["closed_at"] is not None or row["unacked_since"] is None:
                connection.execute(delete(alert_pings).where(c.id == row["ping_id"]))
                continue
            connection.execute(update(alert_pings).where(c.id == row["ping_id"]).values(held_until=None))
            self.mark_ping(connection, row["ping_id"], row)
            count += 1
        return count

    # ---- written -----------------------------------------------------------------------------------------------

    def _write(self, connection: Connection, snapshot: Snapshot, plan: Difference) -> Observed:
        at = snapshot.at
        self._write_silences(connection, snapshot, plan)
        learnt_of = tellers.learn(connection, plan.learnt, self.cluster)
        _many(connection, _MISS, [{"wanted_id": one, "seen": at, "since": at} for one in plan.missing])
        _many(connection, _FIND, [{"wanted_id": one} for one in plan.found])
        gone = self._untold(connection, plan.gone, at)
        for since in set(plan.gone.values()):
            ids = [one for one in gone if plan.gone[one] == since]
            episodes.end_all(connection, ids, ended=since, at=at)
        reopened = self._untold(connection, plan.reopened, at)
        episodes.reopen_all(connection, reopened, at=at)
        episodes.disown_all(connection, self._long_ended(connection, reopened, at))
        confirmed = self._untold(connection, plan.confirmed, at)
        _many(connection, _CONFIRM, [{"wanted_id": one} for one in confirmed])
        _many(connection, _QUIET, [_quiet(one, seen) for one, _, seen in plan.quiet])
        touched = {*gone.values(), *reopened.values(), *(group_id for _, group_id, _ in plan.quiet)}
        for group_id in touched:
            again = sum(1 for of in reopened.values() if of == group_id)
            self.refresh(
                connection,
                Chosen(group_id),
                at=at,
                written=Written(reopened=again, retold=1, unsilenced=group_id in plan.unsilenced),
            )
        # Nobody sees that an end is confirmed, unless it had stood in doubt.
        doubted = Written(retold=1) if connection.execute(UNSEEN_SINCE).first() is not None else Written()
        for group_id in {*confirmed.values()} - touched:
            self.refresh(connection, Chosen(group_id), at=at, written=doubted)
        seen_anew = plan.moved | plan.elsewhere | learnt_of
        for group_id in seen_anew - touched:
            row = self.row(connection, group_id)
            if row is not None:
                self.mark(connection, row, at)
        adopted = sum(self._adopt(connection, snapshot, origin, seen) for origin, seen in plan.reports)
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

    def _long_ended(self, connection: Connection, reopened: dict[int, int], at: datetime) -> list[int]:
        """Those of these episodes whose groups ended so long ago that firing again begins anew."""
        rows = {group_id: self.row(connection, group_id) for group_id in set(reopened.values())}
        old = {
            group_id
            for group_id, row in rows.items()
            if row is not None and row["closed_at"] is not None and not self.ended_lately(row, at)
        }
        return [one for one, group_id in reopened.items() if group_id in old]

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
        seen: Sequence[SeenAlert],
    ) -> int:
        """Write what no webhook has told of; how many episodes are new."""
        provisional = snapshot.source == PROMETHEUS
        known = episodes.known_of(connection, [one.alert.fingerprint for one in seen])
        judged = []
        for one in seen:
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
            silences={one.alert.fingerprint: (one.silenced_by, one.inhibited) for one in seen},
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

    def _write_silences(self, connection: Connection, snapshot: Snapshot, plan: Difference) -> None:
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


def _quiet(episode_id: int, one: SeenAlert) -> dict[str, Any]:
    by = json.dumps(sorted(one.silenced_by), separators=(",", ":"))
    return {"wanted_id": episode_id, "by": by, "muted": one.inhibited}


def _many(connection: Connection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)
