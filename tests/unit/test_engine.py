"""Asking, voting, cancelling and expiring, over a real database; nothing is run here."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.db.cards import Priority
from bot.db.tables import cards, events, operations
from bot.errors import Refused, Unavailable
from bot.ops.engine import Engine, NeedsConfirmation
from bot.ops.handler import Run
from bot.ops.model import Json, Operation, Plan, Request, Status, Verdict
from bot.ops.rules import action_of
from bot.policy import Action, PolicyRow, seeded_rows
from tests.unit.engine_room import DEV, DEV2, GUEST, OPS_CHANNEL, OWNER, SRE, SRE2, Deploy, Room, open_room

TWO_OF_PROD = (
    PolicyRow(Action.DEPLOY, "prod", ("dev",), approvers=("sre",), quorum=2),
    PolicyRow(Action.DEPLOY, "dev", ("dev",)),
)


async def card_of(room: Room, operation: Operation) -> tuple[int, int, int]:
    """(channel, wanted, priority) of the operation's card."""
    statement = select(cards.c.channel_id, cards.c.wanted, cards.c.priority).where(cards.c.key == operation.card_key)
    return tuple(await room.database.read(lambda c: c.execute(statement).one()))  # type: ignore[return-value]


# ---- asking -----------------------------------------------------------------------------------------------------


async def test_dev_needs_nobody_and_prod_waits_for_an_approval(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        at_once, waits = await room.ask(), await room.ask(environment="prod")
        assert at_once.status is Status.APPROVED
        assert at_once.expires_at is None
        assert waits.status is Status.PENDING
        assert (waits.quorum, waits.approver_roles) == (1, ("sre",))
        assert waits.expires_at is not None
        assert (waits.expires_at - waits.created_at).total_seconds() == 8 * 3600
        assert await room.names(at_once) == ["operation.requested", "operation.approved"]
        assert await room.names(waits) == ["operation.requested"]
        assert await card_of(room, at_once) == (OPS_CHANNEL, 1, Priority.PROGRESS)
        assert await card_of(room, waits) == (OPS_CHANNEL, 1, Priority.APPROVAL)


async def test_the_same_request_key_is_one_operation_even_at_the_same_moment(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await asyncio.gather(*(room.ask(key="interaction-1") for _ in range(20)))
        again = await room.ask(key="interaction-1")
        assert {operation.id for operation in (*asked, again)} == {asked[0].id}
        assert await room.names(again) == ["operation.requested", "operation.approved"]


async def test_whoever_may_not_ask_is_refused_and_counted_in_one_event(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for _ in range(3):
            with pytest.raises(Refused, match="dev or sre may do that; you hold no role here") as refusal:
                await room.ask(GUEST)
        assert refusal.value.rule == "deploy:run in dev"
        assert refusal.value.hint
        (event,) = await room.engine.events()
        assert (event.name, event.actor, event.count) == ("request.refused", "guest", 3)
        assert await room.engine.operations() == []


async def test_a_kind_that_nobody_handles_is_refused(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(Refused, match="does not know operations of the kind teleport"):
            await room.ask(kind="teleport")


async def test_an_environment_without_a_rule_is_refused_before_anything_is_planned(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        with pytest.raises(Refused, match="there is no such rule"):
            await room.ask(SRE, environment="staging")


async def test_a_plan_that_wants_a_yes_writes_nothing_without_it(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.deploy.confirm = "dev already runs ccccccc."
        with pytest.raises(NeedsConfirmation, match="already runs") as question:
            await room.ask(key="k")
        assert question.value.plan.target == "ccccccc"
        assert await room.engine.operations() == []
        assert (await room.ask(key="k", confirmed=True)).status is Status.APPROVED


async def test_a_preview_writes_nothing_but_a_refusal(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        plan, decision = await room.engine.preview(Request("k", "deploy", "prod", {"service": "app"}), DEV)
        assert plan.service == "app"
        assert decision.quorum == 1
        with pytest.raises(Refused):
            await room.engine.preview(Request("k", "deploy", "prod", {}), GUEST)
        assert await room.engine.operations() == []
        assert [event.name for event in await room.engine.events()] == ["request.refused"]


async def test_the_digest_binds_content_requester_and_policy(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        same = [await room.ask(environment="prod"), await room.ask(environment="prod")]
        others = [
            await room.ask(environment="prod", commit="d" * 40),
            await room.ask(DEV2, environment="prod"),
            await room.ask(environment="dev"),
        ]
        assert same[0].digest == same[1].digest
        assert len({operation.digest for operation in (same[0], *others)}) == 4


# ---- voting -----------------------------------------------------------------------------------------------------


async def test_an_approval_approves_and_a_late_one_hears_by_whom(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        approved = await room.approve(asked)
        assert approved.status is Status.APPROVED
        assert approved.approved_at == room.clock.at
        with pytest.raises(Refused, match=r"#1 was already approved by sre at 2026-08-01 12:00 UTC") as refusal:
            await room.approve(asked, SRE2)
        assert refusal.value.rule == "state"
        assert await room.names(asked) == ["operation.requested", "vote.approve", "operation.approved", "vote.refused"]


async def test_fifty_presses_at_once_start_exactly_one_and_each_gets_an_answer(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        await room.start()
        room.deploy.gate.set()
        asked = await room.ask(environment="prod")
        presses = (room.approve(asked, actor) for actor in (SRE, SRE2) * 25)
        answers = await asyncio.gather(*presses, return_exceptions=True)
        assert sum(isinstance(answer, Operation) for answer in answers) == 1
        refusals = [answer for answer in answers if isinstance(answer, Refused)]
        assert len(refusals) == 49
        assert all("#1 was already approved by sre" in str(refusal) for refusal in refusals)
        await room.becomes(asked, Status.SUCCEEDED)
        assert room.deploy.dispatched == [asked.id]
        names = await room.names(asked)
        assert (names.count("operation.approved"), names.count("operation.running")) == (1, 1)


@pytest.mark.parametrize(("actor", "says"), [(DEV, "sre may approve"), (DEV2, "sre may approve"), (GUEST, "no role")])
async def test_who_may_not_approve_is_refused_and_recorded(tmp_path: Path, actor: object, says: str) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        for _ in range(2):
            with pytest.raises(Refused, match=says):
                await room.approve(asked, actor)  # type: ignore[arg-type]
        assert (await room.engine.operation(asked.id)).status is Status.PENDING
        refused = [event for event in await room.engine.events(asked.id) if event.name == "vote.refused"]
        assert [event.count for event in refused] == [2]
        assert await room.engine.votes(asked.id) == []


async def test_nobody_approves_their_own_request(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(SRE, environment="prod")
        with pytest.raises(Refused, match="you asked for this yourself"):
            await room.approve(asked, SRE)
        assert (await room.approve(asked, SRE2)).status is Status.APPROVED


async def test_a_vote_on_other_content_does_not_count(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        with pytest.raises(Refused, match="not what #1 would do") as refusal:
            await room.engine.vote(asked.id, SRE, Verdict.APPROVE, digest="0" * 64)
        assert refusal.value.rule == "digest"
        assert (await room.engine.operation(asked.id)).status is Status.PENDING


async def test_a_quorum_counts_persons(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=TWO_OF_PROD) as room:
        asked = await room.ask(environment="prod")
        assert (await room.approve(asked, SRE)).status is Status.PENDING
        with pytest.raises(Refused, match="You have already approved #1"):
            await room.approve(asked, SRE)
        assert (await room.approve(asked, OWNER)).status is Status.APPROVED
        assert [vote.person for vote in await room.engine.votes(asked.id)] == ["owner", "sre"]


async def test_one_denial_ends_it_whatever_others_say(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=TWO_OF_PROD) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        denied = await room.engine.vote(asked.id, SRE2, Verdict.DENY, digest=asked.digest, reason=" not on a Friday ")
        assert denied.status is Status.DENIED
        assert denied.reason == "not on a Friday"
        assert denied.ended_at == room.clock.at
        with pytest.raises(Refused, match="#1 was already denied by sre2") as refusal:
            await room.approve(asked, OWNER)
        assert refusal.value.hint.startswith("Ask for it anew")


async def test_a_changed_policy_makes_a_waiting_request_stale(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        changed = Engine(store=room.store, registry=room.registry, policy=TWO_OF_PROD)
        with pytest.raises(Refused, match="policy that applies to it was changed"):
            await changed.vote(asked.id, SRE, Verdict.APPROVE, digest=asked.digest)
        stale = await room.engine.operation(asked.id)
        assert stale.status is Status.STALE
        assert "policy" in stale.reason
        assert await room.engine.votes(asked.id) == []


async def test_what_waits_for_somebody_is_what_they_may_still_vote_on(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=TWO_OF_PROD) as room:
        first, second = await room.ask(environment="prod"), await room.ask(environment="prod", service="bot")
        await room.ask(environment="dev")
        assert [operation.id for operation in await room.engine.waiting_for(SRE)] == [first.id, second.id]
        await room.approve(first, SRE)
        assert [operation.id for operation in await room.engine.waiting_for(SRE)] == [second.id]
        assert [operation.id for operation in await room.engine.waiting_for(OWNER)] == [first.id, second.id]
        assert await room.engine.waiting_for(DEV) == []
        assert await room.engine.waiting_for(GUEST) == []


# ---- rolling back -------------------------------------------------------------------------------------------------


async def _succeeded(room: Room, commit: str) -> None:
    await room.start()
    room.deploy.gate.set()
    asked = await room.ask(environment="prod", commit=commit)
    await room.approve(asked)
    await room.becomes(asked, Status.SUCCEEDED)


@pytest.mark.parametrize(("days", "commit", "status"), [
    (13, "a" * 40, Status.APPROVED), (15, "a" * 40, Status.PENDING), (13, "b" * 40, Status.PENDING),
])  # fmt: skip
async def test_an_sre_alone_goes_back_only_to_what_was_verified_lately(
    tmp_path: Path, days: int, commit: str, status: Status
) -> None:
    async with open_room(tmp_path) as room:
        await _succeeded(room, "a" * 40)
        for executor in room.executors:
            await executor.close()
        room.clock.advance(days=days)
        asked = await room.ask(SRE, environment="prod", kind="rollback", commit=commit)
        assert asked.status is status


# ---- cancelling -----------------------------------------------------------------------------------------------------


async def test_what_has_not_started_is_cancelled_at_once(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for asked in (await room.ask(environment="prod"), await room.ask()):
            cancelled = await room.engine.cancel(asked.id, DEV)
            assert cancelled.status is Status.CANCELLED
            assert (cancelled.cancel_requested_by, cancelled.ended_at) == ("dev", room.clock.at)
            with pytest.raises(Refused, match=f"#{asked.id} was cancelled by dev at"):
                await room.engine.cancel(asked.id, DEV)


async def test_a_bystander_cancels_nothing(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        with pytest.raises(Refused, match=r"the requester \(dev\) or sre may do that"):
            await room.engine.cancel(asked.id, DEV2)
        assert (await room.engine.operation(asked.id)).status is Status.PENDING
        assert "cancel.refused" in await room.names(asked)


async def test_an_unknown_number_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for attempt in (
            room.engine.operation(9),
            room.engine.cancel(9, SRE),
            room.engine.vote(9, SRE, Verdict.APPROVE, digest=""),
            room.engine.resume(9, SRE),
        ):
            with pytest.raises(Refused, match="There is no operation #9"):
                await attempt
        assert await room.engine.events() == []


# ---- time -------------------------------------------------------------------------------------------------------


async def test_a_request_expires_and_says_so(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        room.clock.advance(hours=7, minutes=59)
        assert await room.engine.expire(approved_to_start_s=900) == []
        room.clock.advance(minutes=1)
        (expired,) = await room.engine.expire(approved_to_start_s=900)
        assert expired.status is Status.EXPIRED
        with pytest.raises(Refused, match="#1 expired at 2026-08-01 20:00 UTC: Nobody approved it in time"):
            await room.approve(asked)
        assert await room.engine.expire(approved_to_start_s=900) == []


@pytest.mark.parametrize("late_s", [0, 1])
async def test_a_vote_after_the_time_is_over_does_not_count_even_before_the_clock_has_looked(
    tmp_path: Path, late_s: int
) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        room.clock.advance(hours=8, seconds=late_s)
        with pytest.raises(Refused, match="expired"):
            await room.approve(asked)
        assert (await room.engine.operation(asked.id)).status is Status.PENDING


async def test_an_approved_one_that_could_start_and_does_not_expires(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask()
        room.clock.advance(minutes=15)
        await room.engine.expire(approved_to_start_s=900)
        assert (await room.engine.operation(asked.id)).status is Status.EXPIRED


async def test_a_reminder_is_marked_once(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        assert await room.engine.remind(within_s=1800) == []
        room.clock.advance(hours=7, minutes=45)
        (marked,) = await room.engine.remind(within_s=1800)
        assert marked.reminded_at == room.clock.at
        assert await room.engine.remind(within_s=1800) == []
        assert (await room.names(asked)).count("approval.reminded") == 1
        assert (await card_of(room, asked))[1] == 2


# ---- reading, telling, failing ----------------------------------------------------------------------------------


async def test_operations_are_found_by_what_one_asks_for(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        first, second = await room.ask(), await room.ask(DEV2, environment="prod", service="bot")
        for found in (
            await room.engine.operations(environment="prod"),
            await room.engine.operations(service="bot"),
            await room.engine.operations(requester="dev2"),
            await room.engine.operations(statuses=(Status.PENDING,)),
            await room.engine.operations(limit=1),
        ):
            assert [operation.id for operation in found] == [second.id]
        assert [operation.id for operation in await room.engine.operations(kinds=("deploy",))] == [second.id, first.id]
        assert await room.engine.operations(statuses=()) == []


async def test_listeners_are_told_after_the_commit(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        heard: list[tuple[int, Status]] = []
        room.engine.on_change(lambda operation: heard.append((operation.id, operation.status)))
        asked = await room.ask(environment="prod")
        await room.approve(asked)
        await asyncio.sleep(0)
        assert heard == [(1, Status.PENDING), (1, Status.APPROVED)]


async def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")

        def limit(connection: object, pages: int) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

        pages = await room.database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        await room.database.write(lambda c: limit(c, pages))
        with pytest.raises(Unavailable, match="The disk is full") as error:
            for number in range(200):
                await room.engine.request(Request(f"big-{number}", "deploy", "prod", {"note": "x" * 5000}), DEV)
        assert error.value.service == "database"
        before = await room.database.read(lambda c: len(c.execute(select(operations.c.id)).all()))
        with pytest.raises(Unavailable):
            await room.engine.request(Request("one-more", "deploy", "prod", {"note": "x" * 50000}), DEV)
        assert await room.database.read(lambda c: len(c.execute(select(operations.c.id)).all())) == before
        counted = select(events.c.operation_id).where(events.c.name == "operation.requested")
        assert await room.database.read(lambda c: len(c.execute(counted).all())) == before
        await room.database.write(lambda c: limit(c, 1 << 30))
        assert (await room.approve(asked)).status is Status.APPROVED


async def test_events_of_a_door_fold_by_rule_and_others_do_not(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        for _ in range(2):
            await room.engine.record("door.refused", "guest", "No role.", {"rule": "status:view"})
            await room.engine.record("bot.started", "bot", "Started.")
        room.clock.advance(days=1)
        await room.engine.record("door.refused", "guest", "No role.", {"rule": "status:view"})
        assert sorted((event.name, event.count) for event in await room.engine.events()) == [
            ("bot.started", 1), ("bot.started", 1), ("door.refused", 1), ("door.refused", 2),
        ]  # fmt: skip


def test_the_seeded_rows_cover_the_two_environments() -> None:
    assert {row.environment for row in seeded_rows() if row.action is Action.DEPLOY} == {"dev", "prod"}


# ---- what a plan brings ---------------------------------------------------------------------------------------------


class Elsewhere(Deploy):
    """Plans for another environment than the one that was asked for, and notes for whom it plans."""

    asked_by: str = ""

    async def plan(self, request: Request, requester: str) -> Plan:
        self.asked_by = requester
        return replace(await super().plan(request, requester), environment="prod")


async def test_a_plan_for_another_environment_than_the_request_is_refused(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        room.registry.add(handler := Elsewhere(kind="rollback"))
        with pytest.raises(Refused, match=r"^The plan is for prod, the request for dev\.$") as refusal:
            await room.ask(kind="rollback")
        assert (refusal.value.rule, handler.asked_by) == ("plan", "dev")


def test_a_kind_without_an_action_is_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"^The policy knows no action teleport:run, so nobody may do that\.$") as refusal:
        action_of("teleport")
    assert refusal.value.rule == "no rule"


async def test_an_operation_keeps_what_was_asked_and_which_one_it_follows(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        first = await room.ask()
        params = {"service": "app", "commit": "b" * 40}
        request = Request(key="again", kind="deploy", environment="dev", params=params, parent_id=first.id)
        asked = await room.engine.request(request, DEV)
        kept = await room.engine.operation(asked.id)
        assert (kept.parent_id, kept.request_key, kept.params) == (first.id, "again", params)


@dataclass
class OfImage(Deploy):
    """A deploy whose version is a commit and the image that was built of it."""

    image: str | None = "sha256:1"

    async def plan(self, request: Request, requester: str) -> Plan:
        plan = await super().plan(request, requester)
        return replace(plan, content={**plan.content, "image": self.image})

    async def run(self, run: Run) -> Json:
        return {**await super().run(run), "image": self.image}


@pytest.mark.parametrize(("image", "status"), [
    ("sha256:1", Status.APPROVED), ("sha256:2", Status.PENDING), (None, Status.APPROVED),
])  # fmt: skip
async def test_verified_is_the_image_and_not_only_the_commit(tmp_path: Path, image: str | None, status: Status) -> None:
    async with open_room(tmp_path) as room:
        room.registry.add(deploy := OfImage())
        deploy.gate.set()
        await room.start()
        asked = await room.ask(environment="prod", commit="a" * 40)
        await room.approve(asked)
        await room.becomes(asked, Status.SUCCEEDED)
        await room.executors.pop().close()
        room.registry.add(OfImage(kind="rollback", image=image))
        asked = await room.ask(SRE, environment="prod", kind="rollback", commit="a" * 40)
        assert asked.status is status


async def test_what_names_no_commit_was_never_verified(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(SRE, environment="prod", kind="rollback", commit="")
        assert asked.status is Status.PENDING
