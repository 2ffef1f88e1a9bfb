"""The host's command line for the stories: `quarterdeck ...` as a process of its own, with the world's own secrets."""

import asyncio
import json
import os
import pwd
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox.botconfig import dumps
from tests.story.world_driver import ROOT, World

LONGEST_S = 90.0


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Console:
    """The command line on the world's host; who sits there is whoever has the `os_user` in the configuration."""

    def __init__(self, world: World, *, config: Path | None = None) -> None:
        self._world = world
        self._config = config or world.home / "quarterdeck.toml"

    def seated(self, person: str, folder: Path) -> "Console":
        """The same host after the configuration made this user that person; nobody at all for an unknown name."""
        document = tomllib.loads((self._world.home / "quarterdeck.toml").read_text(encoding="utf-8"))
        for entry in document["people"]:
            entry["os_user"] = pwd.getpwuid(os.getuid()).pw_name if entry["name"] == person else ""
        config = folder / f"{person}.toml"
        config.write_text(dumps(document), encoding="utf-8")
        return Console(self._world, config=config)

    async def __call__(self, *words: str) -> Said:
        """Run a command to its end."""
        return await self.end(await self.start(*words))

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("QUARTERDECK_", "AWS_", "GITHUB_"))}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *words, "--config", str(self._config)),
            *("--env-file", str(self._world.home / "quarterdeck.env")),
            cwd=ROOT,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, process: asyncio.subprocess.Process) -> Said:
        """Wait for its end; one that does not come is killed."""
        try:
            out, err = await asyncio.wait_for(process.communicate(), LONGEST_S)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            raise AssertionError(f"no end within {LONGEST_S:.0f} s:\n{out.decode()}\n{err.decode()}") from None
        assert process.returncode is not None
        return Said(process.returncode, out.decode(), err.decode())


async def said_until(process: asyncio.subprocess.Process, word: str) -> str:
    """What it printed up to the line that holds the word."""
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(LONGEST_S):
        while word not in seen:
            line = await process.stdout.readline()
            assert line, f"it ended before it said {word!r}:\n{seen}"
            seen += line.decode()
    return seen
