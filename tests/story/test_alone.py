"""One person on call restores prod alone, after the bot was killed in mid-rollout, and without GitHub."""

from tests.story.steps import asked, card_of, ended, green, labels_for, live_commit, mark, new_commit, operation_in
from tests.story.world_driver import Message, World

EXIT_UNKNOWN = 2
"""The host's word for: I do not know what serves."""


async def deployed(world: World) -> str:
    """A new version that runs in prod and was verified there; its commit."""
    sha = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod", sha)
    await let(world, operation)
    assert "succeeded" in (await ended(world, operation)).text
    return sha


async def let(world: World, operation: str) -> None:
    card = await card_of(world, operation, "waiting")
    await world.settle(await world.press("sre2", card, "Approve"))


async def killed_in_mid_rollout(world: World, *, exit_code: int) -> tuple[str, str]:
    """A deploy to prod whose bot dies by SIGKILL while the host works, and comes back to a world without GitHub.

    Returns the operation and its commit.
    """
    await world.host_outcome(document="quarterdeck-deploy", exit_code=exit_code, seconds=6, times=1)
    sha = await green(world, await new_commit(world))
    operation = await asked(world, "dev", "prod", sha)
    start = await mark(world, "aws")
    await let(world, operation)

    async def sent() -> bool:
        return any(r["caller"] == "bot" for r in await world.requests("aws", action="ssm:SendCommand", after=start))

    await world.until("the command to the host", sent, timeout_s=60)
    await world.bot("kill")
    await world.fault("github", "refuse")
    await world.bot("start")

    async def answers() -> bool:
        return (await world.ask("sre", "ping")).state == "answered"

    await world.until("the bot to answer again", answers, timeout_s=60)
    return operation, sha


async def rolled_back(world: World, card: Message, *, alone: str) -> str:
    """Two presses: what the card offers, and yes. Returns the rollback's number."""
    question = await world.settle(await world.press(alone, card, "Roll back…"))
    assert "holds the lock" in question.text
    reply = await world.settle(await world.press(alone, question.message, "Roll back"))
    return operation_in(reply)


async def test_an_interrupted_rollout_is_undone_in_two_presses_though_nobody_answers_about_code_or_roles(world: World):
    """GitHub is away, and Discord does not say who holds which role: the people table speaks, and that is on record."""
    good = await deployed(world)
    lost, _ = await killed_in_mid_rollout(world, exit_code=EXIT_UNKNOWN)
    card = await card_of(world, lost, "interrupted", timeout_s=90)
    await world.fault("discord", "refuse", match="GET .*/members/")
    since = await mark(world, "aws")

    rollback = await rolled_back(world, card, alone="sre")
    done = await ended(world, rollback, timeout_s=90)
    assert "succeeded" in done.text
    assert good[:7] in done.text
    assert "roles not confirmed" in done.text
    assert await live_commit(world, "prod") == good
    orders = [r for r in await world.requests("aws", after=since, action="ssm:SendCommand") if r["caller"] == "bot"]
    status_checks = 1
    assert len(orders) == 1 + status_checks

    record = await world.ask("sre", "audit", actor="sre", environment="prod")
    assert "roles not confirmed" in record.text

    told = await card_of(world, lost, "interrupted", rollback)
    assert "Look again" not in told.labels
    refused = await world.ask("sre", "ops resume", operation=lost.lstrip("#"))
    assert "no longer holds its locks" in refused.text
    opened = await world.settle(await world.press("sre", told, "Close, free lock…"))
    field = opened.modal["fields"][0]["label"]
    await world.settle(await world.submit("sre", opened.id, {field: "Rolled back instead."}))
    assert "failed" in (await ended(world, lost)).text


async def test_a_rollout_that_goes_on_after_the_crash_is_undone_right_behind_it(world: World):
    """The deploy re-attaches and brings the new version; the rollback that was asked for meanwhile takes it back."""
    good = await deployed(world)
    operation, bad = await killed_in_mid_rollout(world, exit_code=0)
    reply = await world.ask("sre", "rollback", service="app", environment="prod")
    assert "rollback" in reply.text, reply.raw
    assert await labels_for(world, "sre", reply) == []
    rollback = operation_in(reply)
    assert bad[:7] in (await ended(world, operation, timeout_s=90)).text
    done = await ended(world, rollback, timeout_s=90)
    assert "succeeded" in done.text
    assert await live_commit(world, "prod") == good
