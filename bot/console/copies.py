"""`quarterdeck backup` and `quarterdeck restore`: copies of the database, by whoever may read and write it there."""

import argparse
import asyncio
import os
import pwd
from datetime import UTC, datetime
from pathlib import Path

from bot.console.exits import Exit
from bot.console.paper import Paper
from bot.errors import Misconfigured, QuarterdeckError
from bot.logs import Redactor


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both commands."""
    making = commands.add_parser(
        "backup",
        help="copy the database, also while a bot runs",
        description="Copy the database as it is at this moment, check the copy, and write its sha256 beside it. "
        "Needs no secrets. The bot does the same by schedule (settings: backup.*).",
        epilog="example:\n  quarterdeck backup --config FILE --to /mnt/elsewhere/quarterdeck.sqlite3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    making.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, a TOML file")
    making.add_argument("--to", type=Path, metavar="FILE", help="left out: a new file in backup.directory")
    making.set_defaults(room=backup)
    bringing = commands.add_parser(
        "restore",
        help="put a copy back into an empty state directory",
        description="Check the copy by its sha256, and put it into a state directory without a database, ready for a "
        "bot to go on from it. What was approved then becomes stale; what waited or ran looks for its own traces "
        "outside before it sends anything; new operations get numbers that were never given.",
        epilog="example:\n  quarterdeck restore /mnt/elsewhere/quarterdeck.sqlite3 --to /var/lib/quarterdeck",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bringing.add_argument("copy", type=Path, metavar="FILE", help="the copy; FILE.sha256 must lie beside it")
    bringing.add_argument("--to", type=Path, required=True, metavar="STATE_DIR", help="the state directory")
    bringing.set_defaults(room=restore)


def backup(options: argparse.Namespace) -> int:
    """Make a copy now."""
    from bot.db.backup import make_copy, name_at
    from bot.settings import load

    try:
        settings = load(options.config, secrets=False)
        to = options.to or settings.backup_directory / name_at(datetime.now(UTC))
        made = make_copy(settings.database_file, to)
    except QuarterdeckError as error:
        return _complain(error)
    Paper(Redactor()).say(f"{made.path}: {made.size / 2**20:.1f} MiB, sound, sha256 {made.sha256}")
    return Exit.DONE


def restore(options: argparse.Namespace) -> int:
    """Put a copy back."""
    from bot.services.restore import restore as put_back

    try:
        restored = asyncio.run(put_back(options.copy, options.to, by=_os_user()))
    except QuarterdeckError as error:
        return _complain(error)
    paper = Paper(Redactor())
    as_of = f"{restored.as_of:%Y-%m-%d %H:%M:%S} UTC" if restored.as_of else "its beginning"
    paper.say(f"{restored.database}: the state as of {as_of}.")
    if restored.stale:
        paper.say(
            f"Approved then, and stale now: {_numbers(restored.stale)}. Look at what serves before you ask again."
        )
    if restored.open:
        paper.say(f"Open: {_numbers(restored.open)}. They go on when a bot starts on this directory.")
    paper.say(
        "What was asked for after the copy was made is not known any more: look at the channel, and at the hosts."
    )
    return Exit.DONE


def _numbers(ids: tuple[int, ...]) -> str:
    return ", ".join(f"#{number}" for number in ids)


def _os_user() -> str:
    try:
        return f"os user {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"os user {os.getuid()}"


def _complain(error: QuarterdeckError) -> int:
    Paper(Redactor()).complain(f"quarterdeck: {error}")
    return Exit.USAGE if isinstance(error, Misconfigured) else Exit.UNAVAILABLE
