"""A person's own Discord in the place of the sandbox's: what is known of it, how it is asked for, what is remembered.

The questions are asked by the bot's own `commissioning.trial`, a process of its own on the same terminal: the sandbox
knows nothing of the bot and speaks to no real service itself. The token stays in memory and, while the world runs, in
its private environment file; it outlives the world only where the person said so.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from bot.sandbox.host.machine_files import write_private
from bot.sandbox.wire import LOOPBACK, Rejected

NOTE = "own_discord.json"
TOKEN = "QUARTERDECK_DISCORD_TOKEN"  # noqa: S105 - the name of a variable
TRIAL = "bot.commissioning.trial"
ELSEWHERE = "Discord is your own: look there. This world has no Discord of its own to show or to work."
MARK = "every card, answer and presence is marked SANDBOX"
ASK_AGAIN_S = 1.0


class Elsewhere(Rejected):
    """What was asked for happens in the person's own Discord."""

    status = 409

    def __init__(self) -> None:
        super().__init__(ELSEWHERE)


class NotAsked(Exception):
    """The questions were not all answered, or not well; the text says why (empty: the terminal was told already)."""

    def __init__(self, sentence: str, *, code: int) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Sandboxed:
    """Another sandbox's Discord in the place of the real one: only for tests, and only on this machine."""

    api_url: str
    gateway_url: str

    def foreign(self) -> str:
        """The address that is not on this machine; empty when both are."""
        names = {name.strip("[]") for name in LOOPBACK}
        found = (url for url in (self.api_url, self.gateway_url) if urlsplit(url).hostname not in names)
        return next(found, "")


@dataclass(frozen=True, slots=True)
class OwnDiscord:
    """The chosen guild, channels, roles and people, and the token that opens it."""

    guild_id: int
    guild_name: str
    application_id: int
    channels: Mapping[str, int]
    roles: Mapping[str, int]
    people: tuple[Mapping[str, Any], ...]
    token: str
    keep_token: bool = False
    sandboxed: Sandboxed | None = None

    @classmethod
    def of(cls, answers: Mapping[str, Any], *, sandboxed: Sandboxed | None) -> Self:
        told = {**answers, "people": tuple(answers["people"])}
        return cls(**told, sandboxed=sandboxed)

    def remember(self, home: Path) -> None:
        """Write down what was chosen, and never the token."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("token", "sandboxed")}
        write_private(home / NOTE, json.dumps(kept, indent=2) + "\n")

    @property
    def url(self) -> str:
        return f"https://discord.com/channels/{self.guild_id}"

    def describe(self) -> str:
        return f"your own: {self.guild_name} ({self.guild_id}); look there. In it, {MARK}"


def kept_token(note: Path, environment_file: Path) -> str:
    """The token that an earlier world was allowed to keep; empty when there is none, also where a crash left one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if not json.loads(note.read_text(encoding="utf-8")).get("keep_token"):
            return ""
        for line in environment_file.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{TOKEN}="):
                return line.partition("=")[2]
    return ""


def forget_token(environment_file: Path) -> None:
    """Take the token out of the file that the bot's host commands read."""
    with contextlib.suppress(FileNotFoundError):
        lines = environment_file.read_text(encoding="utf-8").splitlines(keepends=True)
        write_private(environment_file, "".join(line for line in lines if not line.startswith(f"{TOKEN}=")))


async def ask(home: Path, environ: Mapping[str, str], *, token: str, sandboxed: Sandboxed | None) -> OwnDiscord:
    """Have the questions asked; what `home` remembers is not asked again. `token`: one that is known already.

    Raises:
        NotAsked: they were not answered, or Discord does not agree with the answers.
    """
    reader, writer = os.pipe()
    arguments = [sys.executable, "-m", TRIAL, "--answers-fd", str(writer), "--remembered", str(home / NOTE)]
    if sandboxed is not None:
        arguments += ["--discord-api", sandboxed.api_url]
    with os.fdopen(reader, encoding="utf-8") as answers:
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments, env={**environ, **({TOKEN: token} if token else {})}, pass_fds=(writer,)
            )
        finally:
            os.close(writer)
        told, code = await asyncio.to_thread(answers.read), await process.wait()
    if code != 0:
        raise NotAsked("", code=code)
    return OwnDiscord.of(json.loads(told), sandboxed=sandboxed)


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Readiness:
    """Whether the bot says of itself that it is connected: nobody else here can see the person's Discord."""

    def __init__(self, port: int, *, changed: Callable[[bool], None]) -> None:
        self.connected = False
        self._address = f"http://127.0.0.1:{port}/readyz"
        self._changed = changed
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watch = asyncio.create_task(self._look(), name="readiness")

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self) -> None:
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._ask(session)
                await asyncio.sleep(ASK_AGAIN_S)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get(self._address) as answer:
                connected = bool((await answer.json())["discord"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
            connected = False
        if connected is not self.connected:
            self.connected = connected
            self._changed(connected)
