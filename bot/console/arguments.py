"""The grammar of the command line: every command, its options, its help with examples. Imports nothing heavy."""

import argparse
from pathlib import Path

from bot.console.exits import table

_WHO = (
    "You act as the person of the configuration whose os_user you are (through sudo: who called sudo). The same policy "
    "decides as in Discord; when Discord cannot be asked for your roles, your duties in the people table count, and "
    "the audit says `roles not confirmed`. A living bot carries out what you ask for; without one the command does it "
    "itself. Ctrl-C ends only the watching."
)


def house_options() -> argparse.ArgumentParser:
    """The options that every command with a configuration has."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, a TOML file")
    options.add_argument(
        "--env-file", type=Path, metavar="FILE", help="take the secrets from this file of NAME=value lines"
    )
    return options


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> list[argparse.ArgumentParser]:
    """Add the commands of this door; returns their parsers."""
    house = house_options()
    operations = commands.add_parser("ops", help="operations: list, show, decide, end")
    verbs = operations.add_subparsers(dest="verb", required=True, metavar="VERB")
    return [
        _status(_command(commands, house, "status", "what runs where, what waits, who carries it out")),
        _deploy(_command(commands, house, "deploy", "bring a version of a service to an environment")),
        _rollback(_command(commands, house, "rollback", "bring back a version that has served there before")),
        _audit(_command(commands, house, "audit", "who did what, newest last")),
        _list(_command(verbs, house, "list", "what waits for you, and what is open")),
        _json(_numbered(_command(verbs, house, "show", "one operation in full, with its record"))),
        _approve(_numbered(_command(verbs, house, "approve", "approve exactly what was shown"))),
        _reason(_numbered(_command(verbs, house, "deny", "say no: that ends a request"))),
        _json(_numbered(_command(verbs, house, "withdraw", "take your approval back before the start"))),
        _watching(_numbered(_command(verbs, house, "cancel", "withdraw an operation, or ask a running one to stop"))),
        _watching(_numbered(_command(verbs, house, "resume", "let an interrupted operation look again"))),
        _close(_numbered(_command(verbs, house, "close", "end an interrupted operation by your word"))),
    ]


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    house: argparse.ArgumentParser,
    name: str,
    what: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=what,
        parents=[house],
        description=f"{what[0].upper()}{what[1:]}. {_WHO}",
        formatter_class=_Formatter,
    )
    parser.epilog = table()
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wraps the description and leaves the epilog, with its examples and codes, as it is written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def _examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Put examples before the exit codes."""
    written = "\n".join(f"  quarterdeck {line}" for line in lines)
    parser.epilog = f"examples:\n{written}\n\n{table()}"


def _json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="the answer as one JSON value; progress goes to stderr")
    return parser


def _watching(parser: argparse.ArgumentParser, *, by_default: bool = False) -> argparse.ArgumentParser:
    _json(parser)
    if by_default:
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false", help="write it down and return; do not watch it to its end"
        )
    else:
        parser.add_argument("--wait", action="store_true", help="watch it to its end also when a bot carries it out")
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="end the watching after so long; the operation goes on"
    )
    return parser


def _numbered(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("operation", type=_number, metavar="NUMBER", help="the operation's number, such as 184")
    return parser


def _status(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _json(parser)
    parser.add_argument("--environment", help="only this environment")
    parser.add_argument("--service", help="only this service")
    _examples(parser, "status --config FILE", "status --config FILE --environment prod --json")
    return parser


def _deploy(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("service")
    parser.add_argument("environment", nargs="?", default="dev", help="dev when left out")
    parser.add_argument("ref", nargs="?", help="branch or commit; left out: as in Discord")
    parser.add_argument("--yes", action="store_true", help="say yes to whatever it asks, such as deploying again")
    _watching(parser, by_default=True)
    _examples(
        parser,
        "deploy app --config FILE",
        "deploy app prod main --config FILE --no-wait",
        "deploy app dev 4f1c2a9 --config FILE --yes --timeout 900 --json",
    )
    return parser


def _rollback(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("service")
    parser.add_argument("environment", nargs="?", default="prod", help="prod when left out")
    parser.add_argument("--to", metavar="COMMIT", help="left out: the last good version before the present one")
    parser.add_argument("--yes", action="store_true", help="say yes to whatever it asks")
    _watching(parser, by_default=True)
    _examples(parser, "rollback app prod --config FILE", "rollback app prod --to 9ab04e1 --config FILE")
    return parser


def _audit(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--actor", help="only what this person did")
    parser.add_argument("--service", help="only about this service")
    parser.add_argument("--environment", help="only in this environment")
    parser.add_argument("--since", metavar="WHEN", help="not before: an age (24h, 7d) or a date")
    parser.add_argument("--until", metavar="WHEN", help="only before: an age (24h, 7d) or a date")
    parser.add_argument("--limit", type=_count, default=100, metavar="LINES", help="at most so many (100)")
    parser.add_argument("--format", choices=("text", "csv", "jsonl"), default="text", help="text when left out")
    _examples(
        parser,
        "audit --config FILE --environment prod --since 7d",
        "audit --config FILE --actor sre --format csv > sre.csv",
    )
    return parser


def _list(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _json(parser)
    parser.add_argument("--all", action="store_true", help="the newest, open or not")
    return parser


def _approve(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _watching(parser)
    parser.add_argument(
        "--digest", metavar="HEX", help="the first digits, 6 or more, of the digest that you saw: asks nothing"
    )
    _examples(parser, "ops approve 184 --config FILE", "ops approve 184 --digest 7c1d0e --config FILE --wait")
    return parser


def _reason(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _json(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="stands on the card and in the audit")
    return parser


def _close(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    _reason(parser)
    parser.add_argument(
        "--as", dest="outcome", choices=("failed", "cancelled"), default="failed", help="how it ended (failed)"
    )
    return parser


def _number(text: str) -> int:
    return _whole(text.removeprefix("#"), 10**12)


def _count(text: str) -> int:
    return _whole(text, 100_001)


def _seconds(text: str) -> float:
    return float(_whole(text, 10**7))


def _whole(text: str, below: int) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < below):
        raise argparse.ArgumentTypeError(f"“{text}” is no number from 1 to {below - 1}")
    return int(text)


def command_of(options: argparse.Namespace) -> str:
    """The name of the errand: `status`, `ops approve`."""
    return f"{options.command} {options.verb}" if options.command == "ops" else str(options.command)
