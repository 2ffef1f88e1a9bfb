"""Messages: posting, editing and deleting, with every check that Discord makes on a body before it takes it.

One path serves ordinary messages and the answers to interactions; what differs between them is an `Origin`.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.sandbox.discord import components, embeds, mentions
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.guild import BOT_ID, Guild, bot_user, stamp
from bot.sandbox.discord.limits import Buckets, Pace
from bot.sandbox.discord.media import Media, Upload
from bot.sandbox.discord.snowflakes import Snowflakes, made_at_s, parsed
from bot.sandbox.discord.store import Message, Store

Json = dict[str, Any]

CONTENT_LIMIT = 2000
NONCE_LIMIT = 25
SUPPRESS_EMBEDS, HAS_THREAD, EPHEMERAL, LOADING, SUPPRESS_NOTIFICATIONS = 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 12
SETTABLE = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | components.V2_FLAG
NONCES_KEPT = 10_000
PINNED = 6
ITEM = ("url", "proxy_url", "width", "height", "content_type", "size", "filename")


class Listener(Protocol):
    """Who is told what became of messages."""

    def message_created(self, message: Message) -> None: ...
    def message_updated(self, message: Message) -> None: ...
    def message_deleted(self, message: Message) -> None: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """The interaction that an answer belongs to. `owner` is set when only that member may see the answer."""

    interaction: int
    metadata: Json
    owner: int | None = None
    type: int = 0


@dataclass(slots=True)
class Draft:
    """A body that was read: the parts of it that were given, checked."""

    changes: Json = field(default_factory=dict)
    flags: int = 0
    pings: mentions.Pings = field(default_factory=mentions.Pings)
    dropped: list[Json] = field(default_factory=list)


class Messages:
    """The messages of the server."""

    def __init__(
        self,
        *,
        store: Store,
        guild: Guild,
        media: Media,
        ids: Snowflakes,
        buckets: Buckets,
        pace: Pace,
        listener: Listener,
    ) -> None:
        self._store = store
        self._guild = guild
        self._media = media
        self._ids = ids
        self._buckets = buckets
        self._pace = pace
        self._listener = listener
        self._nonces: OrderedDict[tuple[int, str], tuple[int, float]] = OrderedDict()

    # -- finding ------------------------------------------------------------------------------------------------------

    def find(self, place: int, message_id: int, *, interaction: int | None = None) -> Message:
        """A message of a place. An ephemeral one exists only for the interaction that posted it.

        Raises:
            DiscordError: 10008 Unknown Message.
        """
        message = self._store.message(message_id)
        if message is None or message.channel != place:
            raise DiscordError(Known.UNKNOWN_MESSAGE)
        if message.owner is not None and message.interaction != interaction:
            raise DiscordError(Known.UNKNOWN_MESSAGE)
        return message

    def seen_by(self, user: int, message_id: int | None) -> Message | None:
        """A message of any place, unless it is somebody else's ephemeral one."""
        message = self._store.message(message_id) if message_id is not None else None
        return None if message is None or message.owner not in (None, user) else message

    def shown(self, message: Message) -> Json:
        """The message as the API shows it: with the thread that was started from it."""
        thread = self._guild.thread(message.id) if message.flags & HAS_THREAD else None
        return message.payload if thread is None else message.payload | {"thread": thread}

    # -- changing -----------------------------------------------------------------------------------------------------

    def post(
        self,
        place: int,
        body: Json,
        uploads: Sequence[Upload] = (),
        *,
        origin: Origin | None = None,
        as_webhook: Json | None = None,
    ) -> Message:
        """Post a message; a nonce that was used there within minutes gives the message of that time, unchanged.

        `as_webhook` is what shows that a channel's webhook posted it: author and `webhook_id`.

        Raises:
            DiscordError: 50035, 50006 and what else Discord refuses; nothing is posted then.
        """
        nonce = self._nonce(body)
        if nonce and body.get("enforce_nonce") is True and (known := self._known_nonce(place, nonce)):
            return known
        draft = self._read(place, body, uploads, base=None, origin=origin)
        _refuse_empty(draft.changes)
        message = self._new(place, draft, origin)
        message.payload |= as_webhook or {}
        if nonce:
            message.payload["nonce"] = body["nonce"]
            self._note_nonce(place, nonce, message.id)
        self._refer(message, body)
        self._store.put(message)
        self._listener.message_created(message)
        return message

    def post_loading(self, place: int, origin: Origin) -> Message:
        """The placeholder of a deferred answer."""
        message = self._new(place, Draft(flags=LOADING), origin)
        self._store.put(message)
        self._listener.message_created(message)
        return message

    def edit(
        self, message: Message, body: Json, uploads: Sequence[Upload] = (), *, origin: Origin | None = None
    ) -> Message:
        """Change what the body names. The first edit of a deferred answer is its content, not an edit that people see.

        Raises:
            DiscordError: 50035, 50006, 30046; nothing is changed then.
        """
        if origin is None and time.time() - made_at_s(message.id) > self._pace.now.old_after_s:
            self._buckets.take_old_edit(message.channel)
        draft = self._read(message.channel, body, uploads, base=message, origin=origin)
        changed = message.payload | draft.changes
        _refuse_empty(changed)
        keep = message.flags & (EPHEMERAL | HAS_THREAD | components.V2_FLAG)
        flags = keep | (draft.flags if "flags" in body else message.flags & SETTABLE | draft.flags)
        first_fill = bool(message.flags & LOADING)
        message.payload = changed | {"flags": flags}
        if first_fill:
            message.pings = draft.pings.named(self._guild)
        else:
            message.edits += 1
            message.payload["edited_timestamp"] = stamp(time.time())
        self._media.forget(message.channel, draft.dropped)
        self._store.put(message)
        self._listener.message_updated(message)
        return message

    def set_flags(self, message: Message, flags: int) -> None:
        """Change a message's flags without an edit that people see."""
        message.payload = message.payload | {"flags": flags}
        self._store.put(message)
        self._listener.message_updated(message)

    def pin(self, message: Message, *, pinned: bool) -> None:
        message.pinned_at = stamp(time.time()) if pinned else None
        message.payload = message.payload | {"pinned": pinned}
        self._store.put(message)
        self._listener.message_updated(message)

    def tell_of_pin(self, pinned: Message) -> None:
        """The system message that stands in the channel after a pin (type 6; resources/message, "Message Types")."""
        notice = self._new(pinned.channel, Draft(), None)
        place = {"channel_id": str(pinned.channel), "guild_id": self._guild.channel(pinned.channel)["guild_id"]}
        notice.payload |= {"type": PINNED, "message_reference": {"type": 0, "message_id": str(pinned.id), **place}}
        self._store.put(notice)
        self._listener.message_created(notice)

    def delete(self, message: Message) -> None:
        self._store.remove(message)
        self._media.forget(message.channel, message.payload["attachments"])
        self._listener.message_deleted(message)

    def _new(self, place: int, draft: Draft, origin: Origin | None) -> Message:
        number = self._ids.next()
        owner = origin.owner if origin else None
        payload: Json = {
            "type": origin.type if origin else 0,
            "content": "",
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": False,
            "attachments": [],
            "embeds": [],
            "components": [],
            "timestamp": stamp(made_at_s(number)),
            "edited_timestamp": None,
            "flags": draft.flags | (EPHEMERAL if owner is not None else 0),
            "id": str(number),
            "channel_id": str(place),
            "author": bot_user(),
            "pinned": False,
            "tts": False,
        }
        if origin:
            payload |= {
                "webhook_id": str(BOT_ID),
                "application_id": str(BOT_ID),
                "interaction_metadata": origin.metadata,
            }
        pings = draft.pings.named(self._guild)
        interaction = origin.interaction if origin else None
        return Message(number, place, payload | draft.changes, owner, interaction, pings=pings)

    def _refer(self, message: Message, body: Json) -> None:
        """A reply: the message that it answers must be there unless the body says otherwise."""
        reference = body.get("message_reference")
        if not isinstance(reference, dict):
            return
        number = parsed(reference.get("message_id"))
        target = self._store.message(number) if number is not None else None
        if target is None or target.channel != message.channel or target.owner is not None:
            if reference.get("fail_if_not_exists", True) is False:
                return
            form = Form()
            form.fail("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
            form.check()
            return
        message.payload |= {
            "type": 19,
            "message_reference": {
                "type": 0,
                "channel_id": str(target.channel),
                "message_id": str(target.id),
                "guild_id": self._guild.channel(target.channel)["guild_id"],
            },
            "referenced_message": {k: v for k, v in target.payload.items() if k != "referenced_message"},
        }

    # -- reading a body -----------------------------------------------------------------------------------------------

    def _read(
        self, place: int, body: Json, uploads: Sequence[Upload], *, base: Message | None, origin: Origin | None
    ) -> Draft:
        """Check the whole body, then keep its files."""
        if body.get("poll") is not None:
            # Nobody holds SEND_POLLS in this server: a poll's votes are no answer that the bot's policy could use.
            raise DiscordError(Known.MISSING_PERMISSIONS)
        if body.get("sticker_ids"):
            # Nor is there a sticker.
            raise DiscordError(Known.INVALID_STICKER)
        form = Form()
        draft = Draft(flags=form.whole(body, "flags", least=0, most=2**31 - 1) & SETTABLE)
        v2 = bool(draft.flags & components.V2_FLAG or (base and base.flags & components.V2_FLAG))
        if v2:
            draft.flags |= components.V2_FLAG
        content = form.text(body, "content", most=CONTENT_LIMIT)
        if "content" in body:
            draft.changes["content"] = content.strip()
        secret = bool(origin and origin.owner is not None)
        files = self._files(form, place, body, uploads, base=base, secret=secret)
        if "embeds" in body:
            draft.changes["embeds"] = embeds.read(form, body, resolve=files.item)
        if "components" in body:
            draft.changes["components"] = components.Reader(form, resolve=files.item).message(body, v2=v2)
        allowed = mentions.read(form, body, default=mentions.ONLY_USERS if origin else mentions.Allowed())
        if v2:
            _refuse_legacy(form, (base.payload if base else {}) | draft.changes)
        form.check()
        for attachment, upload in zip(files.new, uploads, strict=True):
            self._media.write(place, attachment, upload.data)
        if files.new or files.dropped:
            draft.changes["attachments"] = files.kept + files.new
            draft.dropped = files.dropped
        self._name(draft, allowed, base, place=place)
        return draft

    def _files(
        self, form: Form, place: int, body: Json, uploads: Sequence[Upload], *, base: Message | None, secret: bool
    ) -> "_Files":
        """The message's files after this body: `attachments` lists those to keep and describes the new ones."""
        about: dict[int | None, Json] = {}
        listed = list(form.objects(body, "attachments", most=10))
        for at, raw in listed:
            about[parsed(raw.get("id"))] = {
                "filename": form.text(raw, "filename", at, most=260),
                "description": form.text(raw, "description", at, most=1024),
            }
        new = [
            self._media.describe(place, upload, about=about.get(upload.number, {}), ephemeral=secret)
            for upload in uploads
        ]
        old: list[Json] = base.payload["attachments"] if base else []
        keep_all = body.get("attachments") is None
        kept = [one for one in old if keep_all or int(one["id"]) in about]
        return _Files(form, kept, [one for one in old if one not in kept], new)

    def _name(self, draft: Draft, allowed: mentions.Allowed, base: Message | None, *, place: int) -> None:
        """Find the pings, and name them in the message as the API does."""
        if not {"content", "components"} & set(draft.changes):
            return
        now = (base.payload if base else {}) | draft.changes
        text = "\n".join((now.get("content", ""), *components.texts(now.get("components", []))))
        draft.pings = mentions.find(text, allowed, self._guild, place=place)
        draft.changes["mentions"] = [self._guild.user(user) for user in draft.pings.users]
        draft.changes["mention_roles"] = [str(role) for role in draft.pings.roles]
        draft.changes["mention_everyone"] = draft.pings.everyone

    # -- nonces -------------------------------------------------------------------------------------------------------

    def _nonce(self, body: Json) -> str:
        nonce = body.get("nonce")
        if nonce is None:
            return ""
        form = Form()
        if isinstance(nonce, bool) or not isinstance(nonce, str | int):
            form.fail("nonce", "NONCE_TYPE_TOO_LONG", "Must be a string or an integer.")
        elif len(str(nonce)) > NONCE_LIMIT:
            form.fail("nonce", "NONCE_TYPE_TOO_LONG", f"Must be {NONCE_LIMIT} or fewer in length.")
        form.check()
        return str(nonce)

    def _known_nonce(self, place: int, nonce: str) -> Message | None:
        known = self._nonces.get((place, nonce))
        if known is None or time.monotonic() - known[1] > self._pace.now.nonce_life_s:
            return None
        return self._store.message(known[0])

    def _note_nonce(self, place: int, nonce: str, message: int) -> None:
        self._nonces[place, nonce] = (message, time.monotonic())
        self._nonces.move_to_end((place, nonce))
        while len(self._nonces) > NONCES_KEPT:
            self._nonces.popitem(last=False)


def _refuse_legacy(form: Form, payload: Json) -> None:
    """With the second version's components there is no content and no embed."""
    for key in ("content", "embeds"):
        if payload.get(key):
            form.fail(
                key,
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{key}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )


def _refuse_empty(payload: Json) -> None:
    shown = [embed for embed in payload.get("embeds") or () if any(embed[key] for key in embed if key != "type")]
    if not shown and not any(payload.get(part) for part in ("content", "attachments", "components")):
        raise DiscordError(Known.EMPTY_MESSAGE)


@dataclass(frozen=True, slots=True)
class _Files:
    """The files that a body may name by `attachment://`: those that the message keeps and those that come with it."""

    form: Form
    kept: list[Json]
    dropped: list[Json]
    new: list[Json]

    def item(self, url: str, path: str) -> Json:
        """The media item that an address stands for."""
        if not url.startswith("attachment://"):
            return {"id": "0", "url": url, "proxy_url": url, "loading_state": 2}
        name = url.removeprefix("attachment://")
        for attachment in (*self.new, *self.kept):
            if attachment["filename"] == name:
                found = {key: attachment[key] for key in ITEM if key in attachment}
                return found | {"id": attachment["id"], "attachment_id": attachment["id"], "loading_state": 2}
        self.form.fail(
            path, "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", "The referenced attachment was not found"
        )
        return {"url": url, "proxy_url": url}
