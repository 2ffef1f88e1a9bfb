"""What is read of alerts: groups for cards and lists, their history, silences, pings, and figures over a span."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, bindparam, case, func, not_, or_, select, type_coerce

from bot.alerts import pings, tellers
from bot.alerts.calls import CARD, UNSEEN_SINCE, Calls
from bot.alerts.episodes import chunked
from bot.alerts.model import (
    AlertGroup,
    Episode,
    FiringCount,
    Happened,
    Moment,
    NameFigures,
    Ping,
    Reason,
    Silence,
    State,
    Statistics,
)
from bot.alerts.rows import episode_of, group_of, ping_of, silence_of
from bot.db.tables import alert_episodes, alert_groups, alert_pings, alert_silences
from bot.policy import EVERYWHERE, Sight

e, g, c, s = alert_episodes.c, alert_groups.c, alert_pings.c, alert_silences.c
OPENING = (Reason.FIRST.value, Reason.REFIRED.value)


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups are wanted; empty fields ask for all. `state` is `open`, `closed` or `all`.

    Open ones come the worst first, others the newest first. `since` asks for what fired or ended at or after it; `text`
    for what has it in its title; `channel_id` for those whose cards belong into that channel; `before_id` pages.
    """

    state: str = "open"
    environment: str = ""
    service: str = ""
    severity: str = ""
    channel_id: int | None = None
    text: str = ""
    acked: bool | None = None
    sight: Sight = EVERYWHERE
    since: datetime | None = None
    limit: int = 25
    before_id: int | None = None


class Reading(Calls):
    """The queries. Each is one read."""

    # ---- groups ------------------------------------------------------------------------------------------------

    async def group(self, group_id: int, *, most: int = 0) -> AlertGroup | None:
        """The group with its episodes, its silences and the ping of its card; at most so many episodes if `most` is
        given, what fires first.
        """
        return (await self.groups_by_id([group_id], most=most)).get(group_id)

    async def groups_by_id(self, ids: Iterable[int], *, episodes: bool = True, most: int = 0) -> dict[int, AlertGroup]:
        """Those of these groups that there are."""
        wanted = list(ids)
        return await self.database.read(lambda db: self.load(db, wanted, episodes=episodes, most=most))

    async def group_of_card(self, key: str, *, most: int = 0) -> AlertGroup | None:
        """The group whose card has that key: `alert:17`."""
        number = key.removeprefix(CARD)
        return await self.group(int(number), most=most) if key.startswith(CARD) and number.isdigit() else None

    async def groups(
        self, wanted: GroupFilter | None = None, *, episodes: bool = False, most: int = 0
    ) -> tuple[AlertGroup, ...]:
        """The groups that the filter asks for; without their episodes unless those are asked for, too."""
        wanted = wanted or GroupFilter()
        worst = case({name: -number for number, name in enumerate(self.settings.severities)}, value=g.severity, else_=1)
        order = (worst, g.fired_at.desc(), g.id.desc()) if wanted.state == "open" else (g.id.desc(),)
        statement = select(g.id).where(*_matching(wanted)).order_by(*order).limit(wanted.limit)

        def work(db: Connection) -> tuple[AlertGroup, ...]:
            here = [] if wanted.channel_id is None else [g.channel.in_(self._names_of(db, wanted))]
            ids = list(db.execute(statement.where(*here)).scalars())
            found = self.load(db, ids, episodes=episodes, most=most)
            return tuple(found[one] for one in ids)

        return await self.database.read(work)

    def _names_of(self, connection: Connection, wanted: GroupFilter) -> list[str]:
        """The names under which groups belong into the channel, those that the file no longer has among them."""
        names = connection.execute(select(g.channel).where(*_matching(wanted)).distinct()).scalars()
        return [name for name in names if self.channel_id(name) == wanted.channel_id]

    def load(
        self, connection: Connection, ids: Sequence[int], *, episodes: bool = True, most: int = 0
    ) -> dict[int, AlertGroup]:
        """Those of these groups that there are, in the order asked for."""
        rows = {
            row["id"]: row
            for chunk in chunked(ids)
            for row in connection.execute(select(alert_groups).where(g.id.in_(chunk))).mappings()
        }
        if not rows:
            return {}
        now, unseen_since = self.now(), connection.execute(UNSEEN_SINCE).scalar()
        called = _opening_pings(connection, rows)
        members = _members(connection, rows, most) if episodes else {}
        silences = self._silences_of(connection, [row["id"] for row in rows.values() if row["suppressed"]])
        open_ones = [row["id"] for row in rows.values() if row["closed_at"] is None]
        told_elsewhere = tellers.elsewhere(connection, open_ones, self.cluster) if self.api_speaks else {}
        return {
            one: group_of(
                rows[one],
                unseen_since=unseen_since,
                ping=called.get(one),
                silences=silences.get(one, ()),
                elsewhere=told_elsewhere.get(one),
                calls_next=self.next_call(rows[one], now),
                episodes=members.get(one, ()),
            )
            for one in ids
            if one in rows
        }

    def _silences_of(self, connection: Connection, ids: Sequence[int]) -> dict[int, list[Silence]]:
        """What silences the firing members of these groups."""
        by: dict[int, dict[str, None]] = {}
        for chunk in chunked(ids):
            statement = (
                select(e.group_id, e.silenced_by)
                .where(e.group_id.in_(chunk), e.member, e.state == State.FIRING.value)
                .where(type_coerce(e.silenced_by, Text) != "[]")
                .distinct()
            )
            for group_id, am_ids in connection.execute(statement):
                by.setdefault(group_id, {}).update(dict.fromkeys(am_ids))
        known = _silences(connection, {one for am_ids in by.values() for one in am_ids})
        return {
            group_id: [known[one] for one in am_ids if one in known and known[one].open]
            for group_id, am_ids in by.items()
        }

    # ---- what fires --------------------------------------------------------------------------------------------

    async def firing_counts(self) -> dict[tuple[str, str], FiringCount]:
        """How many episodes fire, by the environment and service of their groups."""
        statement = select(g.environment, g.service, g.severity, g.firing, g.suppressed).where(g.closed_at.is_(None))

        def work(db: Connection) -> dict[tuple[str, str], FiringCount]:
            found: dict[tuple[str, str], FiringCount] = {}
            for row in db.execute(statement):
                place = (row.environment, row.service)
                before = found.get(place, FiringCount(0, 0, ""))
                loud = [row.severity] if row.suppressed < row.firing else []
                worst = pings.worst([one for one in (before.worst, *loud) if one], self.settings.severities)
                found[place] = FiringCount(before.firing + row.firing, before.suppressed + row.suppressed, worst)
            return found

        return await self.database.read(work)

    async def firing_episodes(self) -> tuple[Episode, ...]:
        """Everything that fires, the bot's own alerts among it."""
        statement = select(alert_episodes).where(e.state == State.FIRING.value).order_by(e.starts_at, e.fingerprint)
        return await self.database.read(lambda db: tuple(episode_of(row) for row in db.execute(statement).mappings()))

    async def asked_tellers(self) -> frozenset[str]:
        """Those whose alerts the asked API holds as well: only of theirs does its word count."""
        return await self.database.read(lambda db: tellers.asked(db, self.cluster))

    async def told_elsewhere(self, group_id: int | None = None) -> tuple[tellers.ToldElsewhere, ...]:
        """What fires, or stands in that group, by the word of anybody else; nothing where no API is asked."""
        if not self.api_speaks:
            return ()
        return tuple(await self.database.read(lambda db: tellers.all_elsewhere(db, group_id, self.cluster)))

    async def firing(self, fingerprints: Iterable[str]) -> frozenset[str]:
        """Those of these fingerprints that fire."""
        return frozenset(await self.fingerprint_groups(fingerprints))

    async def fingerprint_groups(self, fingerprints: Iterable[str]) -> dict[str, int]:
        """In which group each of these fingerprints fires; what does not is left out."""
        wanted = list(fingerprints)

        def work(db: Connection) -> dict[str, int]:
            found: dict[str, int] = {}
            for chunk in chunked(wanted):
                statement = select(e.fingerprint, e.group_id).where(
                    e.fingerprint.in_(chunk), e.state == State.FIRING.value
                )
                found |= {row.fingerprint: row.group_id for row in db.execute(statement)}
            return found

        return await self.database.read(work)

    # ---- pings and silences ------------------------------------------------------------------------------------

    async def ping(self, ping_id: int) -> Ping | None:
        """The ping of that number."""
        statement = select(alert_pings).where(c.id == ping_id)

        def work(db: Connection) -> Ping | None:
            row = db.execute(statement).mappings().one_or_none()
            return None if row is None else ping_of(row)

        return await self.database.read(work)

    async def pings(self, group_id: int) -> tuple[Ping, ...]:
        """All pings of a group, in the order in which they were decided."""
        statement = select(alert_pings).where(c.group_id == group_id).order_by(c.id)
        return await self.database.read(lambda db: tuple(ping_of(row) for row in db.execute(statement).mappings()))

    async def silences(self, am_ids: Iterable[str]) -> dict[str, Silence]:
        """Those of these silences that we know of, whoever made them."""
        wanted = set(am_ids)
        return await self.database.read(lambda db: _silences(db, wanted))

    async def silence(self, am_id: str) -> Silence | None:
        """The silence of that id, if we know of it."""
        return (await self.silences([am_id])).get(am_id)

    async def open_silences(self) -> tuple[Silence, ...]:
        """Those that are not over, also those made elsewhere; the soonest to end first."""
        statement = select(alert_silences).where(s.ended_at.is_(None)).order_by(s.ends_at, s.am_id)
        return await self.database.read(lambda db: tuple(silence_of(row) for row in db.execute(statement).mappings()))

    # ---- looking back ------------------------------------------------------------------------------------------

    async def history(self, group_id: int, *, limit: int = 100) -> tuple[Moment, ...]:
        """What happened to a group, the newest first."""
        columns = (e.starts_at, e.first_seen_at, e.ended_at, e.acked_by, e.acked_at, e.name)
        told = select(*columns).where(e.group_id == group_id).order_by(e.id.desc()).limit(20 * limit)

        def work(db: Connection) -> tuple[Moment, ...]:
            found: Counter[tuple[datetime, Happened, str, str]] = Counter()
            for row in db.execute(told):
                found[row.starts_at, Happened.FIRED, row.name, ""] += 1
                if row.ended_at is not None:
                    found[row.ended_at.replace(microsecond=0), Happened.ENDED, row.name, ""] += 1
                if row.acked_at is not None:
                    found[row.acked_at.replace(microsecond=0), Happened.ACKED, row.name, row.acked_by] += 1
            for called in db.execute(select(c.roles, c.people, c.at, c.reason).where(c.group_id == group_id)):
                who = ", ".join((*called.roles, *called.people))
                found[called.at.replace(microsecond=0), Happened.PINGED, called.reason, who] += 1
            moments = [Moment(at, kind, text, person, count) for (at, kind, text, person), count in found.items()]
            return tuple(sorted(moments, key=lambda one: one.at, reverse=True)[:limit])

        return await self.database.read(work)

    async def statistics(
        self, since: datetime, until: datetime | None = None, *, sight: Sight = EVERYWHERE
    ) -> Statistics:
        """What fired from then on, by alertname; the noisiest first."""
        until = until or self.now()
        statement = (
            select(e.name, e.fingerprint, e.starts_at, e.acked_at, e.ended_at)
            .join(alert_groups, g.id == e.group_id)
            .where(e.starts_at >= since, e.starts_at < until, *_within(sight))
            .order_by(e.fingerprint, e.starts_at)
        )
        called = select(func.count()).select_from(alert_pings.join(alert_groups, g.id == c.group_id))
        called = called.where(c.at >= since, c.at < until, *_within(sight))

        def work(db: Connection) -> Statistics:
            rows = db.execute(statement).all()
            return _statistics(
                rows,
                since=since,
                until=until,
                pings=int(db.execute(called).scalar_one()),
                flap=timedelta(seconds=self.settings.flapping.within_s),
            )

        return await self.database.read(work)


def _matching(wanted: GroupFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.state == "open":
        yield g.closed_at.is_(None)
    elif wanted.state == "closed":
        yield g.closed_at.is_not(None)
    for name in ("environment", "service", "severity"):
        if getattr(wanted, name):
            yield g[name] == getattr(wanted, name)
    if wanted.text:
        yield g.title.icontains(wanted.text, autoescape=True)
    if wanted.acked is not None:
        taken = and_(g.acked_by != "", g.unacked_since.is_(None))
        yield taken if wanted.acked else not_(taken)
    if wanted.since is not None:
        yield or_(g.fired_at >= wanted.since, g.closed_at >= wanted.since)
    if wanted.before_id is not None:
        yield g.id < wanted.before_id
    yield from _within(wanted.sight)


def _within(sight: Sight) -> Iterator[ColumnElement[bool]]:
    """Whether one may look at a group of that environment."""
    if not sight.whole:
        named = g.environment.in_(sorted(sight.but))
        yield not_(named) if sight.elsewhere else named


def _opening_pings(connection: Connection, ids: Iterable[int]) -> dict[int, Ping]:
    """The ping with which each group's card is posted."""
    return {
        row["group_id"]: ping_of(row)
        for chunk in chunked(ids)
        for row in connection.execute(
            select(alert_pings).where(c.group_id.in_(chunk), c.reason.in_(OPENING)).order_by(c.id)
        ).mappings()
    }


_RANKED = (
    select(
        alert_episodes,
        func.row_number().over(partition_by=e.group_id, order_by=(e.state, e.starts_at, e.fingerprint)).label("place"),
    )
    .where(e.group_id.in_(bindparam("ids", expanding=True)), e.member)
    .subquery()
)
_FIRST_MEMBERS = select(_RANKED).where(_RANKED.c.place <= bindparam("most"))
_ALL_MEMBERS = select(alert_episodes).where(e.group_id.in_(bindparam("ids", expanding=True)), e.member)


def _members(connection: Connection, ids: Iterable[int], most: int) -> dict[int, list[Episode]]:
    """The newest episode of each fingerprint, by group, in the order of their start."""
    found: dict[int, list[Episode]] = {}
    for chunk in chunked(ids):
        values: dict[str, Any] = {"ids": chunk, "most": most} if most else {"ids": chunk}
        for row in connection.execute(_FIRST_MEMBERS if most else _ALL_MEMBERS, values).mappings():
            found.setdefault(row["group_id"], []).append(episode_of(row))
    for members in found.values():
        members.sort(key=lambda one: (one.starts_at, one.fingerprint))
    return found


def _silences(connection: Connection, am_ids: Iterable[str]) -> dict[str, Silence]:
    return {
        row["am_id"]: silence_of(row)
        for chunk in chunked(am_ids)
        for row in connection.execute(select(alert_silences).where(s.am_id.in_(chunk))).mappings()
    }


@dataclass(slots=True)
class _Tally:
    """What is counted of one alertname."""

    episodes: int = 0
    flaps: int = 0
    taken_s: float = 0.0
    taken: int = 0
    lasted_s: float = 0.0
    ended: int = 0

    def add(self, row: Any, *, flapped: bool) -> None:
        self.episodes += 1
        self.flaps += flapped
        if row.acked_at is not None:
            self.taken += 1
            self.taken_s += max(0.0, (row.acked_at - row.starts_at).total_seconds())
        if row.ended_at is not None:
            self.ended += 1
            self.lasted_s += max(0.0, (row.ended_at - row.starts_at).total_seconds())

    @property
    def mtta_s(self) -> float | None:
        return self.taken_s / self.taken if self.taken else None

    @property
    def mttr_s(self) -> float | None:
        return self.lasted_s / self.ended if self.ended else None


def _statistics(rows: Sequence[Any], *, since: datetime, until: datetime, pings: int, flap: timedelta) -> Statistics:
    """Counted from episodes in the order of their fingerprint and start."""
    every, by_name, days = _Tally(), dict[str, _Tally](), Counter[datetime]()
    before: Any = None
    for row in rows:
        again = before is not None and before.fingerprint == row.fingerprint and before.ended_at is not None
        flapped = bool(again and row.starts_at - before.ended_at <= flap)
        for tally in (every, by_name.setdefault(row.name, _Tally())):
            tally.add(row, flapped=flapped)
        days[row.starts_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)] += 1
        before = row
    names = (
        NameFigures(name, one.episodes, one.taken, one.ended, one.mtta_s, one.mttr_s, one.flaps)
        for name, one in by_name.items()
    )
    return Statistics(
        since=since,
        until=until,
        names=tuple(sorted(names, key=lambda one: (-one.episodes, one.name))),
        days=tuple(sorted(days.items())),
        episodes=every.episodes,
        pings=pings,
        mtta_s=every.mtta_s,
        mttr_s=every.mttr_s,
        flaps=every.flaps,
    )
