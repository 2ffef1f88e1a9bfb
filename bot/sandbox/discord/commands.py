"""Application commands: what Discord accepts when a bot registers them, and what is registered.

Limits: Discord's documentation, "Application Commands". Guild and global commands are kept apart, as there.
"""

import re
import time
from collections.abc import Iterator
from typing import Any

from bot.sandbox.discord.components import CHANNEL_TYPES
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.guild import BOT_ID
from bot.sandbox.discord.snowflakes import Snowflakes, parsed
from bot.sandbox.discord.store import Store

Json = dict[str, Any]

SLASH, ON_USER, ON_MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)
OPTION_TYPES = tuple(range(1, 12))
MOST = {SLASH: 100, ON_USER: 15, ON_MESSAGE: 15}
CREATES_A_DAY = 200
TEXT_LIMIT = 8000
OPTIONS_LIMIT, CHOICES_LIMIT = 25, 25
LARGEST = 2**53
SLASH_NAME = re.compile(r"[-_'\w]{1,32}")
GLOBAL = "global"
LOCALES = frozenset(
    (
        *(
            "id",
            "da",
            "de",
            "en-GB",
            "en-US",
            "es-ES",
            "es-419",
            "fr",
            "hr",
            "it",
            "lt",
            "hu",
            "nl",
            "no",
            "pl",
            "pt-BR",
        ),
        *("ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko"),
    )
)
"""Those that Discord knows ("Reference", locales)."""


class Commands:
    """The registered commands of each scope: the server's id, or `global`."""

    def __init__(self, *, store: Store, ids: Snowflakes) -> None:
        self._store = store
        self._ids = ids
        self._scopes: dict[str, list[Json]] = store.document("commands") or {}
        self._creates: list[float] = []

    def scope(self, scope: str) -> list[Json]:
        return self._scopes.get(scope, [])

    def all(self) -> Iterator[Json]:
        """Every command that a member of the server meets; the server's own come first."""
        for scope in sorted(self._scopes, key=lambda name: name == GLOBAL):
            yield from self._scopes[scope]

    def find(self, scope: str, number: str) -> Json:
        """A command by its id.

        Raises:
            DiscordError: 10063.
        """
        for command in self.scope(scope):
            if command["id"] == number:
                return command
        raise DiscordError(Known.UNKNOWN_COMMAND)

    def overwrite(self, scope: str, bodies: object) -> list[Json]:
        """Replace all commands of a scope; one that keeps its name and type keeps its id.

        Raises:
            DiscordError: 50035 or a limit; nothing is changed then.
        """
        form = Form()
        found = [read(form, raw, at) for at, raw in form.objects({"body": bodies}, "body", most=sum(MOST.values()))]
        form.check()
        self._write(scope, found)
        return self.scope(scope)

    def add(self, scope: str, body: Json) -> tuple[Json, bool]:
        """Register one, or replace the one of its name; says whether it is new."""
        form = Form()
        command = read(form, body, "")
        form.check()
        others = [one for one in self.scope(scope) if _key(one) != _key(command)]
        is_new = len(others) == len(self.scope(scope))
        self._write(scope, [*others, command])
        return self.scope(scope)[-1], is_new

    def change(self, scope: str, number: str, body: Json) -> Json:
        old = self.find(scope, number)
        form = Form()
        changed = read(form, old | {key: value for key, value in body.items() if key != "id"}, "")
        form.check()
        self._write(scope, [changed if one is old else one for one in self.scope(scope)], keep={_key(changed): number})
        return self.find(scope, number)

    def remove(self, scope: str, number: str) -> None:
        gone = self.find(scope, number)
        self._write(scope, [one for one in self.scope(scope) if one is not gone])

    def _write(self, scope: str, found: list[Json], *, keep: dict[tuple[int, str], str] | None = None) -> None:
        """Check what concerns the whole scope, give ids, and store it."""
        keys = [_key(command) for command in found]
        form = Form()
        for number, key in enumerate(keys):
            if key in keys[:number]:
                form.fail(
                    f"{number}.name", "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique"
                )
        form.check()
        if any(sum(key[0] == kind for key in keys) > most for kind, most in MOST.items()):
            raise DiscordError(Known.TOO_MANY_COMMANDS)
        known = {_key(one): one["id"] for one in self.scope(scope)} | (keep or {})
        self._count_creates(sum(key not in known for key in keys))
        where = {} if scope == GLOBAL else {"guild_id": scope}
        self._scopes[scope] = [
            command
            | {"id": known.get(_key(command)) or str(self._ids.next()), "version": str(self._ids.next())}
            | {"application_id": str(BOT_ID)}
            | where
            for command in found
        ]
        self._store.put_document("commands", self._scopes)

    def _count_creates(self, fresh: int) -> None:
        day_ago = time.time() - 86_400
        self._creates = [at for at in self._creates if at > day_ago]
        if len(self._creates) + fresh > CREATES_A_DAY:
            raise DiscordError(Known.TOO_MANY_COMMANDS_A_DAY)
        self._creates += [time.time()] * fresh


def _key(command: Json) -> tuple[int, str]:
    return command["type"], command["name"]


def read(form: Form, raw: Json, at: str) -> Json:
    """One command, checked and in the form in which Discord gives it back."""
    at = at.removeprefix("body.")
    kind = form.choice(raw, "type", at, among=(SLASH, ON_USER, ON_MESSAGE), default=SLASH)
    command: Json = {
        "type": kind,
        "name": _name(form, raw, at) if kind == SLASH else form.text(raw, "name", at, least=1, most=32, required=True),
        "name_localizations": _localized(form, raw, "name_localizations", at, most=32),
        "description": "",
        "description_localizations": _localized(form, raw, "description_localizations", at, most=100),
        "default_member_permissions": _permissions(form, raw, at),
        "dm_permission": form.flag(raw, "dm_permission", at, default=True),
        "nsfw": form.flag(raw, "nsfw", at),
        "contexts": form.among(raw, "contexts", at, among=(0, 1, 2)) if raw.get("contexts") is not None else None,
        "integration_types": form.among(raw, "integration_types", at, among=(0, 1)) or [0],
    }
    if kind == SLASH:
        command["description"] = form.text(raw, "description", at, least=1, most=100, required=True)
        command["options"] = _options(form, raw, at, allowed=OPTION_TYPES)
        if _length(command) > TEXT_LIMIT:
            form.fail(at or "name", "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)")
    return command


def _localized(form: Form, raw: Json, key: str, at: str, *, most: int) -> Json | None:
    """Texts by locale."""
    found = form.object(raw, key, at.lstrip("."))
    path = f"{at}.{key}".lstrip(".")
    if found is not None:
        for locale in found:
            if locale not in LOCALES:
                form.fail(
                    f"{path}.{locale[:20]}", "ENUM_TYPE_COERCE", f'Value "{locale[:20]}" is not a valid enum value.'
                )
        return {locale: form.text(found, locale, path, least=1, most=most) for locale in found}
    return None


def _permissions(form: Form, raw: Json, at: str) -> str | None:
    given = raw.get("default_member_permissions")
    if given is None:
        return None
    number = parsed(given)
    if number is None:
        form.fail(
            f"{at}.default_member_permissions".lstrip("."), "NUMBER_TYPE_COERCE", "Value is not a permission set."
        )
    return str(number or 0)


def _name(form: Form, raw: Json, at: str) -> str:
    name = form.text(raw, "name", at, least=1, most=32, required=True)
    if name and (not SLASH_NAME.fullmatch(name) or name != name.lower()):
        form.fail(f"{at}.name".lstrip("."), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    return name


def _options(form: Form, raw: Json, at: str, *, allowed: tuple[int, ...]) -> list[Json]:
    found: list[Json] = []
    for where, one in form.objects(raw, "options", at, most=OPTIONS_LIMIT):
        option = _option(form, one, where, allowed)
        if any(other["name"] == option["name"] for other in found):
            form.fail(f"{where}.name", "APPLICATION_COMMAND_OPTIONS_DUPLICATE_NAME", "Option names must be unique")
        if found and (option["type"] <= GROUP) != (found[0]["type"] <= GROUP):
            form.fail(
                where,
                "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                "Sub-command and sub-command group option types are mutually exclusive",
            )
        if option.get("required") and found and not found[-1].get("required"):
            form.fail(
                where,
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                "Required options must be placed before non-required options",
            )
        found.append(option)
    return found


def _option(form: Form, raw: Json, at: str, allowed: tuple[int, ...]) -> Json:
    kind = form.choice(raw, "type", at, among=allowed)
    option: Json = {
        "type": kind,
        "name": _name(form, raw, at),
        "description": form.text(raw, "description", at, least=1, most=100, required=True),
    }
    for key, most in (("name_localizations", 32), ("description_localizations", 100)):
        if raw.get(key) is not None:
            option[key] = _localized(form, raw, key, at, most=most)
    if kind in (SUBCOMMAND, GROUP):
        inner = (SUBCOMMAND,) if kind == GROUP else tuple(range(STRING, 12))
        return option | {"options": _options(form, raw, at, allowed=inner)}
    option["required"] = form.flag(raw, "required", at)
    if kind in (STRING, INTEGER, NUMBER):
        option |= _values(form, raw, at, kind)
    if kind == CHANNEL and raw.get("channel_types") is not None:
        option["channel_types"] = form.among(raw, "channel_types", at, among=CHANNEL_TYPES)
    return option


def _values(form: Form, raw: Json, at: str, kind: int) -> Json:
    """Choices, bounds and autocomplete of an option that is typed in."""
    found: Json = {}
    if form.flag(raw, "autocomplete", at):
        found["autocomplete"] = True
        if raw.get("choices"):
            form.fail(at, "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES", "Autocomplete and choices are mutually exclusive")
    if choices := [
        _choice(form, one, where, kind) for where, one in form.objects(raw, "choices", at, most=CHOICES_LIMIT)
    ]:
        found["choices"] = choices
    if kind == STRING:
        for key, least in (("min_length", 0), ("max_length", 1)):
            if raw.get(key) is not None:
                found[key] = form.whole(raw, key, at, least=least, most=6000)
        return found
    for key in ("min_value", "max_value"):
        value = raw.get(key)
        if value is None:
            continue
        if is_value(value, kind):
            found[key] = value
        else:
            form.fail(f"{at}.{key}", "NUMBER_TYPE_COERCE", "Value is not a number of the option's type.")
    return found


def _choice(form: Form, raw: Json, at: str, kind: int) -> Json:
    choice: Json = {"name": form.text(raw, "name", at, least=1, most=100, required=True), "value": raw.get("value")}
    if raw.get("name_localizations") is not None:
        choice["name_localizations"] = _localized(form, raw, "name_localizations", at, most=100)
    if not is_value(choice["value"], kind):
        form.fail(
            f"{at}.value", "APPLICATION_COMMAND_OPTIONS_CHOICE_VALUE_INVALID", "The value has not the option's type."
        )
    elif kind == STRING and not 1 <= len(choice["value"]) <= 100:
        form.fail(f"{at}.value", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")
    return choice


def is_value(value: object, kind: int) -> bool:
    """Whether a value has the type of a string, integer, number or boolean option."""
    if kind == STRING:
        return isinstance(value, str)
    if kind == BOOLEAN or isinstance(value, bool):
        return kind == BOOLEAN and isinstance(value, bool)
    if kind == INTEGER:
        return isinstance(value, int) and -LARGEST <= value <= LARGEST
    return isinstance(value, int | float) and -LARGEST <= value <= LARGEST


def read_choices(form: Form, data: Json, kind: int) -> list[Json]:
    """The choices of an answer to an autocomplete."""
    return [_choice(form, one, at, kind) for at, one in form.objects(data, "choices", "data", most=CHOICES_LIMIT)]


def _length(command: Json) -> int:
    """Names, descriptions and values of a command and of everything in it; of translations the longest counts."""
    total = _longest(command, "name") + _longest(command, "description")
    total += sum(_longest(choice, "name") + len(str(choice["value"])) for choice in command.get("choices", ()))
    return total + sum(_length(option) for option in command.get("options", ()))


def _longest(named: Json, key: str) -> int:
    return max(len(named[key]), *(len(text) for text in (named.get(f"{key}_localizations") or {}).values()), 0)


def leaves(command: Json) -> Iterator[tuple[str, Json, list[Json]]]:
    """Each thing that can be run: its full name (`ops list`), what describes it, its options."""
    yield from _leaves(command["name"], command)


def _leaves(name: str, node: Json) -> Iterator[tuple[str, Json, list[Json]]]:
    options = node.get("options", [])
    if any(option["type"] <= GROUP for option in options):
        for option in options:
            yield from _leaves(f"{name} {option['name']}", option)
    else:
        yield name, node, options
