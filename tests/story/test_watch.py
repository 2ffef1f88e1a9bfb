"""What happens outside the bot is announced once: builds that somebody else started, and red checks on main."""

import aiohttp

from bot.sandbox.cast import GITHUB_REPOSITORY as REPOSITORY
from tests.story.steps import asked, ended, green, mark, new_commit
from tests.story.world_driver import Message, World


async def announced(world: World, *texts: str) -> list[Message]:
    return [m for m in await world.messages(limit=1000) if all(text in m.text for text in texts)]


async def dispatched_by_hand(world: World, sha: str, request: str) -> int:
    """Start the build workflow as somebody with a token would, past the bot; the run's number."""
    secrets = dict(line.split("=", 1) for line in (world.home / "quarterdeck.env").read_text("utf-8").splitlines())
    url = f"{(await world.part('github'))['url']}/repos/{REPOSITORY}/actions/workflows/build-image.yml/dispatches"
    inputs = {"component": "app", "sha": sha, "tag": "fp-0123456789abcdef", "request": request}
    body = {"ref": "main", "inputs": inputs, "return_run_details": True}
    headers = {"Authorization": f"Bearer {secrets['QUARTERDECK_GITHUB_TOKEN']}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return int((await answer.json())["workflow_run_id"])


async def test_a_build_that_somebody_starts_past_the_bot_is_announced_once_and_our_own_never(world: World):
    sha = await green(world, await new_commit(world))
    start = await mark(world, "github")
    await ended(world, await asked(world, "dev", "dev"))
    ours = [r for r in await world.requests("github", after=start) if r["path"].endswith("/dispatches")]
    assert len(ours) == 1
    run = await dispatched_by_hand(world, sha, "by-hand")
    [message] = await world.until("the announcement", lambda: announced(world, f"run {run} "), timeout_s=60)
    assert "BUILD started outside the bot" in message.text
    assert f"build app {sha}" in message.text
    again = await dispatched_by_hand(world, sha, "by-hand-again")
    await world.until("the next announcement", lambda: announced(world, f"run {again} "), timeout_s=60)
    assert len(await announced(world, f"run {run} ")) == 1
    told = await announced(world, "BUILD started outside the bot", sha[:7])
    assert len(told) == 2
    record = await world.ask("sre", "audit", since="1h")
    assert "build.outside" in record.text


async def test_red_checks_on_main_are_announced_once_also_after_a_restart(world: World):
    sha = await new_commit(world, title="Break the <@&1325000000000000202> tests **here**")
    await world.github("checks", sha=sha, conclusion="failure")
    [message] = await world.until("the announcement", lambda: announced(world, "CHECKS red", sha[:7]), timeout_s=60)
    assert "prod: takes no deploy of it" in message.text
    assert "harbour-dev" in message.text
    assert message.raw["pings"] == {"users": [], "roles": [], "everyone": False}
    await world.bot("kill")
    await world.until("the bot to be gone", lambda: _gone(world))
    await world.wait_ready()
    later = await new_commit(world)
    await world.github("checks", sha=later, conclusion="failure")
    await world.until("the next announcement", lambda: announced(world, "CHECKS red", later[:7]), timeout_s=60)
    assert len(await announced(world, "CHECKS red", sha[:7])) == 1
    await green(world, await new_commit(world))


async def _gone(world: World) -> bool:
    return not (await world.state())["ready"]
