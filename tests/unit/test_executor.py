"""Running: what starts when, how each end is told, queues, cancelling, and what a crash leaves behind."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.db.database import Database
from bot.db.tables import locks, operations
from bot.errors import Refused, Unavailable
from bot.ops.engine import Engine
from bot.ops.handler import Cancelled, Failed, Interrupted, Run
from bot.ops.model import Json, Operation, Request, Status, Verdict
from bot.ops.store import Store
from bot.policy import Action, PolicyRow, seeded_rows
from tests.unit.engine_room import DEV, DEV2, SRE, Crew, Deploy, Limits, Room, open_room


async def dispatched(room: Room, operation: Operation) -> Operation:
    """Wait until its handler has dispatched the outside work and saved its id."""
    await room.until(lambda: _has_checkpoint(room, operation))
    return await room.engine.operation(operation.id)


async def _has_checkpoint(room: Room, operation: Operation) -> bool:
    return bool((await room.engine.operation(operation.id)).checkpoint)


async def test_an_approved_operation_runs_to_success_with_its_steps(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        running = await dispatched(room, await room.ask())
        assert running.status is Status.RUNNING
        assert [(step.name, step.state) for step in running.steps] == [("Build", "running")]
        assert [lock.resource for lock in await room.engine.locks()] == ["dev/app"]
        room.clock.advance(seconds=58)
        assert (await room.engine.operation(running.id)).steps[0].seconds == 58
        room.deploy.gate.set()
        ended = await room.becomes(running, Status.SUCCEEDED)
        room.clock.advance(seconds=600)
        ended = await room.engine.operation(ended.id)
        assert [(step.name, step.state, step.text, step.seconds) for step in ended.steps] == [
            ("Build", "ok", "done", 58)
        ]
        assert ended.result == {"commit": "c" * 40}
        assert await room.engine.locks() == []
        assert await room.engine.last_deployed("dev", "app") == ended
        assert await room.names(ended) == [
            "operation.requested", "operation.approved", "operation.running", "step.running", "run.checkpointed",
            "step.ok", "operation.succeeded",
        ]  # fmt: skip


async def test_nothing_starts_without_its_approval(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        waits, other = await room.ask(environment="prod"), await room.ask()
        await dispatched(room, other)
        assert (await room.engine.operation(waits.id)).status is Status.PENDING
        await room.approve(waits)
        await room.becomes(waits, Status.RUNNING)


@pytest.mark.parametrize(("error", "status", "says"), [
    (Failed("Build failed in compile.", log_tail="x" * 9000 + "last line"), Status.FAILED, "Build failed in compile."),
    (Cancelled("Stopped on GitHub."), Status.CANCELLED, "Stopped on GitHub."),
    (Interrupted("The host has not answered."), Status.INTERRUPTED, "The host has not answered."),
    (Unavailable("aws", "AWS did not answer."), Status.INTERRUPTED, "What was done outside is not known"),
    (ZeroDivisionError("our fault"), Status.INTERRUPTED, "Something broke inside Quarterdeck (reference "),
], ids=lambda value: type(value).__name__)  # fmt: skip
async def test_each_way_to_end_is_told_as_what_it_is(
    tmp_path: Path, error: Exception, status: Status, says: str
) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.error = error
        room.deploy.gate.set()
        await room.start()
        ended = await room.becomes(await room.ask(), status)
        assert says in ended.reason
        assert "our fault" not in ended.reason
        kept = ["dev/app"] if status is Status.INTERRUPTED else []
        assert [lock.resource for lock in await room.engine.locks()] == kept
        assert (ended.ended_at is None) == (status is Status.INTERRUPTED)
        if status is Status.FAILED:
            assert ended.log_tail.endswith("last line")
            assert len(ended.log_tail) == 8000
            assert ended.steps[0].state == "failed"


async def test_two_of_one_service_queue_visibly_and_in_order(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        first = await dispatched(room, await room.ask())
        second, third = await room.ask(DEV2), await room.ask()
        behind = "behind #1 (deploy of app to dev, started by dev): Build"

        async def said() -> bool:
            waiting = [(await room.engine.operation(o.id)).waiting_for for o in (second, third)]
            return waiting == [f"2nd {behind}", f"3rd {behind}"]

        await room.until(said)
        room.clock.advance(hours=3)  # a queue costs nothing of the time until it must have started
        await room.engine.expire(approved_to_start_s=900)
        room.deploy.gate.set()
        for operation in (first, second, third):
            ended = await room.becomes(operation, Status.SUCCEEDED)
            assert ended.waiting_for == ""
        assert room.deploy.dispatched == [first.id, second.id, third.id]


async def test_the_limit_of_operations_at_once_is_kept_and_said(tmp_path: Path) -> None:
    async with open_room(tmp_path, limits=Limits(concurrency=1)) as room:
        await room.start()
        first = await dispatched(room, await room.ask(service="app"))
        second = await room.ask(service="bot")

        async def said() -> bool:
            return "free slot" in (await room.engine.operation(second.id)).waiting_for

        await room.until(said)
        room.deploy.gate.set()
        await room.becomes(first, Status.SUCCEEDED)
        await room.becomes(second, Status.SUCCEEDED)


async def test_a_stale_plan_is_found_right_before_the_start(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.stale = "The commit has left main."
        await room.start()
        stale = await room.becomes(await room.ask(), Status.STALE)
        assert stale.reason == "The commit has left main."
        assert room.deploy.dispatched == []
        assert await room.engine.locks() == []


async def test_a_policy_that_changed_after_the_approval_makes_it_stale(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask()
        stricter = (PolicyRow(Action.DEPLOY, "dev", ("sre",)), *seeded_rows()[1:])
        room.engine = Engine(store=room.store, registry=room.registry, policy=stricter)
        await room.start()
        assert "policy" in (await room.becomes(asked, Status.STALE)).reason


async def test_a_check_that_cannot_be_made_is_made_again_and_said(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.recheck_error = Unavailable("github", "GitHub cannot be reached.")
        room.deploy.gate.set()
        await room.start()
        asked = await room.ask()

        async def said() -> bool:
            return "GitHub cannot be reached." in (await room.engine.operation(asked.id)).waiting_for

        await room.until(said)
        assert len(room.deploy.rechecked) == 1
        room.deploy.recheck_error = None
        room.clock.advance(seconds=6)
        await room.becomes(asked, Status.SUCCEEDED)


async def test_a_check_that_never_can_be_made_lets_it_expire(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.recheck_error = ZeroDivisionError()
        await room.start()
        asked = await room.ask()

        async def said() -> bool:
            return "reference" in (await room.engine.operation(asked.id)).waiting_for

        await room.until(said)
        room.clock.advance(seconds=901)
        reason = (await room.becomes(asked, Status.EXPIRED)).reason
        assert reason.startswith("It could not start in time. It waited for a check before the start")


# ---- cancelling a run ---------------------------------------------------------------------------------------------


async def test_a_run_is_cancelled_once_the_outside_has_stopped(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        running = await dispatched(room, await room.ask())
        asked = await room.engine.cancel(running.id, DEV)
        assert asked.status is Status.RUNNING
        assert asked.cancel_requested_by == "dev"
        ended = await room.becomes(running, Status.CANCELLED)
        assert ended.reason.startswith("The build was stopped on GitHub")
        assert [step.state for step in ended.steps] == ["skipped"]
        assert await room.engine.locks() == []


async def test_an_outside_that_does_not_confirm_leaves_it_interrupted_with_its_locks(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.heeds_cancel = False
        await room.start()
        running = await dispatched(room, await room.ask())
        first = await room.engine.cancel(running.id, DEV)
        room.clock.advance(seconds=30)
        assert (await room.engine.cancel(running.id, DEV)).cancel_requested_at == first.cancel_requested_at
        room.clock.advance(seconds=31)
        ended = await room.becomes(running, Status.INTERRUPTED)
        assert "60 s later is not known to be over. The outside has not confirmed that." in ended.reason
        assert [lock.resource for lock in await room.engine.locks()] == ["dev/app"]
        room.deploy.gate.set()
        await asyncio.sleep(0.05)
        assert (await room.engine.operation(running.id)).status is Status.INTERRUPTED


async def test_a_queued_one_that_is_cancelled_never_starts(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        first = await dispatched(room, await room.ask())
        second = await room.ask()
        assert (await room.engine.cancel(second.id, DEV)).status is Status.CANCELLED
        room.deploy.gate.set()
        await room.becomes(first, Status.SUCCEEDED)
        await room.becomes(await room.ask(), Status.SUCCEEDED)
        assert second.id not in room.deploy.dispatched


# ---- crashes and restarts -------------------------------------------------------------------------------------------


async def test_after_a_shutdown_the_next_executor_re_attaches(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        executor = await room.start()
        running = await dispatched(room, await room.ask())
        await executor.close()
        left = await room.engine.operation(running.id)
        assert left.status is Status.RUNNING
        assert [lock.resource for lock in await room.engine.locks()] == ["dev/app"]
        room.deploy.gate.set()
        await room.start()
        await room.becomes(running, Status.SUCCEEDED)
        assert (room.deploy.dispatched, room.deploy.resumed) == ([running.id], [running.id])
        assert await room.engine.locks() == []


async def test_an_executor_that_was_replaced_changes_nothing_any_more(tmp_path: Path) -> None:
    """The old one is not even told: its process might hang. The lease keeps its hands off."""
    async with open_room(tmp_path) as room:
        await room.start()
        running = await dispatched(room, await room.ask())
        successor = Deploy()
        room.registry.add(successor)
        await room.start()

        async def taken_over() -> bool:
            return bool(successor.resumed)

        await room.until(taken_over)
        room.deploy.error = Failed("the old one speaks")
        room.deploy.gate.set()
        await asyncio.sleep(0.05)
        assert (await room.engine.operation(running.id)).status is Status.RUNNING
        successor.gate.set()
        ended = await room.becomes(running, Status.SUCCEEDED)
        assert ended.reason == ""


async def test_a_crash_before_anything_was_saved_needs_a_human(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        executor = await room.start()
        running = await dispatched(room, await room.ask())
        await executor.close()
        await room.database.write(
            lambda c: c.execute(operations.update().where(operations.c.id == running.id).values(checkpoint={})).close()
        )
        await room.start()
        ended = await room.becomes(running, Status.INTERRUPTED)
        assert "somebody must look" in ended.reason


async def test_a_wish_to_cancel_survives_the_restart(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        executor = await room.start()
        running = await dispatched(room, await room.ask())
        await executor.close()
        await room.engine.cancel(running.id, DEV)
        room.clock.advance(hours=1)  # the time to confirm begins anew with the new process
        await room.start()
        await room.becomes(running, Status.CANCELLED)


async def test_an_interrupted_one_can_look_again_or_be_closed(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.error = Interrupted("The host has not answered.")
        room.deploy.gate.set()
        await room.start()
        asked = await room.becomes(await room.ask(), Status.INTERRUPTED)
        behind = await room.ask()
        with pytest.raises(Refused, match="nothing runs here that could be cancelled"):
            await room.engine.cancel(asked.id, DEV)
        await room.engine.resume(asked.id, DEV)
        await room.until(lambda: _resumed(room, 1))
        await room.becomes(asked, Status.INTERRUPTED)
        room.deploy.error = None
        await room.engine.resume(asked.id, DEV)
        await room.becomes(asked, Status.SUCCEEDED)
        await room.becomes(behind, Status.SUCCEEDED)


async def _resumed(room: Room, times: int) -> bool:
    return len(room.deploy.resumed) >= times


async def test_closing_an_interrupted_one_needs_a_reason_and_frees_the_queue(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.error = Interrupted("The host has not answered.")
        room.deploy.gate.set()
        await room.start()
        asked = await room.becomes(await room.ask(), Status.INTERRUPTED)
        room.deploy.error = None
        behind = await room.ask()
        for reason, status in ((" ", Status.FAILED), ("looked", Status.SUCCEEDED)):
            with pytest.raises(Refused):
                await room.engine.close(asked.id, DEV, status, reason=reason)
        closed = await room.engine.close(asked.id, SRE, Status.FAILED, reason="the host was rebuilt")
        assert closed.status is Status.FAILED
        assert closed.reason == "sre closed it: the host was rebuilt"
        await room.becomes(behind, Status.SUCCEEDED)
        with pytest.raises(Refused, match="not interrupted"):
            await room.engine.resume(asked.id, DEV)


class Hesitant(Deploy):
    """Becomes interrupted before it has sent anything, once; looked at again, it begins from the beginning."""

    hesitated = False

    async def run(self, run: Run) -> Json:
        if not self.hesitated:
            self.hesitated = True
            raise Interrupted("GitHub has not answered. Nothing was sent.")
        return await super().run(run)

    async def resume(self, run: Run) -> Json | None:
        self.resumed.append(run.operation.id)
        return await (self._finish(run) if await self.begun(run) else self.run(run))


async def hesitating(room: Room) -> Operation:
    """An approved deploy to prod that is interrupted before it has begun."""
    room.registry.add(room.deploy)
    await room.start()
    asked = await room.ask(environment="prod")
    await room.approve(asked)
    return await room.becomes(asked, Status.INTERRUPTED)


@pytest.mark.parametrize("changed", ["the plan", "the policy", "a voter's role", "a voter's place in the guild"])
async def test_what_has_not_begun_goes_on_only_if_the_decision_still_holds(tmp_path: Path, changed: str) -> None:
    crew = Crew.of(DEV, SRE)
    async with open_room(tmp_path, roster=crew) as room:
        room.deploy = Hesitant()
        asked = await hesitating(room)
        match changed:
            case "the plan":
                room.deploy.stale = says = "The commit has left main."
            case "the policy":
                stricter, says = PolicyRow(Action.DEPLOY, "prod", ("sre",), ("sre",), 1), "policy that applies to it"
                await room.executors.pop().close()
                rows = (stricter, *seeded_rows())
                room.engine = Engine(store=room.store, registry=room.registry, policy=rows, roster=crew)
                await room.start()
            case "a voter's role":
                crew.roles["sre"], says = frozenset(), "sre approved it and no longer holds the role"
            case _:
                crew.roles["sre"], says = None, "sre approved it and has left the server"
        await room.engine.resume(asked.id, SRE)
        ended = await room.becomes(asked, Status.STALE)
        assert says in ended.reason
        assert ended.reason.endswith("Nothing was dispatched.")
        assert ended.ended_at is not None
        assert (room.deploy.dispatched, room.deploy.resumed) == ([], [])
        assert await room.engine.locks() == []
        assert (await room.names(asked))[-2:] == ["operation.running", "operation.stale"]


async def test_what_has_not_begun_and_still_holds_goes_on_after_a_look_at_it(tmp_path: Path) -> None:
    async with open_room(tmp_path, roster=Crew.of(DEV, SRE)) as room:
        room.deploy = Hesitant()
        asked = await hesitating(room)
        room.deploy.gate.set()
        await room.engine.resume(asked.id, DEV)
        await room.becomes(asked, Status.SUCCEEDED)
        assert room.deploy.rechecked == [asked.id, asked.id]
        assert room.deploy.dispatched == [asked.id]


async def test_what_is_outside_already_is_looked_at_whatever_has_changed(tmp_path: Path) -> None:
    crew = Crew.of(DEV, SRE)
    async with open_room(tmp_path, roster=crew) as room:
        room.deploy.error = Interrupted("The host has not answered.")
        room.deploy.gate.set()
        asked = await hesitating(room)
        room.deploy.error, room.deploy.stale = None, "The commit has left main."
        crew.roles["sre"] = None
        await room.engine.resume(asked.id, DEV)
        await room.becomes(asked, Status.SUCCEEDED)
        assert room.deploy.rechecked == [asked.id]


async def test_after_a_crash_too_what_has_not_begun_must_still_hold(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        executor = await room.start()
        running = await dispatched(room, await room.ask())
        await executor.close()
        await room.database.write(
            lambda c: c.execute(operations.update().where(operations.c.id == running.id).values(checkpoint={})).close()
        )
        room.deploy.stale = "The commit has left main."
        await room.start()
        ended = await room.becomes(running, Status.STALE)
        assert ended.reason == "The commit has left main. Nothing was dispatched."
        assert [step.state for step in ended.steps] == ["skipped"]
        assert room.deploy.resumed == []


async def test_a_check_that_cannot_be_made_holds_what_was_taken_over_back_and_a_cancel_still_ends_it(
    tmp_path: Path,
) -> None:
    async with open_room(tmp_path) as room:
        room.deploy = Hesitant()
        asked = await hesitating(room)
        room.deploy.recheck_error = Unavailable("github", "GitHub cannot be reached.")
        await room.engine.resume(asked.id, DEV)
        await room.until(lambda: _waits_for(room, asked, "a check before it goes on: GitHub cannot be reached."))
        for error in (ZeroDivisionError(), Unavailable("github", "GitHub cannot be reached.")):
            room.deploy.recheck_error = error
            room.deploy.rechecked.clear()
            room.clock.advance(seconds=6)
            await room.until(lambda: _rechecked(room, asked))
        assert (await room.engine.operation(asked.id)).status is Status.RUNNING
        assert [lock.resource for lock in await room.engine.locks()] == ["prod/app"]
        assert room.deploy.dispatched == []
        await room.engine.cancel(asked.id, DEV)
        room.clock.advance(seconds=6)
        ended = await room.becomes(asked, Status.CANCELLED)
        assert ended.waiting_for == ""


async def test_a_row_that_another_process_wrote_is_started_too(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        room.deploy.gate.set()
        beside = await Database.open(tmp_path / "state" / "quarterdeck.sqlite3", exclusive=False)
        try:
            door = Engine(store=Store(beside, now=room.clock), registry=room.registry, policy=seeded_rows())
            asked = await door.request(Request("cli-1", "deploy", "dev", {}), DEV)
            await room.becomes(asked, Status.SUCCEEDED)
        finally:
            await beside.close()


async def test_a_kind_that_this_version_no_longer_knows_waits_for_a_human(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        executor = await room.start()
        running = await dispatched(room, await room.ask())
        await executor.close()
        statement = operations.update().where(operations.c.id == running.id).values(kind="teleport")
        await room.database.write(lambda c: c.execute(statement).close())
        await room.start()
        assert "does not know" in (await room.becomes(running, Status.INTERRUPTED)).reason


# ---- many at once ---------------------------------------------------------------------------------------------------


async def test_fifty_votes_at_once_start_it_exactly_once(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        room.deploy.gate.set()
        asked = await room.ask(environment="prod")
        votes = [room.engine.vote(asked.id, SRE, Verdict.APPROVE, digest=asked.digest) for _ in range(50)]
        outcomes = await asyncio.gather(*votes, return_exceptions=True)
        assert sum(isinstance(outcome, Operation) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 49
        await room.becomes(asked, Status.SUCCEEDED)
        assert room.deploy.dispatched == [asked.id]
        names = await room.names(asked)
        assert (names.count("operation.approved"), names.count("operation.running")) == (1, 1)


async def test_approvals_and_cancellations_at_once_end_in_one_truth(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        for _ in range(10):
            asked = await room.ask(environment="prod")
            outcomes = await asyncio.gather(
                room.approve(asked), room.engine.cancel(asked.id, DEV), return_exceptions=True
            )
            assert any(isinstance(outcome, Operation) for outcome in outcomes)
            ended = await room.becomes(asked, Status.CANCELLED)
            started = (await room.names(asked)).count("operation.running")
            assert started == room.deploy.dispatched.count(ended.id) == (ended.started_at is not None)


async def test_many_of_many_services_all_end_and_no_lock_is_left(tmp_path: Path) -> None:
    async with open_room(tmp_path, limits=Limits(concurrency=4)) as room:
        holding: set[str] = set()
        most = 0

        class Watched(Deploy):
            async def run(self, run: Run) -> Json:
                nonlocal most
                assert holding.isdisjoint(run.operation.locks)
                holding.update(run.operation.locks)
                most = max(most, len(holding))
                await run.step("Build", "running")
                await asyncio.sleep(0)
                await run.step("Build", "ok")
                holding.difference_update(run.operation.locks)
                return {}

        room.registry.add(Watched())
        await room.start()
        asked = await asyncio.gather(*(room.ask(service=f"s{number % 6}") for number in range(60)))
        for operation in asked:
            await room.becomes(operation, Status.SUCCEEDED)
        assert 1 < most <= 4
        assert await room.engine.locks() == []
        for service in range(6):
            mine = [operation.id for operation in asked if operation.service == f"s{service}"]
            started = select(operations.c.id).where(operations.c.service == f"s{service}")
            order = await room.database.read(
                lambda c, started=started: list(
                    c.execute(started.order_by(operations.c.ended_at, operations.c.id)).scalars()
                )
            )
            assert order == sorted(mine)


async def test_an_older_deploy_whose_check_fails_for_a_moment_is_not_overtaken(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.recheck_error = Unavailable("github", "GitHub cannot be reached: no connection.")
        await room.start()
        older = await room.ask(commit="1" * 40)
        await room.until(lambda: _waits_for(room, older, "GitHub cannot be reached"))
        room.deploy.recheck_error = None
        newer = await room.ask(commit="2" * 40)
        await room.until(lambda: _waits_for(room, newer, f"behind #{older.id} "))
        room.clock.advance(seconds=6)
        await dispatched(room, older)
        assert room.deploy.dispatched == [older.id]


async def _waits_for(room: Room, operation: Operation, words: str) -> bool:
    return words in (await room.engine.operation(operation.id)).waiting_for


async def test_a_lock_that_nobody_known_holds_keeps_it_waiting_and_the_loop_calm(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        ended = await room.ask(environment="prod")
        await room.engine.vote(ended.id, SRE, Verdict.DENY, digest=ended.digest)
        lost = {"resource": "dev/app", "operation_id": ended.id, "since": room.clock()}
        await room.database.write(lambda c: c.execute(locks.insert(), lost).close())
        await room.start()
        asked = await room.ask()
        await room.until(lambda: _rechecked(room, asked))
        await asyncio.sleep(0.2)
        assert room.deploy.rechecked == [asked.id]
        assert (await room.engine.operation(asked.id)).status is Status.APPROVED


async def _rechecked(room: Room, operation: Operation) -> bool:
    return operation.id in room.deploy.rechecked
