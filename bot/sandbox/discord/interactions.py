"""Interactions: from the act of a member to the last follow-up of the bot.

One is sent to the gateway, must have its first answer in three seconds, and takes follow-ups by its token for
fifteen minutes. Source: Discord's documentation, "Receiving and Responding to Interactions".
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Protocol

from bot.sandbox.cast import GUILD_ID
from bot.sandbox.discord import commands, modals
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.limits import Buckets, Pace
from bot.sandbox.discord.media import FILE_LIMIT, Upload
from bot.sandbox.discord.messages import EPHEMERAL, LOADING, Messages, Origin
from bot.sandbox.discord.snowflakes import Snowflakes
from bot.sandbox.discord.store import Message

Json = dict[str, Any]

KEPT = 20_000
CHAT_INPUT_REPLY, CONTEXT_MENU_REPLY = 20, 23
USER_FOLLOW_UPS = 5
"""Follow-ups of one interaction of an application that only members have installed."""


class Type(IntEnum):
    """What a member did."""

    COMMAND = 2
    COMPONENT = 3
    AUTOCOMPLETE = 4
    MODAL_SUBMIT = 5


class Callback(IntEnum):
    """How a bot answers first."""

    MESSAGE = 4
    DEFERRED_MESSAGE = 5
    DEFERRED_UPDATE = 6
    UPDATE = 7
    CHOICES = 8
    MODAL = 9


class State(StrEnum):
    """What became of an interaction, in the words of the control API."""

    SENT = "sent"
    DEFERRED = "deferred"
    ANSWERED = "answered"
    MODAL = "modal"
    CHOICES = "choices"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Act:
    """What a member did, and where. `source` is the message whose component was used, also by a modal that it opened.

    `name` is what later messages say of it: the command's name or the custom id. `option_type` is the type of the
    focused option of an autocomplete. `opener` is the interaction that a submitted modal answered.
    """

    type: Type
    user: int
    place: int
    data: Json
    name: str = ""
    source: Message | None = None
    option_type: int = 0
    opener: "Interaction | None" = None


@dataclass(slots=True)
class Interaction:
    """One interaction. `original` is the message that `@original` names; `updated`: a deferred update was made good;
    `submitted` is the interaction by which its modal was sent.
    """

    id: int
    token: str
    type: Type
    user: int
    place: int
    name: str
    metadata: Json
    source: int | None
    option_type: int
    began: float
    user_installed: bool = False
    state: State = State.SENT
    ack_ms: float | None = None
    callback: Callback | None = None
    secret: bool = False
    original: int | None = None
    updated: bool = False
    followups: list[int] = field(default_factory=list)
    modal: Json | None = None
    submitted: int | None = None
    choices: list[Json] | None = None
    timer: asyncio.TimerHandle | None = None


class Out(Protocol):
    """Where interactions go, and who is told of their changes."""

    def interaction_created(self, payload: Json) -> None: ...
    def interaction_updated(self, interaction: Interaction) -> None: ...


class Interactions:
    """The interactions of the last while, by id and by token."""

    def __init__(
        self, *, guild: Guild, messages: Messages, ids: Snowflakes, pace: Pace, buckets: Buckets, out: Out
    ) -> None:
        self._guild = guild
        self._messages = messages
        self._ids = ids
        self._pace = pace
        self._buckets = buckets
        self._out = out
        self._by_id: OrderedDict[int, Interaction] = OrderedDict()
        self._by_token: dict[str, Interaction] = {}

    def get(self, number: int | None) -> Interaction | None:
        return self._by_id.get(number) if number is not None else None

    def close(self) -> None:
        for interaction in self._by_id.values():
            if interaction.timer is not None:
                interaction.timer.cancel()

    # -- the way to the bot -------------------------------------------------------------------------------------------

    def begin(self, act: Act) -> Interaction:
        """Send an act to the bot; its three seconds begin now, also when nobody is connected."""
        number = self._ids.next()
        interaction = Interaction(
            id=number,
            token=f"{secrets.token_urlsafe(16)}.{number}.{secrets.token_urlsafe(32)}",
            type=act.type,
            user=act.user,
            place=act.place,
            name=act.name,
            metadata=self._metadata(number, act),
            source=act.source.id if act.source else None,
            option_type=act.option_type,
            began=time.monotonic(),
            user_installed=self._guild.rules.user_installed,
        )
        self._remember(interaction)
        loop = asyncio.get_running_loop()
        interaction.timer = loop.call_later(self._pace.now.answer_s, self._run_out, interaction)
        self._out.interaction_created(self._payload(interaction, act))
        return interaction

    def _remember(self, interaction: Interaction) -> None:
        self._by_id[interaction.id] = interaction
        self._by_token[interaction.token] = interaction
        while len(self._by_id) > KEPT:
            _, old = self._by_id.popitem(last=False)
            self._by_token.pop(old.token, None)

    def _run_out(self, interaction: Interaction) -> None:
        interaction.timer = None
        interaction.state = State.TIMEOUT
        self._out.interaction_updated(interaction)

    def _metadata(self, number: int, act: Act) -> Json:
        """What a message says of the interaction that it answers."""
        found: Json = {
            "id": str(number),
            "type": int(act.type),
            "user": self._guild.user(act.user),
            "authorizing_integration_owners": self._owners(act.user),
        }
        if act.type is Type.COMMAND:
            found |= {"name": act.name, "command_type": act.data.get("type", commands.SLASH)}
        elif act.type is Type.COMPONENT and act.source is not None:
            found["interacted_message_id"] = str(act.source.id)
        elif act.type is Type.MODAL_SUBMIT and act.opener is not None:
            found["triggering_interaction_metadata"] = act.opener.metadata
        return found

    def _owners(self, user: int) -> Json:
        """Who has installed the application: the server (0), or the member (1)."""
        return {"1": str(user)} if self._guild.rules.user_installed else {"0": str(GUILD_ID)}

    def _payload(self, interaction: Interaction, act: Act) -> Json:
        member = self._guild.acting(act.user, act.place)
        payload: Json = {
            "version": 1,
            "type": int(act.type),
            "token": interaction.token,
            "id": str(interaction.id),
            "application_id": str(BOT_ID),
            "guild_id": str(GUILD_ID),
            "guild": {"id": str(GUILD_ID), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "locale": "en-US",
            "channel_id": str(act.place),
            "channel": self._guild.channel(act.place) | {"permissions": member["permissions"]},
            "member": member,
            "app_permissions": str(self._guild.permissions(BOT_ID, act.place)),
            "entitlements": [],
            "authorizing_integration_owners": self._owners(act.user),
            "context": 0,
            "attachment_size_limit": FILE_LIMIT,
            "data": act.data,
        }
        if act.source is not None:
            payload["message"] = self._messages.shown(act.source)
        return payload

    # -- the first answer ---------------------------------------------------------------------------------------------

    def open(self, number: int | None, token: str) -> Interaction:
        """The interaction that a bot answers first.

        Raises:
            DiscordError: 10062 when there is none or it is too late, 40060 when it has been answered.
        """
        interaction = self.get(number)
        if interaction is None or not secrets.compare_digest(
            interaction.token.encode(), token.encode("utf-8", "replace")
        ):
            raise DiscordError(Known.UNKNOWN_INTERACTION)
        if interaction.state is State.TIMEOUT:
            raise DiscordError(Known.UNKNOWN_INTERACTION)
        if interaction.callback is not None:
            raise DiscordError(Known.ALREADY_ACKNOWLEDGED)
        return interaction

    def answer(self, interaction: Interaction, body: Json, uploads: Sequence[Upload]) -> Json:
        """Take the first answer; gives what `with_response` asks for.

        Raises:
            DiscordError: the answer is wrong; the interaction then still waits for one.
        """
        form = Form()
        allowed = _callbacks(interaction)
        kind = Callback(form.choice(body, "type", among=tuple(int(one) for one in allowed)))
        form.check()
        data = form.object(body, "data", required=kind in (Callback.MESSAGE, Callback.CHOICES, Callback.MODAL)) or {}
        form.check()
        match kind:
            case Callback.MESSAGE | Callback.DEFERRED_MESSAGE:
                self._answer_message(interaction, kind, data, uploads)
            case Callback.DEFERRED_UPDATE | Callback.UPDATE:
                self._answer_update(interaction, kind, data, uploads)
            case Callback.CHOICES:
                interaction.choices = commands.read_choices(form, data, interaction.option_type)
                form.check()
            case Callback.MODAL:
                modal = modals.read(form, data)
                form.check()
                interaction.modal = modal
        self._acknowledge(interaction, kind)
        return self._response(interaction, kind)

    def _answer_message(self, interaction: Interaction, kind: Callback, data: Json, uploads: Sequence[Upload]) -> None:
        flags = data.get("flags")
        secret = isinstance(flags, int) and bool(flags & EPHEMERAL)
        origin = self._origin(interaction, secret=secret, first=True)
        if kind is Callback.MESSAGE:
            message = self._messages.post(interaction.place, _without_nonce(data), uploads, origin=origin)
        else:
            message = self._messages.post_loading(interaction.place, origin)
        interaction.original, interaction.secret = message.id, secret

    def _answer_update(self, interaction: Interaction, kind: Callback, data: Json, uploads: Sequence[Upload]) -> None:
        source = self._messages.seen_by(interaction.user, interaction.source)
        if source is None:
            raise DiscordError(Known.UNKNOWN_MESSAGE)
        if kind is Callback.UPDATE and (data or uploads):
            origin = self._origin(interaction, secret=source.owner is not None)
            self._messages.edit(source, data, uploads, origin=origin)
        interaction.original, interaction.secret = source.id, source.owner is not None

    def _acknowledge(self, interaction: Interaction, kind: Callback) -> None:
        interaction.callback = kind
        interaction.ack_ms = round((time.monotonic() - interaction.began) * 1000, 2)
        interaction.state = {
            Callback.DEFERRED_MESSAGE: State.DEFERRED,
            Callback.CHOICES: State.CHOICES,
            Callback.MODAL: State.MODAL,
        }.get(kind, State.ANSWERED)
        if interaction.timer is not None:
            interaction.timer.cancel()
            interaction.timer = None
        self._out.interaction_updated(interaction)

    def _response(self, interaction: Interaction, kind: Callback) -> Json:
        about: Json = {"id": str(interaction.id), "type": int(interaction.type)}
        response: Json = {"interaction": about}
        if kind in (Callback.CHOICES, Callback.MODAL):
            return response
        if interaction.original is not None:
            about |= {
                "response_message_id": str(interaction.original),
                "response_message_loading": kind is Callback.DEFERRED_MESSAGE,
                "response_message_ephemeral": interaction.secret,
            }
        response["resource"] = {"type": int(kind)}
        message = self._messages.seen_by(interaction.user, interaction.original)
        if message is not None and kind in (Callback.MESSAGE, Callback.UPDATE, Callback.DEFERRED_MESSAGE):
            response["resource"]["message"] = self._messages.shown(message)
        return response

    def _origin(self, interaction: Interaction, *, secret: bool, first: bool = False) -> Origin:
        kind = 0
        if first and interaction.type is Type.COMMAND:
            slash = interaction.metadata["command_type"] == commands.SLASH
            kind = CHAT_INPUT_REPLY if slash else CONTEXT_MENU_REPLY
        metadata = interaction.metadata
        if not first and interaction.original is not None:
            metadata = metadata | {"original_response_message_id": str(interaction.original)}
        return Origin(interaction.id, metadata, owner=interaction.user if secret else None, type=kind)

    # -- follow-ups ---------------------------------------------------------------------------------------------------

    def by_token(self, token: str) -> Interaction:
        """The interaction that a token continues.

        Raises:
            DiscordError: 10015 when there is none or it has no first answer yet, 50027 after fifteen minutes.
        """
        interaction = self._by_token.get(token)
        if interaction is None:
            raise DiscordError(Known.UNKNOWN_WEBHOOK)
        if time.monotonic() - interaction.began > self._pace.now.token_life_s:
            raise DiscordError(Known.INVALID_WEBHOOK_TOKEN)
        if interaction.callback is None:
            raise DiscordError(Known.UNKNOWN_WEBHOOK)
        return interaction

    def message(self, interaction: Interaction, name: str) -> Message:
        """`@original`, or a follow-up by its id.

        Raises:
            DiscordError: 10008 Unknown Message.
        """
        if name == "@original":
            number = interaction.original
        else:
            number = next((one for one in (interaction.original, *interaction.followups) if str(one) == name), None)
        message = self._messages.seen_by(interaction.user, number)
        if message is None:
            raise DiscordError(Known.UNKNOWN_MESSAGE)
        return message

    def follow_up(self, interaction: Interaction, body: Json, uploads: Sequence[Upload]) -> Message:
        """Post a further message. The first one after a deferred answer takes its place, and its privacy."""
        self._buckets.take_follow_up(interaction.place)
        original = self._messages.seen_by(interaction.user, interaction.original)
        if interaction.callback is Callback.DEFERRED_MESSAGE and original and original.flags & LOADING:
            return self.edit(interaction, original, body, uploads)
        if interaction.user_installed and len(interaction.followups) >= USER_FOLLOW_UPS:
            raise DiscordError(Known.TOO_MANY_FOLLOW_UPS)
        flags = body.get("flags")
        secret = isinstance(flags, int) and bool(flags & EPHEMERAL)
        message = self._messages.post(
            interaction.place, _without_nonce(body), uploads, origin=self._origin(interaction, secret=secret)
        )
        interaction.followups.append(message.id)
        self._out.interaction_updated(interaction)
        return message

    def edit(self, interaction: Interaction, message: Message, body: Json, uploads: Sequence[Upload]) -> Message:
        origin = self._origin(interaction, secret=message.owner is not None)
        edited = self._messages.edit(message, body, uploads, origin=origin)
        if message.id == interaction.original:
            interaction.state = State.ANSWERED
            interaction.updated = True
            self._out.interaction_updated(interaction)
        return edited

    def delete(self, interaction: Interaction, message: Message) -> None:
        self._messages.delete(message)
        if message.id == interaction.original:
            interaction.original = None
            interaction.state = State.ANSWERED
        else:
            interaction.followups.remove(message.id)
        self._out.interaction_updated(interaction)


def _callbacks(interaction: Interaction) -> tuple[Callback, ...]:
    """The kinds of first answer that fit what the member did."""
    if interaction.type is Type.AUTOCOMPLETE:
        return (Callback.CHOICES,)
    found = [Callback.MESSAGE, Callback.DEFERRED_MESSAGE]
    if interaction.source is not None:
        found += [Callback.DEFERRED_UPDATE, Callback.UPDATE]
    if interaction.type is not Type.MODAL_SUBMIT:
        found.append(Callback.MODAL)
    return tuple(found)


def _without_nonce(body: Json) -> Json:
    return {key: value for key, value in body.items() if key not in ("nonce", "enforce_nonce", "message_reference")}
