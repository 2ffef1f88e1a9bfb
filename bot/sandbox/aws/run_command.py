"""Run Command that runs: commands, their invocations, and the processes behind them.

States, limits and errors are those of Systems Manager (API reference, SendCommand and GetCommandInvocation, 2026-01).
Where it differs, it is on purpose: output can be read while a command still runs (the service shows it at the end), and
a cancelled command first gets SIGTERM and a moment before SIGKILL (the agent sends SIGKILL at once), so that both ways
of ending are met. Knows nothing of moto or HTTP; safe to call from many threads.
"""

import os
import shlex
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bot.sandbox.aws.documents import Script, SsmFault

AGENT_VERSION = "3.3.3050.0"
"""What a host's agent is at first."""
STDOUT_MAX, STDERR_MAX, LISTED_MAX = 24_000, 8_000, 2_500
TRUNCATED = "--output truncated--"
GRACE_S = 10.0
POLL_S = 0.05
ROLLOUT = "quarterdeck-deploy"
ACTIVE = ("Pending", "InProgress", "Cancelling")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where commands for one instance run: the whole environment, and the folder they start in."""

    environ: Mapping[str, str]
    directory: Path


@dataclass(frozen=True, slots=True)
class Order:
    """What SendCommand asks for."""

    document: str
    version: str
    parameters: Mapping[str, Sequence[str]]
    comment: str
    instance_ids: tuple[str, ...]
    script: Script


@dataclass(slots=True)
class Outcome:
    """A lever: the next `times` runs of the document wait, and end with `exit_code` (0 or None: they really run)."""

    document: str
    exit_code: int | None
    seconds: float
    times: int


@dataclass(slots=True)
class Invocation:
    """One command on one instance."""

    instance_id: str
    directory: Path
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    process: "subprocess.Popen[bytes] | None" = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def output(self, name: str, limit: int) -> str:
        """The first characters of `stdout` or `stderr`, as far as they are written."""
        try:
            with (self.directory / name).open("rb") as file:
                text = file.read(limit * 4).decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED

    def elapsed(self) -> str:
        """ISO 8601, as the API gives it; empty before the start."""
        if self.started_at is None:
            return ""
        return f"PT{((self.ended_at or datetime.now(UTC)) - self.started_at).total_seconds():.3f}S"


@dataclass(slots=True)
class Command:
    """One SendCommand."""

    id: str
    order: Order
    requested_at: datetime
    invocations: list[Invocation]

    @property
    def status(self) -> str:
        """The worst of its invocations, active ones first."""
        found = {i.status for i in self.invocations}
        for status in ("Cancelling", "InProgress", "Pending", "TimedOut", "Failed", "Cancelled"):
            if status in found:
                return status
        return "Success"

    def on(self, instance_id: str) -> Invocation:
        for invocation in self.invocations:
            if invocation.instance_id == instance_id:
                return invocation
        raise SsmFault(
            "InvocationDoesNotExist", "The command ID and instance ID you specified did not match any invocations."
        )


@dataclass(frozen=True, slots=True)
class Agent:
    """The SSM agent of one host, as SSM lists it."""

    online: bool
    version: str


class RunCommand:
    """All commands of the world. `directory` takes their scripts and output, for this user's eyes only."""

    def __init__(self, *, machines: Mapping[str, Machine], directory: Path) -> None:
        self._machines = machines
        self._directory = directory
        self._commands: dict[str, Command] = {}
        self._outcomes: list[Outcome] = []
        self._agents: dict[str, Agent] = {}
        self._lock = threading.Lock()
        self._closing = False

    def has_machine(self, instance_id: str) -> bool:
        return instance_id in self._machines

    def agent(self, instance_id: str) -> Agent:
        """How the host's agent is listed."""
        return self._agents.get(instance_id, Agent(online=True, version=AGENT_VERSION))

    def set_agent(self, instance_id: str, agent: Agent) -> None:
        self._agents[instance_id] = agent

    def send(self, order: Order) -> Command:
        """Take a command and begin it on every instance; returns at once."""
        command_id = str(uuid.uuid4())
        invocations = [Invocation(i, self._directory / command_id / i) for i in order.instance_ids]
        command = Command(command_id, order, datetime.now(UTC), invocations)
        with self._lock:
            if self._closing:
                raise SsmFault("InternalServerError", "The world is closing.")
            self._commands[command.id] = command
            outcomes = [self._take_outcome(order.document) for _ in invocations]
        for invocation, outcome in zip(invocations, outcomes, strict=True):
            threading.Thread(target=self._run, args=(order, invocation, outcome), name=command.id, daemon=True).start()
        return command

    def find(self, command_id: str) -> Command:
        """Raises: SsmFault InvalidCommandId."""
        with self._lock:
            command = self._commands.get(command_id)
        if command is None:
            raise SsmFault("InvalidCommandId", "The specified command ID is not valid. Verify the ID and try again.")
        return command

    def all(self) -> list[Command]:
        """Every command, the newest first."""
        with self._lock:
            return sorted(self._commands.values(), key=lambda c: c.requested_at, reverse=True)

    def cancel(self, command_id: str, instance_ids: Sequence[str] = ()) -> None:
        """Ask what still runs to end; does nothing to what has ended."""
        for invocation in self.find(command_id).invocations:
            if invocation.status in ACTIVE and (not instance_ids or invocation.instance_id in instance_ids):
                invocation.status = invocation.details = "Cancelling"
                invocation.cancelled.set()

    def add_outcome(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)

    def close(self) -> None:
        """End every process that a command started; returns when they are gone."""
        with self._lock:
            self._closing = True
            running = [i for c in self._commands.values() for i in c.invocations if i.status in ACTIVE]
        for invocation in running:
            invocation.cancelled.set()
        deadline = time.monotonic() + GRACE_S + 2
        while any(i.status in ACTIVE for i in running) and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _take_outcome(self, document: str) -> Outcome | None:
        for outcome in self._outcomes:
            if outcome.document == document:
                outcome.times -= 1
                if outcome.times <= 0:
                    self._outcomes.remove(outcome)
                return outcome
        return None

    def _run(self, order: Order, invocation: Invocation, outcome: Outcome | None) -> None:
        """One invocation from start to end, in its own thread."""
        invocation.started_at = datetime.now(UTC)
        if not invocation.cancelled.is_set():
            invocation.status = invocation.details = "InProgress"
        text = order.script.text if outcome is None else _bent(order, outcome)
        status, details, code = "Failed", "Failed", 127
        with suppress(OSError):
            status, details, code = self._execute(order.script, text, invocation)
        invocation.code, invocation.ended_at = code, datetime.now(UTC)
        invocation.status, invocation.details = status, details

    def _execute(self, script: Script, text: str, invocation: Invocation) -> tuple[str, str, int]:
        machine = self._machines[invocation.instance_id]
        invocation.directory.mkdir(parents=True, mode=0o700)
        file = invocation.directory / "script.sh"
        file.write_text(text, encoding="utf-8")
        with (invocation.directory / "stdout").open("wb") as out, (invocation.directory / "stderr").open("wb") as err:
            process = subprocess.Popen(
                ["bash", str(file)],
                cwd=machine.directory,
                env={**machine.environ, **script.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        invocation.process = process
        try:
            return _await(process, invocation, script.timeout_s)
        finally:
            _signal(process, signal.SIGKILL)  # whatever the script left behind in its session


def _await(process: "subprocess.Popen[bytes]", invocation: Invocation, timeout_s: float) -> tuple[str, str, int]:
    """Wait for the end, a cancellation or the time-out; returns status, details, exit code."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None:
        if invocation.cancelled.wait(POLL_S):
            code = _end(process)
            # What was over before the signal could act has not been cancelled.
            return ("Success", "Success", 0) if code == 0 else ("Cancelled", "Cancelled", code)
        if time.monotonic() > deadline:
            return "TimedOut", "ExecutionTimedOut", _end(process)
    code = _exit_code(process)
    return ("Success", "Success", 0) if code == 0 else ("Failed", "Failed", code)


def _end(process: "subprocess.Popen[bytes]") -> int:
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    _signal(process, signal.SIGKILL)
    process.wait()
    return _exit_code(process)


def _exit_code(process: "subprocess.Popen[bytes]") -> int:
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _bent(order: Order, outcome: Outcome) -> str:
    """The script of a run to which the lever applies."""
    if not outcome.exit_code:
        return f"sleep {outcome.seconds:g}\n{order.script.text}"
    reason = f"the container engine on this host ended with code {outcome.exit_code}"
    before, after = [], [f"::failed status {reason}"]
    if order.document == ROLLOUT:
        digest = order.parameters.get("Image", ("",))[0].rpartition("@")[2]
        before = [f"::step pull running {digest}"]
        after = [
            f"::log Error response from daemon: {reason}",
            f"::step pull failed {reason}",
            f"::failed pull {reason}",
        ]
    return "\n".join(
        [*map(_say, before), f"sleep {outcome.seconds:g}", *map(_say, after), f"exit {outcome.exit_code}", ""]
    )


def _say(line: str) -> str:
    return f"printf '%s\\n' {shlex.quote(line)}"
