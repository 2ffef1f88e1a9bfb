"""A rollback takes the locks of an interrupted operation over, so that one person alone can restore a service."""

from pathlib import Path

import pytest

from bot.errors import Refused
from bot.ops.handler import Interrupted
from bot.ops.model import Operation, Status
from tests.unit.engine_room import DEV, SRE, SRE2, Deploy, Room, open_room


async def interrupted(room: Room) -> Operation:
    """A deploy to prod of which nobody knows what it did."""
    room.deploy.error = Interrupted("The answer of the host was lost.")
    room.deploy.gate.set()
    asked = await room.approve(await room.ask(environment="prod"), SRE)
    if not room.executors:
        await room.start()
    found = await room.becomes(asked, Status.INTERRUPTED)
    room.deploy.error = None
    return found


def rollbacks(room: Room) -> Deploy:
    handler = room.registry.of("rollback")
    assert isinstance(handler, Deploy)
    return handler


async def back(room: Room, *takes_over: int) -> Operation:
    asked = await room.ask(environment="prod", kind="rollback", takes_over=list(takes_over))
    return await room.approve(asked, SRE)


async def holders(room: Room) -> dict[str, int]:
    return {lock.resource: lock.operation_id for lock in await room.engine.locks()}


async def test_the_locks_change_hands_in_the_start_and_both_records_say_so(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        rollback = await back(room, lost.id)
        await room.becomes(rollback, Status.RUNNING)
        assert await holders(room) == {"prod/app": rollback.id}
        there = await room.engine.operation(lost.id)
        assert (there.status, there.locks_taken_by) == (Status.INTERRUPTED, rollback.id)
        events = {e.operation_id: e for e in await room.engine.events() if e.name == "locks.taken_over"}
        assert events[lost.id].data == {"by_operation": rollback.id}
        assert events[rollback.id].data == {"from_operation": lost.id}
        assert events[lost.id].text == "#2, asked for by dev, took its locks over."
        rollbacks(room).gate.set()
        await room.becomes(rollback, Status.SUCCEEDED)
        assert await holders(room) == {}


async def test_what_lost_its_locks_cannot_look_again_and_can_be_closed(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        rollback = await back(room, lost.id)
        await room.becomes(rollback, Status.RUNNING)
        for _ in range(2):
            with pytest.raises(Refused, match="#1 no longer holds its locks: #2 took them over") as refusal:
                await room.engine.resume(lost.id, DEV)
            rollbacks(room).gate.set()
            await room.becomes(rollback, Status.SUCCEEDED)
        assert refusal.value.hint.startswith("Close it")
        assert (await room.names(lost))[-1] == "resume.refused"
        closed = await room.engine.close(lost.id, DEV, Status.FAILED, reason="Rolled back.")
        assert closed.status is Status.FAILED


async def test_closing_the_loser_frees_nothing_of_the_winner(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        rollback = await back(room, lost.id)
        await room.becomes(rollback, Status.RUNNING)
        await room.engine.close(lost.id, DEV, Status.FAILED, reason="Rolled back.")
        assert await holders(room) == {"prod/app": rollback.id}


async def test_one_that_does_not_take_over_waits_behind_it(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        waiting = await back(room)

        async def behind() -> bool:
            return f"behind #{lost.id}" in (await room.engine.operation(waiting.id)).waiting_for

        await room.until(behind)
        assert await holders(room) == {"prod/app": lost.id}


async def test_those_who_wait_behind_the_interrupted_one_are_passed(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        deploy = await room.approve(await room.ask(environment="prod", commit="d" * 40), SRE)

        async def behind() -> bool:
            return f"behind #{lost.id}" in (await room.engine.operation(deploy.id)).waiting_for

        await room.until(behind)
        rollback = await back(room, lost.id)
        await room.becomes(rollback, Status.RUNNING)
        assert (await room.engine.operation(deploy.id)).status is Status.APPROVED
        rollbacks(room).gate.set()
        await room.becomes(deploy, Status.SUCCEEDED)
        assert room.deploy.dispatched == [lost.id, deploy.id]


async def test_once_it_looks_again_nobody_takes_its_locks(tmp_path: Path) -> None:
    """Asked for while it was interrupted; by the time of the start it runs again, and the rollback waits its turn."""
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        asked = await room.ask(environment="prod", kind="rollback", takes_over=[lost.id])
        room.deploy.gate.clear()
        await room.engine.resume(lost.id, DEV)
        await room.approve(asked, SRE)

        async def behind() -> bool:
            return f"behind #{lost.id}" in (await room.engine.operation(asked.id)).waiting_for

        await room.until(behind)
        assert await holders(room) == {"prod/app": lost.id}
        room.deploy.gate.set()
        await room.becomes(lost, Status.SUCCEEDED)
        await room.becomes(asked, Status.RUNNING)
        assert (await room.engine.operation(lost.id)).locks_taken_by is None


async def test_of_two_rollbacks_one_takes_over_and_the_other_follows(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        first, second = await back(room, lost.id), await back(room, lost.id)
        await room.becomes(first, Status.RUNNING)
        assert (await room.engine.operation(second.id)).status is Status.APPROVED
        rollbacks(room).gate.set()
        await room.becomes(second, Status.SUCCEEDED)
        assert (await room.engine.operation(lost.id)).locks_taken_by == first.id


async def test_a_restart_gives_no_lock_back_to_the_interrupted_one(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        rollback = await back(room, lost.id)
        await room.becomes(rollback, Status.RUNNING)

        async def begun() -> bool:
            return "run_id" in (await room.engine.operation(rollback.id)).checkpoint

        await room.until(begun)
        await room.executors.pop().close()
        await room.start()
        rollbacks(room).gate.set()
        assert (await room.becomes(rollback, Status.SUCCEEDED)).takes_over == (lost.id,)
        with pytest.raises(Refused, match="took them over"):
            await room.engine.resume(lost.id, SRE2)
