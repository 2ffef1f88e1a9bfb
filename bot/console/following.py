"""Watching an operation from the command line until it is over: each line of its record as it is written. Of somebody
else's operation that one may not look at only the state is said, and how many lines were left out.

Ending the watch ends nothing else: Ctrl-C, SIGTERM and the time limit leave the operation as it is, and say so.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

from bot.console.carrying import Carrier, carrying
from bot.console.exits import Exit
from bot.console.paper import fields_of
from bot.console.session import Session
from bot.db.opening import Holder
from bot.errors import Unavailable
from bot.ops.model import FINAL, Event, Operation, Status
from bot.ui.details import details_text, log_text
from bot.ui.text import clean, counted

LOOK_S = 0.3
EVENTS_AT_ONCE = 200
TEXT_LIMIT = 4000
_MACHINERY = frozenset({"run.checkpointed"})
"""Lines of the record that say nothing to people."""


class Watch(Enum):
    """How watching an operation ended."""

    OVER = auto()
    TIMED_OUT = auto()
    BROKEN_OFF = auto()


class Follower:
    """Follows one operation for whoever sits there; `timeout_s` None: for as long as it takes."""

    def __init__(self, session: Session, operation: Operation, *, timeout_s: float | None) -> None:
        self._core = session.core
        self._paper = session.paper
        self._operation = operation
        own = operation.requester == session.actor.name
        self._may_look = own or self._core.lookout.sight(session.actor).covers(operation.environment)
        self._hidden = 0
        self._took_over = False
        self._timeout_s = timeout_s
        self._seen = 0
        self._waited_for = ""
        self._behind: Holder | None = None

    async def follow(self) -> Exit:
        """Print what happens, carry the operation out if nobody else does, and say how it ended."""
        watch = await self.watch()
        return self._not_over(watch) if watch is not Watch.OVER else self._over()

    async def watch(self) -> Watch:
        """Print what happens and carry the operation out if nobody else does, until it is over or the watch ends."""
        carrier = Carrier(self._core, self._operation.id)
        stop = asyncio.Event()
        try:
            with _ended_by_signals(stop):
                watch = await self._until_over(carrier, stop)
        finally:
            await carrier.close()
        if self._hidden:
            lines = counted(self._hidden, "line")
            self._paper.tell(f"{lines} of the record of {self._operation.short_id} you may not see.")
        return watch

    async def _until_over(self, carrier: Carrier, stop: asyncio.Event) -> Watch:
        loop = asyncio.get_running_loop()
        end = None if self._timeout_s is None else loop.time() + self._timeout_s
        while not stop.is_set():
            with suppress(Unavailable):  # a busy database: the rows will be there at the next look
                await self._look()
                if self._operation.status in FINAL or self._operation.status is Status.INTERRUPTED:
                    return Watch.OVER
                if await carrier.look(self._operation) and not self._took_over:
                    self._took_over = True
                    self._paper.tell(
                        "No bot lives here: this command carries it out. Ctrl-Z does not stop it meanwhile."
                    )
                self._tell_behind(carrier.behind)
            if end is not None and loop.time() >= end:
                return Watch.TIMED_OUT
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()
        return Watch.BROKEN_OFF

    def _tell_behind(self, other: Holder | None) -> None:
        if other is not None and other != self._behind:
            self._paper.tell(
                f"No bot lives here, and another {other.named} carries its own line out: when that has ended, this "
                "command takes over, unless a bot has started by then."
            )
        self._behind = other

    async def _look(self) -> None:
        self._operation = await self._core.engine.operation(self._operation.id)
        events = await self._core.engine.events(self._operation.id, limit=EVENTS_AT_ONCE)
        for event in reversed(events):
            if event.id > self._seen:
                self._seen = event.id
                self._tell(event)
        if self._operation.waiting_for not in ("", self._waited_for) and self._may_look:
            self._paper.tell(f"          waits for {clean(self._operation.waiting_for)}")
        self._waited_for = self._operation.waiting_for

    def _tell(self, event: Event) -> None:
        if event.name in _MACHINERY:
            return
        if self._may_look:
            self._paper.tell(f"{event.at:%H:%M:%S}  {clean(event.text)}")
        else:
            self._hidden += 1

    def _over(self) -> Exit:
        operation = self._operation
        self._record()
        if operation.status is Status.SUCCEEDED:
            self._paper.say(f"{operation.short_id} succeeded.")
            return Exit.DONE
        if operation.log_tail and self._may_look and not self._paper.as_json:
            self._paper.show(log_text(operation, TEXT_LIMIT))
        after = next_step(operation)
        why = f": {clean(operation.reason)}" if operation.reason and self._may_look else "."
        self._paper.say(f"{operation.short_id} {operation.status}{why}" + (f"\n{after}" if after else ""))
        return Exit.FAILED

    def _not_over(self, watch: Watch) -> Exit:
        operation = self._operation
        self._record()
        why = "You ended the wait" if watch is Watch.BROKEN_OFF else "The time to wait is over"
        goes_on = carrying(self._core).sentence
        self._paper.say(f"{why}; {operation.short_id} is {operation.status}, and {goes_on}. {look_again(operation)}")
        return Exit.NOT_OVER

    def _record(self) -> None:
        operation = self._operation
        self._paper.record(fields_of(operation) if self._may_look else {"id": operation.id, "status": operation.status})


def next_step(operation: Operation) -> str:
    """What to do about an operation that needs somebody; empty when there is nothing."""
    if operation.status is Status.INTERRUPTED:
        number = operation.id
        return (
            f"It keeps its locks. Look again: quarterdeck ops resume {number}. "
            f"End it: quarterdeck ops close {number} --reason ..."
        )
    return ""


def look_again(operation: Operation) -> str:
    return f"See: quarterdeck ops show {operation.id}"


def introduction(operation: Operation) -> str:
    """What was asked for, in full, as Discord's markup."""
    return details_text(operation, TEXT_LIMIT)


@contextmanager
def _ended_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the wait instead of the process."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
