"""Whom a message pings: what its text names, cut down by its `allowed_mentions`.

Source: Discord's documentation, "Allowed Mentions Object" and its default settings: an ordinary message may ping
users, roles and everyone when it says nothing; an answer to an interaction only users.
"""

import re
from dataclasses import dataclass
from typing import Any

from bot.sandbox import cast
from bot.sandbox.discord.forms import Form
from bot.sandbox.discord.guild import Guild

Json = dict[str, Any]

USER = re.compile(r"<@!?(\d{15,20})>")
ROLE = re.compile(r"<@&(\d{15,20})>")
KINDS = ("users", "roles", "everyone")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be pinged. `users` and `roles` as None: any of that kind."""

    users: frozenset[int] | None = None
    roles: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Pings:
    """Who is pinged, by id."""

    users: tuple[int, ...] = ()
    roles: tuple[int, ...] = ()
    everyone: bool = False

    def named(self, guild: Guild) -> Json:
        """As the control API shows them: by name."""
        names = {number: name for name, number in cast.ROLES.items()}
        return {
            "users": [guild.name_of(user) for user in self.users],
            "roles": [names[role] for role in self.roles],
            "everyone": self.everyone,
        }


ONLY_USERS = Allowed(roles=frozenset())


def read(form: Form, body: Json, *, default: Allowed) -> Allowed:
    """The body's `allowed_mentions`, checked."""
    raw = form.object(body, "allowed_mentions")
    if raw is None:
        return default
    at = "allowed_mentions"
    parse = form.items(raw, "parse", at, most=3)
    for number, kind in enumerate(parse):
        if kind not in KINDS:
            form.fail(
                f"{at}.parse.{number}", "BASE_TYPE_CHOICES", "Value must be one of ('users', 'roles', 'everyone')."
            )
    chosen: dict[str, frozenset[int]] = {}
    for kind in ("users", "roles"):
        chosen[kind] = frozenset(form.snowflakes(raw, kind, at))
        if chosen[kind] and kind in parse:
            form.fail(
                at,
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.',
            )
    return Allowed(
        users=None if "users" in parse else chosen["users"],
        roles=None if "roles" in parse else chosen["roles"],
    )


def find(text: str, allowed: Allowed, guild: Guild, *, place: int) -> Pings:
    """Who is pinged by a text: never everyone, which no text of this bot asks for.

    A role is pinged when it may be mentioned by everybody, or when the bot may mention everyone in that place.
    """
    if "@" not in text:
        return Pings()
    users = [int(found) for found in dict.fromkeys(USER.findall(text)) if int(found) in guild.people]
    names = {number: name for name, number in cast.ROLES.items()}
    roles = [
        number
        for number in dict.fromkeys(int(found) for found in ROLE.findall(text))
        if number in names and (guild.rules.mentionable(names[number]) or guild.may(place, "MENTION_EVERYONE"))
    ]
    return Pings(
        tuple(user for user in users if allowed.users is None or user in allowed.users),
        tuple(role for role in roles if allowed.roles is None or role in allowed.roles),
    )
