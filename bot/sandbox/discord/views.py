"""What the control API shows of this Discord: messages, interactions, commands and the server, in plain words.

A message's `channel` is a channel's name, also in a thread; `thread` is the id of the thread in which it stands, or
of the one that was started from it. `raw` is the message as Discord's API gives it.
"""

from collections.abc import Iterable
from typing import Any

from bot.sandbox import cast
from bot.sandbox.discord import components, embeds, modals
from bot.sandbox.discord.commands import Commands, leaves
from bot.sandbox.discord.components import SELECTS, Kind
from bot.sandbox.discord.guild import Guild
from bot.sandbox.discord.interactions import Callback, Interaction
from bot.sandbox.discord.messages import LOADING, Messages
from bot.sandbox.discord.picker import Picker
from bot.sandbox.discord.store import Message

Json = dict[str, Any]

STYLES = {1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link", 6: "premium"}


class Views:
    """Renders what the parts know."""

    def __init__(self, *, guild: Guild, messages: Messages, registered: Commands, picker: Picker) -> None:
        self._guild = guild
        self._messages = messages
        self._commands = registered
        self._picker = picker

    def message(self, message: Message) -> Json:
        raw = self._messages.shown(message)
        owner = None if message.owner is None else self._guild.name_of(message.owner)
        in_thread = self._guild.thread(message.channel)
        thread = raw["thread"]["id"] if "thread" in raw else None
        return {
            "id": raw["id"],
            "channel": self._guild.channel_name(message.channel),
            "thread": in_thread["id"] if in_thread else thread,
            "author": raw["author"]["username"],
            "ephemeral": owner is not None,
            "ephemeral_for": owner,
            "user": owner,
            "created_at": raw["timestamp"],
            "edited_at": raw["edited_timestamp"],
            "edits": message.edits,
            "text": text_of(raw),
            "content": raw["content"],
            "embeds": raw["embeds"],
            "components": [control(one) for one in controls(raw)],
            "attachments": [
                {"filename": one["filename"], "url": one["url"], "size": one["size"]} for one in raw["attachments"]
            ],
            "pings": message.pings,
            "pinned": raw["pinned"],
            "loading": bool(message.flags & LOADING),
            "raw": raw,
        }

    def interaction(self, interaction: Interaction) -> Json:
        """An interaction; `message` is its answer, or its newest follow-up when it has none."""
        bare_update = interaction.callback is Callback.DEFERRED_UPDATE and not interaction.updated
        number = None if bare_update else interaction.original
        if number is None and interaction.followups:
            number = interaction.followups[-1]
        message = self._messages.seen_by(interaction.user, number)
        return {
            "id": str(interaction.id),
            "type": int(interaction.type),
            "user": self._guild.name_of(interaction.user),
            "name": interaction.name,
            "state": interaction.state.value,
            "ack_ms": interaction.ack_ms,
            "ephemeral": message.owner is not None if message else interaction.secret,
            "text": "" if message is None else text_of(message.payload),
            "message": None if message is None else str(message.id),
            "followups": [str(one) for one in interaction.followups],
            "modal": None if interaction.modal is None else modals.view(interaction.modal),
            "choices": interaction.choices,
        }

    def guild(self) -> Json:
        return {
            "guild": {
                "id": str(cast.GUILD_ID),
                "name": cast.GUILD_NAME,
                "roles": [{"id": one["id"], "name": one["name"], "color": one["color"]} for one in self._guild.roles()],
                "bot": {"id": str(cast.APPLICATION_ID), "name": cast.BOT_NAME},
            },
            "channels": [
                {"id": one["id"], "name": one["name"], "topic": one["topic"]} for one in self._guild.channels()
            ],
            "members": [
                {"id": str(person.id), "name": person.name, "roles": list(self._guild.role_names(person.id))}
                for person in cast.PEOPLE
            ],
            "threads": [
                self._thread(one) for archived in (False, True) for one in self._guild.threads(archived=archived)
            ],
            "commands": list(self.commands()),
        }

    def _thread(self, thread: Json) -> Json:
        return {
            "id": thread["id"],
            "name": thread["name"],
            "parent": thread["parent_id"],
            "archived": thread["thread_metadata"]["archived"],
        }

    def commands(self) -> Iterable[Json]:
        """Everything that can be run, subcommands by their full name; `visible_to` names who finds it in the picker."""
        for command in self._commands.all():
            visible = [person.name for person in cast.PEOPLE if self._picker.visible_to(command, person.id)]
            for name, leaf, options in leaves(command):
                yield {
                    "id": command["id"],
                    "type": command["type"],
                    "name": name,
                    "description": leaf["description"],
                    "options": [_option(one) for one in options],
                    "visible_to": visible,
                }


def _option(option: Json) -> Json:
    shown = {
        "name": option["name"],
        "description": option["description"],
        "type": option["type"],
        "required": option.get("required", False),
        "choices": option.get("choices", []),
        "autocomplete": option.get("autocomplete", False),
        "min": option.get("min_value", option.get("min_length")),
        "max": option.get("max_value", option.get("max_length")),
    }
    bounds = ("min_value", "max_value", "min_length", "max_length", "channel_types")
    return shown | {key: option[key] for key in bounds if key in option}


def text_of(raw: Json) -> str:
    """All that can be read in a message, top to bottom, without the words on buttons and in selects."""
    parts = [raw["content"]]
    for embed in raw["embeds"]:
        parts += embeds.texts(embed)
    parts += components.texts(raw["components"])
    return "\n".join(part for part in parts if part)


def controls(raw: Json) -> list[Json]:
    """The buttons and selects of a message, in reading order."""
    return [one for one in components.walk(raw["components"]) if one["type"] == Kind.BUTTON or one["type"] in SELECTS]


def label(raw: Json) -> str:
    """What stands on a button or, when nothing is picked, in a select."""
    emoji = raw.get("emoji") or {}
    return str(raw.get("label") or raw.get("placeholder") or emoji.get("name") or "")


def control(raw: Json) -> Json:
    shown: Json = {
        "kind": modals.WORDS[raw["type"]],
        "label": label(raw),
        "custom_id": raw.get("custom_id"),
        "style": STYLES.get(raw.get("style", 0)),
        "disabled": raw.get("disabled", False),
        "url": raw.get("url"),
    }
    if raw["type"] != Kind.BUTTON:
        shown |= {"options": raw.get("options", []), "min_values": raw["min_values"], "max_values": raw["max_values"]}
    return shown
