"""One monitoring server as a child process of the world: started, stopped, frozen on request, and restarted by nobody.

What it writes goes to one log file. Its port is given by the kernel once and kept from start to start, so that the
others find it again.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bot.sandbox.own_discord import free_port
from bot.sandbox.supervisor import LogFile, die_with_parent

START_S, END_S = 40.0, 8.0
ASK_AGAIN_S = 0.1
ANSWER_S = 2.0


class ServerFailed(Exception):
    """It did not come up; the text has the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: the names under which it is installed, and what brings it."""

    names: tuple[str, ...]
    package: str

    def find(self) -> str | None:
        """The program's path; None when it is not installed."""
        return next((path for name in self.names if (path := shutil.which(name))), None)


NODE_EXPORTER = Program(("prometheus-node-exporter", "node_exporter"), "prometheus-node-exporter")
PROMETHEUS = Program(("prometheus",), "prometheus")
ALERTMANAGER = Program(("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager")


class Server:
    """One process. `arguments` gives its command line for a port; `ready` is a path that answers 200 once it is up."""

    def __init__(
        self, *, program: str, arguments: Callable[[int], Sequence[str]], ready: str, tls: ssl.SSLContext, log: Path
    ) -> None:
        self._program = program
        self._arguments = arguments
        self._ready = ready
        self._tls = tls
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self.frozen = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.running and self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def state(self) -> str:
        """`running`, `frozen` or `stopped`."""
        return ("frozen" if self.frozen else "running") if self.running else "stopped"

    def take_port(self) -> None:
        """Choose the port before the first start, so that the configuration of the others can name it."""
        self.port = self.port or free_port()

    async def start(self) -> None:
        """Run it and wait until it answers; one that runs is left alone.

        Raises:
            ServerFailed: it ended, or does not answer.
        """
        if self.running:
            return
        self.take_port()
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            *self._arguments(self.port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # One thread at a time is plenty for a few hosts, and leaves the visitor's machine alone.
            env={"PATH": os.environ.get("PATH", os.defpath), "GOMAXPROCS": "1"},
            preexec_fn=die_with_parent(),
            start_new_session=True,
        )
        self._pump = asyncio.create_task(self._copy(self._process), name=f"log of {self._program}")
        try:
            async with asyncio.timeout(START_S):
                await self._answers(self._process)
        except TimeoutError:
            await self.stop()
            raise ServerFailed(f"it does not answer after {START_S:.0f} s: {self._tail()}") from None

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            while True:
                if process.returncode is not None:
                    raise ServerFailed(f"it ended with exit code {process.returncode}: {self._tail()}")
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.url}{self._ready}") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(ASK_AGAIN_S)

    async def stop(self) -> None:
        """SIGTERM, which has it write down what it knows, and SIGKILL when that takes too long."""
        process = self._process
        if process is not None and process.returncode is None:
            self._send(signal.SIGCONT)
            self._send(signal.SIGTERM)
            try:
                async with asyncio.timeout(END_S):
                    await process.wait()
            except TimeoutError:
                self._send(signal.SIGKILL)
                await process.wait()
        self.frozen = False
        if self._pump is not None:
            await asyncio.gather(self._pump, return_exceptions=True)

    async def kill(self) -> None:
        """SIGKILL: as if the machine had taken it."""
        self._send(signal.SIGKILL)
        await self.stop()

    async def freeze(self) -> None:
        """Have it hang: it keeps its connections and takes new ones, and answers nobody; returns once it does so."""
        if self._process is None or not self.running:
            return
        self._send(signal.SIGSTOP)
        # On a busy machine its other threads go on for a while: they stop when the first one has been told. Nothing
        # but asking tells of it; this question does not block.
        stopped = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        with contextlib.suppress(TimeoutError, ChildProcessError):
            async with asyncio.timeout(ANSWER_S):
                while os.waitid(os.P_PID, self._process.pid, stopped) is None:  # noqa: ASYNC110, ASYNC222
                    await asyncio.sleep(0.01)
        self.frozen = self.running

    def thaw(self) -> None:
        """Let it go on where it was frozen."""
        self._send(signal.SIGCONT)
        self.frozen = False

    def reload(self) -> None:
        """Have it read its configuration again."""
        self._send(signal.SIGHUP)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _copy(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        log = LogFile(self._log)
        try:
            while chunk := await process.stdout.read(65_536):
                log.write(chunk)
        finally:
            log.close()

    def _tail(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")[-600:].strip()
        except FileNotFoundError:
            return "it said nothing"
