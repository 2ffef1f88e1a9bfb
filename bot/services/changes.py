"""What changed: one index of everything that was done to a service and environment in a window of time, newest first.

Read from the rows that exist anyway: operations that began, and events of the record (the bot's configuration,
silences, maintenance, and versions that somebody put there by hand). Only reads, and never asks the outside, so that an
alert's card can say within milliseconds what was done before it, or that nothing was.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select, true

from bot.db.database import Database
from bot.db.tables import events, operations
from bot.ops.model import Status
from bot.ops.record import Now, utc_now
from bot.policy import CONTROL, EVERYWHERE, Sight

BY_HAND = "by hand"
CONFIGURATION = "configuration"
SILENCE = "silence"
MAINTENANCE = "maintenance"
HAND_CHANGE = "hand.change"
"""The event of a version that is not the last operation's, written by `hand_changes`."""
KINDS = {
    HAND_CHANGE: BY_HAND,
    "config.loaded": CONFIGURATION,
    "config.reloaded": CONFIGURATION,
    "silence.created": SILENCE,
    "silence.extended": SILENCE,
    "silence.expired": SILENCE,
    "maintenance.started": MAINTENANCE,
    "maintenance.extended": MAINTENANCE,
    "maintenance.ended": MAINTENANCE,
}
"""The events that are changes, and what kind each is. Operations are called by their own kind (`deploy`)."""
VERSIONED = ("deploy", "rollback")
LIMIT = 25
RELOAD = "reload"
"""Operations that the record tells better: its event lists what the new configuration changes."""
_SAID = {**{status: status.value for status in Status}, Status.RUNNING: "still running"}
_COLUMNS = ("id", "kind", "environment", "service", "target", "requester", "status", "started_at", "ended_at")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was done. `text` is plain and holds foreign words: to be escaped by whoever shows it.

    `at` is when it ended, or, of what still runs, when it began. `outcome` is an operation's status, else empty;
    an empty `environment` or `service` means that it touches more than one.
    """

    at: datetime
    kind: str
    text: str
    person: str
    operation_id: int | None = None
    environment: str = ""
    service: str = ""
    outcome: str = ""

    @property
    def can_be_undone(self) -> bool:
        """Whether it put a version there that a rollback could take away again."""
        return self.kind in VERSIONED and self.outcome == Status.SUCCEEDED


class Changes:
    """The index. `now` is only asked for what still runs.

    `services` are those of the configuration. What bears another name (a host's or the monitoring's own alerts) has no
    changes of its own: what may have caused it is all that was done to its environment.
    """

    def __init__(self, database: Database, *, services: Collection[str], now: Now = utc_now) -> None:
        self._database = database
        self._services = frozenset(services)
        self._now = now

    async def of(
        self, environment: str, service: str, since: datetime, until: datetime, *, sight: Sight = EVERYWHERE
    ) -> tuple[Change, ...]:
        """The newest changes of that window, at most `LIMIT`.

        An empty service, or one that the configuration does not name, means all of the environment, an empty
        environment all of them. What touches a whole environment, or the bot itself, belongs to each of its services.
        """
        service = service if service in self._services else ""

        def read(connection: Connection) -> list[Change]:
            return [
                *_operations(connection, environment, service, since, until),
                *_events(connection, environment, service, since, until),
            ]

        found = [change for change in await self._database.read(read) if sight.covers(change.environment)]
        return tuple(sorted(found, key=lambda change: change.at, reverse=True)[:LIMIT])

    async def lately(
        self, environment: str, service: str, window: timedelta, *, sight: Sight = EVERYWHERE
    ) -> tuple[Change, ...]:
        """The changes of the time up to this moment."""
        now = self._now()
        return await self.of(environment, service, now - window, now, sight=sight)


def no_change(window: timedelta) -> str:
    """That nothing was done, said with the window that was looked at: `no change in 2 h`."""
    minutes = round(window.total_seconds() / 60)
    return f"no change in {minutes // 60} h" if minutes >= 60 and minutes % 60 == 0 else f"no change in {minutes} min"


def _operations(
    connection: Connection, environment: str, service: str, since: datetime, until: datetime
) -> Iterator[Change]:
    table = operations.c
    columns = [table[name] for name in _COLUMNS]
    ended = select(*columns).where(table.ended_at >= since, table.started_at <= until)
    under_way = (Status.RUNNING, Status.INTERRUPTED)
    running = select(*columns).where(table.status.in_(under_way), table.ended_at.is_(None), table.started_at <= until)
    here = or_(_where(operations, environment, service), table.environment == CONTROL)
    for statement in (ended.where(here).order_by(table.ended_at.desc()).limit(LIMIT), running.where(here)):
        for row in connection.execute(statement).mappings():
            over = row["ended_at"] is not None and row["ended_at"] <= until
            status = Status(row["status"]) if over or row["status"] == Status.INTERRUPTED else Status.RUNNING
            if row["kind"] == RELOAD and status is Status.SUCCEEDED:
                continue
            yield Change(
                at=row["ended_at"] if over else row["started_at"],
                kind=row["kind"],
                text=f"{row['kind']} {row['target']}" + ("" if status is Status.SUCCEEDED else f", {_SAID[status]}"),
                person=row["requester"],
                operation_id=row["id"],
                environment=row["environment"],
                service=row["service"],
                outcome=status,
            )


def _where(table: Table, environment: str, service: str) -> ColumnElement[bool]:
    """That place, or all of what it belongs to."""
    there = table.c.environment == environment if environment else true()
    return and_(there, table.c.service.in_((service, ""))) if service else there


def _events(
    connection: Connection, environment: str, service: str, since: datetime, until: datetime
) -> Iterator[Change]:
    table = events.c
    columns = [table[name] for name in ("name", "actor", "text", "at", "environment", "service")]
    here = or_(_where(events, environment, service), table.environment.in_(("", CONTROL)))
    statement = select(*columns).where(table.at >= since, table.at <= until, table.name.in_(KINDS), here)
    for row in connection.execute(statement.order_by(table.at.desc()).limit(LIMIT)).mappings():
        yield Change(
            at=row["at"],
            kind=KINDS[row["name"]],
            text=row["text"],
            person=row["actor"],
            environment=row["environment"],
            service=row["service"],
        )
