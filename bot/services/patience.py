"""Waiting on the outside, visibly: polls that survive an outage, say what they wait for, and end on a cancel."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.errors import NotVisible, Unavailable, Unknown
from bot.ops.handler import Run

T = TypeVar("T")
OUTAGE_PAUSE_S = 3.0
LOOKUP_S = 30.0
"""How long a request whose answer was lost is looked for before a human must look."""


class CancelAsked(Exception):
    """Somebody asked to cancel while we waited."""


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


async def persist(run: Run, ask: Callable[[], Awaitable[T]], *, refused_is_final: bool = True) -> T:
    """Ask until the service answers; while it does not, the card says why and since when we ask again.

    Raises:
        CancelAsked: somebody asked to cancel meanwhile.
        Unavailable: the service refused for good (a 4xx other than a rate limit).
        Unknown: the request may have been carried out; it is not sent again.
    """
    said = False
    while True:
        try:
            answer = await ask()
        except Unknown:
            raise
        except Unavailable as error:
            limited = error.retry_after_s is not None
            final = error.status is not None and error.status < 500 and not limited
            if final and refused_is_final and (isinstance(error, NotVisible) or error.status not in (408, 429)):
                raise
            wait_s = error.retry_after_s or OUTAGE_PAUSE_S
            await run.waiting(f"{error} Asking again in {wait_s:.0f} s." if not limited else str(error))
            said = True
            await pause(run, wait_s)
            continue
        if said:
            await run.waiting("")
        return answer


async def look_for(
    ask: Callable[[], Awaitable[T | None]], *, seconds: float = LOOKUP_S, every_s: float = 1.0
) -> T | None:
    """Look for the trace of a request whose answer was lost; None: not found in that time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = await ask()
        except Unavailable:
            found = None
        if found is not None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(every_s)
