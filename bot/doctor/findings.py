"""What the doctor says of one thing: a state, a sentence, and how to mend it. Nothing of how it is found out."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a thing is. Only `wrong` makes the whole fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    NOT_EXAMINED = "not examined"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `mend` is empty where there is nothing to do."""

    state: State
    says: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of a check, with the check's name."""

    check: str
    verdict: Verdict

    @property
    def state(self) -> State:
        return self.verdict.state


def fine(says: str) -> Verdict:
    return Verdict(State.OK, says)


def warning(says: str, mend: str) -> Verdict:
    return Verdict(State.WARNING, says, mend)


def wrong(says: str, mend: str) -> Verdict:
    return Verdict(State.WRONG, says, mend)


def not_examined(says: str) -> Verdict:
    return Verdict(State.NOT_EXAMINED, says)
