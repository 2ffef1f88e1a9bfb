"""Whole lives of operations, and everything that is written of them, word by word: rows, votes, locks, cards, record.

Each story is played over a real database with a clock that moves only when told; `tests/golden` holds what it leaves.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from bot.errors import Broken, Refused, Unavailable
from bot.logs import Redactor, configure
from bot.ops.engine import Engine, NeedsConfirmation
from bot.ops.execution import LOG_TAIL_MAX, Execution
from bot.ops.handler import Cancelled, Failed, Interrupted, Run
from bot.ops.model import Json, Operation, Status, Verdict
from bot.policy import Action, Actor, Door, PolicyRow, seeded_rows
from tests.unit.engine_room import DEV, DEV2, GUEST, OWNER, SRE, SRE2, Crew, Deploy, Limits, Room, open_room
from tests.unit.golden import expect

TWO_OF_PROD = (
    PolicyRow(Action.DEPLOY, "prod", ("dev",), approvers=("sre",), quorum=2),
    *(row for row in seeded_rows() if (row.action, row.environment) != (Action.DEPLOY, "prod")),
)
STRANGER = Actor("777", 777, frozenset({"sre"}), known=False)
AT_THE_DOOR = replace(SRE, discord_id=None, door=Door.COMMAND_LINE, confirmed=False)
REFERENCE = re.compile(r"reference [0-9a-f]{8}")
TABLES = ("operations", "votes", "events", "locks", "cards")
LEFT_OUT = {"lease_owner", "request_key"}


async def left(room: Room) -> str:
    """Every row that a story has left, the record by operation; random words and empty columns left out."""
    lines = []
    left_out = LEFT_OUT | ({"wanted", "lease_until"} if room.executors else set())  # how often a loop looked
    for table in TABLES:
        found = await room.database.read(
            lambda c, table=table: [dict(row) for row in c.exec_driver_sql(f"SELECT * FROM {table}").mappings()]
        )
        if table == "events":  # those of different operations come in any order
            found.sort(key=lambda row: (row["operation_id"] or 0, row.pop("id")))
        for row in found:
            told = {name: _short(value) for name, value in row.items() if name not in left_out and value not in _EMPTY}
            lines.append(f"{table}: " + " | ".join(f"{name}={value}" for name, value in told.items()))
    return REFERENCE.sub("reference XXXXXXXX", "\n".join(lines)) + "\n"


_EMPTY = (None, "", "[]", "{}", 0)


def _short(value: object) -> str:
    text = str(value).removesuffix(".000000")
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", text)
    text = text if len(text) <= 400 else f"{text[:40]}… ({len(text)} characters) …{text[-40:]}"
    return text.replace("\n", "⏎")


async def refused(work: Awaitable[object]) -> str:
    """The refusal's sentence, rule and hint."""
    with pytest.raises(Refused) as caught:
        await work
    return f"{caught.value} [{caught.value.rule}] {caught.value.hint}"


class Told(list[str]):
    """What people were told, in order."""

    async def hear(self, who: str, work: Awaitable[object]) -> None:
        self.append(f"{who}: {await refused(work)}")

    def text(self) -> str:
        return "\n".join(self) + "\n"


async def test_asking(tmp_path: Path) -> None:
    told = Told()
    async with open_room(tmp_path) as room:
        await room.ask()
        await room.ask(key="key-1")
        asked = await room.ask(SRE, environment="prod", commit="d" * 40)
        await room.ask(AT_THE_DOOR, environment="prod", kind="rollback")
        await told.hear("guest", room.ask(GUEST))
        await told.hear("guest", room.ask(GUEST))
        await told.hear("guest, at prod", room.ask(GUEST, environment="prod"))
        await told.hear("stranger", room.ask(STRANGER))
        await told.hear("nowhere", room.ask(environment="staging"))
        await told.hear("no such kind", room.ask(kind="teleport"))
        await told.hear("no handler", room.ask(OWNER, kind="reload", environment="control"))
        await told.hear("no such operation", room.engine.operation(99))
        room.deploy.confirm = "dev already runs ccccccc."
        with pytest.raises(NeedsConfirmation) as question:
            await room.ask(service="other")
        told.append(f"question: {question.value} [{question.value.rule}] {question.value.hint}")
        await room.ask(service="other", confirmed=True)
        assert (await room.engine.operation(asked.id)) == asked
        expect("record-asking.txt", told.text() + await left(room))


async def test_voting(tmp_path: Path) -> None:
    told = Told()
    async with open_room(tmp_path, rows=TWO_OF_PROD) as room:
        asked = await room.ask(environment="prod")
        for actor in (DEV, DEV2, GUEST, STRANGER):
            await told.hear(actor.name, room.approve(asked, actor))
            await told.hear(
                f"{actor.name} denies", vote(room, asked, actor, Verdict.DENY)
            ) if actor is not DEV else None
        await told.hear("other content", room.engine.vote(asked.id, SRE, Verdict.APPROVE, digest="0" * 64))
        await room.approve(asked, SRE)
        await told.hear("sre again", room.approve(asked, SRE))
        await told.hear("dev has not voted", room.engine.withdraw(asked.id, DEV))
        await room.engine.withdraw(asked.id, SRE)
        room.clock.advance(minutes=1)
        await room.approve(asked, SRE2)
        await room.engine.vote(asked.id, AT_THE_DOOR, Verdict.APPROVE, digest=asked.digest, reason=" fine " + "x" * 600)
        await told.hear("too late", room.approve(asked, OWNER))
        await room.engine.withdraw(asked.id, SRE2)
        await told.hear("stale now", room.approve(asked, OWNER))
        await told.hear("withdraw from stale", room.engine.withdraw(asked.id, SRE))
        denied = [await room.ask(environment="prod", service=name) for name in ("a", "b", "c")]
        await vote(room, denied[0], SRE, Verdict.DENY, " not on a Friday ")
        await vote(room, denied[1], SRE, Verdict.DENY, "")
        await vote(room, denied[2], DEV, Verdict.DENY, "mine")
        for operation in denied:
            await told.hear("over", room.approve(operation, SRE2))
            await told.hear("over", room.engine.cancel(operation.id, DEV))
        await told.hear("at once", room.approve(await room.ask(), SRE))
        late = await room.ask(environment="prod", service="late")
        room.clock.advance(hours=9)
        await told.hear("after its time", room.approve(late, SRE))
        expect("record-voting.txt", told.text() + await left(room))


async def vote(room: Room, operation: Operation, actor: Actor, verdict: Verdict, reason: str = "") -> Operation:
    return await room.engine.vote(operation.id, actor, verdict, digest=operation.digest, reason=reason)


async def test_a_policy_that_changes_under_a_vote(tmp_path: Path) -> None:
    told = Told()
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        changed = Engine(store=room.store, registry=room.registry, policy=TWO_OF_PROD)
        await told.hear("other policy", changed.vote(asked.id, SRE, Verdict.APPROVE, digest=asked.digest))
        await told.hear("stale", changed.vote(asked.id, SRE, Verdict.APPROVE, digest=asked.digest))
        assert await changed.stale_because(await room.ask()) == ""
        told.append(await changed.stale_because(await room.ask(environment="prod")))
        none = Engine(store=room.store, registry=room.registry, policy=())
        told.append(await none.stale_because(await room.ask()))
        expect("record-policy-changed.txt", told.text() + await left(room))


async def test_cancelling_expiring_and_reminding(tmp_path: Path) -> None:
    told = Told()
    async with open_room(tmp_path) as room:
        waits, runs = await room.ask(environment="prod"), await room.ask()
        await told.hear("another dev", room.engine.cancel(waits.id, DEV2))
        await told.hear("guest", room.engine.cancel(runs.id, GUEST))
        await room.engine.cancel(waits.id, SRE)
        await told.hear("twice", room.engine.cancel(waits.id, DEV))
        await told.hear("vote on it", room.approve(waits))
        await room.engine.cancel(runs.id, AT_THE_DOOR)
        soon = await room.ask(environment="prod", service="soon")
        started = await room.ask(service="queued")
        await room.database.write(lambda c: room.store.queue_up(c, started.id, "2nd behind #1."))
        held = await room.ask(service="held")
        await room.database.write(lambda c: room.store.hold_back(c, held.id, "a check."))
        late = await room.ask(service="late")
        assert await room.engine.remind(within_s=3600) == []
        room.clock.advance(hours=7, minutes=30)
        assert [operation.id for operation in await room.engine.remind(within_s=3600)] == [soon.id]
        assert await room.engine.remind(within_s=3600) == []
        ended = await room.engine.expire(approved_to_start_s=900)
        assert [operation.id for operation in ended] == [held.id, late.id]
        room.clock.advance(minutes=30)
        assert [operation.id for operation in await room.engine.expire(approved_to_start_s=900)] == [soon.id]
        assert await room.engine.expire(approved_to_start_s=900) == []
        await told.hear("expired", room.engine.cancel(soon.id, DEV))
        await told.hear("expired", room.approve(soon))
        expect("record-ending.txt", told.text() + await left(room))


class Scripted(Deploy):
    """A deploy that ends as its `error` says, after some progress."""

    async def run(self, run: Run) -> Json:
        await run.step("Build", "running", "from main")
        await run.step("Build", "running", "half")
        await run.checkpoint(run_id=7, request_id="r-7")
        await run.step("Push", "waiting")
        await run.waiting("GitHub asks us to wait 60 s")
        await run.waiting("GitHub asks us to wait 60 s")
        await run.note("The deployment record could not be written.")
        await run.checkpoint(run_id=8)
        await run.waiting("")
        if self.error is not None:
            raise self.error
        await run.step("Build", "ok", "done")
        await run.step("Smoke", "skipped", "none is configured")
        return {"commit": run.operation.plan["commit"], "seconds": 3}

    async def resume(self, run: Run) -> Json | None:
        if self.error is not None:
            raise self.error
        return {"found": "again"} if run.operation.checkpoint else None


ENDS: dict[str, BaseException | None] = {
    "well": None,
    "failed": Failed("The rollout failed.", log_tail="x" * (LOG_TAIL_MAX + 5) + "END", result={"previous": "9a2e07d"}),
    "cancelled": Cancelled("The build was stopped.", result={"previous": "9a2e07d"}),
    "interrupted": Interrupted("The host has not answered."),
    "unavailable": Unavailable("github", "GitHub does not answer."),
    "broken": Broken("A hinge came off."),
    "bug": KeyError("oops"),
}


@pytest.mark.parametrize("end", list(ENDS))
async def test_running(tmp_path: Path, end: str) -> None:
    told = Told()
    async with open_room(tmp_path) as room:
        room.registry.add(scripted := Scripted(error=ENDS[end]))
        operation = await room.ask()
        await room.start()
        over = await room.becomes(operation, *(status for status in Status if status not in _UNDER_WAY))
        await told.hear("cancel", room.engine.cancel(operation.id, DEV))
        await told.hear("vote", room.approve(operation))
        if over.status is Status.INTERRUPTED:
            await told.hear("close by guest", room.engine.close(operation.id, GUEST, Status.FAILED, reason="no"))
            await told.hear("resume by guest", room.engine.resume(operation.id, GUEST))
            await told.hear("withdraw", room.engine.withdraw(operation.id, SRE))
            await told.hear("no reason", room.engine.close(operation.id, SRE, Status.FAILED, reason="  "))
            await told.hear("no end", room.engine.close(operation.id, SRE, Status.SUCCEEDED, reason="fine"))
            scripted.error = None
            if end == "interrupted":
                await room.engine.resume(operation.id, AT_THE_DOOR)
                await room.becomes(operation, Status.SUCCEEDED)
            else:
                await room.engine.close(
                    operation.id, AT_THE_DOOR, Status.CANCELLED, reason=" looked at it " + "y" * 600
                )
        await told.hear("close", room.engine.close(operation.id, SRE, Status.FAILED, reason="again"))
        await told.hear("resume", room.engine.resume(operation.id, SRE))
        expect(f"record-running-{end}.txt", told.text() + await left(room))


_UNDER_WAY = (Status.PENDING, Status.APPROVED, Status.RUNNING)


async def test_taking_over_and_lining_up(tmp_path: Path) -> None:
    told = Told()
    async with open_room(tmp_path, limits=Limits(concurrency=2)) as room:
        stuck = Scripted(error=Interrupted("The host has not answered."))
        room.registry.add(stuck)
        first = await room.ask(environment="prod", service="app")
        await room.approve(first)
        await room.start()
        await room.becomes(first, Status.INTERRUPTED)
        behind = await room.ask(environment="prod", service="app")
        await room.approve(behind)
        await room.until(lambda: _waits(room, behind, "2nd behind #1"))
        room.registry.add(Scripted())
        room.registry.add(Scripted(kind="rollback"))
        rollback = await room.ask(SRE, environment="prod", kind="rollback", service="app", takes_over=[first.id])
        await room.approve(rollback, SRE2)
        await room.becomes(rollback, Status.SUCCEEDED)
        await told.hear("resume", room.engine.resume(first.id, SRE))
        await room.becomes(behind, Status.SUCCEEDED)
        await room.engine.close(first.id, SRE, Status.FAILED, reason="rolled back")
        expect("record-taking-over.txt", told.text() + await left(room))


async def _waits(room: Room, operation: Operation, words: str) -> bool:
    return words in (await room.engine.operation(operation.id)).waiting_for


@pytest.mark.parametrize(("name", "change"), [
    ("voter-lost-role", lambda crew: crew.roles.update(sre=frozenset())),
    ("voter-left", lambda crew: crew.roles.update(sre=None)),
    ("requester-lost-role", lambda crew: crew.roles.update(dev=frozenset({"owner"}))),
    ("requester-out-of-the-table", lambda crew: crew.duties.pop("dev")),
    ("voter-out-of-the-table", lambda crew: crew.duties.pop("sre")),
    ("nothing", lambda crew: None),
])  # fmt: skip
async def test_roles_that_changed_before_the_start(tmp_path: Path, name: str, change: Callable[[Crew], Any]) -> None:
    crew = Crew.of(DEV, SRE, SRE2)
    async with open_room(tmp_path, roster=crew) as room:
        room.registry.add(Scripted())
        asked = await room.ask(environment="prod")
        await room.approve(asked)
        change(crew)
        await room.start()
        await room.becomes(asked, Status.STALE, Status.SUCCEEDED)
        expect(f"record-roles-{name}.txt", await left(room))


async def test_discord_that_cannot_be_asked_before_the_start(tmp_path: Path) -> None:
    crew = Crew.of(DEV, SRE, SRE2)
    async with open_room(tmp_path, roster=crew) as room:
        room.registry.add(Scripted())
        room.registry.add(Scripted(kind="rollback"))
        crew.away = True
        waits, goes = await room.ask(service="a"), await room.ask(service="b", kind="rollback")
        at_the_door = await room.ask(AT_THE_DOOR, service="c")
        await room.start()
        await room.becomes(goes, Status.SUCCEEDED)
        await room.becomes(at_the_door, Status.SUCCEEDED)
        await room.until(lambda: _waits(room, waits, "a check before the start"))
        before = await left(room)
        crew.away = False
        room.clock.advance(seconds=6)
        await room.becomes(waits, Status.SUCCEEDED)
        expect("record-discord-away.txt", before)


async def test_checks_that_fail_or_break_before_the_start(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.recheck_error = Unavailable("github", "GitHub does not answer.")
        away = await room.ask(service="a")
        await room.start()
        await room.until(lambda: _waits(room, away, "GitHub does not answer"))
        room.deploy.recheck_error = KeyError("oops")
        broken = await room.ask(service="b")
        await room.until(lambda: _waits(room, broken, "which broke"))
        room.deploy.recheck_error, room.deploy.stale = None, "The commit has left the branch."
        stale = await room.ask(service="c")
        await room.becomes(stale, Status.STALE)
        expect("record-checks.txt", await left(room))


async def test_what_doors_record(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for _ in range(2):
            await room.engine.record(
                "door.refused", "guest", "No.", {"rule": "r", "environment": "dev", "service": "app"}
            )
        await room.engine.record("door.refused", "guest", "No.", {"rule": "r", "environment": "prod"})
        await room.engine.record("export.taken", "sre", "100 lines.", {"rows": 100})
        await room.engine.record("export.taken", "sre", "100 lines.")
        room.clock.advance(days=1)
        await room.engine.record(
            "door.refused", "guest", "No, today.", {"rule": "r", "environment": "dev", "service": "app"}
        )
        expect("record-doors.txt", await left(room))


async def test_an_execution_that_lost_its_lease_changes_nothing(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.registry.add(Scripted(error=Interrupted("Somebody must look.")))
        operation = await room.ask()
        await room.start()
        asked = await room.becomes(operation, Status.INTERRUPTED)
        before = await left(room)
        ghost = Execution(room.store, asked, owner="nobody", changed=lambda _: None)
        for call in (ghost.step("x", "ok"), ghost.waiting("y"), ghost.checkpoint(z=1), ghost.note("n")):
            with pytest.raises(Interrupted, match="no longer run by this executor"):
                await call
        assert not await ghost.end(Status.FAILED, reason="me")
        assert await left(room) == before
        assert json.loads(json.dumps(dict(ghost.operation.checkpoint))) == {"request_id": "r-7", "run_id": 8}


async def test_cancelling_what_runs(tmp_path: Path) -> None:
    told = Told()
    async with open_room(tmp_path) as room:
        room.deploy.heeds_cancel = False
        operation = await room.ask()
        await room.start()
        await room.becomes(operation, Status.RUNNING)
        await room.until(lambda: _is_sent(room, operation))
        await told.hear("guest", room.engine.cancel(operation.id, GUEST))
        asked = await room.engine.cancel(operation.id, AT_THE_DOOR)
        room.clock.advance(seconds=30)
        again = await room.engine.cancel(operation.id, DEV2)
        assert (again.cancel_requested_at, again.cancel_requested_by) == (asked.cancel_requested_at, "sre")
        running = await left(room)
        room.clock.advance(seconds=29)
        room.executors[0].wake()
        await room.until(lambda: _looked(room))
        assert (await room.engine.operation(operation.id)).status is Status.RUNNING
        room.clock.advance(seconds=1)
        await room.becomes(operation, Status.INTERRUPTED)
        await room.until(lambda: _is_idle(room))
        interrupted = await left(room)
        resumed = await room.engine.resume(operation.id, AT_THE_DOOR)
        assert (resumed.reason, resumed.cancel_requested_at, resumed.cancel_requested_by) == ("", None, "")
        room.deploy.gate.set()
        await room.becomes(operation, Status.SUCCEEDED)
        expect("record-cancelling.txt", f"{told.text()}\n{running}\n{interrupted}\n{await left(room)}")


async def _is_sent(room: Room, operation: Operation) -> bool:
    return "run_id" in (await room.engine.operation(operation.id)).checkpoint


async def _is_idle(room: Room) -> bool:
    """What is interrupted is let go of, too: it keeps no place among those that run at once."""
    return not room.executors[0].running


async def _looked(room: Room) -> bool:
    """The loop has passed once more: what it would do, it has done."""
    renewed = await room.database.read(lambda c: c.exec_driver_sql("SELECT lease_until FROM operations").scalar())
    return str(renewed).startswith(f"{room.clock.at + timedelta(seconds=Limits().lease_s):%Y-%m-%d %H:%M:%S}")


async def test_what_the_log_tells(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    stream, root = StringIO(), logging.getLogger()
    before = (root.handlers[:], root.level)
    request.addfinalizer(lambda: (root.handlers.__setitem__(slice(None), before[0]), root.setLevel(before[1])))
    configure("info", Redactor(), stream)
    async with open_room(tmp_path) as room:
        for name, error in ENDS.items():
            room.registry.add(Scripted(error=error))
            operation = await room.ask(service=name)
            if not room.executors:
                await room.start()
            await room.becomes(operation, *(status for status in Status if status not in _UNDER_WAY))
        last = await room.engine.operation(operation.id)
        room.registry.add(Scripted())
        await room.engine.resume(last.id, SRE)
        await room.becomes(last, Status.SUCCEEDED)
        room.deploy.recheck_error = KeyError("oops")
        room.registry.add(room.deploy)
        broken = await room.ask(service="check")
        await room.until(lambda: _waits(room, broken, "which broke"))
    lines = []
    for line in stream.getvalue().splitlines():
        entry = {key: value for key, value in json.loads(line).items() if key != "at"}
        entry["traceback"] = entry.get("traceback", "").splitlines()[-1:]
        lines.append(re.sub(r'"reference": "[0-9a-f]{8}"', '"reference": "X"', json.dumps(entry, sort_keys=True)))
    expect("log.txt", REFERENCE.sub("reference XXXXXXXX", "\n".join(lines)) + "\n")
