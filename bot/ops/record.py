"""The record: what happened, by whom, when; appended in the transaction of what it tells of, folded, and searched.

It is audit, progress and feed in one. Refusals of one actor and rule on one day are one row that counts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, not_, select
from sqlalchemy.dialects import sqlite

from bot.db.tables import events, operations
from bot.errors import Refused
from bot.ops import statements
from bot.ops.model import Event, Json
from bot.ops.rows import event_of
from bot.policy import EVERYWHERE, Sight

Now = Callable[[], datetime]
PLACE = ("environment", "service")
PLACE_MAX = 100
"""Characters of a name that somebody typed; longer ones are cut."""
"""What says where something was."""
PROGRESS = ("step.%", "run.%")
"""The names of events, as patterns, that tell how a run goes on and not what somebody decided."""


Clean = Callable[[str], str]
"""Takes secrets out of a text."""


def cleaned(value: Any, clean: Clean) -> Any:
    """A text, or all texts in a JSON value, without secrets. Keys are ours and stay."""
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {key: cleaned(item, clean) for key, item in value.items()}
        case list() | tuple():
            return [cleaned(item, clean) for item in value]
        case _:
            return value


def utc_now() -> datetime:
    """The clock of everything that is not under test."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events are wanted, of operations and of doors; empty fields ask for all. Newest first.

    `since` is included, `until` is not. `before_id` pages: only events older than that one.
    """

    actor: str = ""
    service: str = ""
    environment: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100
    before_id: int | None = None
    progress: bool = False
    """Also what the machinery says of a run under way: steps, notes, checkpoints."""


class Record:
    """Appends and finds events, within the caller's transaction. `clean` keeps secrets out of what is written."""

    def __init__(self, *, now: Now, clean: Clean = str) -> None:
        self.now = now
        self.clean = clean

    def record(
        self,
        connection: Connection,
        name: str,
        actor: str,
        text: str,
        *,
        operation_id: int | None = None,
        data: Json | None = None,
        fold: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Append an event. Events of one `fold` on one day are one row that counts and shows the latest time.

        `environment` and `service` among the data say where, for an event that belongs to no operation.
        """
        now, details = at or self.now(), data or {}
        place = {} if operation_id is not None else {key: self._place(details, key) for key in PLACE}
        values = {
            "operation_id": operation_id,
            "name": name,
            "actor": actor,
            "text": self.clean(text),
            "data": cleaned(details, self.clean),
            "at": now,
            **dict.fromkeys(PLACE, ""),
            **place,
        }
        if fold is None:
            connection.execute(statements.RECORD, values)
            return
        where = "/".join(filter(None, place.values()))
        insert = sqlite.insert(events).values(
            **values, fold=f"{now:%Y-%m-%d}|{operation_id or where}|{name}|{actor}|{fold}"
        )
        counted = {"count": events.c.count + 1, "at": insert.excluded.at, "text": insert.excluded.text}
        connection.execute(insert.on_conflict_do_update(index_elements=["fold"], set_=counted))

    def _place(self, details: Json, key: str) -> str:
        """What somebody may have typed: free of secrets, and no longer than a name can be."""
        return self.clean(str(details.get(key) or ""))[:PLACE_MAX]

    def record_refusal(
        self,
        connection: Connection,
        name: str,
        actor: str,
        refusal: Refused,
        operation_id: int | None,
        *,
        place: Json | None = None,
    ) -> None:
        """Append a refusal; those of one actor, door and rule fold.

        `place` is where it was: the door, and for what belongs to no operation the environment and service.
        """
        rule = refusal.rule or "input"
        data = {**(place or {}), "rule": rule}
        fold = "|".join(filter(None, (rule, str(data.get("door", "")))))
        self.record(connection, name, actor, str(refusal), operation_id=operation_id, data=data, fold=fold)

    def events(self, connection: Connection, operation_id: int | None, limit: int) -> list[Event]:
        """Newest first."""
        statement = select(events).order_by(events.c.id.desc()).limit(limit)
        if operation_id is not None:
            statement = statement.where(events.c.operation_id == operation_id)
        return [event_of(row) for row in connection.execute(statement).mappings()]

    def audit(self, connection: Connection, wanted: AuditFilter, sight: Sight = EVERYWHERE) -> list[Event]:
        """Those that match and were where one may look, newest first, each with the environment and service that it
        is about. What belongs to no environment counts as elsewhere.
        """
        columns = [column for column in events.c if column.name not in PLACE]
        statement = (
            select(*columns, *(expression.label(name) for name, expression in _ABOUT.items()))
            .select_from(_WITH_OPERATIONS)
            .where(*_matching(wanted, sight))
            .order_by(events.c.id.desc())
            .limit(wanted.limit)
        )
        return [event_of(row) for row in connection.execute(statement).mappings()]

    def count_events(self, connection: Connection, wanted: AuditFilter, sight: Sight, *, after_id: int) -> int:
        """How many match that are newer than that one; the filter's limit does not count here."""
        matching = select(func.count()).select_from(_WITH_OPERATIONS).where(*_matching(wanted, sight))
        return int(connection.execute(matching.where(events.c.id > after_id)).scalar_one())


_WITH_OPERATIONS = events.outerjoin(operations, operations.c.id == events.c.operation_id)
_ABOUT = {name: func.coalesce(operations.c[name], events.c[name]) for name in PLACE}
"""Where an event was: where its operation is, or, of an event that belongs to none, what it says itself."""


def _matching(wanted: AuditFilter, sight: Sight) -> Iterator[ColumnElement[bool]]:
    """What the filter asks for, all of which must hold."""
    for name, expression in _ABOUT.items():
        if getattr(wanted, name):
            yield expression == getattr(wanted, name)
    if wanted.actor:
        yield events.c.actor == wanted.actor
    if not wanted.progress:
        yield and_(*(events.c.name.not_like(pattern) for pattern in PROGRESS))
    if wanted.since is not None:
        yield events.c.at >= wanted.since
    if wanted.until is not None:
        yield events.c.at < wanted.until
    if wanted.before_id is not None:
        yield events.c.id < wanted.before_id
    if not sight.whole:
        yield within(sight, _ABOUT["environment"])


def within(sight: Sight, environment: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether one may look at a row of that environment."""
    named = environment.in_(sorted(sight.but))
    return not_(named) if sight.elsewhere else named
