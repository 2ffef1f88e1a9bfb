"""From the options to the written file: the token, the interview, a check that `run` would take it, one rename."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bot.commissioning.desk import Desk
from bot.commissioning.draft import Draft
from bot.commissioning.interview import Interview
from bot.commissioning.monitoring import Monitoring
from bot.console.exits import Exit
from bot.errors import Misconfigured, QuarterdeckError, Unavailable
from bot.settings import SECRETS, SECTION_SECRETS, parse

DISCORD_TOKEN, GITHUB_TOKEN = SECRETS["discord_token"], SECRETS["github_token"]
_, ALERTMANAGER_TOKEN = SECTION_SECRETS["alertmanager_token"]
NOT_NEEDED = "not needed to check a file"
GUIDE = "monitoring/README.md"


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
    desk.say(next_steps(options.config, draft.monitoring))
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
        **{name: os.environ.get(name) or NOT_NEEDED for name in (GITHUB_TOKEN, ALERTMANAGER_TOKEN)},
    }
    parse(text, path, environ)
    new = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error}.") from error


def next_steps(path: Path, monitoring: Monitoring) -> str:
    """What a person does now, in order."""
    secrets = f"{DISCORD_TOKEN} and {GITHUB_TOKEN}"
    if monitoring.alertmanagers:
        secrets = f"{DISCORD_TOKEN}, {GITHUB_TOKEN} and {ALERTMANAGER_TOKEN}"
    steps = [
        f"put {secrets} into the environment of the bot (or an --env-file, mode 600)",
        *_steps_of_monitoring(monitoring),
        f"quarterdeck doctor --config {path}",
        f"quarterdeck run --config {path}",
    ]
    lines = (f"  {number}. {step}" for number, step in enumerate(steps, 1))
    return "\n".join((f"\n{path} is written. Next:", *lines))


def _steps_of_monitoring(monitoring: Monitoring) -> Iterator[str]:
    if monitoring.alertmanagers:
        yield (
            f"{ALERTMANAGER_TOKEN} is yours to make (openssl rand -hex 32): give Alertmanager the same one, and let it "
            f"hand its alerts in at {monitoring.webhook}; {GUIDE} has both, and how to bring the servers up"
        )
    elif monitoring.prometheus:
        yield f"bring Prometheus up with the rules that the figures are read from: {GUIDE}"


def _complain(error: QuarterdeckError, code: Exit) -> int:
    hint = f" {error.hint}" if isinstance(error, Misconfigured) and error.hint else ""
    print(f"quarterdeck: {error}{hint}", file=sys.stderr)  # noqa: T201 - this is the terminal
    return code
