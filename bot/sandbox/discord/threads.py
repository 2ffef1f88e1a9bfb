"""Threads: started from a message or alone, archived, woken by a message, and gone. Only the bot starts any here."""

import time
from typing import Any

from bot.sandbox.cast import GUILD_ID
from bot.sandbox.discord.announcements import Announcements
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.guild import BOT_ID, PUBLIC_THREAD, Guild, stamp
from bot.sandbox.discord.limits import Buckets
from bot.sandbox.discord.messages import HAS_THREAD, Messages
from bot.sandbox.discord.snowflakes import Snowflakes
from bot.sandbox.discord.store import Message, Store

Json = dict[str, Any]

ARCHIVE_AFTER_MIN = (60, 1440, 4320, 10080)
CREATORS_OWN = frozenset({"name", "archived", "auto_archive_duration", "flags"})


class Threads:
    """The threads of the server's channels."""

    def __init__(
        self,
        *,
        store: Store,
        guild: Guild,
        messages: Messages,
        ids: Snowflakes,
        buckets: Buckets,
        told: Announcements,
    ) -> None:
        self._store = store
        self._buckets = buckets
        self._guild = guild
        self._messages = messages
        self._ids = ids
        self._told = told

    def from_message(self, message: Message, body: Json) -> Json:
        """Start a thread; it has the message's id.

        Raises:
            DiscordError: 160004 when the message has one, 50024 in a thread, 50035.
        """
        if message.flags & HAS_THREAD:
            raise DiscordError(Known.THREAD_EXISTS)
        thread = self._new(message.id, message.channel, body)
        self._store.put_thread(thread)
        self._messages.set_flags(message, message.flags | HAS_THREAD)
        self._told.thread(thread, what="created")
        return thread

    def alone(self, channel: int, body: Json) -> Json:
        """Start a thread without a message."""
        form = Form()
        form.choice(body, "type", among=(PUBLIC_THREAD,), default=PUBLIC_THREAD)
        form.check()
        thread = self._new(self._ids.next(), channel, body)
        self._store.put_thread(thread)
        self._told.thread(thread, what="created")
        return thread

    def _new(self, number: int, channel: int, body: Json) -> Json:
        if self._guild.thread(channel) is not None:
            raise DiscordError(Known.WRONG_CHANNEL_TYPE)
        form = Form()
        name = form.text(body, "name", least=1, most=100, required=True)
        minutes = form.choice(body, "auto_archive_duration", among=ARCHIVE_AFTER_MIN, default=1440)
        slow_s = form.whole(body, "rate_limit_per_user", least=0, most=21_600)
        form.check()
        now = stamp(time.time())
        return {
            "id": str(number),
            "type": PUBLIC_THREAD,
            "guild_id": str(GUILD_ID),
            "parent_id": str(channel),
            "owner_id": str(BOT_ID),
            "name": name,
            "last_message_id": None,
            "last_pin_timestamp": None,
            "rate_limit_per_user": slow_s,
            "message_count": 0,
            "member_count": 1,
            "total_message_sent": 0,
            "flags": 0,
            "thread_metadata": {
                "archived": False,
                "archive_timestamp": now,
                "auto_archive_duration": minutes,
                "locked": False,
                "create_timestamp": now,
            },
            "member": {"id": str(number), "user_id": str(BOT_ID), "join_timestamp": now, "flags": 0},
        }

    def change(self, thread: Json, body: Json) -> Json:
        """Rename, archive or wake a thread; its creator may do no more than that.

        Raises:
            DiscordError: 50013 for anything else, 50083 while it is archived and stays so, 50035.
        """
        if set(body) - CREATORS_OWN:
            raise DiscordError(Known.MISSING_PERMISSIONS)
        form = Form()
        about = thread["thread_metadata"]
        archived = form.flag(body, "archived", default=about["archived"])
        minutes = form.choice(
            body, "auto_archive_duration", among=ARCHIVE_AFTER_MIN, default=about["auto_archive_duration"]
        )
        name = form.text(body, "name", least=1, most=100, required=True) if "name" in body else thread["name"]
        form.check()
        if about["archived"] and archived:
            raise DiscordError(Known.THREAD_ARCHIVED)
        if name != thread["name"]:
            self._buckets.take_rename(int(thread["id"]))
        at = stamp(time.time()) if archived != about["archived"] else about["archive_timestamp"]
        metadata = about | {"archived": archived, "auto_archive_duration": minutes, "archive_timestamp": at}
        return self._put(thread | {"name": name, "thread_metadata": metadata})

    def wake(self, place: int) -> None:
        """A message in an archived thread opens it again.

        Raises:
            DiscordError: 50083, when it is locked.
        """
        thread = self._guild.thread(place)
        if thread is None or not thread["thread_metadata"]["archived"]:
            return
        if thread["thread_metadata"]["locked"]:
            raise DiscordError(Known.THREAD_ARCHIVED)
        self.change(thread, {"archived": False})

    def count(self, place: int) -> None:
        """Note that a message was posted there."""
        thread = self._guild.thread(place)
        if thread is None:
            return
        newest = self._store.newest_in(place)
        counted = {"message_count": thread["message_count"] + 1, "total_message_sent": thread["total_message_sent"] + 1}
        self._store.put_thread(thread | counted | {"last_message_id": None if newest is None else str(newest)})

    def refuse_archived(self, place: int) -> None:
        """Nothing is changed in an archived thread.

        Raises:
            DiscordError: 50083.
        """
        thread = self._guild.thread(place)
        if thread is not None and thread["thread_metadata"]["archived"]:
            raise DiscordError(Known.THREAD_ARCHIVED)

    def _put(self, thread: Json) -> Json:
        self._store.put_thread(thread)
        self._told.thread(thread, what="updated")
        starter = self._store.message(int(thread["id"]))
        if starter is not None:
            self._told.message_updated(starter)
        return thread
