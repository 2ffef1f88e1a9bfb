"""Carrying out what was asked for when no bot lives: one operation and its line, and nothing else of the database.

Whoever holds the lock beside the database file carries operations out. As long as that is a bot, a command only writes
rows and watches. Another command carries out its own line alone: ours is taken over once that one has ended. When the
lock is free, it is taken for as long as something of the own line can be done, and given back: a bot that starts waits
for it. For the same reason nobody puts a command to sleep that has it.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.db.opening import FileLock, Holder, InUse, Role, holder_of
from bot.groundwork import Core, card_channels
from bot.ops.executor import InProcessExecutor
from bot.ops.lineup import Standing, line_up
from bot.ops.model import Operation, Status
from bot.ops.store import Scene, Store

GRACE_S = 5.0
"""So long a lock that was held must have been free before we take it: a bot that is started again comes first."""
IDLE_S = 2.5
"""After so long without anything of the line at work the lock is given back: an executor has looked twice by then."""
AWAY_S = 5.0
"""So long the lock then stays free, whatever has changed: a bot that waits for it looks more often."""


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
        self._held: ExitStack | None = None
        self._executor: InProcessExecutor | None = None
        self._free_since: float | None = None
        self._was_held = False
        self._idle_since: float | None = None
        self._gave_back_at: float | None = None
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
        """Take over if the operation needs somebody and nobody is there; whether that has just begun. While it only
        waits, the lock is given back.

        Raises:
            Unavailable: the rows cannot be read.
        """
        if self._executor is not None:
            if self._only_waits(self._executor, operation):
                await self.close()
                self._gave_back_at = time.monotonic()
            return False
        if not self.could_carry(operation) or not await self._has_work():
            return False
        self._held = self._taken()
        if self._held is None:
            return False
        executor = InProcessExecutor(
            self._core.engine, self._core.registry, self._line(), self._core.settings.limits, metrics=self._core.metrics
        )
        try:
            await executor.start()
        except BaseException:  # whoever looks next, here or elsewhere, finds the lock free
            await executor.close()
            self._let_go()
            raise
        self._executor, self._idle_since = executor, None
        return True

    def _only_waits(self, executor: InProcessExecutor, operation: Operation) -> bool:
        """Whether nothing of the line has been at work for a while, such as behind an interrupted operation."""
        now = time.monotonic()
        if operation.status is not Status.APPROVED or executor.running:
            self._idle_since = None
            return False
        self._idle_since = now if self._idle_since is None else self._idle_since
        return now - self._idle_since >= IDLE_S

    async def _has_work(self) -> bool:
        """Whether something of the line runs, or can start; once the lock was given back nothing else is worth it."""
        if self._gave_back_at is None:
            return True
        if time.monotonic() - self._gave_back_at < AWAY_S:
            return False
        line = self._line()
        scene = await line.database.read(line.scene)
        turns = line_up(scene.waiting, scene.holders, begun=frozenset(), free_slots=1)
        return bool(scene.running) or any(turn.starts for turn in turns)

    async def close(self) -> None:
        """Let go of what runs outside, as a bot that is stopped does, and of the lock."""
        if self._executor is not None:
            await self._executor.close()
            self._executor = None
        self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _taken(self) -> ExitStack | None:
        holder, now = holder_of(self._core.settings.database_file), time.monotonic()
        self.behind = holder if holder is not None and holder.role is Role.CARRIER else None
        if holder is not None:
            self._was_held, self._free_since = True, None
            return None
        if self._free_since is None:
            self._free_since = now
        if self._was_held and now - self._free_since < self._grace_s:
            return None
        with ExitStack() as stack:
            stack.enter_context(_awake())
            try:
                stack.enter_context(FileLock.take(self._core.settings.database_file, Role.CARRIER))
            except InUse:  # somebody was faster; the next look says who
                return None
            return stack.pop_all()

    def _line(self) -> LineOfOne:
        core = self._core
        return LineOfOne(core.store, channels=card_channels(core.settings), operation_id=self._operation_id)


@contextmanager
def _awake() -> Iterator[None]:
    """Let the terminal not stop this process: one that sleeps would keep the lock, and nobody could start."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTSTP, signal.SIGTTOU)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
