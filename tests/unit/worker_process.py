"""A process of its own over a shared database file: asks, votes and carries out, until it has done its part or dies.

`python -m tests.unit.worker_process DATABASE OUTSIDE NAME COUNT`; OUTSIDE is a file with a line for each effect.
"""

import asyncio
import os
import random
import sys
from contextlib import suppress
from pathlib import Path

from bot.db.database import Database
from bot.errors import QuarterdeckError
from bot.ops.engine import Engine
from bot.ops.executor import InProcessExecutor
from bot.ops.handler import Registry, Run
from bot.ops.model import OPEN, Json, Operation, Plan, Request, Status, Verdict
from bot.ops.store import Store
from bot.policy import Actor, seeded_rows
from tests.unit.engine_room import DEV, SRE, SRE2, Limits

LIMITS = Limits(lease_s=3, concurrency=4)
SERVICES = 5


class Append:
    """Its outside is a file to which one line is appended in one call; what stands there has been sent."""

    kind = "deploy"

    def __init__(self, outside: Path, name: str) -> None:
        self._outside = outside
        self._name = name

    async def plan(self, request: Request, requester: str) -> Plan:
        service = str(request.params["service"])
        content = {"service": service, "commit": "c" * 40}
        return Plan(request.environment, service, "ccccccc", (f"{request.environment}/{service}",), content)

    async def recheck(self, operation: Operation) -> str:
        return ""

    async def run(self, run: Run) -> Json:
        await run.checkpoint(intent=True)
        descriptor = os.open(self._outside, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{run.operation.id} {self._name}\n".encode())
        os.close(descriptor)
        await run.checkpoint(sent=True)
        await asyncio.sleep(0.005)
        return {"by": self._name}

    async def begun(self, run: Run) -> bool:
        return "intent" in run.operation.checkpoint

    async def dropped(self, run: Run, why: str) -> str:
        return "Nothing was written."

    async def resume(self, run: Run) -> Json | None:
        lines = self._outside.read_text().splitlines() if self._outside.exists() else []
        sent = any(line.startswith(f"{run.operation.id} ") for line in lines)
        return {"by": self._name, "found": True} if sent else None


async def work(database: Path, outside: Path, name: str, count: int) -> None:
    """Ask for so many operations by keys that every process uses, vote on all, and carry out whatever is there."""
    opened = await Database.open(database, exclusive=False)
    registry = Registry({"deploy": Append(outside, name)})
    store = Store(opened)
    engine = Engine(store=store, registry=registry, policy=seeded_rows())
    executor = InProcessExecutor(engine, registry, store, LIMITS, tick_s=0.02)
    await executor.start()
    choice = random.Random(name)
    numbers = list(range(count))
    choice.shuffle(numbers)
    for number in numbers:
        request = Request(f"shared-{number}", "deploy", "prod", {"service": f"s{number % SERVICES}"})
        operation = await engine.request(request, DEV)
        await asyncio.gather(*(_vote(engine, operation, actor) for actor in choice.sample([SRE, SRE2], 2)))
    while await engine.operations(statuses=OPEN, limit=1):
        for operation in await engine.operations(statuses=(Status.INTERRUPTED,)):
            with suppress(QuarterdeckError):  # the other one was faster
                await engine.close(operation.id, SRE, Status.FAILED, reason="Whoever ran it was killed.")
        await asyncio.sleep(0.02)
    await executor.close()
    await opened.close()


async def _vote(engine: Engine, operation: Operation, actor: Actor) -> None:
    with suppress(QuarterdeckError):
        await engine.vote(operation.id, actor, Verdict.APPROVE, digest=operation.digest)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
