"""Carrying out what was asked for when no bot lives: one operation and its line, and nothing else of the database.

Whoever holds the lock beside the database file carries operations out. As long as that is a bot, a command only writes
rows and watches. Another command carries out its own line alone: ours is taken over once that one has ended. When the
lock is free, it is taken for as long as the own operation needs somebody, and given back.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.db.opening import FileLock, Holder, InUse, Role, holder_of
from bot.groundwork import Core, card_channels
from bot.ops.executor import InProcessExecutor
from bot.ops.lineup import Standing
from bot.ops.model import Operation, Status
from bot.ops.store import Scene, Store

GRACE_S = 5.0
"""So long a lock that was held must have been free before we take it: a bot that is started again comes first."""


class LineOfOne(Store):
    """The store as an executor sees it that looks after one operation: its line, and who stands in its way.

    Whatever holds or awaits one of its locks belongs to its line and is carried on as well, in the usual order: what
    a bot that died left running must come to its end before anything else may touch the same service.
    """

    def __init__(self, store: Store, *, channels: dict[str, int], operation_id: int) -> None:
        super().__init__(store.database, channels=channels, now=store.now, clean=store.clean)
        self._operation_id = operation_id

    def scene(self, connection: Connection) -> Scene:
        """The scene without the operations of other lines."""
        whole = super().scene(connection)
        ours = next((s for s in (*whole.waiting, *whole.running) if s.id == self._operation_id), None)
        wanted = frozenset(ours.locks) if ours else frozenset[str]()

        def in_line(standing: Standing) -> bool:
            return ours is not None and (standing.id == ours.id or not wanted.isdisjoint(standing.locks))

        return Scene(
            waiting=tuple(filter(in_line, whole.waiting)),
            running=tuple(filter(in_line, whole.running)),
            interrupted=tuple(filter(in_line, whole.interrupted)),
            holders=whole.holders,
        )


class Carrier:
    """Sees to it that somebody carries the operation out: a living bot, or this process."""

    def __init__(self, core: Core, operation_id: int, *, grace_s: float = GRACE_S) -> None:
        self._core = core
        self._operation_id = operation_id
        self._grace_s = grace_s
        self._lock: FileLock | None = None
        self._executor: InProcessExecutor | None = None
        self._free_since: float | None = None
        self._was_held = False
        self.behind: Holder | None = None
        """The other command that had the lock at the last look; None: nobody had it, or a bot."""

    @property
    def ourselves(self) -> bool:
        """Whether this process carries it out."""
        return self._executor is not None

    def could_carry(self, operation: Operation) -> bool:
        """Whether it needs somebody, and is something that can be done without a bot (reading its file anew is not)."""
        return operation.kind in self._core.registry.kinds and _needs_somebody(operation, self._core.store)

    async def look(self, operation: Operation) -> bool:
        """Take over if the operation needs somebody and nobody is there; whether that has just begun.

        Raises:
            Unavailable: the rows cannot be read.
        """
        if self._executor is not None or not self.could_carry(operation):
            return False
        self._lock = self._taken()
        if self._lock is None:
            return False
        executor = self._new_executor()
        try:
            await executor.start()
        except BaseException:  # whoever looks next, here or elsewhere, finds the lock free
            await executor.close()
            self._lock.release()
            self._lock = None
            raise
        self._executor = executor
        return True

    async def close(self) -> None:
        """Let go of what runs outside, as a bot that is stopped does, and of the lock."""
        if self._executor is not None:
            await self._executor.close()
            self._executor = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _taken(self) -> FileLock | None:
        holder, now = holder_of(self._core.settings.database_file), time.monotonic()
        self.behind = holder if holder is not None and holder.role is Role.CARRIER else None
        if holder is not None:
            self._was_held, self._free_since = True, None
            return None
        if self._free_since is None:
            self._free_since = now
        if self._was_held and now - self._free_since < self._grace_s:
            return None
        try:
            return FileLock.take(self._core.settings.database_file, Role.CARRIER)
        except InUse:  # somebody was faster; the next look says who
            return None

    def _new_executor(self) -> InProcessExecutor:
        core = self._core
        store = LineOfOne(core.store, channels=card_channels(core.settings), operation_id=self._operation_id)
        return InProcessExecutor(core.engine, core.registry, store, core.settings.limits, metrics=core.metrics)


@dataclass(frozen=True, slots=True)
class Carrying:
    """Who carries operations out now: a bot all of them, another command its own line, or nobody."""

    holder: Holder | None

    @property
    def by_bot(self) -> bool:
        """Whether a bot lives, which carries out whatever is written."""
        return self.holder is not None and self.holder.role is Role.BOT

    @property
    def other(self) -> str:
        """The other command, as it is called in a sentence; empty when there is none."""
        return f"another {self.holder.named}" if self.holder is not None and not self.by_bot else ""

    @property
    def sentence(self) -> str:
        """What that means for an operation that this command leaves as it is; begins small, without a full stop."""
        if self.by_bot:
            return "a bot goes on with it"
        if self.other:
            return f"{self.other} carries only its own line out; nobody else goes on with it until a bot starts"
        return "nobody carries it on until a bot starts"


def carrying(core: Core) -> Carrying:
    """Who carries operations out, seen without being taken for one of them.

    Raises:
        Unavailable: the lock cannot be looked at.
    """
    return Carrying(holder_of(core.settings.database_file))


def _needs_somebody(operation: Operation, store: Store) -> bool:
    """What waits for a vote needs no executor, until its time is over."""
    if operation.status in (Status.APPROVED, Status.RUNNING):
        return True
    over = operation.expires_at is not None and operation.expires_at <= store.now()
    return operation.status is Status.PENDING and over
