"""Whether a decision still holds: asked before a start, and before a run goes on that was taken over.

Nothing is decided here from what cannot be told: then the answer is `Later`, which says what is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import QuarterdeckError, Undecided
from bot.ops.engine import Engine
from bot.ops.handler import Registry, Run
from bot.ops.model import Operation
from bot.ops.store import DEPLOYING

T = TypeVar("T")
Broken = Callable[[str], str]
"""Logs the exception being handled, under that headline; the reference that finds it."""

UNSENT = "Nothing was sent to the host."


class Later(Exception):
    """It cannot be told at the moment. The text says what is waited for; `meanwhile` what is known and what is not.

    `answered` says that nothing is silent or broken: whoever was asked is still at work on the answer.
    """

    def __init__(self, waits_for: str, why: str = "", *, meanwhile: str = "", answered: bool = False) -> None:
        super().__init__(waits_for)
        self.why = why
        self.meanwhile = meanwhile
        self.answered = answered

    def given_up(self, operation: Operation, after_s: float) -> str:
        """What is said once nobody waits any longer."""
        back = ", or roll back" if operation.kind in DEPLOYING else ", or close it"
        return f"{self.meanwhile} within {after_s:.0f} s: {self.why.rstrip('.')}. Look again{back}."


class Checks:
    """Asks engine and handlers. While a run is held back nothing is asked for longer than `within_s`."""

    def __init__(self, engine: Engine, registry: Registry, *, within_s: float, broken: Broken) -> None:
        self._engine = engine
        self._registry = registry
        self._within_s = within_s
        self._broken = broken

    async def before_start(self, operation: Operation) -> str:
        """Why policy, roles or the plan no longer hold; empty when they do.

        Raises:
            Later: it cannot be told at the moment.
        """
        return await self._answer(operation, "a check before the start", lambda: self._stale_because(operation))

    async def before_going_on(self, run: Run) -> str:
        """Why what was taken over ends as stale; empty when it goes on.

        What may be outside already is looked at whatever has changed, and a wish to cancel needs no decision.

        Raises:
            Later: it cannot be told at the moment, or its end cannot be told to those who wait for it.
        """
        operation = run.operation
        if operation.kind not in self._registry.kinds or run.cancel_requested.is_set():
            return ""
        handler = self._registry.of(operation.kind)
        if await self._answer(
            operation, "a look at what it has sent", lambda: handler.begun(run), within_s=self._within_s,
            meanwhile="Whether anything was sent to the host could not be told",
        ):  # fmt: skip
            return ""
        why = await self._answer(
            operation, "a check before it goes on", lambda: self._stale_because(operation), within_s=self._within_s,
            meanwhile=f"{UNSENT} It could not be checked whether the decision still holds",
        )  # fmt: skip
        if not why:
            return ""
        left = await self._answer(
            operation, "its end as stale", lambda: handler.dropped(run, why), within_s=self._within_s,
            meanwhile=f"{UNSENT} The decision no longer holds: {why} It could not be ended as stale",
        )  # fmt: skip
        return f"{why} {left}".rstrip()

    async def has_begun(self, run: Run) -> bool:
        """Whether something of it is known to be outside, or to may be; False also where that cannot be told."""
        operation = run.operation
        ask = self._answer(operation, "a look at what it has sent", lambda: self._begun(run), within_s=self._within_s)
        try:
            return await ask
        except Later:
            return False

    async def _begun(self, run: Run) -> bool:
        return await self._registry.of(run.operation.kind).begun(run)

    async def _stale_because(self, operation: Operation) -> str:
        why = await self._engine.stale_because(operation)
        return why or await self._registry.of(operation.kind).recheck(operation)

    async def _answer(
        self,
        operation: Operation,
        what: str,
        ask: Callable[[], Awaitable[T]],
        *,
        within_s: float | None = None,
        meanwhile: str = "",
    ) -> T:
        try:
            async with asyncio.timeout(within_s) as limit:
                return await ask()
        except QuarterdeckError as error:
            answered = isinstance(error, Undecided)
            raise Later(f"{what}: {error}", str(error), meanwhile=meanwhile, answered=answered) from error
        except Exception as error:
            if limit.expired():
                why = f"there was no answer within {within_s} s"
                raise Later(f"{what}: {why}", why, meanwhile=meanwhile) from error
            reference = self._broken(f"the check before operation {operation.id} broke")
            why = f"the check broke (reference {reference})"
            raise Later(f"{what}, which broke (reference {reference})", why, meanwhile=meanwhile) from error
