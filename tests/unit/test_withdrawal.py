"""Taking one's own approval back, until the start."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.ops.model import Operation, Status, Verdict
from bot.policy import Action, PolicyRow
from tests.unit.engine_room import DEV, OWNER, SRE, SRE2, Deploy, open_room

TWO = (PolicyRow(Action.DEPLOY, "prod", ("dev",), approvers=("sre",), quorum=2),)


async def test_a_vote_taken_back_no_longer_counts_and_may_be_given_again(tmp_path: Path) -> None:
    async with open_room(tmp_path, rows=TWO) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        assert (await room.engine.withdraw(asked.id, SRE)).status is Status.PENDING
        assert await room.engine.votes(asked.id) == []
        assert (await room.approve(asked, SRE2)).status is Status.PENDING
        assert (await room.approve(asked, SRE)).status is Status.APPROVED
        assert "vote.withdrawn" in await room.names(asked)


async def test_taking_back_what_had_approved_it_makes_it_stale(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        stale = await room.engine.withdraw(asked.id, SRE)
        assert (stale.status, stale.reason) == (Status.STALE, "sre withdrew the approval before it started.")
        assert stale.ended_at == room.clock.at
        await room.start()
        assert room.deploy.dispatched == []
        assert (await room.names(asked))[-2:] == ["vote.withdrawn", "operation.stale"]


async def test_taken_back_while_the_start_is_checked_it_does_not_start_and_holds_no_lock(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:

        class Regretted(Deploy):
            async def recheck(self, operation: Operation) -> str:
                await room.engine.withdraw(operation.id, SRE)
                return ""

        room.registry.add(regretted := Regretted())
        asked = await room.approve(await room.ask(environment="prod"), SRE)
        executor = await room.start()
        await room.becomes(asked, Status.STALE)

        async def idle() -> bool:
            return not executor.running

        await room.until(idle)
        assert (regretted.dispatched, await room.engine.locks()) == ([], [])


async def test_a_role_lost_since_keeps_nobody_from_taking_the_vote_back(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        assert (await room.engine.withdraw(asked.id, replace(SRE, roles=frozenset()))).status is Status.STALE


@pytest.mark.parametrize("actor", [DEV, SRE2, OWNER], ids=lambda actor: actor.name)
async def test_nobody_takes_another_ones_vote_back(tmp_path: Path, actor: object) -> None:
    async with open_room(tmp_path, rows=TWO) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        with pytest.raises(Refused, match="You have not approved #1") as refusal:
            await room.engine.withdraw(asked.id, actor)  # type: ignore[arg-type]
        assert refusal.value.rule == "no vote"
        assert [vote.person for vote in await room.engine.votes(asked.id)] == ["sre"]
        assert (await room.names(asked))[-1] == "withdraw.refused"


async def test_an_account_without_a_person_is_told_so(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        with pytest.raises(Refused, match="people whom the configuration names"):
            await room.engine.withdraw(asked.id, replace(SRE, name="777", known=False))


async def test_after_the_start_it_is_too_late_and_cancelling_is_the_way(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        await room.approve(asked, SRE)
        await room.start()
        await room.becomes(asked, Status.RUNNING)
        with pytest.raises(Refused, match="until the start, and #1 is running") as refusal:
            await room.engine.withdraw(asked.id, SRE)
        assert refusal.value.hint == "Cancel it instead."
        room.deploy.gate.set()
        await room.becomes(asked, Status.SUCCEEDED)
        with pytest.raises(Refused, match="#1 is succeeded"):
            await room.engine.withdraw(asked.id, SRE)


async def test_a_denial_is_final_and_cannot_be_taken_back(tmp_path: Path) -> None:
    async with open_room(tmp_path) as room:
        asked = await room.ask(environment="prod")
        await room.engine.vote(asked.id, SRE, Verdict.DENY, digest=asked.digest)
        with pytest.raises(Refused, match="#1 is denied"):
            await room.engine.withdraw(asked.id, SRE)
        assert [vote.verdict for vote in await room.engine.votes(asked.id)] == [Verdict.DENY]
