"""The sandbox as the bench uses it: started as a process, spoken to through its control API alone.

The sandbox starts Quarterdeck itself; the bench stops that one and starts each contender in its place, with the same
environment and configuration, so that both are started and measured alike.
"""

import asyncio
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.bench.processes import plain_environment, started
from tests.bench.report import Skipped

READY_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 120.0
WATCH_S = 0.02
UNANSWERED = ("sent", "deferred")
PAGE = re.compile(rb"Open (http://\S+)")


class World:
    """A running sandbox and the environment that its bot is started with."""

    def __init__(self, session: aiohttp.ClientSession, home: Path) -> None:
        self.session = session
        self.config = home / "quarterdeck.toml"
        self.environ: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """Start a sandbox in a temporary home, wait until it is ready, and take its bot's place.

        Raises:
            Skipped: the environment of a process cannot be read on this system.
        """
        if not Path("/proc/self/environ").exists():
            raise Skipped("this system has no /proc, from which the sandbox's tokens are read.")
        with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as home:
            arguments = [sys.executable, "-m", "bot.sandbox", "--port", "0", "--home", home, "--no-monitoring"]
            with started(arguments, environ=plain_environment()) as process:
                page = await asyncio.to_thread(page_of, process)
                async with aiohttp.ClientSession(base_url=page) as session:
                    world = cls(session, Path(home))
                    await world._take_over()
                    yield world

    async def _take_over(self) -> None:
        await self.until_ready()
        pid = next(part["pid"] for part in (await self.get("state"))["parts"] if part["name"] == "bot")
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        self.environ = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        await self.post("bot", action="stop")

    async def get(self, path: str) -> dict[str, Any]:
        async with self.session.get(f"/control/v1/{path}") as answer:
            return await _checked(answer)

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        async with self.session.post(f"/control/v1/{path}", json=body) as answer:
            return await _checked(answer)

    async def put(self, path: str, **body: Any) -> dict[str, Any]:
        async with self.session.put(f"/control/v1/{path}", json=body) as answer:
            return await _checked(answer)

    async def clear_faults(self) -> None:
        async with self.session.delete("/control/v1/faults") as answer:
            await _checked(answer)

    @property
    def alerts_port(self) -> int:
        """Where the bot listens for alerts."""
        return int(tomllib.loads(self.config.read_text(encoding="utf-8"))["alerts"]["listen_port"])

    async def until_ready(self) -> None:
        """Wait until a bot is connected to the gateway and everything else is up."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not (await self.get("state"))["ready"]:
                await asyncio.sleep(WATCH_S)

    async def until_alone(self) -> None:
        """Wait until no bot is connected any more."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while (await self.get("state"))["ready"]:
                await asyncio.sleep(WATCH_S)

    @asynccontextmanager
    async def contender(self, arguments: list[str]) -> AsyncIterator[tuple[int, float]]:
        """Run one bot; gives its pid and the seconds from its start to the gateway's READY."""
        await self.until_alone()
        began = time.perf_counter()
        with started([sys.executable, *arguments], environ=self.environ) as process:
            await self.until_ready()
            yield process.pid, time.perf_counter() - began
            process.terminate()
            await asyncio.to_thread(process.wait)

    async def burst(self, command: str, options: dict[str, str], *, size: int) -> list[dict[str, Any]]:
        """Have `dev` send that many commands at once; what became of each, when all are answered."""
        sent = await asyncio.gather(
            *(self.post("commands", user="dev", channel="ops", command=command, options=options) for _ in range(size))
        )
        # One after the other: asking for all at once would keep the sandbox busy with questions instead of answers.
        return [await self._answered(one["interaction"]) for one in sent]

    async def _answered(self, interaction: str) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while True:
                seen = await self.get(f"interactions/{interaction}")
                if seen["state"] not in UNANSWERED:
                    return seen
                await asyncio.sleep(0.1)


def page_of(process: subprocess.Popen[bytes]) -> str:
    """The page's address, from the few lines that the sandbox prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := PAGE.search(line):
            return found.group(1).decode()
    raise Skipped(f"the sandbox ended with code {process.wait()} before it could be used.")


async def _checked(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    body: dict[str, Any] = await answer.json()
    if answer.status != 200:
        raise RuntimeError(f"{answer.method} {answer.url.path}: {answer.status} {body}")
    return body
