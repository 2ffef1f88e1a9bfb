"""Runs what is approved: one loop looks at the rows and starts, resumes, stops and expires; each in its own task.

The truth is in the rows: a crash at any line leaves `running` rows, and the next start re-attaches to them. What has
not begun outside by then must hold as before a start: any time may have passed since somebody decided on it. The seam
for a queue of workers is `Executor.wake`: whoever writes an approved row only has to say that there is one.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection

from bot.errors import QuarterdeckError
from bot.logs import bound
from bot.metrics import Metrics
from bot.ops.checks import Checks, Later
from bot.ops.engine import Engine
from bot.ops.execution import BOT, Execution
from bot.ops.handler import Cancelled, Failed, Interrupted, Registry
from bot.ops.lineup import Standing, Turn, line_up
from bot.ops.model import FINAL, Json, Operation, Status
from bot.ops.sentences import moment
from bot.ops.store import Scene, Store

RETRY_S = 5.0
"""So long nothing is tried again after it could not be checked or written."""
DRAIN_S = 5.0
"""So long `close` waits for handlers to let go."""

log = logging.getLogger(__name__)


class Limits(Protocol):
    """How long things may wait; the settings' `limits` are of this shape."""

    @property
    def approved_to_start_s(self) -> int: ...
    @property
    def lease_s(self) -> int: ...
    @property
    def cancel_confirm_s(self) -> int: ...
    @property
    def concurrency(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: Status
    reason: str = ""
    log_tail: str = ""
    result: Json | None = None


class InProcessExecutor:
    """Carries operations out in this process. `tick_s` is how often it looks when nobody wakes it."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        store: Store,
        limits: Limits,
        *,
        metrics: Metrics | None = None,
        tick_s: float = 1.0,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._store = store
        self._limits = limits
        self._metrics = metrics or Metrics()
        self._tick_s = tick_s
        self._checks = Checks(engine, registry, within_s=limits.cancel_confirm_s, broken=self._broken)
        self._owner = secrets.token_hex(8)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._executions: dict[int, Execution] = {}
        self._not_before: dict[int, datetime] = {}
        self._renew_at = store.now()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def running(self) -> frozenset[int]:
        """The operations that have a task here: being checked, started or run."""
        return frozenset(self._tasks)

    async def start(self) -> None:
        """Re-attach to every `running` row (whoever ran it is gone: the database's lock is ours), then begin to look.

        Raises:
            Unavailable: the database cannot be read.
        """
        scene = await self._store.database.read(self._store.scene)
        for standing in scene.running:
            self._carry(standing.id, self._resume)
        self._engine.on_change(self._heard)
        self._loop = asyncio.create_task(self._look_for_ever(), name="executor")

    async def close(self) -> None:
        """Start nothing more and let go of what runs: outside work goes on, rows stay `running` for the next start."""
        self._closing = True
        tasks = [task for task in (self._loop, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=DRAIN_S)
            for task in left:
                log.warning("a handler did not let go in time", extra={"task": task.get_name()})

    def wake(self) -> None:
        """Look at the rows now."""
        self._wake.set()

    def _heard(self, operation: Operation) -> None:
        progress = operation.status is Status.RUNNING and operation.id in self._tasks
        if operation.status is not Status.PENDING and (not progress or operation.cancel_requested_at is not None):
            self._wake.set()

    # ---- the loop ----------------------------------------------------------------------------------------------

    async def _look_for_ever(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                await self._look()
            except QuarterdeckError as error:
                log.warning("the executor could not look at the rows: %s", error)
            except Exception:
                self._broken("the executor broke while it looked at the rows")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s):
                    await self._wake.wait()

    async def _look(self) -> None:
        """One pass: expire, renew, resume, stop, start; each decided from the rows as they stand."""
        await self._engine.expire(approved_to_start_s=self._limits.approved_to_start_s)
        await self._renew_leases()
        scene = await self._store.database.read(self._store.scene)
        self._count(scene)
        now = self._store.now()
        for standing in scene.running:
            if standing.id not in self._tasks and self._may_adopt(standing, now):
                self._carry(standing.id, self._resume)
            elif standing.cancel_requested_at is not None and standing.id in self._executions:
                await self._stop(self._executions[standing.id], standing.cancel_requested_at, now)
        await self._line_up(scene, now)

    async def _renew_leases(self) -> None:
        now = self._store.now()
        if self._executions and now >= self._renew_at:
            until = now + timedelta(seconds=self._limits.lease_s)
            await self._store.database.write(lambda c: self._store.renew_leases(c, self._owner, until))
            self._renew_at = now + timedelta(seconds=self._limits.lease_s / 3)

    def _may_adopt(self, standing: Standing, now: datetime) -> bool:
        """A row that runs nowhere: handed back by a person, dropped by a broken write, or its lease is over."""
        free = standing.lease_owner in ("", self._owner) or standing.lease_until is None or standing.lease_until < now
        return free and self._is_time(standing.id, now)

    async def _stop(self, execution: Execution, asked_at: datetime, now: datetime) -> None:
        """Pass the wish on; without a confirmation in time, what the outside does is unknown."""
        execution.cancel_requested.set()
        confirm_s = self._limits.cancel_confirm_s
        if now < max(asked_at, execution.began_at) + timedelta(seconds=confirm_s):
            return
        seen = execution.operation.waiting_for or "The outside has not confirmed that."
        why = f"It was asked to stop at {moment(asked_at)}, and {confirm_s} s later is not known to be over. {seen}"
        task = self._tasks.get(execution.operation.id)
        await self._end(execution, _Outcome(Status.INTERRUPTED, why))
        if task is not None:  # it may have come to its own end in that moment
            task.cancel()

    async def _line_up(self, scene: Scene, now: datetime) -> None:
        begun = frozenset(standing.id for standing in scene.waiting if standing.id in self._tasks)
        free = self._limits.concurrency - len(self._tasks)
        held_back = frozenset(s.id for s in scene.waiting if s.id not in begun and not self._is_time(s.id, now))
        turns = line_up(scene.waiting, scene.holders, begun=begun, free_slots=free, held_back=held_back)
        for turn in turns:
            if turn.starts:
                self._carry(turn.operation.id, self._begin)
        await self._say_why(
            [turn for turn in turns if not turn.starts and turn.waiting_for != turn.operation.waiting_for]
        )

    async def _say_why(self, turns: list[Turn]) -> None:
        if not turns:
            return

        def write(connection: Connection) -> list[Operation | None]:
            return [self._store.queue_up(connection, turn.operation.id, turn.waiting_for) for turn in turns]

        for operation in await self._store.database.write(write):
            if operation is not None:
                self._engine.changed(operation)

    # ---- one operation -----------------------------------------------------------------------------------------

    def _carry(self, operation_id: int, work: Callable[[int], Awaitable[None]]) -> None:
        async def carried() -> None:
            try:
                await work(operation_id)
            except QuarterdeckError as error:
                log.warning("operation %s is tried again: %s", operation_id, error)
                self._hold_back(operation_id)
            except Exception:
                self._broken(f"the executor broke at operation {operation_id}")
                self._hold_back(operation_id)

        task = asyncio.create_task(carried(), name=f"operation-{operation_id}")
        self._tasks[operation_id] = task
        task.add_done_callback(lambda _: self._let_go(operation_id))

    def _let_go(self, operation_id: int) -> None:
        self._tasks.pop(operation_id, None)
        self._executions.pop(operation_id, None)
        self._wake.set()

    async def _begin(self, operation_id: int) -> None:
        """Check once more, take the locks and the row in one transaction, and run."""
        operation = await self._engine.operation(operation_id)
        if operation.status is not Status.APPROVED or not await self._still_holds(operation):
            return
        started = await self._store.database.write(lambda connection: self._start(connection, operation_id))
        if started is None:  # cancelled meanwhile, or its locks are not free after all: the next look will tell
            self._hold_back(operation_id)
            return
        self._engine.changed(started)
        with self._executing(started) as execution:
            await self._run(execution, resumes=False)

    async def _still_holds(self, operation: Operation) -> bool:
        try:
            why = await self._checks.before_start(operation)
        except Later as later:
            await self._wait(operation, str(later))
            return False
        if not why:
            return True
        stale = await self._store.database.write(
            lambda connection: self._store.transition(
                connection,
                operation.id,
                Status.STALE,
                actor=BOT,
                text=why,
                reason=why,
                ended_at=self._store.now(),
                waiting_for="",
            )
        )
        if stale is not None:
            self._engine.changed(stale)
        return False

    async def _wait(self, operation: Operation, why: str) -> None:
        """Try again a little later; the time until it must have started goes on."""
        self._hold_back(operation.id)
        changed = await self._store.database.write(
            lambda connection: self._store.hold_back(connection, operation.id, why)
        )
        if changed is not None:
            self._engine.changed(changed)

    def _start(self, connection: Connection, operation_id: int) -> Operation | None:
        operation = self._store.get(connection, operation_id)
        if operation is None or operation.status is not Status.APPROVED:
            return None
        if not self._store.take_locks(connection, operation):
            return None
        return self._store.transition(
            connection,
            operation_id,
            Status.RUNNING,
            actor=BOT,
            text="It started.",
            started_at=self._store.now(),
            waiting_for="",
            startable_since=None,
            **self._lease(),
        )

    async def _resume(self, operation_id: int) -> None:
        """Take over a row that runs nowhere, and let its handler re-attach."""
        taken = await self._store.database.write(
            lambda connection: self._store.change(connection, operation_id, (Status.RUNNING,), **self._lease())
        )
        if taken is None:
            return
        with self._executing(taken) as execution:
            if await self._may_go_on(execution):
                await self._run(execution, resumes=True)

    async def _may_go_on(self, execution: Execution) -> bool:
        """Whether what was taken over goes on. False: it has ended, or is taken over again a little later."""
        try:
            why = await self._checks.before_going_on(execution)
        except Later as later:
            if not execution.cancel_requested.is_set():  # asked for meanwhile: that needs no decision
                await self._held_back(execution, later)
                return False
            why = ""
        await execution.goes_on()
        if why:
            await self._end(execution, _Outcome(Status.STALE, why))
        return not why

    async def _held_back(self, execution: Execution, later: Later) -> None:
        """Try again a little later; but whoever holds locks and cannot go on is no longer waited for than anybody
        waits for an outside that does not confirm a stop: then a human decides, and others may take the locks over.
        What is still being worked out, such as checks that run, is waited for as before a start.
        """
        operation = execution.operation
        limit_s = self._limits.approved_to_start_s if later.answered else self._limits.cancel_confirm_s
        since = operation.startable_since or execution.began_at
        if self._store.now() < since + timedelta(seconds=limit_s):
            self._hold_back(operation.id)
            await execution.held_back(str(later), since)
            return
        await self._end(execution, _Outcome(Status.INTERRUPTED, later.given_up(operation, limit_s)))

    def _lease(self) -> dict[str, Any]:
        until = self._store.now() + timedelta(seconds=self._limits.lease_s)
        return {"lease_owner": self._owner, "lease_until": until}

    @contextmanager
    def _executing(self, operation: Operation) -> Iterator[Execution]:
        """The execution of a row whose lease is ours; wishes to cancel reach it from here on."""
        execution = Execution(self._store, operation, owner=self._owner, changed=self._engine.changed)
        self._executions[operation.id] = execution
        with bound(operation_id=operation.id, actor=operation.requester):
            yield execution

    async def _run(self, execution: Execution, *, resumes: bool) -> None:
        log.info("operation %s", "resumed" if resumes else "started", extra={"kind": execution.operation.kind})
        await self._end(execution, await self._outcome(execution, resumes=resumes))

    async def _outcome(self, execution: Execution, *, resumes: bool) -> _Outcome:
        """Let the handler work and say what its end means."""
        try:
            handler = self._registry.of(execution.operation.kind)
            result = await (handler.resume(execution) if resumes else handler.run(execution))
        except Failed as end:
            return _Outcome(Status.FAILED, str(end), end.log_tail, end.result)
        except Cancelled as end:
            return _Outcome(Status.CANCELLED, str(end), result=end.result)
        except Interrupted as end:
            return _Outcome(Status.INTERRUPTED, str(end))
        except QuarterdeckError as error:
            return _Outcome(Status.INTERRUPTED, f"{error} What was done outside is not known.")
        except Exception:
            reference = self._broken("a handler broke")
            why = f"Something broke inside Quarterdeck (reference {reference}). What was done outside is not known."
            return _Outcome(Status.INTERRUPTED, why)
        if result is None:
            why = "After a restart, what it had begun outside could not be found again: somebody must look."
            return _Outcome(Status.INTERRUPTED, why)
        return _Outcome(Status.SUCCEEDED, result=result)

    async def _end(self, execution: Execution, outcome: _Outcome) -> None:
        """Write the outcome. What took locks over and has not begun outside says nothing about what they protect."""
        took_over = bool(execution.operation.takes_over) and outcome.status is not Status.SUCCEEDED
        begun = not took_over or await self._checks.has_begun(execution)
        if not await execution.end(
            outcome.status, reason=outcome.reason, log_tail=outcome.log_tail, result=outcome.result, begun=begun
        ):
            return
        operation = execution.operation
        log.info("operation %s", outcome.status, extra={"reason": outcome.reason})
        labels = (operation.kind, operation.environment)
        self._metrics.operations_ended.labels(*labels, outcome.status).inc()
        if operation.status in FINAL and operation.started_at and operation.ended_at:
            seconds = (operation.ended_at - operation.started_at).total_seconds()
            self._metrics.operation_seconds.labels(*labels).observe(seconds)

    # ---- small things ------------------------------------------------------------------------------------------

    def _hold_back(self, operation_id: int) -> None:
        self._not_before[operation_id] = self._store.now() + timedelta(seconds=RETRY_S)

    def _is_time(self, operation_id: int, now: datetime) -> bool:
        if self._not_before.get(operation_id, now) > now:
            return False
        self._not_before.pop(operation_id, None)
        return True

    def _broken(self, what: str) -> str:
        """Log the exception being handled; the reference finds it."""
        reference = secrets.token_hex(4)
        self._metrics.broken.inc()
        log.exception(what, extra={"reference": reference})
        return reference

    def _count(self, scene: Scene) -> None:
        gauge = self._metrics.operations_open
        gauge.labels(Status.APPROVED).set(len(scene.waiting))
        gauge.labels(Status.RUNNING).set(len(scene.running))
        gauge.labels(Status.INTERRUPTED).set(len(scene.interrupted))
