"""`make smoke`: walks a person through what a real Discord shows, step by step, and writes down what differed.

It goes with a world in front of one's own Discord (`make demo DISCORD=1`): each step says what to do there and what
the sandbox shows at that point, and asks whether it is as described. What only the real service can tell (how a
container looks on a phone, whether a ping arrives) is compared by the person; nothing is checked by this script.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from bot.sandbox.home import NOTE as WORLD_NOTE
from bot.sandbox.own_discord import NOTE as DISCORD_NOTE

EXIT_USAGE = 64
KEYS = "y: as described   n: not so   s: skip   q: end   anything else is a note"


class Outcome(StrEnum):
    """What a person said of a step."""

    AS_DESCRIBED = "as described"
    DIFFERED = "differed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, and what should be seen."""

    title: str
    do: str
    see: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one step."""

    step: Step
    outcome: Outcome
    note: str = ""


STEPS = (
    Step(
        "Presence",
        "Look at the bot in the list of members.",
        "It is online; its status begins with SANDBOX, and says “all quiet” while nothing goes on.",
    ),
    Step(
        "Pinned board",
        "Open the pins of #ops.",
        "One message “On deck · … · SANDBOX”: what runs in dev and prod, and “as of … ago”, which goes on counting.",
    ),
    Step(
        "Picker",
        "In #ops, type / and choose the bot.",
        "All its commands with their descriptions; /deploy has service and environment, and ref as an optional one.",
    ),
    Step(
        "Suggestions",
        "Type /deploy service:app environment:dev ref: and then a few letters of “main”.",
        "Suggestions change as you type: main first, then commits with CI state, title and age. None takes over 3 s.",
    ),
    Step(
        "Private answer",
        "Send /deploy app dev main.",
        "An answer that only you can see, with a coloured edge, SANDBOX in its first line and a link to the card.",
    ),
    Step(
        "Card",
        "Watch the card in #ops until it has succeeded.",
        "One message that is edited, never a second one: steps tick, buttons change, the edge goes from blue to green. "
        "Its first line says SANDBOX; “(edited)” stands at its end.",
    ),
    Step(
        "Refused",
        "With an account that has none of the roles (or that nobody named), send /deploy app dev main.",
        "A private refusal that says which rule it is, who can, and how to ask.",
    ),
    Step(
        "Approval",
        "Send /deploy app prod main.",
        "A line that mentions the approvers' role reaches a phone as a push with that text; then it becomes the card. "
        "Approve is green, Deny red, everything else stands in a menu “More”.",
    ),
    Step(
        "Modal",
        "Press Deny… on it.",
        "A window with SANDBOX in its title and one required field of one line; it cannot be sent empty.",
    ),
    Step(
        "After the modal",
        "Give a reason and send it.",
        "The window closes without an error, the card says denied with your reason, its buttons are gone; whoever "
        "asked is mentioned in a reply to the card.",
    ),
    Step(
        "Hostile text",
        "Deny another request with the reason: @everyone **bold** <#1> discord.gg/abc [x](https://example.org)",
        "All of it stands there as typed: nobody is mentioned, nothing is bold, linked or an invitation.",
    ),
    Step(
        "Log",
        "Press Log on a card that has succeeded.",
        "A private answer with the log; a long one comes with a file that opens in the client.",
    ),
    Step(
        "Share",
        "Send /status and press Share.",
        "The private answer stands in the channel for everybody, with “shared by …” below it.",
    ),
    Step(
        "Menu",
        "On a waiting card choose Details under “More”.",
        "A private answer with commits, checks, rule and digest; the menu can be used again.",
    ),
    Step(
        "Killed",
        "In the world's page press “Kill -9”, and at once press a button of an older card in Discord.",
        "Discord says that the application did not respond. Within half a minute the bot is back, and the same button "
        "works.",
    ),
    Step(
        "Restarted in the middle",
        "Start a deploy to dev and kill the bot while it runs.",
        "The same card goes on to its end; there is no second card, and the service runs the new version once.",
    ),
    Step(
        "Phone",
        "Look at three cards on a phone.",
        "No line breaks in the middle of a word; at most three buttons beside each other; the menu opens from below.",
    ),
    Step(
        "Audit",
        "Look at #audit.",
        "One line for each decision and outcome above, each message with SANDBOX at the end of its first line.",
    ),
    Step(
        "Limits",
        "Have two people start four deploys to dev within a minute.",
        "All cards reach their end; edits may come a few seconds late, and none of them stays behind.",
    ),
    Step(
        "Stopped",
        "End the world with Ctrl-C and wait a minute.",
        "The bot goes offline, the board's “as of” goes on growing older, and nothing else changes.",
    ),
)


def walk(steps: Iterable[Step], *, ask: Callable[[str], str], say: Callable[[str], None]) -> list[Answer]:
    """Go through the steps; what was answered until the person ended it."""
    answers: list[Answer] = []
    every = list(steps)
    say(f"{len(every)} steps. {KEYS}")
    for number, step in enumerate(every, 1):
        say(f"\n{number}/{len(every)}  {step.title}\n  do:  {step.do}\n  see: {step.see}")
        try:
            said = _said(ask)
        except (EOFError, KeyboardInterrupt):
            return answers
        if said in ("q", "quit"):
            return answers
        answers.append(_answer(step, said, ask))
    return answers


def _said(ask: Callable[[str], str]) -> str:
    while not (said := ask("as described? (y, n, s, q or a note): ").strip()):
        pass
    return said


def _answer(step: Step, said: str, ask: Callable[[str], str]) -> Answer:
    """A note is a difference: whoever has something to tell has seen something else."""
    match said.lower():
        case "y" | "yes":
            return Answer(step, Outcome.AS_DESCRIBED)
        case "s" | "skip":
            return Answer(step, Outcome.SKIPPED)
        case "n" | "no":
            return Answer(step, Outcome.DIFFERED, ask("what was seen instead: ").strip())
    return Answer(step, Outcome.DIFFERED, said)


def record(answers: Sequence[Answer], *, guild: str, at: datetime, total: int) -> str:
    """What is kept: the differences first, then everything that was asked."""
    counts = ", ".join(f"{sum(a.outcome is outcome for a in answers)} {outcome}" for outcome in Outcome)
    lines = [f"# Beside a real Discord: {at:%Y-%m-%d %H:%M} UTC", "", f"Guild: {guild}. Of {total} steps {counts}.", ""]
    for answer in (a for a in answers if a.outcome is Outcome.DIFFERED):
        lines += [
            f"## {answer.step.title}",
            "",
            f"- done: {answer.step.do}",
            f"- expected: {answer.step.see}",
            f"- seen: {answer.note or 'not said'}",
            "",
        ]
    lines += ["## All steps", "", *(f"- {a.step.title}: {a.outcome}" for a in answers), ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk, write the record, and return the exit code: 0 when nothing differed, 1 when something did."""
    environ = os.environ
    port = environ.get("QUARTERDECK_PORT") or "8700"
    parser = argparse.ArgumentParser(prog="python -m bot.sandbox.smoke", description=(__doc__ or "").split("\n")[0])
    home = environ.get("QUARTERDECK_HOME") or f".quarterdeck/{port}-own-discord"
    parser.add_argument("--home", type=Path, default=Path(home), help=f"of the world with your own Discord ({home})")
    given = parser.parse_args(arguments)
    try:
        chosen = json.loads((given.home / DISCORD_NOTE).read_text(encoding="utf-8"))
        guild = f"{chosen['guild_name']} ({chosen['guild_id']})"
    except (OSError, ValueError, KeyError, TypeError):
        print(f"smoke: {given.home} has no Discord of your own: start one with make demo DISCORD=1.", file=sys.stderr)
        return EXIT_USAGE
    print(f"Your guild: {guild}. {_page(given.home)}")
    answers = walk(STEPS, ask=input, say=print)
    at = datetime.now(UTC)
    path = given.home / f"fidelity-{at:%Y-%m-%dT%H%M%S}.md"
    path.write_text(record(answers, guild=guild, at=at, total=len(STEPS)), encoding="utf-8")
    print(f"\nWritten: {path}")
    return 1 if any(answer.outcome is Outcome.DIFFERED for answer in answers) else 0


def _page(home: Path) -> str:
    try:
        port = json.loads((home / WORLD_NOTE).read_text(encoding="utf-8"))["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return "The world does not run now: start it with make demo DISCORD=1 in another terminal."
    return f"The world's page: http://127.0.0.1:{port}"


if __name__ == "__main__":
    sys.exit(main())
