"""Keeps the bot's process alive beside the world: starts, stops, kills and reloads it, and brings it back when it dies.

It knows nothing of what the bot does. What the process writes goes to one log file that is turned over by size. It is
no general process manager: the other parts look after their own children.
"""

import asyncio
import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from bot.sandbox.ledger import Ledger
from bot.sandbox.wire import Rejected

BACKOFF_FIRST_S = 1.0
BACKOFF_LONGEST_S = 30.0
STEADY_S = 60.0
"""A process that lived this long had a good start: the next back-off begins anew."""
RELOAD_S = 5.0
"""One that ends so soon after a reload has taken it as its end: it is started again without a pause."""
STOP_TIMEOUT_S = 20.0
EXIT_USAGE = 64
"""The one exit that is final, since no second start would mend it: the configuration is not usable, or Discord closed
the gateway with 4004 (wrong token) or 4014 (an intent that is not allowed)."""
LOG_SIZE_MIB = 4
LINE_BYTES = 2_000
PR_SET_PDEATHSIG = 1


class State(StrEnum):
    """What the process is doing."""

    STOPPED = "stopped"
    RUNNING = "running"
    WAITING = "waiting"
    GIVEN_UP = "given up"


def die_with_parent() -> Callable[[], None] | None:
    """A hook for the child, between fork and exec, that has the kernel send it SIGTERM when this process dies.

    Linux only (prctl(2), PR_SET_PDEATHSIG); elsewhere None, and a world that is killed outright leaves its bot behind.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return ask_kernel


class LogFile:
    """An append-only file of at most two generations, `NAME` and `NAME.1`."""

    def __init__(self, path: Path, *, size_mib: int = LOG_SIZE_MIB) -> None:
        self._path = path
        self._limit = size_mib * 2**20
        self._file: BinaryIO = path.open("ab")

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        if self._file.tell() > self._limit:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")

    def close(self) -> None:
        self._file.close()


class Supervisor:
    """One child process, wanted or not, and the task that makes it so."""

    def __init__(
        self,
        *,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        log: Path,
        ledger: Ledger,
        backoff_first_s: float = BACKOFF_FIRST_S,
    ) -> None:
        self._arguments = tuple(arguments)
        self._environ = dict(environ)
        self._folder = folder
        self._log_path = log
        self._ledger = ledger
        self._backoff_first_s = backoff_first_s
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._last_line = ""
        self._reloaded_at = -RELOAD_S
        self._order = asyncio.Lock()
        self._kept = True
        self.killed = 0
        """How often it was ended by SIGKILL while it ran, by whomever."""
        self.state = State.STOPPED
        self.detail = ""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def describe(self) -> dict[str, Any]:
        """State, pid and the last thing worth knowing, as the control API shows them."""
        return {"state": self.state.value, "pid": self.pid, "detail": self.detail}

    async def start(self, *, keep: bool = True) -> None:
        """Have it run from now on; one that already runs is left alone, one that waits is started at once.

        Without `keep` it is not brought back when it dies.
        """
        async with self._order:
            self._kept = keep
            if self.state is State.RUNNING:
                return
            await self._drop_keeper()
            began = asyncio.Event()
            self._keeper = asyncio.create_task(self._keep(began), name="bot-supervisor")
            first = asyncio.create_task(began.wait())
            await asyncio.wait({first, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
            first.cancel()

    async def stop(self) -> None:
        """Have it stopped: SIGTERM, and SIGKILL when it has not gone after 20 s."""
        async with self._order:
            process = self._process
            await self._drop_keeper()
            if process is not None:
                await self._end(process)
            self._set(State.STOPPED, "stopped on request")

    def kill(self) -> None:
        """Kill it outright (SIGKILL), as a crash would; it comes back after the back-off.

        Raises:
            Rejected: it does not run.
        """
        self._running().kill()

    async def slay(self) -> None:
        """Kill it outright and return once it is dead; one that does not run is dead already."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def reload(self) -> None:
        """Tell it to read its configuration again (SIGHUP); one that ends on it is started again at once.

        Raises:
            Rejected: it does not run.
        """
        process = self._running()
        self._reloaded_at = time.monotonic()
        process.send_signal(signal.SIGHUP)

    async def close(self) -> None:
        await self.stop()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise Rejected(f"The bot does not run ({self.state.value}): start it first.")
        return self._process

    async def _drop_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        pump = asyncio.create_task(self._pump(process))
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.gather(pump, return_exceptions=True)
        self._process = None
        self._ledger.publish("bot", {"event": "exited", "pid": process.pid, "code": process.returncode})

    async def _keep(self, began: asyncio.Event) -> None:
        """Run it again and again, until an exit is final."""
        backoff_s = self._backoff_first_s
        while True:
            self._last_line = ""
            started = time.monotonic()
            try:
                code = await self._run_once(began)
            except OSError as error:
                self._set(State.GIVEN_UP, f"it cannot be started: {error}")
                return
            if code == EXIT_USAGE:
                self._set(State.GIVEN_UP, self._last_line or "exit code 64, without a word")
                return
            if not self._kept:
                self._set(State.STOPPED, f"ended with {_words(code)}; it was not to be started again")
                return
            now = time.monotonic()
            if now - started > STEADY_S:
                backoff_s = self._backoff_first_s
            wait_s = 0.0 if now - self._reloaded_at < RELOAD_S else backoff_s
            self._set(State.WAITING, f"ended with {_words(code)}; starts again in {wait_s:.2g} s")
            await asyncio.sleep(wait_s)
            backoff_s = min(backoff_s * 2, BACKOFF_LONGEST_S)

    async def _run_once(self, began: asyncio.Event) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._arguments,
            cwd=self._folder,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=die_with_parent(),
        )
        self._process = process
        self._set(State.RUNNING, "")
        self._ledger.publish("bot", {"event": "started", "pid": process.pid, "code": None})
        began.set()
        await self._pump(process)
        code = await process.wait()
        self.killed += code == -signal.SIGKILL
        self._process = None
        self._ledger.publish("bot", {"event": "exited", "pid": process.pid, "code": code})
        return code

    async def _pump(self, process: asyncio.subprocess.Process) -> None:
        """Copy what it writes into the log, and keep the last line in mind: it says why the process ended."""
        assert process.stdout is not None
        log, end = LogFile(self._log_path), b""
        try:
            while chunk := await process.stdout.read(65_536):
                log.write(chunk)
                end = (end + chunk)[-LINE_BYTES:]
                lines = end.decode(errors="replace").split("\n")
                self._last_line = next((line for line in reversed(lines) if line.strip()), "")
        finally:
            log.close()

    def _set(self, state: State, detail: str) -> None:
        self.state, self.detail = state, detail
        self._ledger.publish("part", {"name": "bot", **self.describe()})


def _words(code: int) -> str:
    """`exit code 1`, or `signal SIGKILL` for a process that a signal ended."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
