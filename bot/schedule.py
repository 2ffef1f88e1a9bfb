"""What happens by the clock. `due` is pure and decides from rows; APScheduler only ticks and parses cron lines.

A chore's run is a row, claimed before it is done, so that each moment is served once, whoever ticks; moments missed
while the bot was down are made up for by one run. Sweeps decide from the rows they look at and need no such record.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects import sqlite

from bot.db.database import Database
from bot.db.tables import schedule_runs
from bot.errors import QuarterdeckError
from bot.ops.engine import Engine
from bot.ops.record import Now, utc_now
from bot.services.backup import Backups
from bot.services.retention import Retention

TICK_S = 15
REMIND_WITHIN_S = 30 * 60
"""So long before its expiry a request that still waits is brought to mind."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done at the moments of a cron line (UTC)."""

    name: str
    cron: str
    work: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Due:
    """A chore whose moment `due_at` has come."""

    chore: Chore
    due_at: datetime


def due(chores: Sequence[Chore], last: Mapping[str, datetime], now: datetime, *, since: datetime) -> list[Due]:
    """The chores with a moment after their last run (after `since` where there was none) and not after `now`."""
    found = []
    for chore in chores:
        after = last.get(chore.name, since) + timedelta(microseconds=1)
        moment = CronTrigger.from_crontab(chore.cron, timezone=UTC).get_next_fire_time(None, after)
        if moment is not None and moment <= now:
            found.append(Due(chore, moment))
    return found


class Schedule:
    """Ticks, claims and does. `sweeps` are done at every tick."""

    def __init__(
        self,
        database: Database,
        *,
        chores: Sequence[Chore] = (),
        sweeps: Sequence[Callable[[], Awaitable[object]]] = (),
        now: Now = utc_now,
        tick_s: float = TICK_S,
    ) -> None:
        self._database = database
        self._chores = tuple(chores)
        self._sweeps = tuple(sweeps)
        self._now = now
        self._since = now()
        self._tick_s = tick_s
        self._closing = False
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    async def start(self) -> None:
        """Begin to tick."""
        self._scheduler.add_job(self._tick_or_say, "interval", seconds=self._tick_s, max_instances=1, coalesce=True)
        self._scheduler.start()

    async def close(self) -> None:
        """Stop ticking; a chore under way is let go."""
        self._closing = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _tick_or_say(self) -> None:
        try:
            await self.tick()
        except asyncio.CancelledError:  # the scheduler ends its jobs so; it would log that as a fault
            if not self._closing:
                raise
        except QuarterdeckError as error:
            log.warning("the schedule could not look at its rows: %s", error)

    async def tick(self) -> None:
        """Do what is due now. A sweep or a chore that fails is logged and does not keep the others from theirs."""
        for sweep in self._sweeps:
            await self._attempt("sweep", sweep)
        last = await self._database.read(_last_runs)
        for item in due(self._chores, last, self._now(), since=self._since):
            await self._serve(item)

    async def _serve(self, item: Due) -> None:
        if not await self._database.write(lambda connection: _claim(connection, item, self._now())):
            return
        outcome = await self._attempt(item.chore.name, item.chore.work)
        await self._database.write(lambda connection: _note(connection, item, self._now(), outcome))

    async def _attempt(self, name: str, work: Callable[[], Awaitable[object]]) -> str:
        try:
            await work()
        except QuarterdeckError as error:
            log.warning("the schedule's %s failed: %s", name, error)
            return f"failed: {error}"
        return "done"


def house_schedule(
    database: Database, engine: Engine, *, retention: Retention, backups: Backups, every_h: int = 6, now: Now = utc_now
) -> Schedule:
    """What every installation does by the clock: reminders of approvals, copies of the database, forgetting old rows.

    `every_h`: hours between two copies; it divides 24.
    """

    async def remind() -> None:
        await engine.remind(within_s=REMIND_WITHIN_S)

    chores = (
        Chore("forget", "17 3 * * *", retention.forget),
        Chore("backup", f"41 */{every_h} * * *" if every_h < 24 else "41 0 * * *", backups.make),
    )
    return Schedule(database, chores=chores, sweeps=(remind,), now=now)


def _last_runs(connection: Connection) -> dict[str, datetime]:
    latest = select(schedule_runs.c.name, func.max(schedule_runs.c.started_at)).group_by(schedule_runs.c.name)
    return {row[0]: row[1] for row in connection.execute(latest)}


def _claim(connection: Connection, item: Due, now: datetime) -> bool:
    insert = sqlite.insert(schedule_runs).values(name=item.chore.name, due_at=item.due_at, started_at=now)
    return connection.execute(insert.on_conflict_do_nothing().returning(schedule_runs.c.name)).first() is not None


def _note(connection: Connection, item: Due, now: datetime, outcome: str) -> None:
    table = schedule_runs.c
    ours = (table.name == item.chore.name) & (table.due_at == item.due_at)
    connection.execute(update(schedule_runs).where(ours).values(ended_at=now, outcome=outcome))
