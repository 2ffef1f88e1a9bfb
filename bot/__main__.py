"""The `quarterdeck` command: what was asked for, and the exit code that says how it went.

64: the configuration, or Discord refuses the bot; starting again will not mend it. 69: something that is needed is not
there; it may be later. 70: a fault of this program.
"""

import argparse
import asyncio
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from bot import __version__
from bot.errors import Misconfigured, QuarterdeckError, Refused

EXIT_USAGE = 64
EXIT_UNAVAILABLE = 69
EXIT_SOFTWARE = 70
"""Codes of sysexits.h."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["demo"]:
        return _demo(arguments[1:])
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:
        return EXIT_USAGE if stop.code else 0
    return _run(options.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quarterdeck", description="Run a team's AWS environment from Discord.")
    parser.add_argument("--version", action="version", version=f"quarterdeck {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the bot in the foreground, until SIGTERM or SIGINT; SIGHUP reloads")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, a TOML file")
    commands.add_parser("demo", help="start a whole local world to try the bot in", add_help=False)
    return parser


def _demo(arguments: Sequence[str]) -> int:
    """Become the sandbox's process; the bot itself never imports it."""
    os.execv(sys.executable, [sys.executable, "-m", "bot.sandbox", *arguments])  # noqa: S606


def _run(config: Path) -> int:
    sys.setswitchinterval(0.001)  # so that worker threads do not keep the event loop waiting 5 ms a time
    gc.disable()  # importing makes much that stays and no garbage; the collector would cost a quarter of the start
    try:
        from bot.wiring import serve

        asyncio.run(serve(config))
    except Misconfigured as error:
        return _say(error, EXIT_USAGE)
    except QuarterdeckError as error:
        return _say(error, EXIT_UNAVAILABLE)
    except KeyboardInterrupt:
        return 0
    except Exception:  # the outermost border: whatever it is, it ends the process with its own code
        traceback.print_exc()
        return EXIT_SOFTWARE
    return 0


def _say(error: QuarterdeckError, code: int) -> int:
    hint = f" {error.hint}" if isinstance(error, Refused) and error.hint else ""
    print(f"quarterdeck: {error}{hint}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
