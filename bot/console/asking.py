"""Asking the person at the terminal for a yes; where no terminal is, nothing is taken for one."""

import signal
import sys

from bot.console.paper import Paper


def agreed(paper: Paper, question: str) -> bool:
    """Whether the person says yes. Without a terminal: no, with the word that says yes in a script."""
    if not sys.stdin.isatty():
        paper.complain(f"{question}\nNothing was done: say --yes, or ask at a terminal.")
        return False
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the loop's own would wait for the line's end
    try:
        paper.complain(f"{question} [y/N]")
        yes = input().strip().lower() in ("y", "yes")
    except (KeyboardInterrupt, EOFError):
        yes = False
    finally:
        signal.signal(signal.SIGINT, before)
    if not yes:
        paper.complain("Nothing was done.")
    return yes
