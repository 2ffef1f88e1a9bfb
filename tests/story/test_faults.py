"""Outages and crashes delay what people see; they lose and double nothing."""

import asyncio

from tests.story.steps import asked, card_of, cards_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import World


def dispatches(requests: list[dict]) -> list[dict]:
    return [r for r in requests if r["method"] == "POST" and r["path"].endswith("/dispatches")]


async def test_discord_away_in_the_middle_leaves_one_card_and_it_is_right(world: World):
    sha = await green(world, await new_commit(world))
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=6, times=1)
    start = await mark(world, "aws")
    operation = await asked(world, "dev", "dev")

    async def sent() -> bool:
        return any(r["caller"] == "bot" for r in await world.requests("aws", action="ssm:SendCommand", after=start))

    await world.until("the command to the host", sent, timeout_s=60)
    await world.fault("discord", "refuse", match="/api/")

    async def live() -> bool:
        return await live_commit(world, "dev") == sha

    await world.until("the deploy to go on without Discord", live, timeout_s=50)
    await world.clear_faults()
    card = await ended(world, operation, timeout_s=120)
    assert "succeeded" in card.text
    assert len(await cards_of(world, operation)) == 1


async def test_a_card_whose_post_was_answered_by_nobody_is_not_posted_twice(world: World):
    await green(world, await new_commit(world))
    await world.fault("discord", "lost_reply", match=r"POST .*/channels/\d+/messages$", times=1)
    operation = await asked(world, "dev", "dev")
    assert "succeeded" in (await ended(world, operation)).text
    assert len(await cards_of(world, operation)) == 1


async def test_a_gateway_that_is_cut_is_resumed_and_no_command_is_lost(world: World):
    await world.fault("discord", "drop_gateway")
    sent = [await world.command("dev", "ping") for _ in range(5)]
    replies = await asyncio.gather(*(world.settle(interaction) for interaction in sent))
    assert [reply.state for reply in replies] == ["answered"] * 5


async def test_a_rate_limit_of_github_is_waited_out_in_sight_and_can_be_cancelled(world: World):
    await green(world, await new_commit(world))
    await world.fault("github", "rate_limit", match="POST .*/dispatches", seconds=45, times=5)
    operation = await asked(world, "dev", "dev")
    card = await card_of(world, operation, "GitHub asks us to wait")
    assert "running" in card.text
    await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))
    assert "cancelled" in (await ended(world, operation, timeout_s=20)).text


async def test_a_dispatch_whose_answer_was_lost_starts_one_run(world: World):
    await green(world, await new_commit(world))
    start = await mark(world, "github")
    await world.fault("github", "lost_reply", match="POST .*/dispatches", status=502, times=1)
    operation = await asked(world, "dev", "dev")
    assert "succeeded" in (await ended(world, operation)).text
    assert len(dispatches(await world.requests("github", after=start))) == 1


async def test_a_command_whose_answer_was_lost_is_sent_once(world: World):
    await green(world, await new_commit(world))
    start = await mark(world, "aws")
    await world.fault("aws", "lost_reply", match="ssm:SendCommand", status=500, times=1)
    operation = await asked(world, "dev", "dev")
    assert "succeeded" in (await ended(world, operation)).text
    sent = [r for r in await world.requests("aws", after=start, action="ssm:SendCommand") if r["caller"] == "bot"]
    assert len(sent) == 2  # the rollout, and the reading check at the end


async def test_killed_during_the_build_it_finishes_once(world: World):
    sha = await green(world, await new_commit(world))
    start = await mark(world, "github")
    aws_start = await mark(world, "aws")
    await world.github("outcome", workflow="build-image.yml", conclusion="success", seconds=30, times=1)
    operation = await asked(world, "dev", "dev")
    await world.until("the dispatch", lambda: _dispatched(world, start))
    await world.bot("kill")
    await world.bot("start")
    card = await ended(world, operation, timeout_s=90)
    assert "succeeded" in card.text
    assert len(dispatches(await world.requests("github", after=start))) == 1
    assert await rollouts(world, aws_start) == 1
    assert len(await cards_of(world, operation)) == 1
    assert await live_commit(world, "dev") == sha


async def _dispatched(world: World, start: int) -> bool:
    return bool(dispatches(await world.requests("github", after=start)))


async def rollouts(world: World, start: int) -> int:
    """Commands sent by the bot, without the reading check at the end of each deploy."""
    sent = [r for r in await world.requests("aws", after=start, action="ssm:SendCommand") if r["caller"] == "bot"]
    return len(sent) - 1


async def test_killed_during_the_rollout_it_finishes_once(world: World):
    sha = await green(world, await new_commit(world))
    start = await mark(world, "aws")
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=5, times=1)
    operation = await asked(world, "dev", "dev")

    async def sent() -> bool:
        return bool(await world.requests("aws", after=start, action="ssm:SendCommand"))

    await world.until("the command to be sent", sent)
    await world.bot("kill")
    await world.bot("start")
    card = await ended(world, operation, timeout_s=90)
    assert "succeeded" in card.text
    assert await rollouts(world, start) == 1
    assert len(await cards_of(world, operation)) == 1
    assert await live_commit(world, "dev") == sha
