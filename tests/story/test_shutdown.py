"""SIGTERM in the middle of a deploy: the bot is gone within ten seconds whatever hangs; its next start finishes it."""

import os
import signal
import time
from pathlib import Path

from tests.story.steps import asked, cards_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import World

LONGEST_S = 10.0


async def rolling_out(world: World) -> tuple[str, str, int]:
    """A deploy whose command the host has just got: the operation, its commit, and the mark before its command."""
    sha = await green(world, await new_commit(world))
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=12, times=1)
    start = await mark(world, "aws")
    operation = await asked(world, "dev", "dev")

    async def sent() -> bool:
        return bool(await commands(world, start))

    await world.until("the command to be sent", sent)
    return operation, sha, start


async def commands(world: World, start: int) -> list[dict[str, object]]:
    return [r for r in await world.requests("aws", after=start, action="ssm:SendCommand") if r["caller"] == "bot"]


async def seconds_to_end(world: World) -> float:
    """SIGTERM; the seconds until the process is gone."""
    pid = (await world.part("bot"))["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)

    async def gone() -> bool:
        return not Path(f"/proc/{pid}").exists()

    await world.until("the bot to end", gone, timeout_s=25)
    seconds = time.monotonic() - began
    print(f"gone after {seconds:.1f} s")
    return seconds


async def test_a_deploy_under_way_is_finished_by_the_next_start(world: World):
    dispatches = await mark(world, "github")
    operation, sha, _ = await rolling_out(world)
    assert await seconds_to_end(world) < LONGEST_S
    assert "Traceback" not in world.bot_log_tail(), world.bot_log_tail()
    assert "succeeded" in (await ended(world, operation)).text
    assert await live_commit(world, "dev") == sha
    sent = [r for r in await world.requests("github", after=dispatches) if r["path"].endswith("/dispatches")]
    assert len(sent) == 1
    assert len(await cards_of(world, operation)) == 1


async def test_nothing_outside_that_hangs_keeps_it_from_ending(world: World):
    operation, sha, start = await rolling_out(world)
    before = len(await commands(world, start))
    for part in ("discord", "github", "aws"):
        await world.fault(part, "latency", seconds=60)
    started = await world.command("sre", "status")
    assert await seconds_to_end(world) < LONGEST_S
    await world.clear_faults()
    assert before == 1
    assert "succeeded" in (await ended(world, operation)).text
    assert await live_commit(world, "dev") == sha
    assert len(await cards_of(world, operation)) == 1
    assert (await world.settle(started)).state in ("timeout", "answered")
