"""Modals: how they are opened, and the one place where every submission comes in.

discord.py keeps open modals in memory by their custom_id: a second one with the same id replaces the first, and none
outlives a restart. So no modal is handed to it to keep (they are stopped before they are sent), each opening has an id
of its own, and submissions are read from the interaction itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord.ui import Label, Modal, TextInput

from bot.ui.house import house_of
from bot.ui.text import cut, label, marked_text

REASON_ID = "reason"
REASON_LIMIT = 500
_SUBMITTED = re.compile(r"qx:([\w-]{8,64}):\d+")


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody typed, by the fields' names, and the handle of the button that opened the modal."""

    handle: str
    fields: Mapping[str, str]

    @property
    def reason(self) -> str:
        """What was typed where a reason is asked for."""
        return self.fields.get(REASON_ID, "")


@dataclass(frozen=True, slots=True)
class Blank:
    """One field of a form."""

    name: str
    label: str
    value: str = ""
    required: bool = True
    lines: bool = False
    limit: int = REASON_LIMIT
    hint: str = ""


async def ask_reason(interaction: discord.Interaction[Any], handle: str, *, title: str, question: str) -> None:
    """Open a modal with one required line. It must be the first response to the interaction."""
    await ask_form(interaction, handle, title=title, blanks=[Blank(REASON_ID, question)])


async def ask_form(interaction: discord.Interaction[Any], handle: str, *, title: str, blanks: Sequence[Blank]) -> None:
    """Open a modal with up to five fields. It must be the first response to the interaction."""
    title = marked_text(title, house_of(interaction).settings.mark)
    modal = Modal(title=label(title, 45), timeout=None, custom_id=f"qx:{handle}:{interaction.id}")
    for blank in blanks:
        style = discord.TextStyle.paragraph if blank.lines else discord.TextStyle.short
        field: TextInput[Any] = TextInput(
            custom_id=blank.name, style=style, required=blank.required, max_length=blank.limit,
            default=cut(blank.value, blank.limit) or None, placeholder=label(blank.hint, 100) or None,
        )  # fmt: skip
        modal.add_item(Label(text=label(blank.label, 45), component=field))
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
    return Submission(found.group(1), dict(_values(data.get("components", ()))))


def _values(components: Any) -> Iterator[tuple[str, str]]:
    """(custom_id, value) of every text input, in labels as well as in rows."""
    for component in components:
        if "value" in component and "custom_id" in component:
            yield str(component["custom_id"]), str(component["value"])
        if "component" in component:
            yield from _values((component["component"],))
        yield from _values(component.get("components", ()))
