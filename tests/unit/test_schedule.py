"""What is due when, and that each moment is served once."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from bot.db.database import Database
from bot.db.tables import schedule_runs
from bot.errors import Unavailable
from bot.ops.model import Status
from bot.schedule import Chore, Schedule, due, house_schedule
from tests.unit.engine_room import Clock, open_room

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


async def nothing() -> None:
    return None


HOURLY = Chore("hourly", "0 * * * *", nothing)
DAILY = Chore("daily", "30 3 * * *", nothing)


def test_nothing_is_due_before_its_first_moment() -> None:
    assert due([HOURLY, DAILY], {}, START + timedelta(minutes=59), since=START) == []


def test_a_moment_that_came_is_due_until_it_was_served() -> None:
    now = START + timedelta(hours=1, minutes=2)
    (found,) = due([HOURLY, DAILY], {}, now, since=START)
    assert (found.chore, found.due_at) == (HOURLY, START + timedelta(hours=1))
    assert due([HOURLY], {"hourly": now}, now, since=START) == []


def test_many_missed_moments_are_one_run() -> None:
    now = START + timedelta(days=3)
    (found,) = due([HOURLY], {"hourly": START}, now, since=now)
    assert due([HOURLY], {"hourly": now}, now, since=now) == []
    assert found.due_at == START + timedelta(hours=1)


def test_a_first_start_makes_up_for_nothing() -> None:
    assert due([DAILY], {}, START, since=START) == []


async def test_two_that_tick_at_once_serve_a_moment_once(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "quarterdeck.sqlite3")
    clock, done = Clock(), []

    async def work() -> None:
        done.append(clock())

    async def fails() -> None:
        raise Unavailable("aws", "AWS did not answer.")

    chores = (Chore("works", "0 * * * *", work), Chore("fails", "0 * * * *", fails))
    schedules = [Schedule(database, chores=chores, now=clock) for _ in range(2)]
    clock.advance(hours=1, minutes=1)
    await asyncio.gather(*(schedule.tick() for schedule in schedules))
    await schedules[0].tick()
    statement = select(schedule_runs.c.name, schedule_runs.c.outcome).order_by(schedule_runs.c.name)
    rows = await database.read(lambda c: [tuple(row) for row in c.execute(statement)])
    await database.close()
    assert len(done) == 1
    assert rows == [("fails", "failed: AWS did not answer."), ("works", "done")]


async def test_it_ticks_by_itself_and_stops_when_closed(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        ticks = asyncio.Queue[int]()

        async def sweep() -> None:
            await ticks.put(1)

        schedule = Schedule(room.database, sweeps=(sweep,), tick_s=0.01)
        await schedule.start()
        async with asyncio.timeout(20):
            await ticks.get()
            await ticks.get()
        await schedule.close()
        await schedule.close()


async def test_the_house_reminds_of_what_soon_expires(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        schedule = house_schedule(room.database, room.engine, now=room.clock)
        room.clock.advance(hours=7, minutes=40)
        await schedule.tick()
        reminded = await room.engine.operation(asked.id)
        assert (reminded.status, reminded.reminded_at) == (Status.PENDING, room.clock.at)
        await schedule.close()
