"""What is due when, and that each moment is served once."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.db.database import Database
from bot.db.tables import schedule_runs
from bot.errors import Unavailable
from bot.ops.model import Status
from bot.schedule import Chore, Schedule, due, house_schedule
from bot.services.backup import Backups
from bot.services.retention import Retention
from bot.settings import RetentionSettings
from tests.unit.engine_room import Clock, Room, open_room

START = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)


async def nothing() -> None:
    return None


def keeping(room: Room, path: Path, *, keep: int = 2) -> Schedule:
    """The schedule of every installation, on the room's clock."""
    database = path / "state" / "quarterdeck.sqlite3"
    return house_schedule(
        room.database,
        room.engine,
        retention=Retention(room.database, RetentionSettings(), now=room.clock),
        backups=Backups(database, path / "copies", keep=keep, now=room.clock),
        now=room.clock,
    )


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


async def test_a_sweep_that_is_let_go_at_the_end_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_room(tmp_path) as room:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def sweep() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        schedule = Schedule(room.database, sweeps=(sweep,), tick_s=0.01)
        await schedule.start()
        async with asyncio.timeout(20):
            await begun.wait()
            await schedule.close()
            await ended.wait()
        await asyncio.sleep(0.05)
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_house_reminds_of_what_soon_expires(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        schedule = keeping(room, tmp_path)
        room.clock.advance(hours=7, minutes=40)
        await schedule.tick()
        reminded = await room.engine.operation(asked.id)
        assert (reminded.status, reminded.reminded_at) == (Status.PENDING, room.clock.at)
        await schedule.close()


async def test_a_copy_is_made_every_six_hours_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        schedule = keeping(room, tmp_path, keep=2)
        names = []
        for _ in range(4):
            room.clock.advance(hours=6)
            await schedule.tick()
            await schedule.tick()
            names.append(sorted(path.name for path in (tmp_path / "copies").glob("*.sqlite3")))
        assert [len(found) for found in names] == [1, 2, 2, 2]
        assert names[3][0] == names[2][1]
        assert all((tmp_path / "copies" / f"{name}.sha256").exists() for name in names[3])
        assert len(list((tmp_path / "copies").iterdir())) == 4
        await schedule.close()


async def test_a_copy_that_cannot_be_made_is_noted_and_the_schedule_goes_on(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        (tmp_path / "copies").write_text("a file where the folder should be", encoding="utf-8")
        schedule = keeping(room, tmp_path)
        room.clock.advance(hours=6)
        await schedule.tick()
        statement = select(schedule_runs.c.outcome).where(schedule_runs.c.name == "backup")
        outcome = await room.database.read(lambda c: str(c.execute(statement).scalar_one()))
        assert outcome.startswith("failed: ")
        assert "cannot be written" in outcome
        await schedule.close()
