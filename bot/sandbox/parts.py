"""The world's parts as the page lists them, and how they are opened: side by side, each failure in one sentence."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.sandbox.wire import Rejected

Kind = Literal["fake", "real", "absent"]
ABSENT: Mapping[str, str] = {
    "terraform": "not part of this world yet: the infrastructure commands will bring it",
}


class NotUp(Rejected):
    """The part that was asked for is still starting."""

    status = 503


class PartFailed(Exception):
    """A part of the world could not be started; the world ends."""

    def __init__(self, part: str, error: Exception) -> None:
        super().__init__(f"the {part} part could not be started: {error or type(error).__name__}")


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the page's list of parts."""

    name: str
    kind: Kind
    url: str = ""
    detail: str = "starting"
    pid: int | None = None


async def bordered(name: str, opening: Coroutine[Any, Any, None]) -> None:
    """The border of the world's start: whatever a part cannot do becomes one sentence that names the part.

    Raises:
        PartFailed: instead of any other exception.
    """
    try:
        await opening
    except Exception as error:
        raise PartFailed(name, error) from error


async def together(*opening: Coroutine[Any, Any, None]) -> None:
    """Run them side by side; the first failure ends the others and is raised as itself.

    Raises:
        PartFailed: from one of them.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for one in opening:
                group.create_task(one)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
