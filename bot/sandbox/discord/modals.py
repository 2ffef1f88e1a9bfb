"""Modals: what a bot may ask in one, and what a member's answers become.

Limits: Discord's documentation, "Component Reference" (Label, Text Input, File Upload, Radio Group, Checkbox Group).
"""

from typing import Any

from bot.sandbox.discord.components import SELECTS, Kind, Reader, number, walk
from bot.sandbox.discord.forms import Form

Json = dict[str, Any]

FIELDS_LIMIT = 5
IN_LABEL = (
    Kind.TEXT_INPUT,
    *SELECTS,
    Kind.FILE_UPLOAD,
    Kind.RADIO_GROUP,
    Kind.CHECKBOX_GROUP,
    Kind.CHECKBOX,
)
WORDS: dict[int, str] = {
    Kind.TEXT_INPUT: "text_input",
    Kind.STRING_SELECT: "select",
    Kind.USER_SELECT: "user_select",
    Kind.ROLE_SELECT: "role_select",
    Kind.MENTIONABLE_SELECT: "mentionable_select",
    Kind.CHANNEL_SELECT: "channel_select",
    Kind.TEXT: "text",
    Kind.FILE_UPLOAD: "file_upload",
    Kind.RADIO_GROUP: "radio_group",
    Kind.CHECKBOX_GROUP: "checkbox_group",
    Kind.CHECKBOX: "checkbox",
    Kind.BUTTON: "button",
}
"""What the control API calls the kinds."""


def read(form: Form, data: Json) -> Json:
    """A modal as a bot sends it, checked."""
    reader = _ModalReader(form)
    modal = {
        "custom_id": form.text(data, "custom_id", "data", least=1, most=100, required=True),
        "title": form.text(data, "title", "data", least=1, most=45, required=True),
        "components": reader.fields(data),
    }
    return modal


class _ModalReader:
    """Reads the rows of one modal."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._reader = Reader(form, resolve=lambda url, _path: {"url": url, "proxy_url": url})

    def fields(self, data: Json) -> list[Json]:
        rows = self._form.objects(data, "components", "data", least=1, most=FIELDS_LIMIT)
        found = [self._top(raw, at) for at, raw in rows]
        number(found, {component["id"] for component in walk(found) if component["id"]})
        return found

    def _top(self, raw: Json, at: str) -> Json:
        form = self._form
        kind = form.choice(raw, "type", at, among=(Kind.LABEL, Kind.ROW, Kind.TEXT))
        start = self._reader.start(raw, at, kind)
        if raw.get("type") == Kind.TEXT:
            return start | self._reader.text(raw, at)
        if raw.get("type") == Kind.ROW:
            children = form.objects(raw, "components", at, least=1, most=1)
            return start | {"components": [self._row_input(child, where) for where, child in children]}
        if raw.get("type") != Kind.LABEL:
            return {"type": 0, "id": 0}
        label = {"label": form.text(raw, "label", at, least=1, most=45, required=True)}
        if description := form.text(raw, "description", at, most=100):
            label["description"] = description
        child = form.object(raw, "component", at, required=True)
        return start | label | ({"component": self._field(child, f"{at}.component")} if child else {})

    def _row_input(self, raw: Json, at: str) -> Json:
        """A text input in a row, the older form: its label is its own."""
        kind = self._form.choice(raw, "type", at, among=(Kind.TEXT_INPUT,))
        label = self._form.text(raw, "label", at, least=1, most=45, required=True)
        return self._reader.start(raw, at, kind) | {"label": label} | self._text_input(raw, at)

    def _field(self, raw: Json, at: str) -> Json:
        kind = self._form.choice(raw, "type", at, among=IN_LABEL)
        if raw.get("type") != kind:
            return {"type": 0, "id": 0}
        field = self._reader.start(raw, at, kind)
        if kind == Kind.TEXT_INPUT:
            return field | self._text_input(raw, at)
        if kind in SELECTS:
            return field | self._reader.select(raw, at) | {"required": self._required(raw, at)}
        field["custom_id"] = self._reader.custom_id(raw, at)
        if kind == Kind.CHECKBOX:
            return field | {"default": self._form.flag(raw, "default", at)}
        field["required"] = self._required(raw, at)
        if kind == Kind.RADIO_GROUP:
            return field | {"options": self._reader.options(raw, at, least=2)}
        if kind == Kind.CHECKBOX_GROUP:
            field["options"] = self._reader.options(raw, at)
            return field | self._bounds(raw, at, default=len(field["options"]))
        return field | self._bounds(raw, at, default=1)

    def _required(self, raw: Json, at: str) -> bool:
        return self._form.flag(raw, "required", at, default=True)

    def _bounds(self, raw: Json, at: str, *, default: int) -> Json:
        return {
            "min_values": self._form.whole(raw, "min_values", at, least=0, most=10, default=1),
            "max_values": self._form.whole(raw, "max_values", at, least=1, most=10, default=max(1, default)),
        }

    def _text_input(self, raw: Json, at: str) -> Json:
        form = self._form
        field: Json = {
            "custom_id": self._reader.custom_id(raw, at),
            "style": form.choice(raw, "style", at, among=(1, 2)),
            "min_length": form.whole(raw, "min_length", at, least=0, most=4000),
            "max_length": form.whole(raw, "max_length", at, least=1, most=4000, default=4000),
            "required": self._required(raw, at),
        }
        if field["min_length"] > field["max_length"]:
            form.fail(f"{at}.min_length", "BASE_TYPE_BAD_LENGTH", "min_length must not exceed max_length")
        for key, most in (("placeholder", 100), ("value", 4000)):
            if text := form.text(raw, key, at, most=most):
                field[key] = text
        return field


def view(modal: Json) -> Json:
    """The modal as the control API shows it: one entry per field, texts among them."""
    return {
        "custom_id": modal["custom_id"],
        "title": modal["title"],
        "fields": [field for row in modal["components"] for field in _fields(row)],
    }


def _fields(row: Json) -> list[Json]:
    if row["type"] == Kind.TEXT:
        return [{"kind": "text", "label": row["content"], "custom_id": "", "required": False, "options": []}]
    shown = []
    for field in [row["component"]] if row["type"] == Kind.LABEL else row["components"]:
        entry = {
            "kind": WORDS[field["type"]],
            "label": row.get("label") or field.get("label", ""),
            "custom_id": field["custom_id"],
            "required": field.get("required", False),
            "options": field.get("options", []),
            "type": field["type"],
        }
        if "description" in row:
            entry["description"] = row["description"]
        extra = (
            "placeholder",
            "value",
            "style",
            "min_length",
            "max_length",
            "min_values",
            "max_values",
            "default",
            "channel_types",
        )
        shown.append(entry | {key: field[key] for key in extra if key in field})
    return shown
