"""What is forgotten, and when: by the days of the settings, and never anything of an operation that is not over."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from bot.alert_settings import AlertSettings
from bot.alerts.payload import parse
from bot.alerts.reading import GroupFilter
from bot.alerts.store import AlertStore
from bot.db.tables import alert_episodes, cards, events, handles, operations, schedule_runs
from bot.ops.model import Operation, Status
from bot.services.retention import CHUNK, Forgotten, Retention
from bot.settings import RetentionSettings
from bot.ui.board_store import BoardStore, Mint
from tests.payloads import STARTED_AT, alert, payload
from tests.unit.engine_room import SRE, Room, open_room

DAYS = RetentionSettings(events_days=400, handles_days=90, cards_days=60, runs_days=30, logs_days=20)
NOTHING = Forgotten(events=0, handles=0, cards=0, runs=0, logs=0)


async def ended(room: Room, **asked: Any) -> Operation:
    """An operation that failed with a log, now."""
    operation = await room.ask(environment="prod", **asked)
    now = room.clock()
    values = {"status": Status.FAILED, "ended_at": now, "log_tail": "the end of a log"}
    statement = update(operations).where(operations.c.id == operation.id).values(**values)
    await room.database.write(lambda c: c.execute(statement).close())
    return operation


async def count(room: Room, table: Any) -> int:
    return await room.database.read(lambda c: int(c.execute(select(func.count()).select_from(table)).scalar_one()))


def later(room: Room, days: int) -> Retention:
    """The retention as of so many days after now."""
    at = room.clock() + timedelta(days=days)
    return Retention(room.database, DAYS, now=lambda: at)


async def test_the_record_is_kept_at_least_as_long_as_the_setting_says(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await ended(room)
        await room.engine.record("door.refused", "guest", "no", {"rule": "r"})
        before = await count(room, events)
        await later(room, 399).forget()
        await later(room, 400).forget()
        assert await count(room, events) == before
        assert (await later(room, 401).forget()).events == before
        assert await count(room, operations) == 1


async def test_nothing_of_an_open_operation_is_forgotten(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        board = BoardStore(room.database)
        await board.mint(Mint(asked.card_key, 0, asked.id, asked.digest, 1, 2), ["cancel"], room.clock())
        kept = [await count(room, table) for table in (events, handles, cards)]
        assert await later(room, 5000).forget() == NOTHING
        assert [await count(room, table) for table in (events, handles, cards)] == kept


async def test_old_logs_and_handles_go_and_the_operation_and_its_card_stay(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        over = await ended(room)
        board = BoardStore(room.database)
        await board.mint(Mint(over.card_key, 0, over.id, over.digest, 1, 2), ["retry"], room.clock())
        assert await later(room, 20).forget() == NOTHING
        assert (await later(room, 21).forget()).logs == 1
        assert (await room.engine.operation(over.id)).log_tail == ""
        assert (await later(room, 91).forget()).handles == 1
        assert await board.get(over.card_key) is not None


async def test_a_question_goes_with_its_last_handle(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        board = BoardStore(room.database)
        mint = Mint("question:5", 0, None, "", 1, 2)
        await board.question(mint, {"kind": "deploy"}, ["confirm", "keep"], room.clock())
        room.clock.advance(days=50)
        await board.question(Mint("question:6", 0, None, "", 1, 2), {}, ["confirm"], room.clock())
        assert (await later(room, 50).forget()).handles == 2
        assert await board.get("question:5") is None
        assert await board.get("question:6") is not None


async def test_lines_beside_a_card_go_once_its_operation_ended_long_ago(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        over, waits = await ended(room), await room.ask(environment="prod", key="open")
        board = BoardStore(room.database)
        for key in (f"outcome:{over.id}", f"reminder:{waits.id}", "watch-cursor", f"audit:{over.id}"):
            await board.beside(key, 1)
            await board.save(key, wanted=1, shown=1, posted_at=room.clock(), message_id=9)
        await board.beside(f"reminder:{over.id}", 1)  # never shown: still wanted
        assert (await later(room, 61).forget()).cards == 1
        assert await board.get(f"outcome:{over.id}") is None
        assert await board.get(f"reminder:{over.id}") is not None
        assert await board.get(f"reminder:{waits.id}") is not None
        assert (await later(room, 401).forget()).cards == 1  # the audit's line, with the record that it told
        assert await board.get(f"audit:{over.id}") is None
        assert await board.get("watch-cursor") is not None


async def test_many_rows_go_in_several_transactions_and_all_of_them(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        moments = [room.clock() + timedelta(seconds=n) for n in range(2 * CHUNK + 3)]

        def fill(connection: Any) -> None:
            rows = [{"name": "tick", "due_at": moment, "started_at": moment} for moment in moments]
            connection.execute(schedule_runs.insert(), rows)

        await room.database.write(fill)
        young: datetime = moments[-1] + timedelta(days=29)
        await room.database.write(
            lambda c: c.execute(schedule_runs.insert().values(name="tick", due_at=young, started_at=young)).close()
        )
        assert (await later(room, 31).forget()).runs == len(moments)
        assert await count(room, schedule_runs) == 1


async def test_payloads_go_before_the_groups_that_they_made_and_open_ones_stay(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        store = AlertStore(room.database, settings=AlertSettings(), channels={"alerts": 1}, now=room.clock)
        ended = [alert("Over", "i-1", status="resolved", ends_at=STARTED_AT + timedelta(minutes=5))]
        for body in (payload([alert("Over", "i-1")]), payload([alert("Fires", "i-2")]), payload(ended)):
            await store.take(body, parse(body), source="", received_at=room.clock())
        while await store.apply_next():
            pass
        assert await later(room, 30).forget() == NOTHING
        assert (await later(room, 31).forget()).payloads == 3
        assert (await later(room, 400).forget()).alerts == 0
        assert (await later(room, 401).forget()).alerts == 1
        (left,) = await store.groups(GroupFilter(state="all"))
        assert left.title == "Fires"
        assert await count(room, alert_episodes) == 1
        kept = await room.database.read(
            lambda c: list(c.scalars(select(cards.c.key).where(cards.c.key.startswith("alert:"))))
        )
        assert kept == [left.card_key]
