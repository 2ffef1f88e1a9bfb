"""Answers to interactions: the one way out for everything that is not a card in a channel, with secrets taken out."""

import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
import discord

from bot.ui.card import Sheet, marked, notice, redacted
from bot.ui.house import house_of

_log = logging.getLogger(__name__)


async def respond(interaction: discord.Interaction[Any], text: str, *, colour: int | None = None) -> None:
    """A short private answer."""
    await send(interaction, notice(text, colour=colour))


async def send(
    interaction: discord.Interaction[Any], sheet: Sheet, *, private: bool = True, file: discord.File | None = None,
    files: Sequence[discord.File] = (),
) -> None:  # fmt: skip
    """Answer, whether or not the interaction was deferred. What Discord does not take is logged and lost."""
    house = house_of(interaction)
    marked(redacted(sheet, house.redactor.clean), house.settings.mark)
    sent = [*files, file] if file is not None else list(files)
    try:
        if interaction.response.is_done():
            await interaction.followup.send(view=sheet, ephemeral=private, files=sent)
        else:
            await interaction.response.send_message(view=sheet, ephemeral=private, files=sent)
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        _log.warning("Discord did not take an answer to interaction %s: %s", interaction.id, error)
