"""Who somebody is: from a Discord member to the person of the configuration, with roles by their configured names.

Names in Discord can be chosen by anybody; only ids count here. No decision is made in this room.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from bot.policy import Actor


class Numbered(Protocol):
    """Anything with a Discord id."""

    @property
    def id(self) -> int: ...


class Member(Numbered, Protocol):
    """A member as an interaction brings it: fresh roles with every press."""

    @property
    def roles(self) -> Iterable[Numbered]: ...


class People:
    """The people and roles of the configuration, by id and by name.

    `accounts` are (name, Discord id), of which one person may have several: the first is the one that is pinged.
    `roles` gives the Discord id of each role name.
    """

    def __init__(self, *, accounts: Iterable[tuple[str, int]], roles: Mapping[str, int]) -> None:
        listed = tuple(accounts)
        self._names = {discord_id: name for name, discord_id in listed}
        self._accounts = dict(reversed(listed))
        self._role_names = {role_id: name for name, role_id in roles.items()}
        self._role_ids = dict(roles)

    def actor_of(self, member: Member | Numbered) -> Actor:
        """The actor behind this account. An account that the configuration does not name goes by its id.

        A user without roles (outside the guild) is an actor without roles.
        """
        held = frozenset(
            self._role_names[role.id] for role in getattr(member, "roles", ()) if role.id in self._role_names
        )
        name = self._names.get(member.id)
        if name is None:
            return Actor(str(member.id), member.id, held, known=False)
        return Actor(name, member.id, held)

    def discord_id(self, name: str) -> int | None:
        """The account by which that person is pinged; None for somebody whom the configuration does not name."""
        return self._accounts.get(name)

    def role_ids(self, names: Iterable[str]) -> list[int]:
        """The ids of those roles that the configuration knows."""
        return [self._role_ids[name] for name in names if name in self._role_ids]
