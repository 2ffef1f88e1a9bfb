"""Answers that never came, the first time and around a restart: the build is begun once, the host is sent to once."""

import pytest

from tests.crash.witness import Witness
from tests.story.steps import asked, cards_of, ended, green, live_commit, new_commit
from tests.story.world_driver import World

LOST_DISPATCH = {"part": "github", "kind": "lost_reply", "match": "POST .*/dispatches", "status": 502, "times": 1}
LOST_COMMAND = {"part": "aws", "kind": "lost_reply", "match": "ssm:SendCommand", "status": 500, "times": 1}
LOOKING_FOR_THE_RUN = {
    "part": "github",
    "kind": "status",
    "match": r"GET .*/actions/runs\?(?!.*head_sha)",
    "status": 503,
}
LOOKING_FOR_THE_COMMAND = {"part": "aws", "kind": "status", "match": "ssm:ListCommands", "status": 503}
BEFORE_THE_DISPATCH = {"part": "aws", "kind": "kill", "match": "ecr:DescribeImages", "skip": 1}
"""The first look into the registry belongs to the plan."""
DURING_THE_BUILD = {"part": "github", "kind": "kill", "match": r"GET .*/runs/\d+$"}


async def switch_on(world: World, fault: dict[str, object]) -> int:
    return await world.fault(
        str(fault["part"]), str(fault["kind"]), **{k: fault[k] for k in fault if k not in ("part", "kind")}
    )


@pytest.mark.parametrize(
    ("lost", "looking"),
    [(LOST_DISPATCH, LOOKING_FOR_THE_RUN), (LOST_COMMAND, LOOKING_FOR_THE_COMMAND)],
    ids=["the dispatch", "the command"],
)
async def test_killed_while_it_looks_for_what_it_may_have_sent(world: World, lost, looking):
    sha = await green(world, await new_commit(world))
    witness = Witness(world)
    since = await witness.mark()
    await switch_on(world, lost)
    blind = await switch_on(world, looking)
    operation = await asked(world, "dev", "dev")

    async def looks() -> bool:
        faults = (await world.get("/faults"))["faults"]
        return any(fault["fault"] == blind and fault["hits"] > 0 for fault in faults)

    await world.until("it to look in vain", looks)
    await world.bot("kill")
    await world.send("DELETE", f"/faults/{blind}")
    await world.bot("start")
    assert "succeeded" in (await ended(world, operation, timeout_s=90)).text
    assert (len(witness.runs(since)), len(witness.rollouts(since))) == (1, 1)
    assert len(await cards_of(world, operation)) == 1
    assert await live_commit(world, "dev") == sha


@pytest.mark.parametrize(
    ("lost", "killed"),
    [(LOST_DISPATCH, BEFORE_THE_DISPATCH), (LOST_COMMAND, DURING_THE_BUILD)],
    ids=["the dispatch", "the command"],
)
async def test_the_answer_is_lost_to_the_bot_that_took_over_after_a_crash(world: World, lost, killed):
    sha = await green(world, await new_commit(world))
    witness = Witness(world)
    since = await witness.mark()
    pid = (await world.part("bot"))["pid"]
    await switch_on(world, lost)
    await switch_on(world, killed)
    interaction = await world.command("dev", "deploy", service="app", environment="dev", ref="main")

    async def written() -> int | None:
        return witness.asked_by(interaction)

    operation = f"#{await world.until('the operation to be written', written)}"
    assert "succeeded" in (await ended(world, operation, timeout_s=90)).text
    assert (await world.part("bot"))["pid"] != pid
    assert (len(witness.runs(since)), len(witness.rollouts(since))) == (1, 1)
    assert len(await cards_of(world, operation)) == 1
    assert await live_commit(world, "dev") == sha
