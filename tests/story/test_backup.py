"""A copy made in the middle of the work, and put back elsewhere after it went on: nothing is lost, nothing doubled."""

import asyncio
import os
import sys
import tomllib
from pathlib import Path

from bot.console.environment import read
from tests.story.steps import asked, card_of, cards_of, ended, green, live_commit, new_commit
from tests.story.world_driver import ROOT, World

TWO_MUST_AGREE = [
    {"action": "deploy:run", "environment": "dev", "requesters": ["dev", "sre"]},
    {"action": "deploy:run", "environment": "prod", "requesters": ["dev"], "approvers": ["sre"], "quorum": 2},
    *({"action": action, "requesters": ["*"]} for action in ("operation:view", "status:view", "audit:view")),
]


async def quarterdeck(*words: str) -> str:
    """Run a command of the host without any secret; what it said."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("QUARTERDECK_", "AWS_", "GITHUB_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *words),
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    return said


async def dispatched(world: World) -> int:
    return len([r for r in await world.requests("github") if r["path"].endswith("/dispatches")])


def rollouts(world: World) -> list[str]:
    """The comments of all commands that put something on a host, by AWS's own list."""
    import boto3

    environ = read(world.home / "quarterdeck.env")
    aws = tomllib.loads((world.home / "quarterdeck.toml").read_text(encoding="utf-8"))["aws"]
    ssm = boto3.client(
        "ssm", region_name=aws["region"], endpoint_url=aws["endpoint_url"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    try:
        found = ssm.list_commands(MaxResults=50)["Commands"]
    finally:
        ssm.close()
    return sorted(c["Comment"] for c in found if c["DocumentName"] == "quarterdeck-deploy")


async def test_a_copy_from_the_middle_of_a_deploy_goes_on_elsewhere(fresh_world: World, tmp_path: Path):
    world = fresh_world
    await world.reconfigure(patch={"policy": TWO_MUST_AGREE})
    first = await green(world, await new_commit(world))
    waits = await asked(world, "dev", "prod")
    card = await card_of(world, waits, "waiting")
    await world.settle(await world.press("sre", card, "Approve"))
    await card_of(world, waits, "sre", "1")

    await world.github("outcome", workflow="build-image.yml", conclusion="success", seconds=40, times=1)
    second = await green(world, await new_commit(world))
    runs = await asked(world, "dev", "dev")
    await card_of(world, runs, "running", "Build")
    queued = await asked(world, "dev2", "dev", first)
    await card_of(world, queued, "behind", runs)

    copy = tmp_path / "copy.sqlite3"
    assert "sound" in await quarterdeck("backup", "--config", f"{world.home}/quarterdeck.toml", "--to", f"{copy}")
    assert "running" in (await card_of(world, runs, "running")).text  # it was copied in the middle, before the rollout

    await world.ask("dev2", "ops cancel", operation=queued.lstrip("#"))
    assert "succeeded" in (await ended(world, runs)).text
    await world.bot("stop")
    builds, commands = await dispatched(world), rollouts(world)
    assert len([comment for comment in commands if f"op {runs[1:]} " in comment]) == 1
    cards = {operation: len(await cards_of(world, operation)) for operation in (waits, runs, queued)}

    elsewhere = world.home / "elsewhere"
    said = await quarterdeck("restore", f"{copy}", "--to", f"{elsewhere}")
    assert queued in said
    assert waits in said
    await world.put_config(patch={"state_dir": f"{elsewhere}"})
    await world.bot("start")
    await world.wait_ready()

    assert "stale" in (await card_of(world, queued, "stale", "copy")).text
    assert "succeeded" in (await ended(world, runs)).text
    assert (await dispatched(world), rollouts(world)) == (builds, commands)
    assert await live_commit(world, "dev") == second

    card = await card_of(world, waits, "waiting")
    await world.settle(await world.press("sre", card, "Approve"))
    assert "waiting" in (await card_of(world, waits, "waiting")).text
    await world.settle(await world.press("sre2", card, "Approve"))
    assert "succeeded" in (await ended(world, waits)).text
    assert await live_commit(world, "prod") == first
    assert len(rollouts(world)) == len(commands) + 1
    assert {operation: len(await cards_of(world, operation)) for operation in cards} == cards
    assert set(cards.values()) == {1}

    new = await asked(world, "dev", "dev", first)
    assert int(new.lstrip("#")) > int(queued.lstrip("#")) + 1000
    assert "succeeded" in (await ended(world, new)).text
    await world.card("state.restored", channel="audit")
