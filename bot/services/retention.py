"""Forgetting: rows whose time is over are deleted, a few hundred a transaction, so that nobody waits for it.

Operations themselves are kept for ever, and so is everything of an operation that is not over. The record (events) is
kept at least as long as the setting says. What is of alerts stands in `alert_retention`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, String, Table, and_, cast, delete, or_, select, update

from bot.db.database import Database
from bot.db.tables import alert_groups, alert_pings, cards, events, handles, operations, schedule_runs
from bot.ops.model import FINAL
from bot.ops.record import Now, utc_now
from bot.services.alert_retention import forget_groups, forget_payloads, forget_silences
from bot.settings import RetentionSettings

CHUNK = 500
BESIDE = ("outcome", "reminder")
"""Cards that stand beside an operation's own."""
TOLD = ("audit", "announcement", "tally", "handover", "pack")
"""Cards that tell of the record, and are kept as long as it is."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows went, by kind."""

    events: int
    handles: int
    cards: int
    runs: int
    logs: int
    payloads: int = 0
    alerts: int = 0


class Retention:
    """Deletes by the settings' days."""

    def __init__(self, database: Database, settings: RetentionSettings, *, now: Now = utc_now) -> None:
        self._database = database
        self._settings = settings
        self._now = now

    async def forget(self) -> Forgotten:
        """Delete everything whose time is over.

        Raises:
            Unavailable: the database could not do it; what was deleted before stays deleted.
        """
        kept = self._settings
        events_before, cards_before = self._before(kept.events_days), self._before(kept.cards_days)
        return Forgotten(
            events=await self._chunked(lambda c: _delete(c, events, _over_events(events_before))),
            handles=await self._chunked(lambda c: _forget_handles(c, self._before(kept.handles_days))),
            cards=await self._chunked(lambda c: _delete(c, cards, _over_cards(cards_before, events_before))),
            runs=await self._chunked(
                lambda c: _delete(c, schedule_runs, schedule_runs.c.due_at < self._before(kept.runs_days))
            ),
            logs=await self._chunked(lambda c: _forget_logs(c, self._before(kept.logs_days))),
            payloads=await self._chunked(lambda c: forget_payloads(c, self._before(kept.payloads_days))),
            alerts=await self._chunked(lambda c: forget_groups(c, self._before(kept.alerts_days)))
            + await self._chunked(lambda c: forget_silences(c, self._before(kept.alerts_days))),
        )

    def _before(self, days: int) -> datetime:
        return self._now() - timedelta(days=days)

    async def _chunked(self, work: Callable[[Connection], int]) -> int:
        total = 0
        while found := await self._database.write(work):
            total += found
        return total


def _ended(before: datetime) -> ColumnElement[bool]:
    return and_(operations.c.status.in_(tuple(FINAL)), operations.c.ended_at < before)


def _open() -> ColumnElement[bool]:
    return operations.c.status.not_in(tuple(FINAL))


def _over_events(before: datetime) -> ColumnElement[bool]:
    of_open = select(operations.c.id).where(_open())
    free = or_(events.c.operation_id.is_(None), events.c.operation_id.not_in(of_open))
    return and_(events.c.at < before, free)


def _over_cards(before: datetime, events_before: datetime) -> ColumnElement[bool]:
    """What stood beside operations that ended long ago, and what told of a record that is gone; never a cursor."""
    number = cast(operations.c.id, String)
    beside = [cards.c.key.in_(select(f"{topic}:" + number).where(_ended(before))) for topic in BESIDE]
    beside += [cards.c.key.in_(keys) for keys in _alert_cards(before)]
    told = [and_(cards.c.key.startswith(f"{topic}:"), cards.c.posted_at < events_before) for topic in TOLD]
    return and_(cards.c.wanted <= cards.c.shown, or_(*beside, *told))


def _alert_cards(before: datetime) -> tuple[Select[str], ...]:
    """The keys of the cards of groups that ended long ago, and of the pings beside them."""
    ended = select(alert_groups.c.id).where(alert_groups.c.closed_at < before)
    return (
        select("alert:" + cast(alert_groups.c.id, String)).where(alert_groups.c.closed_at < before),
        select("alertping:" + cast(alert_pings.c.id, String)).where(alert_pings.c.group_id.in_(ended)),
    )


def _delete(connection: Connection, table: Table, over: ColumnElement[bool]) -> int:
    """Delete at most a chunk of the rows for which that holds; how many."""
    key = tuple(table.primary_key.columns)
    chosen = connection.execute(select(*key).where(over).limit(CHUNK)).all()
    for row in chosen:
        connection.execute(delete(table).where(*(column == value for column, value in zip(key, row, strict=True))))
    return len(chosen)


def _forget_handles(connection: Connection, before: datetime) -> int:
    """Delete old handles of what is over, and with its last handle the question that somebody was asked."""
    of_open = select(operations.c.id).where(_open())
    free = or_(handles.c.operation_id.is_(None), handles.c.operation_id.not_in(of_open))
    firing = select("alert:" + cast(alert_groups.c.id, String)).where(alert_groups.c.closed_at.is_(None))
    over = handles.c.card_key.not_in(firing)
    statement = select(handles.c.handle, handles.c.card_key).where(handles.c.created_at < before, free, over)
    chosen = connection.execute(statement.limit(CHUNK)).all()
    for handle, _ in chosen:
        connection.execute(delete(handles).where(handles.c.handle == handle))
    left = select(handles.c.card_key)
    for key in {card_key for _, card_key in chosen}:
        # A question was never posted; a card that was keeps its row for as long as its operation.
        asked = and_(cards.c.key == key, cards.c.message_id.is_(None), cards.c.wanted == 0)
        connection.execute(delete(cards).where(asked, cards.c.key.not_in(left)))
    return len(chosen)


def _forget_logs(connection: Connection, before: datetime) -> int:
    chosen = select(operations.c.id).where(_ended(before), operations.c.log_tail != "").limit(CHUNK)
    return connection.execute(update(operations).where(operations.c.id.in_(chosen)).values(log_tail="")).rowcount
