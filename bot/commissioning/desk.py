"""Where the answers come from: what was given on the command line first, then the person at the terminal.

Without a terminal nothing is asked: what is missing ends the command with the option that would give it.
"""

import getpass
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.console.plain import legible
from bot.errors import Misconfigured

T = TypeVar("T")
NONE = "-"
"""What a person types to choose nothing."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One of several answers; `name` is what is shown, and what may be typed instead of its number."""

    name: str
    value: T


class Desk:
    """Asks and prints. `interactive` is whether somebody sits there."""

    def __init__(self, *, interactive: bool | None = None) -> None:
        self.interactive = sys.stdin.isatty() if interactive is None else interactive

    def say(self, text: str = "") -> None:
        for line in text.split("\n"):
            print(legible(line), flush=True)  # noqa: T201 - this is the terminal

    def secret(self, question: str, *, option: str) -> str:
        """Something that is not shown while it is typed."""
        self._need_somebody(question, option)
        return getpass.getpass(f"{question}: ").strip()

    def line(self, question: str, *, option: str, default: str = "") -> str:
        """A line of text; an empty one means the default."""
        if not self.interactive and default:
            return default
        self._need_somebody(question, option)
        shown = f" [{default}]" if default else ""
        while not (given := input(f"{legible(question)}{shown}: ").strip() or default):
            pass
        return given

    def optional(self, question: str) -> str:
        """A line of text that may be empty; nobody is asked where nobody sits."""
        return input(f"{legible(question)} (Enter: none): ").strip() if self.interactive else ""

    def pick(self, question: str, choices: Sequence[Choice[T]], *, option: str, default: T | None = None) -> T:
        """One of the choices, by its number, name or id. A name that several bear says none of them: these are shown
        with their ids. Enter takes the one whose value is the default.

        Raises:
            Misconfigured: nobody is there to choose, and the default is none of the choices.
        """
        usual = next((choice for choice in choices if choice.value == default), None)
        if not self.interactive and usual:
            return usual.value
        self._need_somebody(question, option)
        borne = Counter(choice.name for choice in choices)
        self.say(f"\n{question}")
        for number, choice in enumerate(choices, 1):
            self.say(f"  {number:>2}  {choice.name}" + (f" ({choice.value})" if borne[choice.name] > 1 else ""))
        proposed = "" if usual is None else usual.name if borne[usual.name] == 1 else str(usual.value)
        while True:
            given = self.line("number, name or id", option=option, default=proposed)
            if found := _meant(given, choices):
                return found.value
            twice = "More than one bears that name: give the number or the id." if borne[given] > 1 else ""
            self.say(twice or "That is none of them.")

    def named(self, name: str, purpose: str, there: Sequence[Choice[int]], option: str, *, needed: bool) -> int:
        """The id of the channel or role that the bot calls `name`; 0: none is wanted. The only one of the same name is
        proposed; of several none is.
        """
        same = [choice.value for choice in there if choice.name == name]
        if not needed and not same and not self.interactive:
            return 0
        kind = option.removeprefix("--")
        return self.pick(
            f"Which {kind} is {name} ({purpose})?",
            there if needed else [*there, Choice(NONE, 0)],
            option=f"{option} {name}=ID",
            default=only(same) if same or needed else 0,
        )

    def _need_somebody(self, question: str, option: str) -> None:
        if not self.interactive:
            raise Misconfigured(f"Nobody is at the terminal to answer: {question}.", hint=f"Give it by {option}.")


def _meant(given: str, choices: Sequence[Choice[T]]) -> Choice[T] | None:
    """The choice of that name, if only one bears it, or of that number or id."""
    if found := only([choice for choice in choices if choice.name == given]):
        return found
    if given.isdecimal() and 1 <= int(given) <= len(choices):
        return choices[int(given) - 1]
    return next((choice for choice in choices if str(choice.value) == given), None)


def only(found: Sequence[T]) -> T | None:
    """The one that was found; None for none and for several."""
    return found[0] if len(found) == 1 else None


def pairs(given: Iterable[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE` of a repeated option.

    Raises:
        Misconfigured: one has no equals sign.
    """
    found: dict[str, str] = {}
    for text in given or ():
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise Misconfigured(f"{option} {text!r} is not of the form NAME=VALUE.")
        found[name] = value
    return found


def snowflake(text: str, option: str) -> int:
    """An id of Discord's.

    Raises:
        Misconfigured: it is no number.
    """
    if not (text.isascii() and text.isdecimal()):
        raise Misconfigured(f"{option}: {text!r} is no id; ids are numbers (Developer Mode, right click, Copy ID).")
    return int(text)
