"""Reading the core: which operations, votes and events are found, in which order, how many; and what is counted."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from bot.errors import Misconfigured, Refused
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Cancelled, Failed, Interrupted
from bot.ops.lineup import Standing, line_up
from bot.ops.model import Operation, Status, StepState, Verdict
from bot.ops.record import utc_now
from bot.ops.rows import with_step
from bot.ops.seed import load_seed
from bot.ops.sentences import left_out, moment
from bot.policy import seeded_rows
from tests.unit.engine_room import DEV, DEV2, OWNER, SRE, SRE2, Limits, open_room
from tests.unit.test_lineup import standing
from tests.unit.test_record_in_full import Scripted
from tests.unit.test_seed import LINE


def numbers(found: list[Operation]) -> list[int]:
    return [operation.id for operation in found]


async def test_operations_are_found_by_each_field_newest_first_and_in_pages(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for actor, place, service, kind in (
            (DEV, "dev", "app", "deploy"), (DEV2, "prod", "app", "deploy"), (DEV, "prod", "site", "rollback"),
            (SRE, "dev", "site", "deploy"),
        ):  # fmt: skip
            await room.ask(actor, environment=place, service=service, kind=kind)
        find = room.engine.operations
        assert numbers(await find()) == [4, 3, 2, 1]
        assert numbers(await find(environment="prod")) == [3, 2]
        assert numbers(await find(service="app")) == [2, 1]
        assert numbers(await find(requester="dev")) == [3, 1]
        assert numbers(await find(kinds=("rollback",))) == [3]
        assert numbers(await find(statuses=(Status.PENDING,))) == [3, 2]
        assert numbers(await find(statuses=())) == []
        assert numbers(await find(limit=2)) == [4, 3]
        assert numbers(await find(limit=2, before_id=3)) == [2, 1]
        for number in range(30):
            await room.ask(service=f"s{number}")
        assert len(await find()) == 25


async def test_what_waits_for_somebody_is_what_that_person_may_decide_and_has_not(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        of_dev = await room.ask(environment="prod", service="a")
        of_sre = await room.ask(SRE, environment="prod", service="b")
        await room.ask()
        await room.approve(await room.ask(environment="prod", service="decided"), OWNER)
        assert numbers(await room.engine.waiting_for(SRE)) == [of_dev.id]
        assert numbers(await room.engine.waiting_for(SRE2)) == [of_dev.id, of_sre.id]
        assert numbers(await room.engine.waiting_for(DEV)) == []
        await room.engine.vote(of_dev.id, SRE2, Verdict.APPROVE, digest=of_dev.digest)
        assert numbers(await room.engine.waiting_for(SRE2)) == [of_sre.id]
        assert numbers(await room.engine.waiting_for(OWNER)) == [of_sre.id]


async def test_every_open_request_waits_however_many_there_are(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = [await room.ask(environment="prod", service=f"s{number}") for number in range(30)]
        assert numbers(await room.engine.waiting_for(SRE)) == [one.id for one in asked]


async def test_the_only_open_request_no_longer_waits_for_who_has_voted_on_it(tmp_path: Path) -> None:
    rows = tuple(replace(row, quorum=2) if row.environment == "prod" else row for row in seeded_rows())
    async with open_room(tmp_path, rows=rows) as room:
        only = await room.ask(environment="prod")
        await room.engine.vote(only.id, SRE, Verdict.APPROVE, digest=only.digest)
        assert (await room.engine.operation(only.id)).status is Status.PENDING
        assert numbers(await room.engine.waiting_for(SRE)) == []
        assert numbers(await room.engine.waiting_for(SRE2)) == [only.id]


@pytest.mark.parametrize("state", ["ok", "failed", "skipped"])
def test_a_step_keeps_the_moment_at_which_it_ended(state: StepState) -> None:
    began, ended, later = (datetime(2026, 8, 1, 12, minute, tzinfo=UTC) for minute in (0, 5, 9))
    steps = with_step([], "build", "running", "begun", began)
    steps = with_step(steps, "build", state, "over", ended)
    (step,) = with_step(steps, "build", state, "told once more", later)
    assert (step["started_at"], step["ended_at"]) == (began.isoformat(), ended.isoformat())
    assert step["text"] == "told once more"


def test_moments_are_stored_and_told_in_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 8, 1, 12, 3, tzinfo=UTC)
    monkeypatch.setenv("TZ", "QDK-5:30")
    time.tzset()
    try:
        assert at.astimezone().utcoffset() == timedelta(hours=5, minutes=30)
        (step,) = with_step([], "build", "running", "", at)
        assert (step["started_at"], moment(at)) == ("2026-08-01T12:03:00+00:00", "2026-08-01 12:03 UTC")
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_one_vote_is_taken_back_and_no_other(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        mine, other = [await room.ask(environment="prod", service=name) for name in ("a", "b")]
        for operation in (mine, other):
            await room.approve(operation, SRE)
        assert await room.database.write(lambda c: room.store.take_back(c, mine.id, "sre")) is True
        assert await room.database.write(lambda c: room.store.take_back(c, mine.id, "sre")) is False
        assert await room.database.write(lambda c: room.store.take_back(c, other.id, "sre2")) is False
        assert [vote.person for vote in await room.engine.votes(other.id)] == ["sre"]
        denied = await room.ask(environment="prod", service="c")
        await room.engine.vote(denied.id, SRE, Verdict.DENY, digest=denied.digest)
        assert await room.database.write(lambda c: room.store.take_back(c, denied.id, "sre")) is False


async def test_the_time_to_start_begins_with_the_first_check_that_failed_and_stops_in_a_queue(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        one, other = await room.ask(service="a"), await room.ask(service="b")

        async def since() -> list[str | None]:
            found = "SELECT startable_since FROM operations ORDER BY id"
            return [str(at)[11:19] if at else None for at in await room.database.read(
                lambda c: list(c.exec_driver_sql(found).scalars())
            )]  # fmt: skip

        await room.database.write(lambda c: room.store.queue_up(c, one.id, "a lock"))
        assert await since() == [None, "12:00:00"]
        room.clock.advance(minutes=1)
        held = await room.database.write(lambda c: room.store.hold_back(c, one.id, "a check"))
        assert held is not None
        assert held.waiting_for == "a check"
        room.clock.advance(minutes=1)
        await room.database.write(lambda c: room.store.hold_back(c, one.id, "the same check"))
        assert await since() == ["12:01:00", "12:00:00"]
        assert (await room.engine.operation(other.id)).waiting_for == ""


async def test_what_has_started_or_ended_no_longer_says_what_it_waited_for(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        cancelled, started = await room.ask(service="a"), await room.ask(service="b")
        taken_back = await room.approve(await room.ask(environment="prod"), SRE)
        for number in (cancelled.id, started.id, taken_back.id):
            held = await room.database.write(lambda c, number=number: room.store.hold_back(c, number, "a check"))
            assert held.waiting_for == "a check"
        assert (await room.engine.cancel(cancelled.id, DEV)).waiting_for == ""
        assert (await room.engine.withdraw(taken_back.id, SRE)).waiting_for == ""
        await room.start()
        assert (await room.becomes(started, Status.RUNNING)).waiting_for == ""


async def test_what_has_lost_its_locks_to_nobody_cannot_go_on(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.registry.add(Scripted(error=Interrupted("The host has not answered.")))
        await room.start()
        stuck = await room.becomes(await room.ask(), Status.INTERRUPTED)
        await room.database.write(lambda c: room.store.let_locks_go(c, stuck, begun=True))
        with pytest.raises(Refused, match=r"^#1 no longer holds its locks: they were freed\. It cannot go on\.$"):
            await room.engine.resume(stuck.id, SRE)


def test_what_ends_a_run_brings_a_result_or_an_empty_one() -> None:
    assert (Failed("x").result, Failed("x").log_tail, Failed("x", result={"a": 1}).result) == ({}, "", {"a": 1})
    assert (Cancelled("x").result, Cancelled("x", result={"a": 1}).result) == ({}, {"a": 1})


async def test_what_succeeded_is_found_newest_ending_first(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.registry.add(Scripted())
        room.registry.add(Scripted(kind="rollback"))
        await room.start()
        assert await room.engine.last_deployed("dev", "app") is None
        for kind in ("deploy", "rollback", "deploy"):
            await room.becomes(await room.ask(kind=kind), Status.SUCCEEDED)
            room.clock.advance(minutes=1)
        await room.becomes(await room.ask(service="site"), Status.SUCCEEDED)
        assert numbers(await room.engine.deployed("dev", "app")) == [3, 2, 1]
        assert numbers(await room.engine.deployed("dev", "app", limit=1)) == [3]
        assert numbers(await room.engine.deployed("prod", "app")) == []
        last = await room.engine.last_deployed("dev", "app")
        assert last is not None
        assert last.id == 3
        assert numbers(await room.engine.deployed("dev", "site")) == [4]
        assert [event.name for event in await room.engine.events(4, limit=2)] == ["operation.succeeded", "step.skipped"]


async def test_what_ends_is_counted_with_its_kind_place_end_and_time(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        metrics = Metrics()
        engine = Engine(store=room.store, registry=room.registry, policy=seeded_rows(), metrics=metrics)
        room.engine = engine
        executor = InProcessExecutor(engine, room.registry, room.store, Limits(), metrics=metrics, tick_s=0.01)
        room.executors.append(executor)

        class Slow(Scripted):
            async def recheck(self, operation: Operation) -> str:
                return ""

            async def run(self, run: object) -> dict[str, object]:
                room.clock.advance(seconds=42)
                return await super().run(run)  # type: ignore[arg-type, return-value]

        await executor.start()
        for error, end in ((None, "succeeded"), (Failed("no"), "failed"), (Cancelled("stop"), "cancelled")):
            room.registry.add(Slow(error=error))
            await room.becomes(await room.ask(), Status(end))
        denied = await room.ask(environment="prod")
        await room.engine.vote(denied.id, SRE, Verdict.DENY, digest=denied.digest)
        with pytest.raises(Refused, match="already denied by sre"):
            await room.engine.vote(denied.id, DEV2, Verdict.APPROVE, digest=denied.digest)
        told = generate_latest(metrics.registry).decode()
        for end in ("succeeded", "failed", "cancelled"):
            assert re.search(
                rf'operations_ended_total{{[^}}]*environment="dev"[^}}]*kind="deploy"[^}}]*status="{end}"}} 1.0', told
            ), told
        assert re.search(r'operations_ended_total{[^}]*environment="prod"[^}]*status="denied"} 1.0', told), told
        assert re.search(r'operation_seconds_sum{[^}]*environment="dev"[^}]*kind="deploy"[^}]*} 126.0', told), told
        assert re.search(r'votes_total{[^}]*"deny"} 1.0', told), told
        assert re.search(r'votes_total{[^}]*"refused"} 1.0', told), told


@pytest.mark.parametrize(("place", "word"), [
    *((n, f"{n}th") for n in (4, 10, 11, 12, 13, 14, 20, 111)), (2, "2nd"), (3, "3rd"), (21, "21st"), (22, "22nd"),
])  # fmt: skip
def test_a_place_in_the_line_is_told_in_words(place: int, word: str) -> None:
    ahead = [standing(number, "x") for number in range(1, place)]
    turns = line_up([*ahead, standing(999, "x")], {}, begun=frozenset(), free_slots=8)
    assert turns[-1].waiting_for.startswith(f"{word} behind #1 (")


@pytest.mark.parametrize(("status", "step", "kind", "does"), [
    (Status.RUNNING, "", "deploy", "running"),
    (Status.RUNNING, "Pull", "deploy", "Pull"),
    (Status.APPROVED, "", "deploy", "about to start"),
    (Status.INTERRUPTED, "", "deploy", "interrupted, and keeps its locks until somebody resumes or closes it"),
    (Status.INTERRUPTED, "", "rollback", "interrupted since; a rollback that is asked for now takes its locks over"),
])  # fmt: skip
def test_what_stands_ahead_is_told_with_what_it_does(status: Status, step: str, kind: str, does: str) -> None:
    holder = standing(7, "x", status=status, step=step)
    (turn,) = line_up([standing(8, "x", kind=kind)], {"x": holder}, begun=frozenset(), free_slots=1)
    assert turn.waiting_for == f"2nd behind #7 (deploy of app to dev, started by dev): {does}"


def test_slots_are_told_and_not_counted_twice() -> None:
    waiting: list[Standing] = [standing(number, f"x{number}") for number in range(4)]
    turns = line_up(waiting, {}, begun=frozenset(), free_slots=2)
    assert [turn.starts for turn in turns] == [True, True, False, False]
    assert turns[2].waiting_for == "a free slot: as many operations run as are allowed at once"
    assert not any(turn.starts for turn in line_up(waiting, {}, begun=frozenset(), free_slots=0))


async def test_a_seed_file_that_cannot_be_taken_says_where_and_why(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(
            Misconfigured,
            match=rf"^The seed file {tmp_path}/none cannot be read: .*No such file.*Nothing was loaded\.$",
        ):
            await load_seed(room.store, tmp_path / "none")
        for content, says in (
            ("{}", "seed, line 1: kind: Field required. Nothing was loaded."),
            (f"\n\n{_json(commit='x')}", "seed, line 3: commit: String should match pattern"),
            (
                _json(started_at="2020-01-01T00:00:00Z"),
                "line 1: the line: Value error, created_at, started_at and ended_at are not in this order. Nothing was",
            ),
        ):
            (tmp_path / "seed").write_text(content)
            with pytest.raises(Misconfigured, match=re.escape(says)):
                await load_seed(room.store, tmp_path / "seed")
        (tmp_path / "seed").write_bytes(b"\xff\xfe")
        with pytest.raises(Misconfigured, match="cannot be read"):
            await load_seed(room.store, tmp_path / "seed")


def _json(**changes: object) -> str:
    return json.dumps({**LINE, **changes})


def test_the_clock_of_everything_that_is_not_under_test_is_aware() -> None:
    assert utc_now().utcoffset() is not None


def test_what_was_left_out_is_counted_and_nothing_is_said_of_nothing() -> None:
    assert left_out(0) == ""
    assert left_out(1200) == "1,200 more in environments you may not see."
