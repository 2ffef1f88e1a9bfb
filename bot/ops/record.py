"""The record: what happened, by whom, when; appended in the transaction of what it tells of, folded, and searched.

It is audit, progress and feed in one. Refusals of one actor and rule on one day are one row that counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select
from sqlalchemy.dialects import sqlite

from bot.db.tables import events, operations
from bot.errors import Refused
from bot.ops import statements
from bot.ops.model import Event, Json
from bot.ops.rows import event_of

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

    def audit(self, connection: Connection, wanted: AuditFilter) -> list[Event]:
        """Those that match, newest first, each with the environment and service that it is about."""
        about = {name: func.coalesce(operations.c[name], events.c[name]) for name in PLACE}
        columns = [column for column in events.c if column.name not in PLACE]
        statement = (
            select(*columns, *(expression.label(name) for name, expression in about.items()))
            .select_from(events.outerjoin(operations, operations.c.id == events.c.operation_id))
            .order_by(events.c.id.desc())
            .limit(wanted.limit)
        )
        for name, expression in about.items():
            if getattr(wanted, name):
                statement = statement.where(expression == getattr(wanted, name))
        if wanted.actor:
            statement = statement.where(events.c.actor == wanted.actor)
        if not wanted.progress:
            statement = statement.where(and_(*(events.c.name.not_like(pattern) for pattern in PROGRESS)))
        if wanted.since is not None:
            statement = statement.where(events.c.at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(events.c.at < wanted.until)
        if wanted.before_id is not None:
            statement = statement.where(events.c.id < wanted.before_id)
        return [event_of(row) for row in connection.execute(statement).mappings()]
