"""What the model of the core plays with: a database file, an outside world that survives every crash, and processes.

Each process has an event loop of its own, which runs only while somebody drives it. So one can stand still in the
middle of anything while another goes on, and a crash is a process that is never driven again: nothing of it is
cancelled, closed or tidied up first, as after `kill -9`.
"""

import asyncio
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy import Engine as SqlEngine

from bot.db.database import Database, Work
from bot.db.opening import FileLock
from bot.errors import Refused, Unavailable
from bot.metrics import Metrics
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Cancelled, Failed, Interrupted, Registry, Run
from bot.ops.model import Json, Operation, Plan, Request, Status
from bot.ops.store import Store
from bot.policy import Actor, Door, PolicyRow
from tests.unit.engine_room import Clock, Limits

T = TypeVar("T")
FILE = "quarterdeck.sqlite3"
QUIET_TURNS = 12
"""So many turns of a loop without a database call mean that nothing more happens by itself."""
FIRST_COMMIT = "0" * 40
DUTIES = {
    "owner": frozenset({"owner", "sre"}),
    "sre": frozenset({"sre"}),
    "sre2": frozenset({"sre"}),
    "dev": frozenset({"dev"}),
    "dev2": frozenset({"dev"}),
    "guest": frozenset[str](),
}
"""The people table. What Discord says of them is the outside's."""


ROLL_OF: ContextVar[tuple[str, int]] = ContextVar("roll_of")
"""By which process, and for which operation, the roster is being asked."""


@dataclass(frozen=True)
class Rollout:
    """One effect outside: what was sent, for which operation, by which process."""

    operation_id: int
    commit: str
    digest: str
    process: str


@dataclass
class Outside:
    """Everything that is not in the database: the branch, the roles in Discord, the runs. It forgets nothing.

    `answers` are what the roster last said of whom, by process and operation; `seen_before_start` is what a process
    decided from right before it started an operation.
    """

    branch: list[str] = field(default_factory=lambda: [FIRST_COMMIT])
    roles: dict[str, frozenset[str] | None] = field(default_factory=lambda: dict(DUTIES))
    discord: bool = True
    sent: list[Rollout] = field(default_factory=list)
    ends: dict[int, str] = field(default_factory=dict)
    answers: dict[tuple[str, int], dict[str, frozenset[str] | None]] = field(default_factory=lambda: defaultdict(dict))
    seen_before_start: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    commits: int = 0

    def push(self) -> str:
        """A new commit on the branch."""
        self.commits += 1
        self.branch.append(f"{self.commits:040x}")
        return self.branch[-1]

    def sent_for(self, operation_id: int) -> list[Rollout]:
        return [rollout for rollout in self.sent if rollout.operation_id == operation_id]

    async def roles_of(self, person: str) -> frozenset[str] | None:
        """As the roster of `bot.ops.roster`."""
        told = self.answers[ROLL_OF.get()]
        told[person] = DUTIES[person]
        if not self.discord:
            told["unconfirmed"] = None
            raise Unavailable("discord", "Discord cannot be reached: no connection.")
        held = self.roles[person]
        told[person] = None if held is None else held & DUTIES[person]
        return told[person]

    def duties_of(self, person: str) -> frozenset[str] | None:
        return DUTIES.get(person)

    def actor(self, person: str) -> Actor:
        """The person as the front would bring it now: by Discord's word, or by the people table when that is silent."""
        if not self.discord:
            return Actor(person, None, DUTIES[person], door=Door.COMMAND_LINE, confirmed=False)
        return Actor(person, None, (self.roles[person] or frozenset()) & DUTIES[person])


class Deploy:
    """A handler as the real ones are: it saves its intent, sends, saves the id, waits; or looks for what it sent."""

    def __init__(self, process: "Process", kind: str) -> None:
        self.kind = kind
        self._process = process
        self._outside = process.outside

    async def plan(self, request: Request, requester: str) -> Plan:
        service = str(request.params["service"])
        locks = (f"{request.environment}/{service}",)
        if request.params.get("wide"):
            locks = (request.environment, *locks)
        taken = await self._interrupted(locks) if self.kind == "rollback" else ()
        commit = self._outside.branch[0] if self.kind == "rollback" else self._outside.branch[-1]
        content = {"kind": self.kind, "service": service, "commit": commit, "takes_over": list(taken)}
        return Plan(request.environment, service, commit[-7:], locks, content, takes_over=taken)

    async def _interrupted(self, locks: Sequence[str]) -> tuple[int, ...]:
        found = await self._process.engine.operations(statuses=(Status.INTERRUPTED,))
        return tuple(o.id for o in found if set(o.locks) & set(locks) and o.locks_taken_by is None)

    async def recheck(self, operation: Operation) -> str:
        outside = self._outside
        outside.seen_before_start[ROLL_OF.get()] = {
            "branch": list(outside.branch),
            "roles": outside.answers.pop(ROLL_OF.get(), {}),
            "policy": self._process.policy,
        }
        if operation.plan["commit"] not in outside.branch:
            return "The commit has left the branch."
        return ""

    async def run(self, run: Run) -> Json:
        if run.cancel_requested.is_set():
            raise Cancelled("It was cancelled before anything was sent.")
        await run.step("Rollout", "running")
        await run.checkpoint(intent=f"mark-{run.operation.id}")
        await self._instant()
        self._outside.sent.append(
            Rollout(run.operation.id, str(run.operation.plan["commit"]), run.operation.digest, self._process.name)
        )
        await self._instant()
        await run.checkpoint(sent=True)
        return await self._followed(run)

    async def begun(self, run: Run) -> bool:
        return "intent" in run.operation.checkpoint

    async def dropped(self, run: Run, why: str) -> str:
        return "Nothing was sent."

    async def resume(self, run: Run) -> Json | None:
        if not await self.begun(run):
            return await self.run(run)
        if not self._outside.sent_for(run.operation.id):
            return None
        await run.checkpoint(sent=True)
        return await self._followed(run)

    async def _instant(self) -> None:
        """A moment in which a process can stop between its intent, the effect and the record of it."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _followed(self, run: Run) -> Json:
        while run.operation.id not in self._outside.ends:
            if run.cancel_requested.is_set():
                raise Cancelled("The outside confirms that it stopped.")
            await self._process.something_outside()
        match self._outside.ends[run.operation.id]:
            case "succeeded":
                await run.step("Rollout", "ok")
                return {"commit": run.operation.plan["commit"]}
            case "failed":
                raise Failed("It did not become healthy.", log_tail="KeyError: STRIPE_KEY")
            case _:
                del self._outside.ends[run.operation.id]
                raise Interrupted("The host has not answered.")


class SteppedDatabase(Database):
    """The same file, settings and transactions without the threads: every call is one step of the process, so that a
    process can stand still between any two of them, and a walk can be walked again.
    """

    def __init__(self, engine: SqlEngine, lock: FileLock | None, metrics: Metrics) -> None:
        assert lock is None
        self.done = 0
        self._writer = engine.connect()
        self._reader = engine.connect().execution_options(reads=True)

    async def write(self, work: Work[T]) -> T:
        return await self._step(self._writer, work)

    async def read(self, work: Work[T]) -> T:
        return await self._step(self._reader, work)

    async def _step(self, connection: Connection, work: Work[T]) -> T:
        await asyncio.sleep(0)
        try:
            with connection.begin():
                return work(connection)
        finally:
            self.done += 1
            await asyncio.sleep(0)  # done, and whoever asked has not heard of it: a process can end here

    def let_go(self) -> None:
        """Close the file; nothing is under way when a process stands still."""
        self._writer.close()
        self._reader.close()


class RollCallingEngine(Engine):
    """Lets the roster know for whom it is asked, so that what it said can be held against what was started."""

    process_name = ""

    async def stale_because(self, operation: Operation) -> str:
        ROLL_OF.set((self.process_name, operation.id))
        return await super().stale_because(operation)


class Process:
    """One bot: an engine and an executor over the file, with a loop that stands still unless it is driven."""

    def __init__(self, name: str, outside: Outside, policy: tuple[PolicyRow, ...]) -> None:
        self.name = name
        self.outside = outside
        self.policy = policy
        self.loop = asyncio.new_event_loop()
        self._news = asyncio.Event()

    @classmethod
    def start(cls, name: str, home: Path, outside: Outside, clock: Clock, policy: tuple[PolicyRow, ...]) -> Self:
        """A process over the file in `home`, re-attached to what runs. No file lock: the rows must hold alone."""
        process = cls(name, outside, policy)
        process.loop.run_until_complete(process._open(home, clock))
        return process

    async def _open(self, home: Path, clock: Clock) -> None:
        self.database = await SteppedDatabase.open(home / FILE, exclusive=False)
        store = Store(self.database, channels={"dev": 1, "prod": 1}, now=clock)
        registry = Registry({kind: Deploy(self, kind) for kind in ("deploy", "rollback")})
        self.engine = RollCallingEngine(store=store, registry=registry, policy=self.policy, roster=self.outside)
        self.engine.process_name = self.name
        self.executor = InProcessExecutor(self.engine, registry, store, Limits(), tick_s=3600)
        await self.executor.start()

    @property
    def lease_name(self) -> str:
        """What stands in the rows that this process looks after."""
        return self.executor._owner

    def call(self, work: Awaitable[T]) -> T:
        """Run one thing to its end, and whatever else of the process comes to pass meanwhile."""

        async def awaited() -> T:
            return await work

        return self.loop.run_until_complete(awaited())

    def attempt(self, work: Awaitable[T]) -> T | Refused | Unavailable:
        """The same; refusals are an outcome."""
        try:
            return self.call(work)
        except (Refused, Unavailable) as error:
            return error

    async def something_outside(self) -> None:
        """Wait until somebody drives the process with news of the outside."""
        await asyncio.sleep(0)  # a wait for what is already there does not let others go on
        await self._news.wait()

    def drive(self, steps: int | None = None) -> None:
        """Let it look at the rows and work: until nothing more happens, or so many database calls have been made."""
        self.loop.run_until_complete(self._drive(steps))

    async def _drive(self, steps: int | None) -> None:
        self.executor.wake()
        self._news.set()
        await asyncio.sleep(0)
        self._news.clear()
        first, before, quiet = self.database.done, -1, 0
        while quiet < QUIET_TURNS and (steps is None or self.database.done < first + steps):
            quiet = quiet + 1 if self.database.done == before else 0
            before = self.database.done
            await asyncio.sleep(0)

    def bury(self) -> None:
        """For the end of a test only: let go of a process, dead or alive, without letting it do anything more."""
        self.database.let_go()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()


def empty_home(parent: Path, template: Path) -> Path:
    """A directory with a freshly migrated database, copied from the one that `template` holds or gets."""
    if not (template / FILE).exists():
        asyncio.run(_migrate(template))
    home = parent / f"home-{len(list(parent.iterdir()))}"
    home.mkdir()
    shutil.copy(template / FILE, home / FILE)
    return home


async def _migrate(template: Path) -> None:
    await (await Database.open(template / FILE)).close()


@dataclass
class Rows:
    """Everything in the file at one moment, read past all of our own code."""

    operations: dict[int, dict[str, Any]]
    votes: dict[int, list[dict[str, Any]]]
    events: dict[int, list[dict[str, Any]]]
    locks: dict[str, int]


class Reader:
    """Reads the rows again whenever somebody has written."""

    def __init__(self, home: Path) -> None:
        self._connection = sqlite3.connect(f"file:{home / FILE}?mode=ro", uri=True, timeout=10, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._version = -1
        self._rows = Rows({}, {}, {}, {})

    def rows(self) -> Rows:
        """Everything, as of one moment."""
        version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        if version != self._version:
            self._connection.execute("BEGIN")
            self._rows = self._read()
            self._connection.execute("COMMIT")
            self._version = version
        return self._rows

    def _read(self) -> Rows:
        votes, events = defaultdict(list), defaultdict(list)
        for vote in self._connection.execute("SELECT * FROM votes"):
            votes[vote["operation_id"]].append(dict(vote))
        for event in self._connection.execute("SELECT * FROM events ORDER BY id"):
            events[event["operation_id"]].append(dict(event))
        return Rows(
            {row["id"]: dict(row) for row in self._connection.execute("SELECT * FROM operations")},
            votes,
            events,
            {row["resource"]: row["operation_id"] for row in self._connection.execute("SELECT * FROM locks")},
        )

    def close(self) -> None:
        self._connection.close()
