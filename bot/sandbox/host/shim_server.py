"""The other end of the shims: a socket that only this user can reach, and a table of tools behind it."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

Tool = Callable[[Sequence[str], str], Awaitable[tuple[int, str, str]]]
"""Takes the arguments and stdin; returns exit code, stdout, stderr."""
REQUEST_MAX = 1024 * 1024


class ShimServer:
    """Answers one request a connection. The socket lies in a short private folder: its path may have 107 characters."""

    def __init__(self, tools: Mapping[str, Tool]) -> None:
        self._tools = tools
        self._directory = Path(tempfile.mkdtemp(prefix="quarterdeck-"))
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> Path:
        return self._directory / "host.sock"

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.address, limit=REQUEST_MAX)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            code, stdout, stderr = await self._answer(await reader.readline())
            writer.write(json.dumps({"code": code, "stdout": stdout, "stderr": stderr}).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> tuple[int, str, str]:
        try:
            request = json.loads(line)
            tool, argv, stdin = request["tool"], [str(word) for word in request["argv"]], str(request["stdin"])
        except (ValueError, KeyError, TypeError):
            return 1, "", "the request was not understood\n"
        if tool not in self._tools:
            return 127, "", f"{tool}: this machine has no such tool\n"
        return await self._tools[tool](argv, stdin)
