"""Components of messages, both versions: what Discord accepts, with its form errors, and the form it gives back.

Limits: Discord's documentation, "Component Reference". Modals, which share the selects, are read in `modals.py`.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

from bot.sandbox.discord.embeds import Resolve
from bot.sandbox.discord.forms import Form

Json = dict[str, Any]

V2_FLAG = 1 << 15
TOTAL_LIMIT = 40
TEXT_LIMIT = 4000
ROWS_LIMIT = 5
OPTIONS_LIMIT = 25
URL_SCHEMES = ("http://", "https://", "discord://")


class Kind(IntEnum):
    """Component types."""

    ROW = 1
    BUTTON = 2
    STRING_SELECT = 3
    TEXT_INPUT = 4
    USER_SELECT = 5
    ROLE_SELECT = 6
    MENTIONABLE_SELECT = 7
    CHANNEL_SELECT = 8
    SECTION = 9
    TEXT = 10
    THUMBNAIL = 11
    GALLERY = 12
    FILE = 13
    SEPARATOR = 14
    CONTAINER = 17
    LABEL = 18
    FILE_UPLOAD = 19
    RADIO_GROUP = 21
    CHECKBOX_GROUP = 22
    CHECKBOX = 23


SELECTS = (
    Kind.STRING_SELECT,
    Kind.USER_SELECT,
    Kind.ROLE_SELECT,
    Kind.MENTIONABLE_SELECT,
    Kind.CHANNEL_SELECT,
)
IN_CONTAINER = (Kind.ROW, Kind.SECTION, Kind.TEXT, Kind.GALLERY, Kind.FILE, Kind.SEPARATOR)
AT_TOP = (*IN_CONTAINER, Kind.CONTAINER)
LINK, PREMIUM = 5, 6
CHANNEL_TYPES = (0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16)


class Reader:
    """Reads one tree: checks it, numbers it, and notes custom ids, so that none comes twice."""

    def __init__(self, form: Form, *, resolve: Resolve) -> None:
        self.form = form
        self._resolve = resolve
        self._custom_ids: set[str] = set()
        self._ids: set[int] = set()
        self._total = 0
        self._text = 0
        self._readers: dict[int, Callable[[Json, str], Json]] = {
            Kind.ROW: self._row,
            Kind.BUTTON: self._button,
            Kind.SECTION: self._section,
            Kind.TEXT: self.text,
            Kind.THUMBNAIL: self._thumbnail,
            Kind.GALLERY: self._gallery,
            Kind.FILE: self._file,
            Kind.SEPARATOR: self._separator,
            Kind.CONTAINER: self._container,
            **dict.fromkeys(SELECTS, self.select),
        }

    def message(self, body: Json, *, v2: bool) -> list[Json]:
        """The components of a message."""
        allowed, most = (AT_TOP, TOTAL_LIMIT) if v2 else ((Kind.ROW,), ROWS_LIMIT)
        found = [self._one(raw, at, allowed) for at, raw in self.form.objects(body, "components", most=most)]
        if v2 and self._total > TOTAL_LIMIT:
            self.form.fail(
                "components",
                "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
                f"Total number of components cannot exceed {TOTAL_LIMIT}",
            )
        if self._text > TEXT_LIMIT:
            self.form.fail(
                "components",
                "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
                f"Total text size exceeds maximum of {TEXT_LIMIT}",
            )
        number(found, self._ids)
        return found

    def _one(self, raw: Json, at: str, allowed: tuple[int, ...]) -> Json:
        self._total += 1
        kind = self.form.choice(raw, "type", at, among=allowed)
        if raw.get("type") != kind:
            return {"type": 0, "id": 0}
        return self.start(raw, at, kind) | self._readers[kind](raw, at)

    def start(self, raw: Json, at: str, kind: int) -> Json:
        """Type and id. A given id must be the only one of its kind in the message; 0 asks for one."""
        given = self.form.whole(raw, "id", at, least=0, most=2**31 - 1)
        if given and given in self._ids:
            self.form.fail(f"{at}.id", "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated")
        if given:
            self._ids.add(given)
        return {"type": int(kind), "id": given}

    def _row(self, raw: Json, at: str) -> Json:
        children = [
            self._one(child, where, (Kind.BUTTON, *SELECTS))
            for where, child in self.form.objects(raw, "components", at, least=1, most=5)
        ]
        if len(children) > 1 and any(child["type"] != Kind.BUTTON for child in children):
            self.form.fail(
                f"{at}.components",
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified component exceeds the maximum width",
            )
        return {"components": children}

    def custom_id(self, raw: Json, at: str) -> str:
        """A custom id, required and unique."""
        text = self.form.text(raw, "custom_id", at, least=1, most=100, required=True)
        if text in self._custom_ids:
            self.form.fail(
                f"{at}.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated"
            )
        self._custom_ids.add(text)
        return text

    def _button(self, raw: Json, at: str) -> Json:
        form = self.form
        button: Json = {"style": form.choice(raw, "style", at, among=(1, 2, 3, 4, LINK, PREMIUM))}
        if button["style"] == LINK:
            button["url"] = url = form.text(raw, "url", at, least=1, most=512, required=True)
            if url and not url.lower().startswith(URL_SCHEMES):
                form.fail(f"{at}.url", "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https', 'discord').")
            if raw.get("custom_id") is not None:
                form.fail(
                    at, "BUTTON_COMPONENT_CUSTOM_ID_URL_EXCLUSIVE", "A custom id and url cannot both be specified"
                )
        elif button["style"] == PREMIUM:
            button["sku_id"] = form.text(raw, "sku_id", at, least=1, most=20, required=True)
        else:
            button["custom_id"] = self.custom_id(raw, at)
            if raw.get("url") is not None:
                form.fail(
                    at, "BUTTON_COMPONENT_CUSTOM_ID_URL_EXCLUSIVE", "A custom id and url cannot both be specified"
                )
        if label := form.text(raw, "label", at, most=80):
            button["label"] = label
        if emoji := self._emoji(raw, at):
            button["emoji"] = emoji
        if button["style"] != PREMIUM and not {"label", "emoji"} & set(button):
            form.fail(at, "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button must have a label or an emoji")
        return button | ({"disabled": True} if form.flag(raw, "disabled", at) else {})

    def _emoji(self, raw: Json, at: str) -> Json | None:
        emoji = self.form.object(raw, "emoji", at)
        if not emoji:
            return None
        name = self.form.text(emoji, "name", f"{at}.emoji", most=100)
        known: Json = {"name": name, "animated": self.form.flag(emoji, "animated", f"{at}.emoji")}
        if emoji.get("id") is not None:
            known["id"] = str(self.form.snowflake(emoji, "id", f"{at}.emoji"))
        elif not name or (name.isascii() and name.isalnum()):
            self.form.fail(f"{at}.emoji.name", "BUTTON_COMPONENT_INVALID_EMOJI", "Invalid emoji")
        return known

    def select(self, raw: Json, at: str) -> Json:
        """A select of any kind, in a message or in a modal."""
        form = self.form
        select: Json = {"custom_id": self.custom_id(raw, at)}
        if placeholder := form.text(raw, "placeholder", at, most=150):
            select["placeholder"] = placeholder
        select["min_values"] = form.whole(raw, "min_values", at, least=0, most=25, default=1)
        select["max_values"] = form.whole(raw, "max_values", at, least=1, most=25, default=1)
        if select["min_values"] > select["max_values"]:
            form.fail(f"{at}.min_values", "BASE_TYPE_BAD_LENGTH", "min_values must not exceed max_values")
        if raw.get("type") == Kind.STRING_SELECT:
            select["options"] = self.options(raw, at)
        else:
            defaults = [self._default(one, where) for where, one in form.objects(raw, "default_values", at, most=25)]
            select |= {"default_values": defaults} if defaults else {}
        if raw.get("type") == Kind.CHANNEL_SELECT and raw.get("channel_types") is not None:
            select["channel_types"] = form.among(raw, "channel_types", at, among=CHANNEL_TYPES)
        return select | ({"disabled": True} if form.flag(raw, "disabled", at) else {})

    def _default(self, raw: Json, at: str) -> Json:
        """Who or what is picked from the start."""
        kind = raw.get("type")
        if kind not in ("user", "role", "channel"):
            self.form.fail(f"{at}.type", "BASE_TYPE_CHOICES", "Value must be one of ('user', 'role', 'channel').")
        return {"id": str(self.form.snowflake(raw, "id", at)), "type": kind}

    def options(self, raw: Json, at: str, *, least: int = 1) -> list[Json]:
        """The options of a string select or of a group of boxes."""
        found: list[Json] = []
        for where, option in self.form.objects(raw, "options", at, least=least, most=OPTIONS_LIMIT):
            one: Json = {
                "label": self.form.text(option, "label", where, least=1, most=100, required=True),
                "value": self.form.text(option, "value", where, least=1, most=100, required=True),
            }
            if description := self.form.text(option, "description", where, most=100):
                one["description"] = description
            if emoji := self._emoji(option, where):
                one["emoji"] = emoji
            if any(other["value"] == one["value"] for other in found):
                self.form.fail(
                    f"{where}.value",
                    "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                    "The specified option value is already used",
                )
            found.append(one | ({"default": True} if self.form.flag(option, "default", where) else {}))
        return found

    # -- the second version's own -------------------------------------------------------------------------------------

    def _section(self, raw: Json, at: str) -> Json:
        texts = [
            self._one(child, where, (Kind.TEXT,))
            for where, child in self.form.objects(raw, "components", at, least=1, most=3)
        ]
        accessory = self.form.object(raw, "accessory", at, required=True)
        if accessory is None:
            return {"components": texts}
        return {
            "components": texts,
            "accessory": self._one(accessory, f"{at}.accessory", (Kind.BUTTON, Kind.THUMBNAIL)),
        }

    def text(self, raw: Json, at: str) -> Json:
        content = self.form.text(raw, "content", at, least=1, most=TEXT_LIMIT, required=True)
        self._text += len(content)
        return {"content": content}

    def _thumbnail(self, raw: Json, at: str) -> Json:
        return {"media": self._media(raw, "media", at), **self._about(raw, at)}

    def _gallery(self, raw: Json, at: str) -> Json:
        items = self.form.objects(raw, "items", at, least=1, most=10)
        return {
            "items": [{"media": self._media(one, "media", where), **self._about(one, where)} for where, one in items]
        }

    def _file(self, raw: Json, at: str) -> Json:
        item = self._media(raw, "file", at, only_attachments=True)
        name, size = item.pop("filename", ""), item.pop("size", 0)
        return {"file": item, "name": name, "size": size, "spoiler": self.form.flag(raw, "spoiler", at)}

    def _media(self, raw: Json, key: str, at: str, *, only_attachments: bool = False) -> Json:
        media = self.form.object(raw, key, at, required=True)
        if media is None:
            return {"url": "", "proxy_url": ""}
        where = f"{at}.{key}"
        url = self.form.text(media, "url", where, least=1, most=2048, required=True)
        schemes = ("attachment://",) if only_attachments else ("http://", "https://", "attachment://")
        ours = only_attachments and url.startswith("http")
        if url and not url.lower().startswith(schemes) and not ours:
            self.form.fail(f"{where}.url", "URL_TYPE_INVALID_SCHEME", f"Scheme must be one of {schemes}.")
        item = self._resolve(url, f"{where}.url")
        if not only_attachments:
            item = {key: value for key, value in item.items() if key not in {"filename", "size"}}
        return item

    def _about(self, raw: Json, at: str) -> Json:
        return {
            "description": self.form.text(raw, "description", at, most=1024) or None,
            "spoiler": self.form.flag(raw, "spoiler", at),
        }

    def _separator(self, raw: Json, at: str) -> Json:
        return {
            "divider": self.form.flag(raw, "divider", at, default=True),
            "spacing": self.form.choice(raw, "spacing", at, among=(1, 2), default=1),
        }

    def _container(self, raw: Json, at: str) -> Json:
        container: Json = {"spoiler": self.form.flag(raw, "spoiler", at), "accent_color": None}
        if raw.get("accent_color") is not None:
            container["accent_color"] = self.form.whole(raw, "accent_color", at, least=0, most=0xFFFFFF)
        children = self.form.objects(raw, "components", at, least=1, most=TOTAL_LIMIT)
        return container | {"components": [self._one(child, where, IN_CONTAINER) for where, child in children]}


def number(tree: list[Json], taken: set[int]) -> None:
    """Give an id to every component that has none, in reading order."""
    following = 1
    for component in walk(tree):
        if component["id"] == 0:
            while following in taken:
                following += 1
            component["id"] = following
            taken.add(following)


def walk(tree: list[Json]) -> Iterator[Json]:
    """Every component of a tree in reading order, nested ones included."""
    for component in tree:
        yield component
        yield from walk(component.get("components", []))
        for key in ("accessory", "component"):
            if key in component:
                yield from walk([component[key]])


def texts(tree: list[Json]) -> list[str]:
    """What a reader sees of a tree, without the words on buttons and in selects."""
    return [component["content"] for component in walk(tree) if component["type"] == Kind.TEXT]
