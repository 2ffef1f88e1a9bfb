"""Waiting on the outside, visibly: polls that survive an outage, say what they wait for, and end on a cancel."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import NotVisible, Unavailable, Unknown
from bot.ops.handler import Run
from bot.ops.model import Operation, StepState

T = TypeVar("T")
OUTAGE_PAUSE_S = 3.0
LOOKUP_S = 30.0
"""How long a request whose answer was lost is looked for, at a service that answers, before a human must look."""
LOOKUP_PAUSE_S = 1.0


class CancelAsked(Exception):
    """Somebody asked to cancel while we waited."""


class Unstoppable:
    """A run that goes on whatever is asked meanwhile: for what must not be left half done."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._never = asyncio.Event()

    @property
    def operation(self) -> Operation:
        return self._run.operation

    @property
    def cancel_requested(self) -> asyncio.Event:
        return self._never

    async def step(self, name: str, state: StepState, text: str = "") -> None:
        await self._run.step(name, state, text)

    async def waiting(self, why: str) -> None:
        await self._run.waiting(why)

    async def checkpoint(self, **values: object) -> None:
        await self._run.checkpoint(**values)

    async def shown(self, **values: object) -> None:
        await self._run.shown(**values)

    async def note(self, text: str) -> None:
        await self._run.note(text)


def heed(run: Run) -> None:
    """Right before something is sent that changes the outside: not once somebody has asked to cancel.

    Raises:
        CancelAsked: somebody has.
    """
    if run.cancel_requested.is_set():
        raise CancelAsked


async def pause(run: Run, seconds: float) -> None:
    """Sleep, unless somebody asks to cancel.

    Raises:
        CancelAsked: at once when the run is asked to stop.
    """
    try:
        async with asyncio.timeout(seconds):
            await run.cancel_requested.wait()
    except TimeoutError:
        return
    raise CancelAsked


async def persist(run: Run, ask: Callable[[], Awaitable[T]], *, until: float | None = None) -> T:
    """Ask until the service answers; while it does not, the card says why and since when we ask again.

    With `until` (of `time.monotonic`) what is asked for is known to be there: a refusal, too, may pass until then.

    Raises:
        CancelAsked: somebody asked to cancel meanwhile.
        Unavailable: the service refused for good (a 4xx other than a rate limit), or `until` is over.
        Unknown: the request may have been carried out; it is not sent again.
    """
    said = False
    while True:
        try:
            answer = await ask()
        except Unknown:
            raise
        except Unavailable as error:
            if _final(error) if until is None else time.monotonic() > until:
                raise
            limited = error.retry_after_s is not None
            wait_s = error.retry_after_s or OUTAGE_PAUSE_S
            await run.waiting(f"{error} Asking again in {wait_s:.0f} s." if not limited else str(error))
            said = True
            await pause(run, wait_s)
            continue
        if said:
            await run.waiting("")
        return answer


def _final(error: Unavailable) -> bool:
    """Whether asking again would only be refused again."""
    if error.status is None or error.status >= 500 or error.retry_after_s is not None:
        return False
    return isinstance(error, NotVisible) or error.status not in (408, 429)


async def look_for(
    run: Run, ask: Callable[[], Awaitable[T | None]], *, of: str, within_s: float = LOOKUP_S
) -> T | None:
    """Look for the trace of a request whose answer was lost; None: the service answered, and it has none.

    While the service does not answer, nothing is known of the trace: that time does not count, and the card says so.
    What does count is kept under the name `of`, so that a bot that is restarted again and again comes to an end, too;
    whoever is asked to look again after that end begins anew.
    A request of long ago shows at once: `within_s=0` asks until there is one answer.
    """
    kept = f"sought_{of}_s"
    sought_s = float(run.operation.shown.get(kept, 0.0))
    while True:
        try:
            found = await ask()
        except Unavailable as error:
            await run.waiting(f"{error} Whether the request before was carried out is not known yet.")
            await asyncio.sleep(error.retry_after_s or OUTAGE_PAUSE_S)
            continue
        if found is not None or sought_s >= within_s:
            if sought_s:
                await run.shown(**{kept: 0.0})
            await run.waiting("")
            return found
        await run.waiting("Whether the request before was carried out is not known: looking for its trace.")
        await asyncio.sleep(LOOKUP_PAUSE_S)
        sought_s += LOOKUP_PAUSE_S
        await run.shown(**{kept: sought_s})
