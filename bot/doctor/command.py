"""`quarterdeck doctor`: its options and its exit code (0: nothing is wrong, 1: something is, 64: no usable file)."""

import argparse

from bot.console.arguments import house_options

AREAS = ("house", "discord", "github", "aws", "monitoring")
"""What can be looked at by itself; `house` is the machine, the policy and the services."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the command; returns its parser."""
    parser = commands.add_parser(
        "doctor",
        parents=[house_options()],
        help="look at everything that the bot will need, and say how to mend what is wrong",
        description="Looks at the configuration, Discord, GitHub, AWS and the monitoring, and changes nothing. One "
        "line for each check: ok, a warning, or what is wrong, and how to mend it.",
    )
    parser.add_argument("--only", action="append", choices=AREAS, help="look at this alone; may be given repeatedly")
    parser.add_argument("--json", action="store_true", help="the findings as one JSON value")
    return parser


def main(options: argparse.Namespace) -> int:
    """Examine, print, and return the exit code."""
    from bot.doctor.visit import visit

    return visit(options)
