"""What was taken over and cannot be checked is held back: in sight, for a limited time, and nobody is locked out."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.errors import Unavailable, Undecided
from bot.ops.handler import Run
from bot.ops.model import Json, Operation, Status
from tests.unit.engine_room import DEV, SRE, Crew, Deploy, Limits, Room, open_room

AWAY = "Discord cannot be reached: no connection."
CHECK = f"a check before it goes on: {AWAY}"


@dataclass
class Builder(Deploy):
    """A deploy whose build alone is outside: the host has nothing before `sent`. `broken` is what breaks, and how."""

    broken: dict[str, BaseException] = field(default_factory=dict)
    hangs: bool = False

    def _break(self, what: str) -> None:
        if what in self.broken:
            raise self.broken[what]

    async def begun(self, run: Run) -> bool:
        self._break("begun")
        if self.hangs:
            await asyncio.Event().wait()
        return "sent" in run.operation.checkpoint

    async def recheck(self, operation: Operation) -> str:
        self._break("recheck")
        return await super().recheck(operation)

    async def dropped(self, run: Run, why: str) -> str:
        self._break("dropped")
        return "Nothing was rolled out."

    async def resume(self, run: Run) -> Json | None:
        self.resumed.append(run.operation.id)
        return await self._finish(run)


async def killed_while_it_builds(room: Room) -> Operation:
    """An approved deploy to prod that builds, and no executor any more."""
    room.registry.add(room.deploy)
    executor = await room.start()
    asked = await room.approve(await room.ask(environment="prod"), SRE)
    await room.until(lambda: _shows(room, asked, checkpoint={"run_id": 100 + asked.id}))
    await executor.close()
    return asked


async def _shows(room: Room, operation: Operation, **wanted: object) -> bool:
    now = await room.engine.operation(operation.id)
    return all(getattr(now, name) == value for name, value in wanted.items())


async def _waits_for(room: Room, operation: Operation, words: str) -> bool:
    return words in (await room.engine.operation(operation.id)).waiting_for


async def _holders(room: Room) -> list[int]:
    return [lock.operation_id for lock in await room.engine.locks()]


async def test_while_discord_stays_away_it_is_interrupted_in_time_and_a_rollback_gets_through(tmp_path: Path) -> None:
    crew = Crew.of(DEV, SRE)
    async with open_room(tmp_path, roster=crew) as room:
        room.deploy = Builder()
        held = await killed_while_it_builds(room)
        crew.away = True
        again = await room.start()
        await room.until(lambda: _waits_for(room, held, CHECK))
        room.clock.advance(seconds=40)
        await again.close()
        await room.start()  # a restart gives it no new time
        room.clock.advance(seconds=19)
        await asyncio.sleep(0.05)
        assert (await room.engine.operation(held.id)).status is Status.RUNNING
        room.clock.advance(seconds=6)
        ended = await room.becomes(held, Status.INTERRUPTED)
        assert ended.reason == (
            "Nothing was sent to the host. It could not be checked whether the decision still holds within 60 s: "
            "Discord cannot be reached: no connection. Look again, or roll back."
        )
        assert (ended.waiting_for, ended.startable_since) == ("", None)
        assert await _holders(room) == [held.id]
        rollback = await room.ask(DEV, environment="prod", kind="rollback", takes_over=[held.id])
        rollback = await room.approve(rollback, SRE)
        await room.becomes(rollback, Status.RUNNING)
        assert await _holders(room) == [rollback.id]
        assert room.deploy.resumed == []


async def test_checks_that_still_run_are_waited_for_as_before_a_start(tmp_path: Path) -> None:
    async with open_room(tmp_path, roster=Crew.of(DEV, SRE)) as room:
        room.deploy = Builder()
        held = await killed_while_it_builds(room)
        room.deploy.broken["recheck"] = Undecided("github", "Its checks still run.")
        await room.start()
        await room.until(lambda: _waits_for(room, held, "Its checks still run"))
        room.clock.advance(seconds=600)
        await room.until(lambda: _waits_for(room, held, "Its checks still run"))
        assert (await room.engine.operation(held.id)).status is Status.RUNNING
        room.clock.advance(seconds=301)
        ended = await room.becomes(held, Status.INTERRUPTED)
        assert "within 900 s: Its checks still run. Look again, or roll back." in ended.reason


async def test_whoever_waits_behind_it_is_told_what_holds_it_back_and_what_to_do(tmp_path: Path) -> None:
    crew = Crew.of(DEV, SRE)
    async with open_room(tmp_path, roster=crew) as room:
        room.deploy = Builder()
        held = await killed_while_it_builds(room)
        crew.away = True
        await room.start()
        await room.until(lambda: _waits_for(room, held, CHECK))
        behind = await room.approve(await room.ask(environment="prod", kind="rollback"), SRE)
        said = f"held back: {CHECK.rstrip('.')}; cancel #{held.id}, or wait until it is interrupted"
        await room.until(lambda: _waits_for(room, behind, said))
        await room.engine.cancel(held.id, DEV)
        room.clock.advance(seconds=6)
        await room.becomes(held, Status.CANCELLED)
        await room.becomes(behind, Status.RUNNING)


async def test_once_discord_is_back_it_goes_on_and_a_later_absence_is_counted_anew(tmp_path: Path) -> None:
    crew = Crew.of(DEV, SRE)
    async with open_room(tmp_path, roster=crew) as room:
        room.deploy = Builder()
        held = await killed_while_it_builds(room)
        crew.away = True
        await room.start()
        await room.until(lambda: _waits_for(room, held, CHECK))
        room.clock.advance(seconds=50)
        await room.until(lambda: _waits_for(room, held, CHECK))
        crew.away = False
        room.clock.advance(seconds=6)
        await room.until(lambda: _shows(room, held, waiting_for="", startable_since=None))
        await room.executors.pop().close()
        crew.away = True
        await room.start()
        await room.until(lambda: _waits_for(room, held, CHECK))
        room.clock.advance(seconds=31)
        await asyncio.sleep(0.05)
        assert (await room.engine.operation(held.id)).status is Status.RUNNING
        crew.away = False
        room.deploy.gate.set()
        room.clock.advance(seconds=6)
        await room.becomes(held, Status.SUCCEEDED)


async def test_what_was_interrupted_for_that_can_look_again_and_has_its_whole_time(tmp_path: Path) -> None:
    crew = Crew.of(DEV, SRE)
    async with open_room(tmp_path, roster=crew) as room:
        room.deploy = Builder()
        held = await killed_while_it_builds(room)
        crew.away = True
        await room.start()
        for _ in range(2):
            await room.until(lambda: _waits_for(room, held, CHECK))
            room.clock.advance(seconds=59)
            await asyncio.sleep(0.05)
            assert (await room.engine.operation(held.id)).status is Status.RUNNING
            room.clock.advance(seconds=6)
            await room.becomes(held, Status.INTERRUPTED)
            await room.engine.resume(held.id, SRE)
        crew.away = False
        room.deploy.gate.set()
        room.clock.advance(seconds=6)
        await room.becomes(held, Status.SUCCEEDED)


@pytest.mark.parametrize(("what", "waits", "ends"), [
    ("begun", "a look at what it has sent", "Whether anything was sent to the host could not be told within 60 s: "),
    ("recheck", "a check before it goes on", "Nothing was sent to the host. It could not be checked whether "),
    ("dropped", "its end as stale", "Nothing was sent to the host. The decision no longer holds: It is red. It could "),
])  # fmt: skip
@pytest.mark.parametrize("error", [ZeroDivisionError("our fault"), Unavailable("github", "GitHub is away.")])
async def test_what_breaks_in_the_check_is_said_and_has_an_end(
    tmp_path: Path, what: str, waits: str, ends: str, error: Exception
) -> None:
    async with open_room(tmp_path) as room:
        room.deploy = builder = Builder()
        held = await killed_while_it_builds(room)
        builder.broken[what] = error
        builder.stale = "It is red." if what == "dropped" else ""
        await room.start()
        why = "GitHub is away." if isinstance(error, Unavailable) else "(reference "
        await room.until(lambda: _waits_for(room, held, waits))
        await room.until(lambda: _waits_for(room, held, why))
        room.clock.advance(seconds=61)
        ended = await room.becomes(held, Status.INTERRUPTED)
        assert ended.reason.startswith(ends)
        assert why.rstrip(".") in ended.reason
        assert "our fault" not in ended.reason + ended.waiting_for
        assert await _holders(room) == [held.id]
        builder.broken.clear()
        await room.engine.resume(held.id, SRE)
        builder.gate.set()
        room.clock.advance(seconds=6)
        await room.becomes(held, Status.STALE if what == "dropped" else Status.SUCCEEDED)


async def test_a_look_that_never_comes_back_is_given_up(tmp_path: Path) -> None:
    async with open_room(tmp_path, limits=Limits(cancel_confirm_s=1)) as room:
        room.deploy = builder = Builder()
        held = await killed_while_it_builds(room)
        builder.hangs = True
        await room.start()
        await room.until(lambda: _waits_for(room, held, "there was no answer within 1 s"))
        room.clock.advance(seconds=6)
        ended = await room.becomes(held, Status.INTERRUPTED)
        assert ended.reason.startswith("Whether anything was sent to the host could not be told within 1 s: ")


async def test_a_cancel_that_comes_while_the_check_is_made_is_not_held_back(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asking, answer = asyncio.Event(), asyncio.Event()

        class Slow(Builder):
            async def recheck(self, operation: Operation) -> str:
                if answer.is_set() or not self.dispatched:
                    return ""
                asking.set()
                await answer.wait()
                raise Unavailable("github", "GitHub is away.")

        room.deploy = Slow()
        held = await killed_while_it_builds(room)
        await room.start()
        await asking.wait()
        await room.engine.cancel(held.id, DEV)
        await asyncio.sleep(0.1)
        answer.set()
        await room.becomes(held, Status.CANCELLED)
