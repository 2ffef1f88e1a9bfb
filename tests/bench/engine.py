"""Operations per second through the core alone: engine, executor and a SQLite file on disk, without Discord or AWS.

The handler does no work of its own but saves what a real one saves: two steps and a checkpoint. So this is the ceiling
that the database and the core set, with every commit synced to disk.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.db.database import Database
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Registry, Run
from bot.ops.model import FINAL, Json, Operation, Plan, Request, Status
from bot.ops.store import Store
from bot.policy import Actor, seeded_rows
from tests.bench.processes import ROOT
from tests.bench.report import Section

TITLE = "Operations through the engine"
CALLERS = 32
SERVICES = 64
DEV = Actor("dev", 1, frozenset({"dev"}))


@dataclass(frozen=True, slots=True)
class Limits:
    """The executor's limits, with the widest concurrency that the settings allow."""

    approved_to_start_s: int = 900
    lease_s: int = 30
    cancel_confirm_s: int = 60
    concurrency: int = 64


class Idle:
    """A deploy that touches nothing outside, and is written down like any other."""

    kind = "deploy"

    async def plan(self, request: Request, _requester: str) -> Plan:
        service = str(request.params["service"])
        return Plan(
            environment=request.environment,
            service=service,
            target="4f1c2a9",
            locks=(f"{request.environment}/{service}",),
            content={"service": service, "commit": "4f1c2a9"},
        )

    async def recheck(self, _operation: Operation) -> str:
        return ""

    async def run(self, run: Run) -> Json:
        await run.step("Build", "ok")
        await run.checkpoint(command_id="none")
        await run.step("Verify", "ok")
        return {"commit": "4f1c2a9"}

    async def begun(self, _run: Run) -> bool:
        return True

    async def dropped(self, _run: Run, _why: str) -> str:
        return ""

    async def resume(self, _run: Run) -> Json | None:
        return None


class Bench:
    """One engine on one database file, and the moment at which each operation ended."""

    def __init__(self, database: Database) -> None:
        store, registry = Store(database, channels={"dev": 1, "prod": 1}), Registry({"deploy": Idle()})
        self.engine = Engine(store=store, registry=registry, policy=seeded_rows())
        self.executor = InProcessExecutor(self.engine, registry, store, Limits())
        self._ended: dict[int, asyncio.Future[Status]] = {}
        self.engine.on_change(self._heard)

    async def whole_lives(self, count: int) -> float:
        """Operations per second from the request to `succeeded`."""

        async def one(number: int) -> None:
            operation = await self._ask("dev", number)
            status = await self._end_of(operation.id)
            if status is not Status.SUCCEEDED:
                raise RuntimeError(f"operation {operation.id} ended {status}")

        return await _rate(count, one)

    async def requests(self, count: int) -> float:
        """Requests per second that are planned, decided and stored, and then wait for an approval."""

        async def one(number: int) -> None:
            await self._ask("prod", number)

        return await _rate(count, one)

    async def _ask(self, environment: str, number: int) -> Operation:
        params = {"service": f"service-{number % SERVICES}"}
        key = f"{environment}-{number}-{time.monotonic_ns()}"
        return await self.engine.request(Request(key, "deploy", environment, params), DEV)

    def _end_of(self, operation_id: int) -> asyncio.Future[Status]:
        return self._ended.setdefault(operation_id, asyncio.get_running_loop().create_future())

    def _heard(self, operation: Operation) -> None:
        if operation.status in FINAL and not (end := self._end_of(operation.id)).done():
            end.set_result(operation.status)


async def _rate(count: int, one: Callable[[int], Awaitable[None]]) -> float:
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await one(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())
    return count / (time.perf_counter() - began)


def measure(*, rounds: int, count: int) -> Section:
    """Rates of both kinds; the database lies in `.cache`, on the disk of this checkout."""
    figures = asyncio.run(_measure(rounds, count))
    rows = [(name, f"{statistics.median(rates):,.0f}") for name, rates in figures.items()]
    notes = [
        f"Medians of {rounds} runs of {count} operations each, {CALLERS} callers, SQLite on disk (WAL, synced).",
    ]
    return Section(title=TITLE, columns=("what", "operations/s"), rows=rows, notes=notes)


async def _measure(rounds: int, count: int) -> dict[str, list[float]]:
    lives: list[float] = []
    requests: list[float] = []
    (ROOT / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="bench-engine-") as folder:
        database = await Database.open(ROOT / folder / "quarterdeck.sqlite3")
        try:
            bench = Bench(database)
            await bench.executor.start()
            for _ in range(rounds):
                requests.append(await bench.requests(count))
                lives.append(await bench.whole_lives(count))
            await bench.executor.close()
        finally:
            await database.close()
    return {
        "requested, planned, decided, stored": requests,
        "the whole life: requested, started, two steps, a checkpoint, succeeded": lives,
    }
