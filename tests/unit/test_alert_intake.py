"""Payloads are kept before they are answered, applied once whatever happens, and stand in nobody's way."""

import asyncio
import random
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.alerts.intake import Intake
from bot.alerts.payload import parse
from bot.alerts.store import AlertStore
from bot.db.tables import alert_bodies, alert_episodes, alert_payloads, alert_pings
from tests.unit.engine_room import PATIENCE_S
from tests.unit.inbox_process import GROUPS, numbered
from tests.unit.inbox_room import CHANNELS, SETTINGS, InboxRoom, alert, body, inbox_room, later

ROOT = Path(__file__).parents[2]


async def applied(room: InboxRoom) -> None:
    """Wait until nothing waits."""
    async with asyncio.timeout(PATIENCE_S):
        while (await room.store.backlog())[0]:
            await asyncio.sleep(0.01)


async def test_what_was_taken_is_kept_byte_by_byte_before_it_is_applied(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        told = body(alert())
        room.clock.advance(seconds=3)
        number = await room.take(told)
        assert await room.store.backlog() == (1, room.clock())
        kept = select(alert_bodies.c.body).where(alert_bodies.c.payload_id == number)
        assert await room.database.read(lambda db: db.execute(kept).scalar()) == told
        assert await room.groups() == []
        assert await room.store.apply_next() and not await room.store.apply_next()
        assert await room.store.backlog() == (0, None)
        assert len(await room.groups()) == 1


async def test_the_intake_applies_what_waited_and_what_comes_and_says_so(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        changes: list[int] = []
        await room.take(body(alert("i-1")))
        intake = Intake(room.store, on_change=lambda: changes.append(1))
        await intake.start()
        await applied(room)
        await room.take(body(alert("i-1"), alert("i-2")))
        intake.wake()
        await applied(room)
        assert (await room.only()).firing == 2 and len(changes) == 2
        await intake.close()
        await room.take(body(alert("i-1")))
        await asyncio.sleep(0.05)
        assert (await room.store.backlog())[0] == 1


async def test_two_that_apply_at_once_apply_each_payload_once(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        other = AlertStore(room.database, settings=SETTINGS, channels=CHANNELS, now=room.clock)
        for number in range(40):
            await room.take(numbered(number))
        await asyncio.gather(*(store.apply_next() for store in (room.store, other) * 3))
        assert (await room.store.backlog())[0] == 0
        once = await room.outcomes()
        assert len(once) == 40 and "" not in once
        groups = await room.groups()
        assert sum(group.repeats for group in groups) == once.count("repeat")
        assert all([await room.reasons(group.id) == ["first firing"] for group in groups])


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_process_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    taken = 0
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.unit.inbox_process", str(tmp_path), str(taken), cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        wanted = taken + chance.randint(10, 60)
        async with asyncio.timeout(PATIENCE_S):
            while (line := await process.stdout.readline()) and taken < wanted:
                taken = int(line) + 1
        process.kill()
        rest = (await process.stdout.read()).split()
        taken = int(rest[-1]) + 1 if rest else taken
        await process.wait()
    async with inbox_room(tmp_path) as room:
        intake = Intake(room.store, tick_s=0.01)
        await intake.start()
        await applied(room)
        await intake.close()
        rows = await room.database.read(lambda db: db.execute(select(func.count(alert_payloads.c.id))).scalar_one())
        groups = await room.groups()
        # The one that was being taken when it was killed may be there or not; it was not answered.
        assert rows >= taken
        told = {numbered(number) for number in range(taken)}
        alerts = {one.fingerprint for each in told for one in parse(each).alerts}
        known = select(func.count(alert_episodes.c.id))
        assert await room.database.read(lambda db: db.execute(known).scalar_one()) >= len(alerts)
        assert len(groups) == GROUPS
        called = select(alert_pings.c.group_id, func.count()).group_by(alert_pings.c.group_id)
        assert {row[1] for row in await room.database.read(lambda db: db.execute(called).all())} == {1}
        outcomes = await room.outcomes()
        assert sum(group.repeats for group in groups) == outcomes.count("repeat") + outcomes.count("same")


async def test_what_cannot_be_applied_is_tried_and_then_left_out_so_that_the_rest_goes_on(tmp_path: Path) -> None:
    class Stumbling(AlertStore):
        """Breaks at one group."""

        def _apply(self, connection, ready):  # type: ignore[no-untyped-def]
            if ready.origin.group_key == "bad":
                raise KeyError("a fault")
            return super()._apply(connection, ready)

    async with inbox_room(tmp_path) as room:
        room.store = Stumbling(room.database, settings=SETTINGS, channels=CHANNELS, now=room.clock)
        for key in ("a", "bad", "b"):
            await room.take(body(alert(name=f"Alert-{key}"), key=key))
        intake = Intake(room.store)
        await intake.start()
        await applied(room)
        await intake.close()
        assert [group.title for group in await room.groups()] == ["Alert-a", "Alert-b"]
        first, left_out, last = await room.outcomes()
        assert (first, last) == ("applied", "applied") and left_out.startswith("set aside")


async def test_ten_thousand_alerts_in_one_payload_leave_the_loop_to_the_others(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        told = body(*(alert(f"i-{number}", value="x" * 1200) for number in range(10_000)))
        assert len(told) > 15 * 2**20
        read = await asyncio.to_thread(parse, told)
        await room.store.take(told, read, source="test", received_at=room.clock())
        done = asyncio.create_task(room.store.apply_next())
        turns = 0
        while not done.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert await done
        group = await room.store.group(1, most=10)
        assert group is not None and (group.firing, len(group.episodes)) == (10_000, 10)
        assert turns >= 5, "how long each turn took is the bench's business"


async def test_a_storm_of_a_hundred_groups_is_applied_whole(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        storm = [
            body(*(alert(f"i-{group}-{one}", name=f"Alert{group}") for one in range(10)), key=f"group-{group}")
            for group in range(100)
        ]
        await asyncio.gather(*(room.take(told) for told in storm))
        while await room.store.apply_next():
            pass
        groups = await room.groups()
        assert (len(groups), sum(group.firing for group in groups)) == (100, 1000)
        assert sorted(await room.card_keys()) == sorted(group.card_key for group in groups)


async def test_the_listener_of_changes_hears_of_changes_only(tmp_path: Path) -> None:
    async with inbox_room(tmp_path) as room:
        heard: list[int] = []
        room.store.on_change(lambda: heard.append(1))
        await room.hook(alert())
        await room.hook(alert())
        await room.look()
        assert len(heard) == 1
        await room.hook(alert(ends_at=later(minutes=1)))
        room.clock.advance(minutes=1)
        assert len(heard) == 2 and room.clock() > later() + timedelta(seconds=1)
