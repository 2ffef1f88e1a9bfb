"""Incoming webhooks: who may post into a channel with nothing but an address, and the messages that came that way.

They are kept in the store. The routes stand in `routes_webhooks`; the pace of posting is counted here, because it
belongs to the channel. Source: Discord's documentation, "Webhook".
"""

import secrets
from collections.abc import Sequence
from typing import Any

from bot.sandbox import cast
from bot.sandbox.discord import components
from bot.sandbox.discord.components import LINK, SELECTS, Kind
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.guild import BOT_ID, Guild
from bot.sandbox.discord.limits import Buckets
from bot.sandbox.discord.media import Upload
from bot.sandbox.discord.messages import Messages
from bot.sandbox.discord.snowflakes import Snowflakes, parsed
from bot.sandbox.discord.store import Message, Store
from bot.sandbox.discord.threads import Threads

Json = dict[str, Any]

DOCUMENT = "webhooks"
INCOMING = 1
NAME_LIMIT = 80
PER_CHANNEL = 15
NEVER_IN_A_NAME = ("clyde", "discord")


class Webhooks:
    """The webhooks of the server."""

    def __init__(
        self,
        *,
        store: Store,
        guild: Guild,
        messages: Messages,
        threads: Threads,
        ids: Snowflakes,
        buckets: Buckets,
    ) -> None:
        self._store = store
        self._guild = guild
        self._messages = messages
        self._threads = threads
        self._ids = ids
        self._buckets = buckets
        self._hooks: dict[int, Json] = {int(one["id"]): one for one in store.document(DOCUMENT) or []}
        self.origin = ""
        """`http://127.0.0.1:PORT`, known once the port is open."""

    # -- finding ------------------------------------------------------------------------------------------------------

    def find(self, number: int | None) -> Json:
        """A webhook by its id.

        Raises:
            DiscordError: 10015 Unknown Webhook.
        """
        hook = self._hooks.get(number or 0)
        if hook is None:
            raise DiscordError(Known.UNKNOWN_WEBHOOK)
        return hook

    def opened(self, number: int | None, token: str) -> Json:
        """A webhook by its id and its token, which together are all that a poster needs.

        Raises:
            DiscordError: 10015 Unknown Webhook, 50027 Invalid Webhook Token.
        """
        hook = self.find(number)
        if not secrets.compare_digest(str(hook["token"]).encode(), token.encode("utf-8", "replace")):
            raise DiscordError(Known.INVALID_WEBHOOK_TOKEN)
        return hook

    def all(self, *, channel: int | None = None) -> list[Json]:
        return [one for one in self._hooks.values() if channel is None or int(one["channel_id"]) == channel]

    def shown(self, hook: Json, *, with_user: bool = True) -> Json:
        """The webhook as the API shows it; whoever asks by its token does not learn who made it."""
        shown = {**hook, "url": f"{self.origin}/api/webhooks/{hook['id']}/{hook['token']}"}
        by = int(shown.pop("user"))
        return shown | ({"user": self._guild.user(by)} if with_user else {})

    # -- changing -----------------------------------------------------------------------------------------------------

    def create(self, channel: int, body: Json, *, by: int) -> Json:
        """A new one in a channel, made by the bot or a member.

        Raises:
            DiscordError: 50035, 30007 when the channel has too many.
        """
        form = Form()
        name = _name(form, body, "name", required=True)
        form.check()
        if len(self.all(channel=channel)) >= PER_CHANNEL:
            raise DiscordError(Known.TOO_MANY_WEBHOOKS)
        hook = {
            "id": str(self._ids.next()),
            "type": INCOMING,
            "name": name,
            "avatar": None,
            "channel_id": str(channel),
            "guild_id": str(cast.GUILD_ID),
            "application_id": str(BOT_ID) if by == BOT_ID else None,
            "token": secrets.token_urlsafe(50)[:68],
            "user": str(by),
        }
        self._hooks[int(str(hook["id"]))] = hook
        self._keep()
        return hook

    def change(self, hook: Json, body: Json, *, may_move: bool) -> Json:
        """Another name, and with `may_move` another channel.

        Raises:
            DiscordError: 50035, 10003 Unknown Channel.
        """
        form = Form()
        if "name" in body:
            hook["name"] = _name(form, body, "name", required=True) or hook["name"]
        form.check()
        if may_move and body.get("channel_id") is not None:
            hook["channel_id"] = str(self._channel(parsed(body["channel_id"])))
        self._keep()
        return hook

    def remove(self, hook: Json) -> None:
        self._hooks.pop(int(hook["id"]))
        self._keep()

    def _channel(self, number: int | None) -> int:
        if number is None or number not in cast.CHANNELS.values() or not self._guild.is_place(number):
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        return number

    def _keep(self) -> None:
        self._store.put_document(DOCUMENT, list(self._hooks.values()))

    # -- messages -----------------------------------------------------------------------------------------------------

    def post(self, hook: Json, body: Json, uploads: Sequence[Upload], *, thread: int | None, allowed: bool) -> Message:
        """Post as the webhook; `username` in the body gives another name to this message alone. `allowed`: the
        request asks for its components to count.

        Raises:
            DiscordError: 429 when the channel had its share, 10003, 50035 and what else Discord refuses of a message.
        """
        place = self._place(hook, thread)
        self._buckets.take_webhook_post(int(hook["channel_id"]))
        form = Form()
        name = _name(form, body, "username") or str(hook["name"])
        body = self._own_components(form, hook, body, allowed=allowed)
        form.check()
        self._threads.wake(place)
        shown = {"webhook_id": hook["id"], "author": _author(hook, name)}
        if hook["application_id"]:
            shown["application_id"] = hook["application_id"]
        known = {key: value for key, value in body.items() if key not in ("nonce", "message_reference")}
        message = self._messages.post(place, known, uploads, as_webhook=shown)
        self._threads.count(place)
        return message

    def message(self, hook: Json, number: str, *, thread: int | None) -> Message:
        """A message that this webhook posted.

        Raises:
            DiscordError: 10008 Unknown Message, also for anybody else's.
        """
        message = self._messages.find(self._place(hook, thread), parsed(number) or 0)
        if message.author != int(hook["id"]):
            raise DiscordError(Known.UNKNOWN_MESSAGE)
        return message

    def edit(self, hook: Json, message: Message, body: Json, uploads: Sequence[Upload], *, allowed: bool) -> Message:
        """Change what the body names.

        Raises:
            DiscordError: 50035 and what else Discord refuses of a message, 50083 in an archived thread.
        """
        self._threads.refuse_archived(message.channel)
        form = Form()
        body = self._own_components(form, hook, body, allowed=allowed)
        form.check()
        return self._messages.edit(message, body, uploads)

    def delete(self, message: Message) -> None:
        self._messages.delete(message)

    def _place(self, hook: Json, thread: int | None) -> int:
        channel = int(hook["channel_id"])
        if thread is None:
            return self._channel(channel)
        found = self._guild.thread(thread)
        if found is None or int(found["parent_id"]) != channel:
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        return thread

    @staticmethod
    def _own_components(form: Form, hook: Json, body: Json, *, allowed: bool) -> Json:
        """The body with the components that count: all of an application's, else those that nobody can press."""
        if hook["application_id"] or not body.get("components"):
            return body
        if not allowed:
            flags = body.get("flags")
            kept = {"flags": flags & ~components.V2_FLAG} if isinstance(flags, int) else {}
            return {key: value for key, value in body.items() if key != "components"} | kept
        if any(_pressable(one) for _, one in form.objects(body, "components", most=components.TOTAL_LIMIT)):
            form.fail("components", "APPLICATION_OWNED_WEBHOOK_REQUIRED", "Only application-owned webhooks may do that")
        return body


def _pressable(raw: Json) -> bool:
    """Whether somewhere in a tree that nobody has checked yet there is something to press."""
    stack: list[Any] = [raw]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            if one.get("type") in SELECTS or (one.get("type") == Kind.BUTTON and one.get("style") != LINK):
                return True
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)
    return False


def _name(form: Form, body: Json, key: str, *, required: bool = False) -> str:
    name = form.text(body, key, least=1, most=NAME_LIMIT, required=required).strip()
    for word in NEVER_IN_A_NAME:
        if word in name.lower():
            form.fail(key, "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"')
    return name


def _author(hook: Json, name: str) -> Json:
    return {
        "id": hook["id"],
        "username": name,
        "global_name": None,
        "discriminator": "0000",
        "avatar": None,
        "public_flags": 0,
        "flags": 0,
        "bot": True,
        "primary_guild": None,
    }
