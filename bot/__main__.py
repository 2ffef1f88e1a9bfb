"""The `quarterdeck` command: what was asked for, and the exit code that says how it went (`console.exits`).

Each room of the command line adds its own parser and says which function does it; a room's heavy parts are imported
when it is entered, so that `--help` answers at once.
"""

import argparse
import asyncio
import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from bot import __version__
from bot.commissioning import command as init
from bot.console import arguments, copies, environment
from bot.console.exits import Exit, table
from bot.doctor import command as doctor
from bot.errors import Misconfigured, QuarterdeckError, Refused


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["demo"]:
        return _demo(given[1:])
    try:
        options = _parser().parse_args(given)
    except SystemExit as stop:
        return Exit.USAGE if stop.code else Exit.DONE
    try:
        if getattr(options, "env_file", None) is not None:
            os.environ.update(environment.read(options.env_file))
    except Misconfigured as error:
        return _say(error, Exit.USAGE)
    room: Callable[[argparse.Namespace], int] = options.room
    return room(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quarterdeck",
        description="Run a team's AWS environment from Discord.",
        epilog=table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"quarterdeck {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        parents=[arguments.house_options()],
        help="run the bot in the foreground, until SIGTERM or SIGINT; SIGHUP reloads",
    )
    run.add_argument(
        "--standby", action="store_true", help="while another bot has the database, wait, and take over when it ends"
    )
    run.set_defaults(room=_run)
    commands.add_parser("demo", help="start a whole local world to try the bot in", add_help=False)
    for each in arguments.add_parsers(commands):
        each.set_defaults(room=_command)
    copies.add_parsers(commands)
    init.add_parser(commands).set_defaults(room=init.main)
    doctor.add_parser(commands).set_defaults(room=doctor.main)
    return parser


def _command(options: argparse.Namespace) -> int:
    """A command that does what the chat does."""
    from bot.console.command import main as do

    return do(options)


def _demo(arguments: Sequence[str]) -> int:
    """Become the sandbox's process; the bot itself never imports it."""
    os.execv(sys.executable, [sys.executable, "-m", "bot.sandbox", *arguments])  # noqa: S606


def _run(options: argparse.Namespace) -> int:
    sys.setswitchinterval(0.001)  # so that worker threads do not keep the event loop waiting 5 ms a time
    gc.disable()  # importing makes much that stays and no garbage; the collector would cost a quarter of the start
    try:
        from bot.serving import serve

        asyncio.run(serve(options.config, standby=options.standby))
    except Misconfigured as error:
        return _say(error, Exit.USAGE)
    except QuarterdeckError as error:
        return _say(error, Exit.UNAVAILABLE)
    except KeyboardInterrupt:
        return Exit.DONE
    except Exception:  # the outermost border: whatever it is, it ends the process with its own code
        traceback.print_exc()
        return Exit.SOFTWARE
    return Exit.DONE


def _say(error: QuarterdeckError, code: int) -> int:
    hint = f" {error.hint}" if isinstance(error, Refused) and error.hint else ""
    print(f"quarterdeck: {error}{hint}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
