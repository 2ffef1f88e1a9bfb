"""Calls people past Discord, by an SNS topic: for a critical alert that Discord does not show or that nobody takes.

One message for each time that a group begins to fire, whatever happens to it later, and one message for all that are
due at once. The row is claimed before the message is sent: a lost answer, or a crash in between, is tried again after
a while, because a critical alert told twice is better than one not told.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, String, and_, cast, exists, or_, select, update
from sqlalchemy.dialects import sqlite

from bot.alert_settings import AlertSettings
from bot.alerts.model import Labels
from bot.alerts.store import AlertStore
from bot.clients.aws import AwsClient
from bot.db.tables import alert_groups, alert_pings, cards, road_messages
from bot.errors import Unavailable, Unknown
from bot.metrics import Metrics
from bot.ops.record import Now, utc_now

AGAIN_AFTER = timedelta(seconds=30)
"""After a try that failed, or of which nobody knows how it ended."""
NOTICED = timedelta(seconds=10)
"""A card that is out of date since so soon after it began to fire has not shown that it does."""
LISTED_MAX = 20
"""Alerts that one message tells in full; the others are counted."""
TEXT_MAX = 600
UNSHOWN, UNTAKEN = "unshown", "untaken"
SENT = "sent"
RECORDED = "alert.second_road"
FOOT = (
    "Sent by Quarterdeck past Discord, once for each time that such a group begins to fire; after a lost answer it may"
    " come twice. On the bot's host, `quarterdeck status` works without Discord."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A group that must be told of by this road; `opening` is when it began to fire."""

    group_id: int
    opening: datetime
    reason: str
    title: str
    environment: str
    service: str
    firing: int
    labels: Labels
    annotations: Labels


@dataclass(frozen=True, slots=True)
class _Stale:
    """A card that shows an old state, since when; `watched`: whether we saw it become so, or found it when we began."""

    shown: int
    since: datetime
    watched: bool

    def never_shown(self, fired_at: datetime, now: datetime, patience: timedelta) -> bool:
        """Whether it has not shown what began to fire then. What was found so is given time to be edited first."""
        return self.since <= fired_at + NOTICED if self.watched else now - self.since >= patience


class SecondRoad:
    """Looks at every tick; without a `second_road` in the settings it does nothing."""

    def __init__(
        self, *, store: AlertStore, aws: AwsClient, settings: AlertSettings, metrics: Metrics | None = None,
        now: Now = utc_now,
    ) -> None:  # fmt: skip
        self._store = store
        self._database = store.database
        self._aws = aws
        self._metrics = metrics or Metrics()
        self._road = settings.second_road
        self._critical = settings.severities[-1]
        self._now = now
        self._stale: dict[int, _Stale] = {}
        """Of each group whose card has stood and is out of date."""
        self._looked = False

    async def look(self) -> None:
        """Send one message for all groups that are due, if there are any."""
        if self._road is None:
            return
        now, patience = self._now(), timedelta(seconds=self._road.after_s)
        untold = _untold(self._critical, now, patience)
        rows = await self._database.read(lambda c: c.execute(untold).mappings().all())
        self._watch(rows, now)
        due = [_call(row, reason) for row in rows if (reason := self._reason(row, now, patience))]
        if due and (calls := await self._database.write(lambda c: _claimed(c, untold, due, now))):
            await self._send(self._road.topic_arn, calls, now)

    def _watch(self, rows: Sequence[RowMapping], now: datetime) -> None:
        """Note since when each card that stands has been out of date, without a break."""
        before, self._stale = self._stale, {}
        for row in rows:
            if _was_posted(row) and row["wanted"] > row["shown"]:
                known = before.get(row["id"])
                if known is None or known.shown != row["shown"]:
                    known = _Stale(row["shown"], now, self._looked)
                self._stale[row["id"]] = known
        self._looked = True

    def _reason(self, row: RowMapping, now: datetime, patience: timedelta) -> str:
        """Why that group must be told of; empty: it need not."""
        if now - row["fired_at"] < patience:
            return ""
        stale = self._stale.get(row["id"])
        never_edited = stale is not None and stale.never_shown(row["fired_at"], now, patience)
        if not _was_posted(row) or row["unheard"] or never_edited:
            return UNSHOWN
        steps = self._store.route_of(row).escalation
        if not steps or row["escalation_step"] < len(steps):
            return ""
        last_at: datetime = row["unacked_since"] + timedelta(seconds=steps[-1].after_s)
        return UNTAKEN if now >= last_at + patience else ""

    async def _send(self, topic_arn: str, calls: Sequence[Call], now: datetime) -> None:
        episodes = ",".join(f"{call.group_id}-{call.opening.timestamp():.0f}" for call in calls)
        key = hashlib.sha256(episodes.encode()).hexdigest()
        try:
            message_id = await self._aws.publish(topic_arn, subject=subject(calls), text=text(calls, now), key=key)
        except Unavailable as error:
            lost = isinstance(error, Unknown)
            _log.error("the second road %s: %s", "may or may not have been taken" if lost else "is closed", error)
            await self._settle(calls, "unknown" if lost else "not sent", None, str(error))
            return
        _log.warning("%d alert group(s) told by the second road, message %s", len(calls), message_id)
        await self._settle(calls, SENT, self._now(), message_id)

    async def _settle(self, calls: Sequence[Call], outcome: str, sent_at: datetime | None, detail: str) -> None:
        self._metrics.second_road.labels(outcome).inc()

        def write(connection: Connection) -> None:
            for call in calls:
                ours = and_(road_messages.c.group_id == call.group_id, road_messages.c.opening == call.opening)
                values = {"outcome": f"{outcome}: {detail}"[:500], "sent_at": sent_at}
                connection.execute(update(road_messages).where(ours).values(**values))
                if sent_at is not None:
                    self._note(connection, call, detail)

        await self._database.write(write)

    def _note(self, connection: Connection, call: Call, message_id: str) -> None:
        where = {"environment": call.environment, "service": call.service, "group_id": call.group_id}
        told = f"A{call.group_id} {call.title} was told by the second road (SNS {message_id}): {_why(call)}"
        self._store.record(connection, RECORDED, "bot", told, data={**where, "reason": call.reason})


def _was_posted(row: RowMapping) -> bool:
    """Whether it has stood in the channel, by itself or in a pack; while it is posted anew it has no message."""
    return row["message_id"] is not None or row["posted_at"] is not None


def _untold(critical: str, now: datetime, patience: timedelta) -> Select[Any]:
    """Critical groups that fire, not all quiet, that wait for somebody, and that were not told of by this road."""
    group, road, card, calling = alert_groups.c, road_messages.c, cards.alias(), cards.alias()
    # A call beside a card that stands already: somebody was to be called anew, and Discord has not got it yet.
    unheard = exists().where(
        alert_pings.c.group_id == group.id,
        alert_pings.c.held_until.is_(None),
        alert_pings.c.at >= group.fired_at,
        alert_pings.c.at <= now - patience,
        calling.c.key == "alertping:" + cast(alert_pings.c.id, String),
        calling.c.posted_at.is_(None),
        calling.c.wanted > calling.c.shown,  # else it was seen to that nobody needs it any more
    )
    untold = or_(road.group_id.is_(None), and_(road.sent_at.is_(None), road.claimed_at <= now - AGAIN_AFTER))
    return (
        select(alert_groups, card.c.message_id, card.c.posted_at, card.c.wanted, card.c.shown, unheard.label("unheard"))
        .outerjoin(card, card.c.key == "alert:" + cast(group.id, String))
        .outerjoin(road_messages, and_(road.group_id == group.id, road.opening == group.fired_at))
        .where(group.closed_at.is_(None), group.severity == critical, group.unacked_since.is_not(None))
        .where(group.suppressed < group.firing)
        .where(untold)
        .order_by(group.fired_at, group.id)
    )


def _claimed(connection: Connection, untold: Select[Any], due: Sequence[Call], now: datetime) -> tuple[Call, ...]:
    """Those of them that nobody has taken or told of meanwhile; from here on it is us who tell of them."""
    still = {(row["id"], row["fired_at"]) for row in connection.execute(untold).mappings()}
    claimed = tuple(call for call in due if (call.group_id, call.opening) in still)
    for call in claimed:
        insert = sqlite.insert(road_messages).values(
            group_id=call.group_id, opening=call.opening, reason=call.reason, claimed_at=now
        )
        again = {"claimed_at": now, "reason": call.reason}
        connection.execute(insert.on_conflict_do_update(index_elements=["group_id", "opening"], set_=again))
    return claimed


def _call(row: RowMapping, reason: str) -> Call:
    return Call(
        group_id=row["id"],
        opening=row["fired_at"],
        reason=reason,
        title=row["title"],
        environment=row["environment"],
        service=row["service"],
        firing=row["firing"],
        labels=row["common_labels"],
        annotations=row["common_annotations"],
    )


def subject(calls: Sequence[Call]) -> str:
    """One line: what the first is, and how many more there are."""
    first = calls[0]
    place = f" in {first.environment}" if first.environment else ""
    more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
    return f"CRITICAL: {first.title}{place}{more}"


def text(calls: Sequence[Call], now: datetime) -> str:
    """The whole message, plain text: what fires, since when, why it comes this way, and what to do."""
    parts = [_told(call, now) for call in calls[:LISTED_MAX]]
    if len(calls) > LISTED_MAX:
        parts.append(f"... and {len(calls) - LISTED_MAX} more groups.")
    return "\n\n".join([*parts, FOOT])


def _told(call: Call, now: datetime) -> str:
    where = " / ".join(filter(None, (call.environment, call.service)))
    minutes = max(1, round((now - call.opening).total_seconds() / 60))
    lines = [
        f"[{call.firing} firing] {call.title}" + (f" - {where}" if where else ""),
        f"since {call.opening:%Y-%m-%d %H:%M} UTC ({minutes} min); {_why(call)}",
        call.annotations.get("summary", ""),
        ", ".join(f"{name}={value}" for name, value in sorted(call.labels.items()) if name != "alertname"),
        f"Runbook: {runbook}" if (runbook := call.annotations.get("runbook_url", "")) else "",
    ]
    return "\n".join(line[:TEXT_MAX] for line in lines if line)


def _why(call: Call) -> str:
    return "Discord has not shown it" if call.reason == UNSHOWN else "nobody took it after the last escalation step"
