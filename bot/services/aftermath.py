"""What a rollout that did not simply succeed has come to: the script's own word, and what the host serves now.

Only two ends of the host's script are certain by themselves: it failed, or was cancelled before the switch, and says
that the version before serves. Of every other end nothing is told before the host has answered, and where the answer
does not settle it, a human must look. Nothing is asked here: pure reading of what SSM and the host have said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

from bot.clients.aws import Invocation
from bot.errors import QuarterdeckError
from bot.ops.handler import Cancelled, Failed, Interrupted
from bot.services.transcript import Transcript

EXIT_FAILED = 1
"""The script's exit code for: it failed, and the version before serves (infra/host/deploy)."""
EXIT_UNKNOWN = 2
"""The same for: switching back failed as well, look at the host."""
EXIT_CANCELLED = 3
"""The same for: cancelled before the switch, and the version before serves."""
TIME_LIMITS = ("TimedOut", "ExecutionTimedOut", "DeliveryTimedOut")
LOG_TAIL_LINES = 25
SHORT = 7
NOT_LIVE = "NOT LIVE"
"""Marks a reason that says what serves instead, so that cards add nothing of their own."""


class Word(StrEnum):
    """How far the end of a command speaks for itself."""

    CERTAIN = auto()
    """The script says that the version before serves, and has made sure of it."""
    OPEN = auto()
    """It was cut off: what serves decides."""
    HELPLESS = auto()
    """The script says that it could not bring the host into order: a human must look, whatever serves."""


class Sight(StrEnum):
    """What the host serves, seen from one order."""

    ORDERED = auto()
    BEFORE = auto()
    OTHER = auto()
    NOTHING = auto()
    UNSEEN = auto()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended. `what` is a sentence; `stopped` whether that is the stop which somebody has asked for."""

    what: str
    word: Word
    stopped: bool
    log_tail: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was to come to serve in whose place. `before` and `image_before` are empty where that was not known.

    `operation` is left empty where another command of that operation may have put the same image there.
    """

    image: str
    commit: str
    before: str
    image_before: str = ""
    operation: str = ""


def read_ending(last: Invocation, transcript: Transcript, *, asked: bool) -> Ending:
    """How a command that did not succeed has ended. `asked`: somebody asked to cancel it."""
    certain = bool(transcript.failed) and last.exit_code in (EXIT_FAILED, EXIT_CANCELLED)
    word = Word.CERTAIN if certain else Word.HELPLESS if last.exit_code == EXIT_UNKNOWN else Word.OPEN
    failed_by_itself = last.exit_code == EXIT_UNKNOWN or (last.status == "Failed" and last.exit_code == EXIT_FAILED)
    stopped = asked and not failed_by_itself
    tail = "\n".join((*transcript.log, *last.errors.rstrip().splitlines())[-LOG_TAIL_LINES:])
    return Ending(_what(last, transcript, stopped), word, stopped, tail)


def _what(last: Invocation, transcript: Transcript, stopped: bool) -> str:
    end = f"{last.status}, exit code {last.exit_code}"
    if stopped and (last.status == "Cancelled" or last.exit_code == EXIT_CANCELLED):
        return "SSM confirms that the command was stopped."
    if stopped:
        return f"It was asked to stop, and the host's command ended as {end}."
    if last.status == "Cancelled":
        return "The rollout was cancelled in AWS."
    if last.status in TIME_LIMITS:
        return f"SSM stopped the rollout after its time limit ({last.status})."
    if last.status == "Failed" and transcript.failed:
        return f"The rollout failed: {transcript.failed}."
    return f"The rollout ended as {end}."


def sight(exchange: Exchange, serving: Mapping[str, Any] | None) -> Sight:
    """What the host's answer means to that exchange; None: the host could not be asked."""
    if serving is None:
        return Sight.UNSEEN
    image, commit = str(serving.get("image") or ""), str(serving.get("commit") or "")
    if not image and not commit:
        return Sight.NOTHING
    if image == exchange.image and _put_there(exchange, serving):
        return Sight.ORDERED
    return Sight.BEFORE if commit and commit == exchange.before else Sight.OTHER


def _put_there(exchange: Exchange, serving: Mapping[str, Any]) -> bool:
    """Whether the image is there by this exchange: where a version is started anew, it looks alike before and after."""
    label = str(serving.get("operation") or "")
    if exchange.operation and label:
        return label == exchange.operation
    return exchange.image != exchange.image_before


def outcome(ending: Ending, exchange: Exchange, serving: Mapping[str, Any] | None) -> QuarterdeckError | None:
    """The truth about it as what is to be raised; None: the ordered version serves, and is to be checked as always."""
    seen = sight(exchange, serving)
    if seen is Sight.ORDERED and ending.word is Word.OPEN and not _working(ending, serving or {}):
        return None
    serves = _serves(seen, ending, exchange, serving or {})
    if not _settled(seen, ending, exchange, serving or {}):
        return Interrupted(f"{ending.what} {serves} Look at the host.")
    if ending.stopped:
        return Cancelled(f"{ending.what} {serves}")
    return Failed(f"{ending.what} {NOT_LIVE}: {serves}", log_tail=ending.log_tail)


def came_back(ending: Ending, exchange: Exchange, serving: Mapping[str, Any] | None) -> bool:
    """Whether the version to which was switched back serves; False: the one that was to be replaced still does.

    Raises:
        Interrupted: neither can be told; the sentence says what can.
    """
    seen, unwell = sight(exchange, serving), _unwell(serving or {})
    working = _working(ending, serving or {})
    if seen is Sight.ORDERED and ending.word is Word.OPEN and not unwell and not working:
        return True
    if (seen is Sight.BEFORE and ending.word is not Word.HELPLESS and not working) or (
        seen is Sight.UNSEEN and ending.word is Word.CERTAIN
    ):
        return False
    raise Interrupted(f"{ending.what} {_serves(seen, ending, exchange, serving or {})} Look at the host.")


def _settled(seen: Sight, ending: Ending, exchange: Exchange, serving: Mapping[str, Any]) -> bool:
    """Whether the rollout is known to be over without effect; its reason may still say that something is wrong."""
    certain = ending.word is Word.CERTAIN
    if seen is Sight.ORDERED or ending.word is Word.HELPLESS or _working(ending, serving):
        return False
    if seen is Sight.NOTHING:
        return certain and not (exchange.before and ending.stopped)
    if seen is Sight.BEFORE:
        return certain or not _unwell(serving)
    return certain


def _unwell(serving: Mapping[str, Any]) -> bool:
    return serving.get("healthy") is False


def _working(ending: Ending, serving: Mapping[str, Any]) -> bool:
    """Whether a script that was cut off is still at it: SSM may let go of a script without ending it."""
    return ending.word is Word.OPEN and bool(serving.get("busy"))


def _serves(seen: Sight, ending: Ending, exchange: Exchange, serving: Mapping[str, Any]) -> str:
    """What serves now, and whether that may still change, in sentences that claim no more than was seen."""
    more = " The script still works on the host." if _working(ending, serving) else ""
    return _serves_now(seen, ending, exchange, serving) + more


def _serves_now(seen: Sight, ending: Ending, exchange: Exchange, serving: Mapping[str, Any]) -> str:
    now = str(serving.get("commit") or "")[:SHORT] or "an unknown version"
    before, certain = exchange.before[:SHORT], ending.word is Word.CERTAIN
    well = ", but the host says that it is not healthy" if _unwell(serving) else ""
    match seen:
        case Sight.ORDERED:
            return f"The host answers that {now} serves{well}" + (": that does not fit together." if certain else ".")
        case Sight.BEFORE:
            return f"{now} still serves{well}."
        case Sight.OTHER:
            past = f"which served before ({before})" if before else "of which nothing was known before"
            return f"{now} serves now{well}: neither the version that was to come nor the one {past}."
        case Sight.NOTHING if before:
            return f"Nothing serves now; before it was {before}."
        case Sight.NOTHING if certain:
            return "Nothing serves, as before by the script's own word."
        case Sight.NOTHING:
            return "Nothing serves now; what served before was not known."
        case Sight.UNSEEN if certain:
            as_before = f"{before} serves as before" if before else "what served before still does"
            return f"By the script's own word {as_before}; the host cannot be asked now."
        case Sight.UNSEEN:
            return "What serves now cannot be seen."
