"""The contract between the core and what is done: one handler a kind of operation, and the `Run` that it works with."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from bot.errors import QuarterdeckError, Refused
from bot.ops.model import Json, Operation, Plan, Request, StepState


class Failed(QuarterdeckError):
    """The run ended without success: the operation becomes `failed`. `log_tail` is foreign text."""

    def __init__(self, reason: str, *, log_tail: str = "", result: Json | None = None) -> None:
        super().__init__(reason)
        self.log_tail = log_tail
        self.result: Json = result or {}


class Interrupted(QuarterdeckError):
    """What the outside did cannot be known: `interrupted`, locks kept, a human must look."""


class Cancelled(QuarterdeckError):
    """The outside has confirmed that it stopped: `cancelled`. The text says what was and was not done."""

    def __init__(self, reason: str, *, result: Json | None = None) -> None:
        super().__init__(reason)
        self.result: Json = result or {}


class Run(Protocol):
    """One execution of an operation, as its handler sees it. Every call is in the database before it returns."""

    @property
    def operation(self) -> Operation:
        """The row as it stands now (checkpoint and steps included)."""
        ...

    @property
    def cancel_requested(self) -> asyncio.Event:
        """Set once somebody asked to cancel. The handler stops the outside work, verifies, and raises `Cancelled`."""
        ...

    async def step(self, name: str, state: StepState, text: str = "") -> None:
        """Add the step or change it; starting and ending times are kept by name."""
        ...

    async def waiting(self, why: str) -> None:
        """Say on the card what the run waits for (`GitHub asks us to wait 60 s`); empty when it goes on."""
        ...

    async def checkpoint(self, **values: object) -> None:
        """Merge into the row's checkpoint. Save an outside id BEFORE waiting on the outside."""
        ...

    async def shown(self, **values: object) -> None:
        """Merge facts of the moment into what the card shows; they are no part of what was approved."""
        ...

    async def note(self, text: str) -> None:
        """Append one event to the operation's record."""
        ...


class Handler(Protocol):
    """One kind of operation."""

    kind: str

    async def plan(self, request: Request, requester: str) -> Plan:
        """Look, change nothing, and say what would be done.

        Raises:
            Refused: bad input; the sentence says what is wrong and what to do.
            Unavailable: something needed could not be read.
        """
        ...

    async def recheck(self, operation: Operation) -> str:
        """Right before the start: why this plan is stale, in a sentence; empty when it still holds.

        Asked again of a run that is taken over, as long as it has not `begun`.
        """
        ...

    async def run(self, run: Run) -> Json:
        """Do it, and return the result.

        Raises:
            Failed, Interrupted, Cancelled: as their names say.
        """
        ...

    async def begun(self, run: Run) -> bool:
        """Whether something that cannot be taken back may be outside already: then re-attaching comes first.

        While it has not, whoever takes the run over asks first whether the decision still holds (`recheck`).
        """
        ...

    async def dropped(self, run: Run, why: str) -> str:
        """The run ends as stale before it has `begun`: tell whom it told; a sentence on what is left outside."""
        ...

    async def resume(self, run: Run) -> Json | None:
        """Re-attach after a crash by what the checkpoint holds, and go on to the end; None: a human must look."""
        ...


class Registry:
    """The handlers by kind."""

    def __init__(self, handlers: Mapping[str, Handler] | None = None) -> None:
        self._handlers = dict(handlers or {})

    def add(self, handler: Handler) -> None:
        self._handlers[handler.kind] = handler

    def of(self, kind: str) -> Handler:
        """The handler of that kind.

        Raises:
            Refused: this installation knows no such kind.
        """
        try:
            return self._handlers[kind]
        except KeyError:
            raise Refused(f"This installation does not know operations of the kind {kind}.") from None

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._handlers)
