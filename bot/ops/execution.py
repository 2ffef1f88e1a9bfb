"""One execution of an operation: the `Run` that a handler works with, written through to the row at every call.

The lease fences it: once another executor has taken the operation over, no call of this one changes anything.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.ops.handler import Interrupted
from bot.ops.model import Json, Operation, Status, StepState
from bot.ops.rows import ended_steps, merged, with_step
from bot.ops.store import Store

BOT = "bot"
"""The actor of what the machinery does by itself."""
LOG_TAIL_MAX = 8000
"""Characters of a failed step's log that are kept: its end."""


class Execution:
    """Implements `handler.Run`. `began_at` is when this execution, not the operation, began."""

    def __init__(self, store: Store, operation: Operation, *, owner: str, changed: Callable[[Operation], None]) -> None:
        self._store = store
        self._operation = operation
        self._owner = owner
        self._changed = changed
        self._cancel_requested = asyncio.Event()
        self.began_at: datetime = store.now()
        if operation.cancel_requested_at is not None:
            self._cancel_requested.set()

    @property
    def operation(self) -> Operation:
        return self._operation

    @property
    def cancel_requested(self) -> asyncio.Event:
        return self._cancel_requested

    async def step(self, name: str, state: StepState, text: str = "") -> None:
        """See `Run.step`."""

        def write(connection: Connection) -> Operation | None:
            steps = self._store.steps(connection, self._operation.id)
            before = next((step["state"] for step in steps if step["name"] == name), None)
            if before != state:
                said = f"{name}: {state}{', ' + text if text else ''}"
                self._record(connection, f"step.{state}", said, {"step": name})
            return self._change(connection, steps=with_step(steps, name, state, text, self._store.now()))

        await self._write(write)

    async def waiting(self, why: str) -> None:
        """See `Run.waiting`."""
        if why != self._operation.waiting_for:
            await self._write(lambda connection: self._change(connection, waiting_for=why))

    async def held_back(self, why: str, since: datetime) -> None:
        """Say what it waits for before it may go on, and since when: that outlives this execution."""
        await self._write(lambda connection: self._change(connection, waiting_for=why, startable_since=since))

    async def goes_on(self) -> None:
        """It is not held back, or no longer."""
        if self._operation.waiting_for or self._operation.startable_since is not None:
            await self._write(lambda connection: self._change(connection, waiting_for="", startable_since=None))

    async def checkpoint(self, **values: object) -> None:
        """See `Run.checkpoint`."""

        def write(connection: Connection) -> Operation | None:
            before = self._store.known(connection, self._operation.id).checkpoint
            self._record(connection, "run.checkpointed", f"Saved: {', '.join(values)}.", values)
            return self._change(connection, checkpoint=merged(before, values))

        await self._write(write)

    async def shown(self, **values: object) -> None:
        """See `Run.shown`."""

        def write(connection: Connection) -> Operation | None:
            before = self._store.known(connection, self._operation.id).shown
            return self._change(connection, shown=merged(before, values))

        await self._write(write)

    async def note(self, text: str) -> None:
        """See `Run.note`."""

        def write(connection: Connection) -> Operation | None:
            self._record(connection, "run.noted", text)
            return self._change(connection, waiting_for=self._operation.waiting_for)

        await self._write(write)

    async def end(
        self,
        status: Status,
        *,
        reason: str = "",
        log_tail: str = "",
        result: Json | None = None,
        begun: bool = True,
    ) -> bool:
        """Write how it ended; the locks go with it, unless nobody knows what the outside did. False: it had ended.

        What has not `begun` gives the locks that it took over back, or keeps in mind that it must.
        """
        now = self._store.now()
        unbegun_since = None if begun or status is not Status.INTERRUPTED else self._operation.startable_since or now

        def write(connection: Connection) -> Operation | None:
            steps = ended_steps(self._store.steps(connection, self._operation.id), status, now)
            operation = self._store.transition(
                connection,
                self._operation.id,
                status,
                actor=BOT,
                text=reason or f"It {status}.",
                owner=self._owner,
                reason=reason,
                log_tail=self._store.clean(log_tail)[-LOG_TAIL_MAX:],
                result=result or {},
                steps=steps,
                waiting_for="",
                startable_since=unbegun_since,
                ended_at=None if status is Status.INTERRUPTED else now,
                lease_owner="",
                lease_until=None,
            )
            if operation is not None and status is not Status.INTERRUPTED:
                self._store.let_locks_go(connection, operation, begun=begun)
            return operation

        operation = await self._store.database.write(write)
        if operation is None:
            return False
        self._operation = operation
        self._changed(operation)
        return True

    def _record(self, connection: Connection, name: str, text: str, data: Json | None = None) -> None:
        self._store.record(connection, name, BOT, text, operation_id=self._operation.id, data=data)

    def _change(self, connection: Connection, **changes: Any) -> Operation | None:
        return self._store.change(connection, self._operation.id, (Status.RUNNING,), owner=self._owner, **changes)

    async def _write(self, work: Callable[[Connection], Operation | None]) -> None:
        def fenced(connection: Connection) -> Operation:
            operation = work(connection)
            if operation is None:
                raise Interrupted(
                    f"{self._operation.short_id} is no longer run by this executor; nothing more was done."
                )
            return operation

        self._operation = await self._store.database.write(fenced)
        self._changed(self._operation)
