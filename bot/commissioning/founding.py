"""From the options to the written file: the token, the interview, a check that `run` would take it, one rename."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.commissioning.desk import Desk
from bot.commissioning.draft import Draft
from bot.commissioning.interview import Interview
from bot.console.exits import Exit
from bot.errors import Misconfigured, QuarterdeckError, Unavailable
from bot.settings import SECRETS, parse

DISCORD_TOKEN, GITHUB_TOKEN = SECRETS["discord_token"], SECRETS["github_token"]


def found(options: argparse.Namespace) -> int:
    """Do it, and return the exit code (`console.exits`)."""
    desk = Desk()
    try:
        _refuse_to_overwrite(options)
        token = os.environ.get(DISCORD_TOKEN) or desk.secret("token of the Discord bot", option=DISCORD_TOKEN)
        draft = Interview(options, desk, token=token).draft()
        _write(options.config, draft, token)
    except Misconfigured as error:
        return _complain(error, Exit.USAGE)
    except Unavailable as error:
        return _complain(error, Exit.UNAVAILABLE)
    except (KeyboardInterrupt, EOFError):
        return _complain(QuarterdeckError("Ended on request; nothing was written."), Exit.NOT_OVER)
    desk.say(_next_steps(options.config))
    return Exit.DONE


def _refuse_to_overwrite(options: argparse.Namespace) -> None:
    path: Path = options.config
    if path.exists() and not options.force:
        raise Misconfigured(f"{path} exists already; nothing was asked or written.", hint="Add --force to replace it.")


def _write(path: Path, draft: Draft, token: str) -> None:
    """Put the file into its place in one step, if a bot would take it.

    Raises:
        Misconfigured: an answer cannot be used; nothing is written.
    """
    text = draft.text()
    environ: Mapping[str, str] = {
        **os.environ,
        DISCORD_TOKEN: token,
        GITHUB_TOKEN: os.environ.get(GITHUB_TOKEN) or "not needed to check a file",
    }
    parse(text, path, environ)
    new = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error}.") from error


def _next_steps(path: Path) -> str:
    return (
        f"\n{path} is written. Next:\n"
        f"  1. put {DISCORD_TOKEN} and {GITHUB_TOKEN} into the environment of the bot (or an --env-file, mode 600)\n"
        f"  2. quarterdeck doctor --config {path}\n"
        f"  3. quarterdeck run --config {path}"
    )


def _complain(error: QuarterdeckError, code: Exit) -> int:
    hint = f" {error.hint}" if isinstance(error, Misconfigured) and error.hint else ""
    print(f"quarterdeck: {error}{hint}", file=sys.stderr)  # noqa: T201 - this is the terminal
    return code
