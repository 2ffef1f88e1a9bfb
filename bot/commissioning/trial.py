"""The questions of a trial: a person's own Discord in front of a world whose other parts are the sandbox's.

The sandbox runs this as a process of its own, because it knows nothing of the bot and its clients. The questions are
asked at the terminal that both share; the answers, the token among them, go back through a pipe and are not written.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.commissioning.desk import Desk
from bot.commissioning.draft import SANDBOX_KEYS
from bot.commissioning.founding import DISCORD_TOKEN
from bot.commissioning.interview import Chat, Interview
from bot.console.exits import Exit
from bot.errors import Misconfigured, Unavailable

GUILD, PEOPLE = "QUARTERDECK_DISCORD_GUILD", "QUARTERDECK_DISCORD_PEOPLE"
WARNING = """\
Your own Discord, everything else from the sandbox. Every card, answer and presence is marked SANDBOX.
Use a bot and a guild that you made for trying things out: the members of the guild see what it posts.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, hand the answers over, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bot.commissioning.trial")
    parser.add_argument("--answers-fd", type=int, required=True, help="the pipe that takes the answers")
    parser.add_argument("--remembered", type=Path, required=True, help="what an earlier trial was told, if it exists")
    parser.add_argument("--discord-api", help="of a sandbox; only for tests")
    given = parser.parse_args(arguments)
    try:
        answers = ask(Desk(), remembered=_remembered(given.remembered), discord_api=given.discord_api)
    except Misconfigured as error:
        return _complain(f"{error} {error.hint or ''}".strip(), Exit.USAGE)
    except Unavailable as error:
        return _complain(str(error), Exit.UNAVAILABLE)
    except (KeyboardInterrupt, EOFError):
        return _complain("Ended on request; nothing was started.", Exit.NOT_OVER)
    with os.fdopen(given.answers_fd, "w", encoding="utf-8") as pipe:
        json.dump(answers, pipe)
    return Exit.DONE


def ask(desk: Desk, *, remembered: Mapping[str, Any], discord_api: str | None) -> dict[str, Any]:
    """All answers; what is remembered or in the environment is not asked for.

    Raises:
        Misconfigured: an answer is missing or makes no sense.
        Unavailable: Discord cannot be asked.
    """
    desk.say(WARNING)
    token = os.environ.get(DISCORD_TOKEN) or ""
    typed = "" if token else desk.secret("token of the Discord bot", option=DISCORD_TOKEN)
    options = _options(remembered, discord_api)
    if options.person is None and not desk.interactive:
        raise Misconfigured(
            "Nobody is at the terminal to say who may change something.",
            hint=f"Set {PEOPLE}=NAME:DISCORD_ID:DUTY,DUTY (more with spaces between).",
        )
    # What was once left out on purpose is not asked for again.
    chat = Interview(options, Desk(interactive=False) if remembered else desk, token=token or typed).chat()
    keep = _keeps(desk) if typed else bool(remembered.get("keep_token"))
    return {"token": token or typed, "keep_token": keep, **_told(chat)}


def _keeps(desk: Desk) -> bool:
    question = "\nKeep the token in the world's home for the next start? (yes, no)"
    return desk.line(question, option=DISCORD_TOKEN, default="no").lower() in ("y", "yes")


def _options(remembered: Mapping[str, Any], discord_api: str | None) -> argparse.Namespace:
    """The options of the interview: the environment's answers, then the remembered ones."""
    guild = os.environ.get(GUILD) or remembered.get("guild_id")
    if guild is not None and not str(guild).isdecimal():
        raise Misconfigured(f"{GUILD} must be the guild's id, a number, not {str(guild)[:40]!r}.")
    people = os.environ.get(PEOPLE, "").split() or [_person(one) for one in remembered.get("people", ())]
    return argparse.Namespace(
        guild=int(guild) if guild is not None else None,
        channel=[f"{name}={number}" for name, number in remembered.get("channels", {}).items()],
        role=[f"{name}={number}" for name, number in remembered.get("roles", {}).items()],
        person=people or None,
        **dict.fromkeys(SANDBOX_KEYS) | {"discord_api": discord_api},
    )


def _person(person: Mapping[str, Any]) -> str:
    return f"{person['name']}:{person['discord_id']}:{','.join(person['duties'])}::{person.get('os_user', '')}"


def _remembered(path: Path) -> dict[str, Any]:
    """What the world's home remembers; nothing, the first time."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}.", hint="RESET=1 begins anew.") from error


def _told(chat: Chat) -> dict[str, Any]:
    return {
        "guild_id": chat.guild.id,
        "guild_name": chat.guild.name,
        "application_id": chat.application.id,
        "channels": dict(chat.channels),
        "roles": dict(chat.roles),
        "people": [asdict(person) for person in chat.people],
    }


def _complain(sentence: str, code: Exit) -> int:
    print(f"world: {sentence}", file=sys.stderr)  # noqa: T201 - this is the terminal
    return code


if __name__ == "__main__":
    sys.exit(main())
