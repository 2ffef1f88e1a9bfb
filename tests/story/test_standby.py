"""A second bot that waits: it takes over when the first one dies, and nothing is done twice by the two of them."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.story.steps import asked, cards_of, ended, green, live_commit, mark, new_commit
from tests.story.world_driver import ROOT, World

TAKEN_OVER_S = 10.0


class Standby:
    """A second process on the world's configuration."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(cls, world: World, log: Path) -> "Standby":
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("QUARTERDECK_", "AWS_", "GITHUB_"))}
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run", "--standby", "--config", str(world.home / "quarterdeck.toml")),
                *("--env-file", str(world.home / "quarterdeck.env")),
                cwd=ROOT,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        return cls(process, log)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    async def end(self) -> float:
        """SIGTERM, unless it has ended; the seconds until it is gone."""
        began = time.monotonic()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.process.wait(), 20)
        return time.monotonic() - began


@pytest.fixture
async def standby(world: World, tmp_path: Path) -> AsyncIterator[Standby]:
    """A bot that stands by in the world, and is gone afterwards."""
    standby = await Standby.start(world, tmp_path / "standby.log")

    async def waits() -> bool:
        assert standby.process.returncode is None, standby.said()
        return "standing by" in standby.said()

    try:
        await world.until("the second bot to stand by", waits)
        yield standby
    finally:
        await standby.end()


async def test_a_standby_waits_without_a_word_more_and_ends_at_once_when_asked(world: World, standby: Standby):
    await asyncio.sleep(1.5)
    assert standby.said().count("standing by") == 1
    assert str((await world.part("bot"))["pid"]) in standby.said()
    assert await standby.end() < 3
    assert standby.process.returncode == 0
    assert (await world.ask("dev", "ping")).state == "answered"


async def test_it_takes_over_after_a_kill_in_the_middle_of_a_deploy(world: World, standby: Standby):
    sha = await green(world, await new_commit(world))
    await world.host_outcome(document="quarterdeck-deploy", exit_code=0, seconds=8, times=1)
    at = {part: await mark(world, part) for part in ("aws", "github", "discord")}
    operation = await asked(world, "dev", "dev")

    async def sent() -> bool:
        return any(r["caller"] == "bot" for r in await world.requests("aws", after=at["aws"], action="ssm:SendCommand"))

    await world.until("the command to be sent", sent)
    killed = time.monotonic()
    await world.bot("kill")
    between = []
    while True:  # somebody types on, as if nothing had happened
        between.append(await world.command("dev", "ping"))
        states = [(await world.get(f"/interactions/{interaction}"))["state"] for interaction in between]
        if "answered" in states:
            break
        assert time.monotonic() - killed < 60, standby.said()
        await asyncio.sleep(0.2)
    taken_over_s = time.monotonic() - killed

    replies = Counter([(await world.settle(interaction)).state for interaction in between])
    print(f"taken over after {taken_over_s:.1f} s; interactions in between: {dict(replies)}")
    assert set(replies) <= {"answered", "timeout"}
    assert replies["timeout"] < len(between) == replies.total()
    requests = await world.requests("discord", after=at["discord"])
    for interaction in between:
        callbacks = [r for r in requests if f"/interactions/{interaction}/" in r["path"] and r["status"] < 300]
        assert len(callbacks) <= 1
    assert taken_over_s < TAKEN_OVER_S

    assert "succeeded" in (await ended(world, operation)).text
    assert await live_commit(world, "dev") == sha
    assert len(await cards_of(world, operation)) == 1
    dispatched = [r for r in await world.requests("github", after=at["github"]) if r["path"].endswith("/dispatches")]
    assert len(dispatched) == 1
    assert standby.process.returncode is None
