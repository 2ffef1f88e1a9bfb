"""act as a process: one for each attempt that is executed, at most two at a time, and nothing of them left afterwards.

A step of a workflow may start whatever it likes. All of it carries the attempt's mark in its environment, by which it
is found and ended when the attempt is over (where there is a /proc; elsewhere only what act itself ends is ended).
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bot.sandbox.github.act.lines import read
from bot.sandbox.github.act.stage import Stage
from bot.sandbox.github.act.step_shell import without_end
from bot.sandbox.github.act.tools import RunnerTools
from bot.sandbox.github.execution import Heard
from bot.sandbox.github.git import GitFailed
from bot.sandbox.github.runs import Run
from bot.sandbox.host.processes import signal_group
from bot.sandbox.host.shim_server import ShimServer
from bot.sandbox.images import BuildOrder

AT_ONCE = 2
"""Runners of this machine; further runs wait in the queue."""
GRACE_S = 10.0
"""How long act may take to end after a cancellation."""
DEADLINE_S = 3600.0
LINE_MAX = 4 * 1024 * 1024
ABSENT = "REAL_WORKFLOWS=1 needs act, which is not installed here: .ci/venv dev brings it"
"""What to say when `find` finds nothing."""


class ActAbsent(Exception):
    """The program is not installed; the text says what brings it."""


class ActFailed(Exception):
    """The attempt could not be executed; the text says why."""


def find() -> Path | None:
    """The program, beside this Python or on the PATH."""
    beside = Path(sys.executable).with_name("act")
    if beside.is_file():
        return beside
    found = shutil.which("act")
    return Path(found) if found else None


class Act:
    """Executes runs of the repository. `home` is where attempts have their folders."""

    def __init__(
        self,
        *,
        program: Path,
        home: Path,
        repository: Path,
        build: Callable[[BuildOrder], Awaitable[str]],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._program = program
        self._home = home
        self._repository = repository
        self._build = build
        self._tools = RunnerTools(push=self._push, pause=pause)
        self._server: ShimServer | None = None
        self._free = asyncio.Semaphore(AT_ONCE)
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._asked: set[int] = set()
        self._stages: dict[str, Stage] = {}

    async def start(self) -> None:
        """Open the tools' socket, and end what a world that was killed left running."""
        await asyncio.to_thread(sweep, str(self._home))
        await asyncio.to_thread(shutil.rmtree, self._home, ignore_errors=True)
        self._server = ShimServer(
            {"docker": self._tools.docker, "aws": self._tools.aws, "end-of-output": self._tools.end_of_output}
        )
        await self._server.start()

    async def close(self) -> None:
        """Close the socket; whoever waits for an attempt has been cancelled before."""
        if self._server is not None:
            await self._server.close()
            self._server = None

    def has(self, run_id: int) -> bool:
        """Whether a runner has taken the run."""
        return any(stage.run.id == run_id for stage in self._stages.values())

    def cancel(self, run_id: int) -> None:
        """Ask a run's act to end, as its user would by Ctrl-C; it is killed when it does not."""
        self._asked.add(run_id)
        process = self._running.get(run_id)
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGINT)
            asyncio.get_running_loop().call_later(GRACE_S, _kill, process)

    async def execute(self, run: Run, heard: Callable[[Heard], None]) -> None:
        """Wait for a runner and execute the attempt to its end; `heard` is told of everything in order.

        Raises:
            ActFailed: act cannot be started, has found no job to run, or takes longer than an hour.
        """
        if self._server is None:
            raise ActFailed("the sandbox is being closed")
        async with self._free:
            name = f"{run.id}-{run.attempt}"
            stage = Stage(self._home / name, run, str(self._home / name))
            self._stages[stage.mark] = stage
            self._tools.begin(stage.mark)
            try:
                await asyncio.to_thread(stage.lay_out, repository=self._repository, socket=self._server.address)
                if run.id not in self._asked:
                    await self._run(stage, heard)
            except (OSError, GitFailed) as error:
                raise ActFailed(str(error)) from error
            except TimeoutError as error:
                raise ActFailed("The job has exceeded the maximum execution time") from error
            finally:
                await self._leave(stage)

    async def _run(self, stage: Stage, heard: Callable[[Heard], None]) -> None:
        process = await asyncio.create_subprocess_exec(
            *stage.command(self._program),
            cwd=stage.folder,
            env=stage.environ(repository=self._repository),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
            start_new_session=True,
        )
        self._running[stage.run.id] = process
        if process.stdout is None or process.stderr is None:
            raise ActFailed("act has no output")
        jobs = {job.key: job for job in stage.run.jobs}
        complaint = asyncio.create_task(process.stderr.read())
        ended = 0
        try:
            async with asyncio.timeout(DEADLINE_S):
                async for line in process.stdout:
                    if (thing := self._taken(stage, read(line, jobs))) is not None:
                        ended += thing.event == "job ended"
                        heard(thing)
                await process.wait()
                said = await complaint
        finally:
            complaint.cancel()
        if not ended and stage.run.id not in self._asked:
            raise ActFailed(_last_line(said) or "act ended without a word")

    def _taken(self, stage: Stage, thing: Heard | None) -> Heard | None:
        """What was heard, without the end of a shell's output: that is for the shell, which waits for it."""
        if thing is None or thing.event != "said":
            return thing
        text, shell = without_end(thing.text, mark=stage.mark)
        if not shell:
            return thing
        self._tools.printed(stage.mark, shell)
        return replace(thing, text=text) if text else None

    async def _leave(self, stage: Stage) -> None:
        """End everything of the attempt and delete its folder."""
        process = self._running.pop(stage.run.id, None)
        self._asked.discard(stage.run.id)
        self._stages.pop(stage.mark, None)
        started = self._tools.end(stage.mark)
        for one in [*started, *([process] if process else [])]:
            _kill(one)
        await asyncio.to_thread(sweep, stage.mark)
        for one in [*started, *([process] if process else [])]:
            await one.wait()
        await asyncio.to_thread(stage.remove)

    async def _push(self, mark: str, component: str, commit: str, tag: str) -> str:
        """Hand the build over; raises what the builder raises."""
        request = self._stages[mark].run.inputs.get("request", "")
        return await self._build(BuildOrder(component=component, commit=commit, tag=tag, request=request))


def _last_line(said: bytes) -> str:
    """What act gave as its reason: the last line of stderr that is plain text."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line and not line.startswith("{")]
    return lines[-1][:2000] if lines else ""


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        signal_group(process.pid, signal.SIGKILL)


def sweep(mark: str) -> None:
    """Kill every process whose environment holds this mark, or a longer one that begins with it."""
    wanted = b"QUARTERDECK_RUN=" + os.fsencode(mark)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(part.startswith(wanted) for part in (entry / "environ").read_bytes().split(b"\0")):
                os.kill(int(entry.name), signal.SIGKILL)
