"""What a handler writes through its run: each call is on the row when it returns, and only while the lease is ours."""

from datetime import timedelta
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.ops.execution import Execution
from bot.ops.handler import Interrupted
from bot.ops.model import Operation, Status
from bot.ops.rules import action_of
from tests.unit.engine_room import Room, open_room

OWNER = "one executor"


async def running(room: Room) -> tuple[Execution, list[Operation]]:
    """An operation that runs under our lease, and what its listeners hear."""
    asked = await room.ask()
    until = room.clock.at + timedelta(seconds=30)
    started = await room.database.write(
        lambda c: room.store.moved(
            c, asked.id, Status.RUNNING, actor="bot", text="It started.", lease_owner=OWNER, lease_until=until
        )
    )
    heard: list[Operation] = []
    return Execution(room.store, started, owner=OWNER, changed=heard.append), heard


async def test_every_word_is_on_the_row_at_once(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        run, heard = await running(room)
        await run.step("Build", "running", "on a runner")
        await run.waiting("GitHub asks us to wait 60 s.")
        await run.checkpoint(run_id=7)
        await run.checkpoint(command_id="c-1", run_id=8)
        await run.shown(branch_ahead=2)
        await run.shown(newest=None)
        await run.note("GitHub has no deployment record of this.")
        row = await room.engine.operation(run.operation.id)
        assert row.steps[0].text == "on a runner"
        assert row.waiting_for == "GitHub asks us to wait 60 s."
        assert row.checkpoint == {"run_id": 8, "command_id": "c-1"}
        assert row.shown == {"branch_ahead": 2, "newest": None}
        assert run.operation == row
        assert len(heard) == 7
        said = [event.name for event in await room.engine.events(row.id)]
        assert said[:4] == ["run.noted", "run.checkpointed", "run.checkpointed", "step.running"]


async def test_saying_the_same_wait_again_writes_nothing(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        run, heard = await running(room)
        await run.waiting("A moment.")
        await run.waiting("A moment.")
        assert len(heard) == 1
        await run.waiting("")
        assert (await room.engine.operation(run.operation.id)).waiting_for == ""


async def test_only_a_change_of_a_step_is_an_event(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        run, _ = await running(room)
        for text in ("10 %", "50 %", "90 %"):
            await run.step("Pull", "running", text)
        await run.step("Pull", "ok")
        said = [(e.name, e.text) for e in reversed(await room.engine.events(run.operation.id))]
        assert said[-2:] == [("step.running", "Pull: running, 10 %"), ("step.ok", "Pull: ok")]


async def test_once_another_executor_has_it_nothing_more_is_written(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        run, heard = await running(room)
        number = run.operation.id
        await room.database.write(lambda c: room.store.change(c, number, (Status.RUNNING,), lease_owner="another"))
        before = await room.engine.operation(number)
        for write in (
            run.step("Build", "ok"),
            run.waiting("x"),
            run.checkpoint(run_id=7),
            run.shown(title="x"),
            run.note("x"),
        ):
            with pytest.raises(Interrupted, match="#1 is no longer run by this executor; nothing more was done"):
                await write
        assert await run.end(Status.SUCCEEDED) is False
        assert await room.engine.operation(number) == before
        assert heard == []
        assert await room.names(run.operation) == ["operation.requested", "operation.approved", "operation.running"]


def test_a_kind_that_the_policy_does_not_know_is_nobodys_right() -> None:
    with pytest.raises(Refused, match="knows no action teleport:run") as refusal:
        action_of("teleport")
    assert refusal.value.rule == "no rule"
