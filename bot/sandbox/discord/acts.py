"""What members do, as the control API asks for it: run a command, type into an option, use a component, send a modal.

Bodies are checked here. What the client of a member would not let happen is refused with a sentence (400); what that
member cannot see does not exist (404).
"""

from typing import Any

from bot.sandbox.discord import commands
from bot.sandbox.discord.components import Kind
from bot.sandbox.discord.errors import DiscordError
from bot.sandbox.discord.guild import Guild
from bot.sandbox.discord.interactions import Act, Interaction, Interactions, State, Type
from bot.sandbox.discord.picker import Picker, Place, Resolved
from bot.sandbox.discord.reactions import Reactions, known_emoji
from bot.sandbox.discord.rules import BIT
from bot.sandbox.discord.snowflakes import parsed
from bot.sandbox.discord.store import Message
from bot.sandbox.discord.views import controls, label
from bot.sandbox.wire import Missing, Rejected

Json = dict[str, Any]

LINK = 5
KINDS: dict[str, tuple[type, str]] = {
    "user": (str, "a member's name"),
    "channel": (str, "a channel's name or a thread's id"),
    "command": (str, "a command's name"),
    "options": (dict, "an object"),
    "target": (str, "a member's name or a message's id"),
    "option": (str, "an option's name"),
    "text": (str, "a text"),
    "message": (str, "a message's id"),
    "interaction": (str, "an interaction's id"),
    "label": (str, "a text"),
    "custom_id": (str, "a text"),
    "values": (list, "a list of texts"),
    "fields": (dict, "an object"),
    "emoji": (str, "an emoji"),
    "remove": (bool, "true or false"),
}


class Acts:
    """The acts of members."""

    def __init__(self, *, guild: Guild, picker: Picker, interactions: Interactions, reactions: Reactions) -> None:
        self._guild = guild
        self._reactions = reactions
        self._picker = picker
        self._interactions = interactions

    def _send(self, act: Act) -> Interaction:
        self._picker.keep_files()
        return self._interactions.begin(act)

    # -- commands -----------------------------------------------------------------------------------------------------

    def command(self, body: Json) -> Interaction:
        """Run a command.

        Raises:
            Rejected: the client would not send it.
        """
        self._picker.begin()
        taken = _taken(body, needed=("user", "channel", "command"), also=("options", "target"))
        place = self._place(taken)
        name, target = taken["command"].removeprefix("/"), taken.get("target")
        kinds = (commands.SLASH,) if target is None else (commands.ON_USER, commands.ON_MESSAGE)
        picked = self._picker.find(name, place.user, kinds=kinds)
        if target is None:
            data = self._picker.data(picked, taken.get("options", {}), place)
        else:
            data = self._picker.target_data(picked, target, place)
        return self._send(Act(Type.COMMAND, place.user, place.channel, data, name=name))

    def autocomplete(self, body: Json) -> Interaction:
        """Type into an option.

        Raises:
            Rejected: the client would not ask for choices there.
        """
        self._picker.begin()
        taken = _taken(body, needed=("user", "channel", "command", "option", "text"), also=("options",))
        place = self._place(taken)
        name, option = taken["command"].removeprefix("/"), taken["option"]
        picked = self._picker.find(name, place.user, kinds=(commands.SLASH,))
        data = self._picker.autocomplete_data(picked, option, taken["text"], taken.get("options", {}), place)
        kind = next(one["type"] for one in picked.options if one["name"] == option)
        return self._send(Act(Type.AUTOCOMPLETE, place.user, place.channel, data, name=name, option_type=kind))

    def _place(self, taken: Json) -> Place:
        channel = self._guild.place(taken["channel"].removeprefix("#"))
        if channel is None:
            raise Rejected(f"There is no channel {taken['channel'][:100]!r}.")
        place = Place(self._user(taken), channel)
        held = self._guild.permissions(place.user, channel)
        if not held & BIT["VIEW_CHANNEL"]:
            raise Missing(f"{taken['user']} does not see the channel {taken['channel'][:100]!r}.")
        if not held & BIT["USE_APPLICATION_COMMANDS"]:
            raise Rejected(f"{taken['user']} may not use commands in {taken['channel'][:100]!r}.")
        return place

    def _user(self, taken: Json) -> int:
        user = self._guild.person(taken["user"])
        if user is None:
            raise Rejected(f"There is no member {taken['user'][:100]!r}.")
        return user

    # -- components ---------------------------------------------------------------------------------------------------

    def component(self, body: Json) -> Interaction:
        """Press a button, or pick in a select.

        Raises:
            Missing: the message or the component is not there for that member.
            Rejected: it is disabled, or what was picked is not to be picked.
        """
        taken = _taken(body, needed=("user", "message"), also=("label", "custom_id", "values"))
        if ("label" in taken) == ("custom_id" in taken):
            raise Rejected("Name the component by either label or custom_id.")
        user = self._user(taken)
        message = self._picker.message(taken["message"], user)
        raw = _component(message, taken)
        resolved = Resolved()
        data: Json = {"component_type": raw["type"], "id": raw["id"], "custom_id": raw["custom_id"]}
        if raw["type"] == Kind.BUTTON:
            if "values" in taken:
                raise Rejected("A button takes no values.")
        else:
            data["values"] = self._picker.values(raw, _texts(taken.get("values", [])), resolved)
        act = Act(Type.COMPONENT, user, message.channel, resolved.within(data), name=raw["custom_id"], source=message)
        return self._send(act)

    def react(self, body: Json) -> Json:
        """React to a message, or with `remove` take it back.

        Raises:
            Missing: the message is not there for that member.
            Rejected: it is no emoji, or one too many.
        """
        taken = _taken(body, needed=("user", "message", "emoji"), also=("remove",))
        user = self._user(taken)
        message = self._picker.message(taken["message"], user)
        if message.owner is not None:
            raise Rejected("Nobody can react to a message that only one member sees.")
        change = self._reactions.remove if taken.get("remove") else self._reactions.add
        try:
            change(message, known_emoji(taken["emoji"]), user)
        except DiscordError as error:
            raise Rejected(f"{error.message}: {taken['emoji'][:40]!r}.") from None
        return {"message": str(message.id), "reactions": message.payload.get("reactions", [])}

    # -- modals -------------------------------------------------------------------------------------------------------

    def modal(self, body: Json) -> Interaction:
        """Fill a modal in and send it.

        Raises:
            Missing: no such modal was opened for that member.
            Rejected: it was sent already, or a field is unknown, missing or wrong.
        """
        self._picker.begin()
        taken = _taken(body, needed=("user", "interaction"), also=("fields",))
        user = self._user(taken)
        opener = self._interactions.get(parsed(taken["interaction"]))
        if opener is None or opener.user != user or opener.modal is None:
            raise Missing(f"No modal is open for {taken['user']} by the interaction {taken['interaction'][:40]}.")
        last = self._interactions.get(opener.submitted)
        if last is not None and last.state is not State.TIMEOUT:
            raise Rejected("The modal was sent already.")
        filled = _Filled(self._picker, Place(user, opener.place), dict(taken.get("fields", {})))
        rows = [filled.row(row) for row in opener.modal["components"]]
        filled.refuse_rest()
        data = filled.resolved.within({"custom_id": opener.modal["custom_id"], "components": rows})
        source = self._picker.message(str(opener.source), user) if opener.source is not None else None
        act = Act(
            Type.MODAL_SUBMIT, user, opener.place, data, name=opener.modal["custom_id"], source=source, opener=opener
        )
        submitted = self._send(act)
        opener.submitted = submitted.id
        return submitted


class _Filled:
    """The fields of a modal as a member filled them in, by label or custom id."""

    def __init__(self, picker: Picker, place: Place, given: Json) -> None:
        self._picker = picker
        self._place = place
        self._given = given
        self.resolved = Resolved()

    def row(self, row: Json) -> Json:
        """A row of the modal with its answers."""
        start = {"type": row["type"], "id": row["id"]}
        if row["type"] == Kind.TEXT:
            return start
        if row["type"] == Kind.LABEL:
            return start | {"component": self._field(row["component"], row["label"])}
        return start | {"components": [self._field(field, field["label"]) for field in row["components"]]}

    def refuse_rest(self) -> None:
        if self._given:
            raise Rejected(f"The modal has no field {next(iter(self._given))[:100]!r}.")

    def _field(self, field: Json, name: str) -> Json:
        value = self._given.pop(field["custom_id"], None)
        if value is None:
            value = self._given.pop(name, None)
        answer: Json = {"type": field["type"], "id": field["id"], "custom_id": field["custom_id"]}
        if field["type"] == Kind.TEXT_INPUT:
            return answer | {"value": _typed(field, name, value)}
        if field["type"] == Kind.CHECKBOX:
            return answer | {"value": _ticked(field, name, value)}
        values = self._picked(field, name, value)
        if field["type"] == Kind.RADIO_GROUP:
            return answer | {"value": values[0] if values else None}
        return answer | {"values": values}

    def _picked(self, field: Json, name: str, value: object) -> list[str]:
        given = value if isinstance(value, list) else [] if value is None else [value]
        if not given:
            given = [one["value"] for one in field.get("options", []) if one.get("default")]
        if not given and field.get("required", True) and field.get("min_values", 1) > 0:
            raise Rejected(f"The field {name!r} is required.")
        if field["type"] == Kind.FILE_UPLOAD:
            if len(given) > field["max_values"]:
                raise Rejected(f"The field {name!r} takes at most {field['max_values']} files.")
            return [self._picker.file(one, self.resolved, self._place) for one in given]
        return self._picker.values(field, _texts(given), self.resolved, optional=not field.get("required", True))


def _typed(field: Json, name: str, value: object) -> str:
    """What stands in a text input; what the bot put there stays when nothing is given."""
    if value is None:
        value = field.get("value", "")
    if not isinstance(value, str):
        raise Rejected(f"The field {name!r} takes a text.")
    if not value:
        if field["required"]:
            raise Rejected(f"The field {name!r} is required.")
        return ""
    if not field["min_length"] <= len(value) <= field["max_length"]:
        raise Rejected(f"The field {name!r} takes {field['min_length']} to {field['max_length']} characters.")
    return value


def _ticked(field: Json, name: str, value: object) -> bool:
    if value is None:
        return bool(field["default"])
    if not isinstance(value, bool):
        raise Rejected(f"The field {name!r} takes true or false.")
    return value


def _component(message: Message, taken: Json) -> Json:
    """The component that was named; of several with one label, the first that can be used."""
    wanted = taken.get("custom_id", taken.get("label"))
    found = [
        raw
        for raw in controls(message.payload)
        if (raw.get("custom_id") if "custom_id" in taken else label(raw)) == wanted
    ]
    if not found:
        there = ", ".join(repr(label(raw)) for raw in controls(message.payload)) or "none"
        raise Missing(f"The message has no component {wanted!r}; it has {there}.")
    usable = [raw for raw in found if not raw.get("disabled")]
    if not usable:
        raise Rejected(f"{wanted!r} is disabled.")
    if usable[0].get("style") == LINK or "custom_id" not in usable[0]:
        raise Rejected(f"{wanted!r} is a link: it opens {usable[0].get('url')} and sends nothing.")
    return usable[0]


def _texts(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise Rejected("values must be a list of texts.")
    return values


def _taken(body: Json, *, needed: tuple[str, ...], also: tuple[str, ...]) -> Json:
    """The body's keys, each of the right kind.

    Raises:
        Rejected: one is unknown, missing, or of another kind.
    """
    for key in body:
        if key not in needed and key not in also:
            raise Rejected(f"The key {key[:100]!r} is not known here; known are: {', '.join((*needed, *also))}.")
    taken = {key: value for key, value in body.items() if value is not None}
    for key in needed:
        if key not in taken:
            raise Rejected(f"The key {key} is missing: {KINDS[key][1]}.")
    for key, value in taken.items():
        if not isinstance(value, KINDS[key][0]):
            raise Rejected(f"The key {key} must be {KINDS[key][1]}.")
    return taken
