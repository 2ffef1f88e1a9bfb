"""The hands of a member in the client: turns names and values into what Discord would send, and refuses what its
client would not let a member do. Refusals are sentences for whoever acts, not Discord's error codes.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox import cast
from bot.sandbox.discord import commands
from bot.sandbox.discord.commands import Commands
from bot.sandbox.discord.components import SELECTS, Kind
from bot.sandbox.discord.guild import ADMINISTRATOR, BOT_ID, Guild
from bot.sandbox.discord.media import FILE_LIMIT, Media, Upload
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.snowflakes import parsed
from bot.sandbox.discord.store import Message
from bot.sandbox.wire import Missing, Rejected

Json = dict[str, Any]

TYPE_WORDS = {
    commands.STRING: "a text",
    commands.INTEGER: "a whole number",
    commands.BOOLEAN: "true or false",
    commands.USER: "a member's name",
    commands.CHANNEL: "a channel's name",
    commands.ROLE: "a role's name",
    commands.MENTIONABLE: "a member's or a role's name",
    commands.NUMBER: "a number",
    commands.ATTACHMENT: "a file: {filename, base64}",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Who acts, and where."""

    user: int
    channel: int


@dataclass(frozen=True, slots=True)
class Picked:
    """A command as it was found: what is registered, the way to its leaf, the leaf's options."""

    command: Json
    path: tuple[str, ...]
    options: list[Json]


@dataclass(slots=True)
class Resolved:
    """The objects that an interaction names by id."""

    parts: dict[str, Json] = field(default_factory=dict)

    def add(self, kind: str, number: int | str, value: Json) -> str:
        self.parts.setdefault(kind, {})[str(number)] = value
        return str(number)

    def within(self, data: Json) -> Json:
        return data | ({"resolved": self.parts} if self.parts else {})


class Picker:
    """Looks up what a member names."""

    def __init__(self, *, guild: Guild, registered: Commands, messages: Messages, media: Media) -> None:
        self._guild = guild
        self._commands = registered
        self._messages = messages
        self._media = media
        self._files: list[tuple[int, Json, bytes]] = []

    def begin(self) -> None:
        """An act begins: files that an earlier one gave and that was refused are forgotten."""
        self._files.clear()

    def keep_files(self) -> None:
        """The act is sent: its files are kept."""
        for place, attachment, data in self._files:
            self._media.write(place, attachment, data)
        self._files.clear()

    # -- commands -----------------------------------------------------------------------------------------------------

    def visible_to(self, command: Json, user: int) -> bool:
        """Whether the client shows the command to the member."""
        needed = command.get("default_member_permissions")
        if needed is None:
            return True
        held = self._guild.permissions(user)
        return bool(held & ADMINISTRATOR) or (int(needed) != 0 and held & int(needed) == int(needed))

    def find(self, name: str, user: int, *, kinds: tuple[int, ...]) -> Picked:
        """The command of that name.

        Raises:
            Rejected: nobody has registered it, it has subcommands, or the client does not show it to that member.
        """
        groups = []
        for command in self._commands.all():
            if command["type"] not in kinds:
                continue
            for full, _leaf, options in commands.leaves(command):
                if full == name:
                    if not self.visible_to(command, user):
                        raise Rejected(f"/{name} is hidden from {self._guild.name_of(user)}.")
                    return Picked(command, tuple(full.split(" ")[1:]) if command["type"] == 1 else (), options)
                if full.startswith(f"{name} "):
                    groups.append(full)
        if groups:
            raise Rejected(f"/{name} has subcommands: {', '.join(groups)}.")
        raise Rejected(f"There is no command /{name[:100]}.")

    def data(self, picked: Picked, given: Json, place: Place) -> Json:
        """The data of a slash command.

        Raises:
            Rejected: an option is unknown or missing, or its value is not of the type, the choices or the bounds.
        """
        known = {option["name"]: option for option in picked.options}
        _refuse_unknown(given, known)
        for name, option in known.items():
            if option.get("required") and given.get(name) is None:
                raise Rejected(f"The option {name} is required.")
        resolved = Resolved()
        options = [
            self._value(known[name], value, resolved, place) for name, value in given.items() if value is not None
        ]
        return resolved.within(_nested(picked, options))

    def autocomplete_data(self, picked: Picked, option: str, text: str, given: Json, place: Place) -> Json:
        """The data of an autocomplete: what stands in the other options, and the text so far in the focused one.

        Raises:
            Rejected: the option is unknown, or has no autocomplete.
        """
        known = {one["name"]: one for one in picked.options}
        _refuse_unknown({**given, option: text}, known)
        if not known[option].get("autocomplete"):
            raise Rejected(f"The option {option} has no autocomplete.")
        resolved = Resolved()
        options = [
            self._value(known[name], value, resolved, place)
            for name, value in given.items()
            if name != option and value is not None
        ]
        options.append({"type": known[option]["type"], "name": option, "value": text, "focused": True})
        return resolved.within(_nested(picked, options))

    def target_data(self, picked: Picked, target: str, place: Place) -> Json:
        """The data of a command on a member or on a message."""
        resolved = Resolved()
        if picked.command["type"] == commands.ON_USER:
            number = self._member(target, resolved)
        else:
            message = self.message(target, place.user)
            number = resolved.add("messages", message.id, self._messages.shown(message))
        return resolved.within(_nested(picked, []) | {"target_id": number})

    def _value(self, option: Json, value: object, resolved: Resolved, place: Place) -> Json:
        kind, name = option["type"], option["name"]
        if kind in (commands.STRING, commands.INTEGER, commands.NUMBER, commands.BOOLEAN):
            if not commands.is_value(value, kind):
                raise Rejected(f"The option {name} must be {TYPE_WORDS[kind]}.")
            return {"type": kind, "name": name, "value": _within(option, value)}
        if kind == commands.ATTACHMENT:
            number = self.file(value, resolved, place)
        elif not isinstance(value, str | int) or isinstance(value, bool):
            raise Rejected(f"The option {name} must be {TYPE_WORDS[kind]}.")
        else:
            number = self.named(kind, str(value), resolved, channel_types=option.get("channel_types"))
        return {"type": kind, "name": name, "value": number}

    # -- things by name -----------------------------------------------------------------------------------------------

    def named(self, kind: int, name: str, resolved: Resolved, *, channel_types: list[int] | None = None) -> str:
        """A member, channel or role by its name or id; `kind` is a command option's type.

        Raises:
            Rejected: there is none.
        """
        match kind:
            case commands.USER:
                return self._member(name, resolved)
            case commands.ROLE:
                return self._role(name, resolved)
            case commands.CHANNEL:
                return self._channel(name, resolved, channel_types)
        is_role = name in cast.ROLES and self._guild.person(name) is None
        if is_role or name.startswith("@") or parsed(name) in cast.ROLES.values():
            return self._role(name, resolved)
        return self._member(name, resolved)

    def _member(self, name: str, resolved: Resolved) -> str:
        number = BOT_ID if name in (cast.BOT_NAME, str(BOT_ID)) else self._guild.person(name)
        if number is None:
            raise Rejected(f"There is no member {name[:100]!r}.")
        member = self._guild.acting(number)
        resolved.add(
            "members", number, {key: value for key, value in member.items() if key not in ("user", "deaf", "mute")}
        )
        return resolved.add("users", number, self._guild.user(number))

    def _role(self, name: str, resolved: Resolved) -> str:
        for role in self._guild.roles():
            if name.removeprefix("@") == role["name"] or name == role["id"]:
                return resolved.add("roles", role["id"], role)
        raise Rejected(f"There is no role {name[:100]!r}.")

    def _channel(self, name: str, resolved: Resolved, channel_types: list[int] | None) -> str:
        number = self._guild.place(name.removeprefix("#"))
        if number is None:
            raise Rejected(f"There is no channel {name[:100]!r}.")
        channel = self._guild.channel(number)
        if channel_types and channel["type"] not in channel_types:
            raise Rejected(f"{name[:100]!r} is a channel of a type that may not be chosen here.")
        of_threads = ("parent_id", "thread_metadata") if "thread_metadata" in channel else ()
        shown = {key: channel[key] for key in ("id", "name", "type", *of_threads)}
        return resolved.add("channels", number, shown | {"permissions": str(self._guild.permissions(BOT_ID, number))})

    def file(self, value: object, resolved: Resolved, place: Place) -> str:
        """A file that a member gives: `{filename, base64}`.

        Raises:
            Rejected: it is none, or too large.
        """
        match value:
            case {"filename": str(name), "base64": str(text), **more} if not more:
                pass
            case _:
                raise Rejected("A file must be given as {filename, base64}.")
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Rejected("The file's base64 cannot be read.") from None
        if len(data) > FILE_LIMIT:
            raise Rejected(f"The file is larger than {FILE_LIMIT // 2**20} MiB.")
        attachment = self._media.describe(place.channel, Upload(0, name, data), about={}, ephemeral=True)
        self._files.append((place.channel, attachment, data))
        return resolved.add("attachments", attachment["id"], attachment)

    def message(self, number: str, user: int) -> Message:
        """A message that the member can see.

        Raises:
            Missing: there is none.
        """
        message = self._messages.seen_by(user, parsed(number))
        if message is None:
            raise Missing(f"There is no message {number[:40]} that {self._guild.name_of(user)} can see.")
        return message

    # -- selects ------------------------------------------------------------------------------------------------------

    def values(self, select: Json, given: Sequence[str], resolved: Resolved, *, optional: bool = False) -> list[str]:
        """What was picked in a select, as values.

        Raises:
            Rejected: too few, too many, or not to be picked there.
        """
        least, most = (0 if optional and not given else select.get("min_values", 1)), select.get("max_values", 1)
        if not least <= len(given) <= most:
            raise Rejected(
                f"Pick {least} to {most} here, not {len(given)}."
                if least != most
                else f"Pick {most} here, not {len(given)}."
            )
        if select["type"] not in SELECTS or select["type"] == Kind.STRING_SELECT:
            picked = [_option_value(select, one) for one in given]
        else:
            kinds = {
                Kind.USER_SELECT: commands.USER,
                Kind.ROLE_SELECT: commands.ROLE,
                Kind.CHANNEL_SELECT: commands.CHANNEL,
            }
            kind = kinds.get(select["type"], commands.MENTIONABLE)
            picked = [self.named(kind, one, resolved, channel_types=select.get("channel_types")) for one in given]
        if len(set(picked)) != len(picked):
            raise Rejected("The same thing was picked twice.")
        return picked


def _option_value(select: Json, given: str) -> str:
    options = select.get("options", [])
    for key in ("value", "label"):
        for option in options:
            if option[key] == given:
                return str(option["value"])
    raise Rejected(f"{given[:100]!r} is not among the options: {', '.join(option['label'] for option in options)}.")


def _nested(picked: Picked, options: list[Json]) -> Json:
    """The options, inside of the subcommand and the group that they belong to."""
    command = picked.command
    data: Json = {"id": command["id"], "name": command["name"], "type": command["type"]}
    if "guild_id" in command:
        data["guild_id"] = command["guild_id"]
    for depth, name in reversed(list(enumerate(picked.path))):
        kind = commands.SUBCOMMAND if depth == len(picked.path) - 1 else commands.GROUP
        options = [{"type": kind, "name": name, "options": options}]
    return data | ({"options": options} if command["type"] == commands.SLASH else {})


def _refuse_unknown(given: Json, known: Json) -> None:
    for name in given:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise Rejected(f"The command has no option {name[:100]}: {there}.")


def _within(option: Json, value: Any) -> Any:
    """The value, checked against the option's choices and bounds; a choice may be given by its name."""
    name = option["name"]
    if choices := option.get("choices"):
        for choice in choices:
            if value in (choice["value"], choice["name"]):
                return choice["value"]
        raise Rejected(f"The option {name} must be one of {', '.join(choice['name'] for choice in choices)}.")
    if isinstance(value, str):
        least, most = option.get("min_length", 0), option.get("max_length", 6000)
        if not least <= len(value) <= most:
            raise Rejected(f"The option {name} must have {least} to {most} characters.")
    elif not isinstance(value, bool):
        if "min_value" in option and value < option["min_value"]:
            raise Rejected(f"The option {name} must be at least {option['min_value']}.")
        if "max_value" in option and value > option["max_value"]:
            raise Rejected(f"The option {name} must be at most {option['max_value']}.")
    return value
