"""The error border of the front: whatever a command, a button or a modal raises becomes one honest private answer."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.errors import Broken, Refused, Unavailable, Unknown
from bot.ui.answers import respond
from bot.ui.house import actor_of, house_of
from bot.ui.text import escape

REFUSED_COLOUR = 0xB7791F
BROKEN_COLOUR = 0xDA373C
_TOO_LATE = frozenset({10062, 10015, 50027, 40060})
"""Unknown interaction, unknown webhook, expired token, acknowledged by another process: nobody is left to be told."""

_log = logging.getLogger(__name__)


class Barred(app_commands.CheckFailure):
    """A gate's refusal on its way through discord.py to the command tree's error handler.

    `environment` is the one that it is about; empty where it is about none in particular.
    """

    def __init__(self, refusal: Refused, *, environment: str = "") -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.environment = environment


def sentence_for(error: BaseException) -> str:
    """What the person who asked reads."""
    match error:
        case Refused():
            hint = f"\n{escape(error.hint, 300)}" if error.hint else ""
            return f"**Refused.** {escape(str(error), 700)}{hint}"
        case Unknown():
            return f"**Not certain.** {escape(str(error), 700)}"
        case Unavailable():
            again = f" Try again in {error.retry_after_s:.0f} s." if error.retry_after_s else " Try again in a moment."
            return f"**Not possible now.** {escape(str(error), 700)} Nothing was changed by this.{again}"
        case app_commands.CommandSignatureMismatch() | app_commands.CommandNotFound():
            return "This command has just changed. Reload Discord (or wait a minute), and send it again."
        case _:
            return f"**Something broke.** {error}"


def _unwrapped(error: BaseException) -> BaseException:
    match error:
        case app_commands.CommandInvokeError():
            return error.original
        case Barred():
            return error.refusal
        case _:
            return error


async def answer(interaction: discord.Interaction[Any], error: BaseException) -> None:
    """Tell the person what went wrong; record a gate's refusal, log a fault of our own with a reference."""
    cause = _unwrapped(error)
    if isinstance(cause, discord.HTTPException) and cause.code in _TOO_LATE:
        _log.warning("too late to answer interaction %s (%s)", interaction.id, cause.code)
        return
    if isinstance(cause, (discord.HTTPException, aiohttp.ClientError, OSError)):
        _log.warning("Discord did not take an answer to interaction %s: %s", interaction.id, cause)
        return
    if not isinstance(cause, (Refused, Unavailable, app_commands.AppCommandError)):
        cause = _broken(interaction, cause)
    colour = BROKEN_COLOUR if isinstance(cause, Broken) else REFUSED_COLOUR
    await respond(interaction, sentence_for(cause), colour=colour)
    if isinstance(error, Barred):
        await _record(interaction, error.refusal, error.environment)


def _broken(interaction: discord.Interaction[Any], cause: BaseException) -> Broken:
    reference = secrets.token_hex(4)
    house_of(interaction).metrics.broken.inc()
    _log.error("broken, reference %s", reference, exc_info=cause)
    return Broken(reference)


async def _record(interaction: discord.Interaction[Any], refusal: Refused, environment: str) -> None:
    command = interaction.command.qualified_name if interaction.command else "a button"
    data = {"rule": refusal.rule, "command": command, **({"environment": environment} if environment else {})}
    try:
        await house_of(interaction).engine.record("door.refused", actor_of(interaction).name, str(refusal), data)
    except Unavailable as error:
        _log.warning("a refusal could not be recorded: %s", error)


@asynccontextmanager
async def border(interaction: discord.Interaction[Any]) -> AsyncIterator[None]:
    """For buttons and modals, whose exceptions discord.py would only log."""
    try:
        yield
    except Exception as error:  # the border itself
        await answer(interaction, error)
