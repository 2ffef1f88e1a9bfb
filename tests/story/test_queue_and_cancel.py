"""Two deploys of one service, and changing one's mind."""

from tests.story.steps import asked, card_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import World


async def test_the_second_deploy_waits_visibly_behind_the_first_and_then_runs(world: World):
    await green(world, await new_commit(world))
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=6, times=1)
    first = await asked(world, "dev", "dev")
    second_sha = await green(world, await new_commit(world))
    second = await asked(world, "dev2", "dev")
    waiting = await card_of(world, second, "behind", first)
    assert "queued" in waiting.text
    assert "succeeded" in (await ended(world, first)).text
    assert "succeeded" in (await ended(world, second)).text
    assert await live_commit(world, "dev") == second_sha


async def test_cancelling_during_the_build_cancels_the_run_on_github_and_says_when_it_is_verified(world: World):
    before = await live_commit(world, "dev")
    await green(world, await new_commit(world))
    await world.github("outcome", workflow="build-image.yml", conclusion="success", seconds=200, times=1)
    start = await mark(world, "github")
    operation = await asked(world, "dev", "dev")

    async def dispatched() -> bool:
        return any(r["path"].endswith("/dispatches") for r in await world.requests("github", after=start))

    await world.until("the dispatch", dispatched)
    reply = await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))
    assert reply.ephemeral
    card = await ended(world, operation)
    assert "cancelled" in card.text
    assert "GitHub confirms" in card.text
    cancels = [r for r in await world.requests("github", after=start) if r["path"].endswith("/cancel")]
    assert len(cancels) == 1
    assert cancels[0]["status"] == 202
    assert await live_commit(world, "dev") == before


async def test_cancelling_during_the_rollout_stops_the_command_on_the_host(world: World):
    before = await live_commit(world, "dev")
    await green(world, await new_commit(world))
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=60, times=1)
    operation = await asked(world, "dev", "dev")

    async def sent() -> bool:
        return any(r["caller"] == "bot" for r in await world.requests("aws", action="ssm:SendCommand", after=start))

    start = await mark(world, "aws")
    await world.until("the command to be sent", sent)
    await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))
    card = await ended(world, operation)
    assert "cancelled" in card.text
    assert before[:7] in card.text
    assert await live_commit(world, "dev") == before


async def test_somebody_without_a_say_cannot_cancel(world: World):
    await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod")
    await card_of(world, operation, "waiting")
    reply = await world.ask("dev2", "ops cancel", operation=operation.lstrip("#"))
    assert reply.ephemeral
    assert "requester" in reply.text
    await world.ask("dev", "ops cancel", operation=operation.lstrip("#"))
    assert "cancelled" in (await ended(world, operation)).text
