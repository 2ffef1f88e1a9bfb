"""One command from its words to its exit code: the configuration, the session, the errand, and what went wrong."""

import argparse
import asyncio
import re
import traceback
from contextlib import AsyncExitStack

from bot.console.arguments import command_of
from bot.console.errands import ERRANDS
from bot.console.exits import Exit
from bot.console.paper import Paper
from bot.console.session import Session, open_session
from bot.errors import Misconfigured, QuarterdeckError, Refused
from bot.logs import Redactor, configure
from bot.settings import Settings, load, secret_values

_CHAT_COMMAND = re.compile(rf"(?<![\w/])/({'|'.join(ERRANDS)})\b")
"""The commands of the chat that stand in sentences and exist here under the same name."""


def main(options: argparse.Namespace) -> int:
    """Do it, and return the exit code (`exits.Exit`)."""
    redactor = Redactor()
    paper = Paper(redactor, as_json=getattr(options, "json", False))
    try:
        settings = load(options.config)
        redactor.register(*secret_values(settings))
        configure("error", redactor)
        return asyncio.run(_run(settings, redactor, options, paper))
    except Misconfigured as error:
        return _complain(paper, error, Exit.USAGE)
    except Refused as error:
        return _complain(paper, error, Exit.REFUSED)
    except QuarterdeckError as error:
        return _complain(paper, error, Exit.UNAVAILABLE)
    except KeyboardInterrupt:
        paper.complain("Ended on request, before anything was asked for.")
        return Exit.NOT_OVER
    except Exception:  # the outermost border: whatever it is, it ends the process with its own code
        paper.complain(traceback.format_exc())
        return Exit.SOFTWARE


async def _run(settings: Settings, redactor: Redactor, options: argparse.Namespace, paper: Paper) -> Exit:
    async with AsyncExitStack() as stack:
        session = await open_session(settings, redactor, stack, paper=paper, command=command_of(options))
        return await do(session, options)


async def do(session: Session, options: argparse.Namespace) -> Exit:
    """Do what was asked for, if the policy lets this person begin with it.

    Raises:
        Refused, Unavailable: it was not done; a refusal is recorded.
    """
    errand = ERRANDS[session.command]
    await session.admit(errand.action, getattr(options, "environment", None) or "")
    return await errand.work(session, options)


def _complain(paper: Paper, error: QuarterdeckError, code: Exit) -> int:
    hint = f" {error.hint}" if isinstance(error, Refused) and error.hint else ""
    paper.complain(_CHAT_COMMAND.sub(r"quarterdeck \1", f"quarterdeck: {error}{hint}"))
    return code
