"""Modals: how they are opened, and the one place where every submission comes in.

discord.py keeps open modals in memory by their custom_id: a second one with the same id replaces the first, and none
outlives a restart. So no modal is handed to it to keep (they are stopped before they are sent), each opening has an id
of its own, and submissions are read from the interaction itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord.ui import Label, Modal, TextInput

from bot.ui.house import house_of
from bot.ui.text import label, marked_text

REASON_ID = "reason"
REASON_LIMIT = 500
_SUBMITTED = re.compile(r"qx:([\w-]{8,64}):\d+")


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody typed, and the handle of the button that opened the modal."""

    handle: str
    reason: str


async def ask_reason(interaction: discord.Interaction[Any], handle: str, *, title: str, question: str) -> None:
    """Open a modal with one required line. It must be the first response to the interaction."""
    title = marked_text(title, house_of(interaction).settings.mark)
    modal = Modal(title=label(title, 45), timeout=None, custom_id=f"qx:{handle}:{interaction.id}")
    field: TextInput[Any] = TextInput(
        custom_id=REASON_ID, style=discord.TextStyle.short, required=True, max_length=REASON_LIMIT
    )
    modal.add_item(Label(text=label(question, 45), component=field))
    modal.stop()
    await interaction.response.send_modal(modal)


def submission(interaction: discord.Interaction[Any]) -> Submission | None:
    """What was submitted, if this interaction is the submission of one of our modals."""
    if interaction.type is not discord.InteractionType.modal_submit:
        return None
    data: Mapping[str, Any] = interaction.data or {}
    found = _SUBMITTED.fullmatch(str(data.get("custom_id", "")))
    if found is None:
        return None
    return Submission(found.group(1), dict(_values(data.get("components", ()))).get(REASON_ID, ""))


def _values(components: Any) -> Iterator[tuple[str, str]]:
    """(custom_id, value) of every text input, in labels as well as in rows."""
    for component in components:
        if "value" in component and "custom_id" in component:
            yield str(component["custom_id"]), str(component["value"])
        if "component" in component:
            yield from _values((component["component"],))
        yield from _values(component.get("components", ()))
