"""The one server of this Discord: its roles, members, channels and threads, and the form in which the API shows them.

Who they are stands in the cast; members' roles can change, threads come and go, and both are kept in the store. What
each may do follows from the rules.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from bot.sandbox import cast
from bot.sandbox.discord.errors import DiscordError, Known
from bot.sandbox.discord.rules import ALL, BIT, EVERYONE, Rules
from bot.sandbox.discord.snowflakes import made_at_s
from bot.sandbox.discord.store import Store

Json = dict[str, Any]

ADMINISTRATOR = BIT["ADMINISTRATOR"]

TEXT, PUBLIC_THREAD = 0, 11
COLOURS = {"owner": 0xE67E22, "sre": 0x2ECC71, "dev": 0x3498DB}
TOPICS = {
    "ops": "Operations: every deploy and rollback has its card here",
    "alerts": "What is wrong, and who has it",
    "alerts-critical": "What must not wait",
    "audit": "One line per decision and outcome",
    "general": "Everything else",
}
BOT_ID = cast.APPLICATION_ID


def stamp(unix_s: float) -> str:
    """A time as Discord writes it."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat()


@cache
def bot_user() -> Json:
    return _user(BOT_ID, cast.BOT_NAME, bot=True)


def _user(number: int, name: str, *, bot: bool = False) -> Json:
    return {
        "id": str(number),
        "username": name,
        "global_name": None if bot else name,
        "discriminator": "4711" if bot else "0",
        "avatar": None,
        "banner": None,
        "accent_color": None,
        "avatar_decoration_data": None,
        "primary_guild": None,
        "public_flags": 0,
        "flags": 0,
        "bot": bot,
        "system": False,
    }


def role_numbers() -> dict[str, int]:
    """Every role's id by its name, `@everyone` first."""
    return {EVERYONE: cast.GUILD_ID, **cast.ROLES, cast.BOT_NAME: cast.BOT_ROLE_ID}


class Guild:
    """Members and places by name and by id."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.rules = Rules(store)
        self.people = {person.id: person for person in cast.PEOPLE}
        self._users = {person.id: _user(person.id, person.name) for person in cast.PEOPLE}
        self._ids = {person.name: person.id for person in cast.PEOPLE}
        self._roles: dict[int, tuple[str, ...]] = {person.id: person.roles for person in cast.PEOPLE}
        for name, names in (store.document("roles") or {}).items():
            if name in self._ids:
                self._roles[self._ids[name]] = tuple(names)

    # -- members ------------------------------------------------------------------------------------------------------

    def person(self, name: str) -> int | None:
        """A member's id by name or by id; None: there is no such member, or it has left."""
        number = self._ids.get(name)
        if number is None and name.isascii() and name.isdigit():
            number = int(name[:20])
        return number if number in self.people and self.people[number].name not in self.rules.left else None

    def name_of(self, user: int) -> str:
        return cast.BOT_NAME if user == BOT_ID else self.people[user].name

    def user(self, user: int) -> Json:
        return bot_user() if user == BOT_ID else self._users[user]

    def role_names(self, user: int) -> tuple[str, ...]:
        return self._roles[user]

    def set_roles(self, user: int, names: tuple[str, ...]) -> None:
        self._roles[user] = names
        self._store.put_document("roles", {self.people[one].name: list(given) for one, given in self._roles.items()})

    def role_ids(self, user: int) -> list[int]:
        return [cast.BOT_ROLE_ID] if user == BOT_ID else [cast.ROLES[name] for name in self._roles[user]]

    def permissions(self, user: int, place: int | None = None) -> int:
        """What the member may do in a channel or a thread, or else in the server as a whole."""
        if user == cast.PEOPLE[0].id:
            return ALL
        held = (cast.BOT_NAME,) if user == BOT_ID else self._roles[user]
        if place is None:
            return self.rules.held(held)
        return self.rules.held_in(self.channel_name(place), held, member=self.name_of(user))

    def may(self, place: int, permission: str) -> bool:
        """Whether the bot has the permission in that place."""
        return bool(self.permissions(BOT_ID, place) & BIT[permission])

    def require(self, place: int, *needed: str) -> None:
        """The bot must be allowed to do this in that place.

        Raises:
            DiscordError: 50001 Missing Access where it does not even see the channel, else 50013 Missing Permissions.
        """
        if not self.may(place, "VIEW_CHANNEL"):
            raise DiscordError(Known.MISSING_ACCESS)
        if not all(self.may(place, name) for name in needed):
            raise DiscordError(Known.MISSING_PERMISSIONS)

    def roles(self) -> list[Json]:
        """Every role as the API shows it, `@everyone` first."""
        return [self._role(name, number) for name, number in role_numbers().items()]

    def _role(self, name: str, number: int) -> Json:
        colour = COLOURS.get(name, 0)
        managed = number == cast.BOT_ROLE_ID
        ranks = (EVERYONE, *reversed(cast.ROLES), cast.BOT_NAME)
        return {
            "id": str(number),
            "name": name,
            "permissions": str(self.rules.role_permissions(name)),
            "position": ranks.index(name),
            "color": colour,
            "colors": {"primary_color": colour, "secondary_color": None, "tertiary_color": None},
            "hoist": name in cast.ROLES,
            "managed": managed,
            "mentionable": self.rules.mentionable(name),
            "icon": None,
            "unicode_emoji": None,
            "flags": 0,
            **({"tags": {"bot_id": str(BOT_ID)}} if managed else {}),
        }

    def member(self, user: int) -> Json:
        """The member as REST and the gateway show one.

        Raises:
            DiscordError: 10007 Unknown Member.
        """
        if user != BOT_ID and (user not in self.people or self.people[user].name in self.rules.left):
            raise DiscordError(Known.UNKNOWN_MEMBER)
        return {
            "user": self.user(user),
            "nick": None,
            "avatar": None,
            "banner": None,
            "avatar_decoration_data": None,
            "roles": [str(role) for role in self.role_ids(user)],
            "joined_at": stamp(made_at_s(cast.GUILD_ID)),
            "premium_since": None,
            "deaf": False,
            "mute": False,
            "flags": 0,
            "pending": False,
            "communication_disabled_until": None,
        }

    def acting(self, user: int, place: int | None = None) -> Json:
        """The member as an interaction shows one: with the permissions in the place where it acts."""
        return self.member(user) | {"permissions": str(self.permissions(user, place))}

    def members(self) -> list[Json]:
        here = [number for number, person in sorted(self.people.items()) if person.name not in self.rules.left]
        return [self.member(user) for user in (*here, BOT_ID)]

    # -- places: channels and threads ---------------------------------------------------------------------------------

    def place(self, name: str) -> int | None:
        """A channel's id by its name, or a channel's or a thread's by its id."""
        if name in cast.CHANNELS:
            return cast.CHANNELS[name]
        if not (name.isascii() and name.isdigit() and len(name) < 20):
            return None
        return int(name) if self.is_place(int(name)) else None

    def is_place(self, place: int) -> bool:
        return place in self._channels() or place in self._store.threads

    def _channels(self) -> list[int]:
        """The channels that nobody has deleted."""
        return [number for name, number in cast.CHANNELS.items() if not self.rules.missing(name)]

    def thread(self, place: int) -> Json | None:
        return self._store.threads.get(place)

    def threads(self, *, parent: int | None = None, archived: bool = False) -> list[Json]:
        return [
            thread
            for thread in self._store.threads.values()
            if thread["thread_metadata"]["archived"] == archived
            and (parent is None or int(thread["parent_id"]) == parent)
        ]

    def channel_name(self, place: int) -> str:
        """The name of the channel, or of the one that the thread belongs to."""
        thread = self.thread(place)
        number = place if thread is None else int(thread["parent_id"])
        return next(name for name, channel in cast.CHANNELS.items() if channel == number)

    def channel(self, place: int) -> Json:
        """A channel or a thread as the API shows it.

        Raises:
            DiscordError: 10003 Unknown Channel.
        """
        thread = self.thread(place)
        if thread is not None:
            return thread
        if place not in self._channels():
            raise DiscordError(Known.UNKNOWN_CHANNEL)
        newest = self._store.newest_in(place)
        return _channel(place) | {
            "rate_limit_per_user": self.rules.slowmode_s(self.channel_name(place)),
            "permission_overwrites": self._overwrites(place),
            "last_message_id": None if newest is None else str(newest),
        }

    def _overwrites(self, channel: int) -> list[Json]:
        numbers = role_numbers()
        return [
            {
                "id": str(numbers.get(name) or self._ids[name]),
                "type": 0 if name in numbers else 1,
                "allow": str(allow),
                "deny": str(deny),
            }
            for name, allow, deny in self.rules.overwrites(self.channel_name(channel))
        ]

    def channels(self) -> Iterator[Json]:
        return (self.channel(number) for number in self._channels())

    # -- the whole ----------------------------------------------------------------------------------------------------

    def described(self) -> Json:
        """The server as `GET /guilds/{id}` shows it."""
        return {
            **_constant_guild(),
            "mfa_level": self.rules.mfa_level,
            "roles": self.roles(),
            "approximate_member_count": len(self.people) + 1,
            "approximate_presence_count": len(self.people) + 1,
        }

    def created(self, *, with_members: bool) -> Json:
        """The server as GUILD_CREATE shows it; without the members' intent only the bot is among them."""
        return {
            **_constant_guild(),
            "mfa_level": self.rules.mfa_level,
            "roles": self.roles(),
            "joined_at": stamp(made_at_s(cast.GUILD_ID)),
            "large": False,
            "unavailable": False,
            "member_count": len(self.people) + 1,
            "voice_states": [],
            "members": self.members() if with_members else [self.member(BOT_ID)],
            "channels": list(self.channels()),
            "threads": self.threads(),
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }


@cache
def _channel(number: int) -> Json:
    name = next(name for name, channel in cast.CHANNELS.items() if channel == number)
    return {
        "id": str(number),
        "type": TEXT,
        "guild_id": str(cast.GUILD_ID),
        "name": name,
        "topic": TOPICS.get(name),
        "position": list(cast.CHANNELS).index(name),
        "parent_id": None,
        "nsfw": False,
        "rate_limit_per_user": 0,
        "last_pin_timestamp": None,
        "default_auto_archive_duration": 1440,
        "flags": 0,
    }


@cache
def _constant_guild() -> Json:
    return {
        "id": str(cast.GUILD_ID),
        "name": cast.GUILD_NAME,
        "owner_id": str(cast.PEOPLE[0].id),
        **dict.fromkeys(
            (
                *("icon", "description", "home_header", "splash", "discovery_splash", "banner", "application_id"),
                *("afk_channel_id", "system_channel_id", "widget_channel_id", "rules_channel_id", "vanity_url_code"),
                *("safety_alerts_channel_id", "public_updates_channel_id", "max_presences", "incidents_data"),
                "hub_type",
            )
        ),
        "features": [],
        "region": "deprecated",
        "afk_timeout": 300,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "verification_level": 1,
        "default_message_notifications": 1,
        "explicit_content_filter": 2,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
    }
