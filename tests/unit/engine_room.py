"""A real engine over a real SQLite file, a clock that only moves when told, and small handlers to run."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.db.database import Database
from bot.errors import Unreachable
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Cancelled, Registry, Run
from bot.ops.model import Json, Operation, Plan, Request, Status, Verdict
from bot.ops.record import Clean
from bot.ops.roster import Roster
from bot.ops.store import Store
from bot.policy import Actor, PolicyRow, seeded_rows

OPS_CHANNEL = 42
PATIENCE_S = float(os.environ.get("QUARTERDECK_PATIENCE_S", "20"))
"""So long a test waits for what must come."""

DEV = Actor("dev", 1, frozenset({"dev"}))
DEV2 = Actor("dev2", 2, frozenset({"dev"}))
SRE = Actor("sre", 3, frozenset({"sre"}))
SRE2 = Actor("sre2", 4, frozenset({"sre"}))
OWNER = Actor("owner", 5, frozenset({"owner", "sre"}))
GUEST = Actor("guest", 6, frozenset())


class Clock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self.at = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Deploy:
    """A deploy whose outside is three lists: what was dispatched, what was resumed, and a gate that lets it end."""

    kind: str = "deploy"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    dispatched: list[int] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)
    rechecked: list[int] = field(default_factory=list)
    stale: str = ""
    recheck_error: Exception | None = None
    error: BaseException | None = None
    heeds_cancel: bool = True
    confirm: str = ""

    async def plan(self, request: Request, requester: str) -> Plan:
        service = str(request.params.get("service", "app"))
        commit = str(request.params.get("commit", "c" * 40))
        return Plan(
            environment=request.environment,
            service=service,
            target=commit[:7],
            locks=(f"{request.environment}/{service}",),
            content={"kind": self.kind, "service": service, "commit": commit},
            confirm=self.confirm,
            takes_over=tuple(request.params.get("takes_over", ())),
        )

    async def recheck(self, operation: Operation) -> str:
        self.rechecked.append(operation.id)
        if self.recheck_error is not None:
            raise self.recheck_error
        return self.stale

    async def run(self, run: Run) -> Json:
        await run.step("Build", "running")
        self.dispatched.append(run.operation.id)
        await run.checkpoint(run_id=100 + run.operation.id)
        return await self._finish(run)

    async def begun(self, run: Run) -> bool:
        return "run_id" in run.operation.checkpoint

    async def dropped(self, run: Run, why: str) -> str:
        return "Nothing was dispatched."

    async def resume(self, run: Run) -> Json | None:
        self.resumed.append(run.operation.id)
        if "run_id" not in run.operation.checkpoint:
            return None
        return await self._finish(run)

    async def _finish(self, run: Run) -> Json:
        waits = [asyncio.create_task(self.gate.wait())]
        if self.heeds_cancel:
            waits.append(asyncio.create_task(run.cancel_requested.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.heeds_cancel and run.cancel_requested.is_set():
            raise Cancelled("The build was stopped on GitHub. Nothing was rolled out.")
        if self.error is not None:
            raise self.error
        await run.step("Build", "ok", "done")
        return {"commit": run.operation.plan["commit"]}


@dataclass
class Crew:
    """A roster whose Discord is a dictionary: the roles of each person, None for who has left; `away` cannot be asked,
    about those `unheard` of neither.

    The duties are those that everybody of the room has from the start.
    """

    roles: dict[str, frozenset[str] | None] = field(default_factory=dict)
    duties: dict[str, frozenset[str]] = field(default_factory=dict)
    away: bool = False
    unheard: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *actors: Actor) -> "Crew":
        held = {actor.name: actor.roles for actor in actors}
        return cls(dict(held), dict(held))

    async def roles_of(self, person: str) -> frozenset[str] | None:
        self.asked.append(person)
        if self.away or person in self.unheard:
            raise Unreachable("discord", "Discord cannot be reached: no connection.")
        return self.roles[person]

    def duties_of(self, person: str) -> frozenset[str] | None:
        return self.duties.get(person)


@dataclass(frozen=True)
class Limits:
    approved_to_start_s: int = 900
    lease_s: int = 30
    cancel_confirm_s: int = 60
    concurrency: int = 8


@dataclass
class Room:
    """Everything opened, with the acts that tests need."""

    database: Database
    store: Store
    engine: Engine
    registry: Registry
    clock: Clock
    deploy: Deploy
    limits: Limits = field(default_factory=Limits)
    executors: list[InProcessExecutor] = field(default_factory=list)
    keys: int = 0

    async def start(self) -> InProcessExecutor:
        executor = InProcessExecutor(self.engine, self.registry, self.store, self.limits, tick_s=0.01)
        await executor.start()
        self.executors.append(executor)
        return executor

    async def ask(self, actor: Actor = DEV, environment: str = "dev", kind: str = "deploy", **params: Any) -> Operation:
        self.keys += 1
        confirmed = bool(params.pop("confirmed", False))
        key = params.pop("key", f"key-{self.keys}")
        request = Request(key=key, kind=kind, environment=environment, params=params, confirmed=confirmed)
        return await self.engine.request(request, actor)

    async def approve(self, operation: Operation, actor: Actor = SRE) -> Operation:
        return await self.engine.vote(operation.id, actor, Verdict.APPROVE, digest=operation.digest)

    async def becomes(self, operation: Operation, *statuses: Status) -> Operation:
        """Wait until it stands in one of `statuses`."""
        async with asyncio.timeout(PATIENCE_S):
            while (now := await self.engine.operation(operation.id)).status not in statuses:
                await asyncio.sleep(0.005)
        return now

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():
                await asyncio.sleep(0.005)

    async def names(self, operation: Operation) -> list[str]:
        """The names of its events, oldest first."""
        return [event.name for event in reversed(await self.engine.events(operation.id))]


@asynccontextmanager
async def open_room(
    path: Path,
    *,
    rows: Sequence[PolicyRow] | None = None,
    limits: Limits | None = None,
    roster: Roster | None = None,
    clean: Clean = str,
) -> AsyncIterator[Room]:
    """A room over the database `path`, closed at the end."""
    database = await Database.open(path / "state" / "quarterdeck.sqlite3")
    clock = Clock()
    store = Store(database, channels={"dev": OPS_CHANNEL, "prod": OPS_CHANNEL}, now=clock, clean=clean)
    deploy = Deploy()
    registry = Registry({"deploy": deploy, "rollback": Deploy(kind="rollback")})
    engine = Engine(store=store, registry=registry, policy=seeded_rows() if rows is None else rows, roster=roster)
    room = Room(database, store, engine, registry, clock, deploy, limits or Limits())
    try:
        yield room
    finally:
        for executor in room.executors:
            await executor.close()
        await database.close()
