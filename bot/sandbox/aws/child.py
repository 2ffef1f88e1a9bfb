"""The moto child process seen from the world: started with its configuration on stdin, ended by closing stdin."""

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

import bot

START_S, END_S = 60.0, 15.0
SECRET_HEADER, CALLER_HEADER = "X-Quarterdeck-Door", "X-Quarterdeck-Caller"
OUTCOME_PATH, AGENT_PATH, ORDERS_PATH = "/quarterdeck/outcome", "/quarterdeck/agent", "/quarterdeck/orders"


class MotoChild:
    """One moto process. Its log goes to `directory/moto.log`."""

    def __init__(self, *, directory: Path) -> None:
        self._directory = directory
        self._secret = secrets.token_urlsafe(32)
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0
        self.caller_header = CALLER_HEADER

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def secret_header(self) -> tuple[str, str]:
        return SECRET_HEADER, self._secret

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self, machines: Mapping[str, Mapping[str, Any]]) -> None:
        """Start it and wait until it listens. `machines`: see `moto_server.Config`.

        Raises:
            RuntimeError: it ended, or said nothing for a minute; the text has the end of its log.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bot.sandbox.aws.moto_server",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environ(),
                start_new_session=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        config = {"secret": self._secret, "machines": machines, "directory": str(self._directory / "commands")}
        self._process.stdin.write(json.dumps(config).encode() + b"\n")
        try:
            async with asyncio.timeout(START_S):
                line = await self._process.stdout.readline()
            self._port = int(json.loads(line)["port"])
        except (TimeoutError, ValueError, KeyError) as error:
            await self.close()
            tail = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"The AWS stand-in did not start:\n{tail}") from error

    @property
    def _log(self) -> Path:
        return self._directory / "moto.log"

    async def add_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Hand a lever's outcome on to Run Command."""
        await self._tell(OUTCOME_PATH, outcome)

    async def set_agent(self, agent: Mapping[str, Any]) -> None:
        """Hand on how a host's agent is: `instance_id`, `online`, `version`."""
        await self._tell(AGENT_PATH, agent)

    async def orders(self) -> list[str]:
        """The comment of every command that Run Command has taken, in no order."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}{ORDERS_PATH}", headers=dict([self.secret_header])) as answer,
        ):
            answer.raise_for_status()
            return [str(comment) for comment in await answer.json()]

    async def _tell(self, path: str, body: Mapping[str, Any]) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{path}", json=body, headers=dict([self.secret_header])) as answer,
        ):
            answer.raise_for_status()

    async def close(self) -> None:
        """Close its stdin, so that it ends what runs and then itself; kill it when that takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()


def _environ() -> dict[str, str]:
    """A small environment: nothing of the person's own credentials or endpoints reaches moto, or what it runs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    root = str(Path(bot.__file__).resolve().parent.parent)
    return {**kept, "PYTHONPATH": root, "AWS_ACCESS_KEY_ID": "unused", "AWS_SECRET_ACCESS_KEY": "unused"}
