"""The list of the world's parts as the page shows it, and the refusals that belong to parts which are not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.sandbox.wire import Rejected

Kind = Literal["fake", "real", "absent"]
ABSENT: Mapping[str, str] = {
    "terraform": "not part of this world yet: the infrastructure commands will bring it",
    "prometheus": "not part of this world yet: the alert commands will bring it",
    "alertmanager": "not part of this world yet: the alert commands will bring it",
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
