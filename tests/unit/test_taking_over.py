"""A rollback takes the locks of an interrupted operation over, so that one person alone can restore a service."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused, Unavailable
from bot.ops.handler import Cancelled, Failed, Interrupted, Run
from bot.ops.model import Json, Operation, Plan, Request, Status
from bot.ops.sentences import closed
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
        assert not await room.database.write(lambda c: room.store.take_locks(c, asked))
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


class Wide(Deploy):
    """A deploy that needs the database beside the service."""

    async def plan(self, request: Request, requester: str) -> Plan:
        plan = await super().plan(request, requester)
        return replace(plan, locks=(*plan.locks, f"{request.environment}/database"))


async def test_only_the_locks_that_it_needs_are_taken_over_and_count_from_then_on(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy = Wide()
        room.registry.add(room.deploy)
        lost = await interrupted(room)
        before = room.clock.at
        room.clock.advance(minutes=1)
        rollback = await back(room, lost.id)
        await room.becomes(rollback, Status.RUNNING)
        assert [(lock.resource, lock.operation_id, lock.since) for lock in await room.engine.locks()] == [
            ("prod/app", rollback.id, room.clock.at), ("prod/database", lost.id, before),
        ]  # fmt: skip


# ---- a rollback that ends without having done anything -------------------------------------------------------------


class Hesitant(Deploy):
    """A rollback that stands still before it has sent anything, until `sends` is set; a cancel ends it there."""

    def __init__(self) -> None:
        super().__init__(kind="rollback")
        self.sends, self.fails = asyncio.Event(), ""

    async def run(self, run: Run) -> Json:
        await run.step("Rollout", "running")
        while not self.sends.is_set():
            if self.fails:
                raise Failed(self.fails)
            if run.cancel_requested.is_set():
                raise Cancelled("Cancelled before anything was sent to the host.")
            await asyncio.sleep(0.005)
        return await super().run(run)

    async def resume(self, run: Run) -> Json | None:
        return await (super().resume(run) if await self.begun(run) else self.run(run))


async def standing_still(room: Room, lost: Operation) -> tuple[Hesitant, Operation]:
    """A rollback that has taken the locks over, and has sent nothing yet."""
    handler = Hesitant()
    room.registry.add(handler)
    rollback = await back(room, lost.id)
    await room.becomes(rollback, Status.RUNNING)
    assert await holders(room) == {"prod/app": rollback.id}
    return handler, rollback


async def given_back(room: Room, lost: Operation, rollback: Operation) -> None:
    """The interrupted one has its locks as before: whoever waits goes on waiting, and it can look again."""
    assert await holders(room) == {"prod/app": lost.id}
    there = await room.engine.operation(lost.id)
    assert (there.status, there.locks_taken_by) == (Status.INTERRUPTED, None)
    events = {e.operation_id: e for e in await room.engine.events() if e.name == "locks.given_back"}
    assert events[lost.id].text == (
        f"#{rollback.id} is over without having sent anything, as far as is known: it gave its locks back."
    )
    assert events[lost.id].data == {"by_operation": rollback.id}
    assert events[rollback.id].data == {"to_operation": lost.id}
    waiting = await room.approve(await room.ask(environment="prod", commit="e" * 40), SRE)

    async def behind() -> bool:
        return f"behind #{lost.id}" in (await room.engine.operation(waiting.id)).waiting_for

    await room.until(behind)
    await room.engine.cancel(waiting.id, DEV)
    await room.engine.resume(lost.id, DEV)
    await room.becomes(lost, Status.SUCCEEDED)


@pytest.mark.parametrize("end", ["stale", "cancelled", "failed"])
async def test_one_that_ends_before_it_has_sent_anything_gives_the_locks_back(tmp_path: Path, end: str) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        handler, rollback = await standing_still(room, lost)
        match end:
            case "stale":
                await room.executors.pop().close()
                handler.stale = "prod now runs another version."
                await room.start()
            case "cancelled":
                await room.engine.cancel(rollback.id, DEV)
            case _:
                handler.fails = "The rollout was not started. AWS refuses it."
        await room.becomes(rollback, Status(end))
        await given_back(room, lost, rollback)


@pytest.mark.parametrize("end", [Cancelled("The host has stopped."), Failed("It did not become healthy.")])
async def test_one_that_has_sent_something_keeps_what_it_took(tmp_path: Path, end: Exception) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        handler, rollback = await standing_still(room, lost)
        handler.error = end
        handler.sends.set()
        handler.gate.set()
        await room.becomes(rollback, Status.CANCELLED, Status.FAILED)
        assert await holders(room) == {}
        assert (await room.engine.operation(lost.id)).locks_taken_by == rollback.id


async def held_back_for_good(room: Room, rollback: Operation, handler: Hesitant) -> Operation:
    """Killed before it has sent anything, and never checked again: interrupted, with the locks."""
    await room.executors.pop().close()
    handler.recheck_error = Unavailable("aws", "AWS is away.")
    await room.start()

    async def waits() -> bool:
        return "AWS is away." in (await room.engine.operation(rollback.id)).waiting_for

    await room.until(waits)
    room.clock.advance(seconds=61)
    return await room.becomes(rollback, Status.INTERRUPTED)


async def test_closing_one_that_never_began_gives_the_locks_back_and_says_so(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        handler, rollback = await standing_still(room, lost)
        await held_back_for_good(room, rollback, handler)
        assert await holders(room) == {"prod/app": rollback.id}
        ended = await room.engine.close(rollback.id, SRE, Status.FAILED, reason="It did nothing.")
        assert closed(ended) == (
            "You closed #2 as failed; as far as is known it had sent nothing, so #1 has the locks back unless it is "
            "closed, too."
        )
        await given_back(room, lost, rollback)


async def test_one_that_never_began_and_looks_again_keeps_the_locks_once_it_has_sent(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        handler, rollback = await standing_still(room, lost)
        await held_back_for_good(room, rollback, handler)
        handler.recheck_error, handler.error = None, Interrupted("The answer of the host was lost.")
        handler.sends.set()
        handler.gate.set()
        await room.engine.resume(rollback.id, SRE)

        async def sent() -> bool:
            now = await room.engine.operation(rollback.id)
            return now.status is Status.INTERRUPTED and bool(now.checkpoint)

        await room.until(sent)
        await room.engine.close(rollback.id, SRE, Status.FAILED, reason="Looked at the host.")
        assert await holders(room) == {}
        assert (await room.engine.operation(lost.id)).locks_taken_by == rollback.id


async def test_what_one_took_from_another_that_took_it_goes_back_to_the_first(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        lost = await interrupted(room)
        handler, second = await standing_still(room, lost)
        await held_back_for_good(room, second, handler)
        handler.recheck_error = None
        third = await back(room, second.id)
        await room.becomes(third, Status.RUNNING)
        await room.engine.close(second.id, SRE, Status.FAILED, reason="It did nothing.")
        assert await holders(room) == {"prod/app": third.id}
        assert (await room.engine.operation(lost.id)).locks_taken_by == third.id
        await room.engine.cancel(third.id, DEV)
        await room.becomes(third, Status.CANCELLED)
        await given_back(room, lost, third)
