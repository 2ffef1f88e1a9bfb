"""What we read of Discord by REST: the few fields that this program looks at, and nothing of how they are asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from bot.clients.discord_permissions import Permission

TEXT_CHANNEL = 0
ADMINISTRATION_NEEDS_2FA = 1
"""`mfa_level` of a guild: moderators must use two-factor authentication (resources/guild, "MFA Level")."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role of the guild; the one with the guild's own id is `@everyone`."""

    id: int
    name: str
    permissions: Permission
    mentionable: bool
    managed: bool

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            id=int(row["id"]),
            name=str(row["name"]),
            permissions=Permission(int(row["permissions"])),
            mentionable=bool(row["mentionable"]),
            managed=bool(row["managed"]),
        )


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What a channel allows and denies a role or a member beyond the guild's rules; `id` is a role's or a user's."""

    id: int
    allow: Permission
    deny: Permission


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel of the guild."""

    id: int
    name: str
    kind: int
    overwrites: tuple[Overwrite, ...]

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            id=int(row["id"]),
            name=str(row.get("name") or ""),
            kind=int(row["type"]),
            overwrites=tuple(
                Overwrite(int(one["id"]), Permission(int(one["allow"])), Permission(int(one["deny"])))
                for one in row.get("permission_overwrites", ())
            ),
        )


@dataclass(frozen=True, slots=True)
class Guild:
    """The guild with its roles."""

    id: int
    name: str
    owner_id: int
    mfa_level: int
    roles: Mapping[int, Role]

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        roles = (Role.from_json(role) for role in row["roles"])
        return cls(
            id=int(row["id"]),
            name=str(row["name"]),
            owner_id=int(row["owner_id"]),
            mfa_level=int(row["mfa_level"]),
            roles={role.id: role for role in roles},
        )

    @property
    def everyone(self) -> Role:
        return self.roles[self.id]

    def allowed(self, roles: Iterable[int], *, user_id: int = 0) -> Permission:
        """What a member with these roles may do before any channel is looked at ("Permissions", base permissions)."""
        if user_id == self.owner_id:
            return Permission.all()
        held = self.everyone.permissions
        for role in roles:
            held |= self.roles[role].permissions if role in self.roles else Permission(0)
        return Permission.all() if Permission.ADMINISTRATOR in held else held

    def allowed_in(self, channel: Channel, roles: Iterable[int], *, user_id: int = 0) -> Permission:
        """What a member with these roles may do in the channel.

        Discord's own order ("Permissions", permission overwrites, 2026): the guild's rules; the channel's for
        `@everyone`; those for all the member's roles together, where an allow beats a deny; those for the member.
        Without View Channel nothing else counts, and without Send Messages neither do the kinds of sending.
        """
        roles = frozenset(roles)
        held = self.allowed(roles, user_id=user_id)
        if Permission.ADMINISTRATOR in held:
            return held
        deny = allow = Permission(0)
        for one in channel.overwrites:
            if one.id == self.id:
                held = (held & ~one.deny) | one.allow
            elif one.id in roles:
                deny, allow = deny | one.deny, allow | one.allow
        held = (held & ~deny) | allow
        for one in channel.overwrites:
            if one.id == user_id:
                held = (held & ~one.deny) | one.allow
        return held.implied()


@dataclass(frozen=True, slots=True)
class GuildName:
    """A guild that the bot is a member of."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Application:
    """The application that the token belongs to; `flags` name the privileged intents that it was granted."""

    id: int
    name: str
    flags: int
    public: bool

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(int(row["id"]), str(row["name"]), int(row.get("flags") or 0), bool(row.get("bot_public")))
